"""What IMAGES names -> folders and files on this machine: lists are read, archives unpacked, buckets downloaded.

    holiday/  cat.jpg  'holiday/*.png'          as they are
    photos.txt                                  a list: any of these a line, relative to the list; # begins a comment
    photos.zip  photos.tar.gz                   an archive
    gs://bucket/photos/  gs://bucket/cat.jpg    what a bucket holds, all or below a prefix; an object, an archive
    0                                           a webcam, by its number

What was unpacked or downloaded is in .work/predict until all of it is done: a run that was stopped finds the same files
when it resumes. What does that is imported late, for a folder needs none of it.
"""

import fcntl
import glob
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from detector.base import files
from detector.base.errors import UserError
from detector.pictures import images
from detector.prediction.photos import WEBCAM, Photo, Source

CACHE = Path(".work/predict")
LIST = ".txt"


class Sources:
    """places: what is on this machine. webcams: those among the arguments. problems: what could not be had.

    passed_over: objects in buckets of a format that is not read.
    """

    def __init__(self, arguments: Iterable[str], locks: ExitStack) -> None:
        self.places: list[str | Source] = []
        self.webcams: list[Photo] = []
        self.problems: list[UserError] = []
        self.passed_over: list[str] = []
        self._locks, self._kept, self._lists = locks, set[Path](), set[str]()
        for argument in dict.fromkeys(arguments):
            try:
                self._take(argument)
            except UserError as error:
                self.problems.append(error)

    def remove(self) -> None:
        """All is done: what was unpacked or downloaded goes."""
        for folder in self._kept:
            shutil.rmtree(folder, ignore_errors=True)

    def in_words(self, error: UserError) -> UserError:
        """An error of a file that was unpacked or downloaded, with the name by which the user knows it."""
        sources = (place for place in self.places if isinstance(place, Source))
        found = next((source for source in sources if Path(error.where).is_relative_to(source.path)), None)
        where = found.named(Path(error.where)) if found else error.where
        return UserError(where, error.reason, error.remedy, error.item)

    def _take(self, argument: str) -> None:
        path = files.expanded(argument)
        is_file = os.path.isfile(path)  # noqa: PTH113 (False for a name that is too long, which `photos.find` reports)
        webcam = _number(argument) if not is_file and not os.path.isdir(path) else ""  # noqa: PTH112 (the same)
        if argument.startswith("gs://"):
            self.places.append(self._downloaded(argument))
        elif webcam:
            photo = Photo(Path(WEBCAM.format(webcam)), f"webcam{webcam}")
            self.webcams += [photo] if photo not in self.webcams else []
        elif is_file and is_archive(path.name):
            self.places.append(self._unpacked(path, argument))
        elif is_file and path.suffix.lower() == LIST:
            self._read(path, argument)
        else:
            self.places.append(argument)

    def _downloaded(self, url: str) -> Source:
        from detector.storage import gs

        bucket = url.removeprefix("gs://").partition("/")[0]

        def is_wanted(name: str) -> bool:
            shown = f"gs://{bucket}/{name}"
            is_below = shown.startswith(url.rstrip("/") + "/")
            if is_below and name.lower().endswith((*images.NOT_READ, *images.VIDEOS_NOT_READ)):
                self.passed_over.append(shown)
            return name.lower().endswith((*images.SUFFIXES, *images.VIDEOS))

        path = gs.download(url, self._folder(url, url) / "objects", is_wanted, may_be_all=True)
        return self._unpacked(path, url) if path.is_file() and is_archive(path.name) else Source(path, url)

    def _unpacked(self, archive: Path, shown: str) -> Source:
        from detector.storage import zip_archive

        state = archive.stat()
        folder = self._folder(f"{archive.resolve()} {state.st_size} {state.st_mtime_ns}", shown) / "archive"
        if not folder.is_dir():
            with files.whole_folder(folder) as new:
                zip_archive.unpack(archive, new / "files", shown)
        return Source(folder / "files", shown)

    def _folder(self, key: str, shown: str) -> Path:
        """The folder of what has this key, locked."""
        folder = CACHE / hashlib.sha256(key.encode()).hexdigest()[:32]
        if folder in self._kept:  # the same archive, written in another way
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        lock = self._locks.enter_context((folder / "lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(shown, "another prediction is reading it", "wait for its end") from None
        except OSError:  # a network folder without locks
            pass
        files.remove_temporaries(folder)
        self._kept.add(folder)
        return folder

    def _read(self, path: Path, shown: str) -> None:
        if (name := os.path.realpath(path)) in self._lists:  # a list may name others, and these it
            return
        self._lists.add(name)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise UserError(shown, "is not a list: it is not UTF-8", "write a path a line") from None
        except OSError as error:
            raise UserError(shown, f"cannot be read: {error.strerror}", "fix its permissions") from error
        lines = [line.strip() for line in text.split("\n")]
        if not any(line and not line.startswith("#") for line in lines):
            raise UserError(shown, "is an empty list", "write a path a line")
        for number, line in enumerate(lines, start=1):
            try:
                if argument := _meant(line, path.parent):
                    self._take(argument)
                elif line and not line.startswith("#"):
                    raise UserError(shown, f"{line}: not found", f"paths are relative to {path.name}", f"line {number}")
            except UserError as error:
                self.problems.append(error)


def _meant(line: str, folder: Path) -> str:
    """What a line of a list in that folder says, as IMAGES would; empty where nothing is there."""
    if not line or "\0" in line:
        return ""
    path = files.expanded(line)
    if os.path.lexists(folder / path):  # a line of prose may be longer than any name
        return str(folder / path)
    if line.startswith("gs://"):
        return line
    if line.isdecimal() and os.path.exists(webcam := WEBCAM.format(line)):  # noqa: PTH110 - photos have such names, too
        return webcam
    pattern = str(Path(glob.escape(str(folder)), path))
    return pattern if glob.has_magic(line) and any(glob.iglob(pattern, recursive=True)) else ""  # noqa: PTH207


@contextmanager
def opened(arguments: Iterable[str]) -> Iterator[Sources]:
    """Yields what the arguments name; while it is open no other prediction reads the same archive or address."""
    with ExitStack() as locks:
        yield Sources(arguments, locks)


def is_archive(name: str) -> bool:
    """Whether the name is that of an archive."""
    from detector.storage import zip_archive

    return name.lower().endswith(zip_archive.SUFFIXES)


def _number(argument: str) -> str:
    """The number of a webcam that is given by that, or by its path; empty where it is none."""
    found = re.fullmatch(rf"(?:{WEBCAM.format('')})?([0-9]+)", argument)
    return found[1] if found else ""
