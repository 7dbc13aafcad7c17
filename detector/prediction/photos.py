"""A user's photos and videos: found in any folder, and results written without harm to other files.

Folders are searched with all their subfolders, links to such among them; hidden files are ignored. Results never
replace a file that `predict` did not write: what it wrote is listed in the output folder's `.passo-files`.
"""

import glob
import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from detector.base import errors, files, naming
from detector.base.errors import UserError
from detector.pictures import images

_LONGEST = 255  # bytes of a file name, on most file systems
WEBCAM = "/dev/video{}"  # with its number
LIST = ".passo-files"  # in the output folder: the files below it that predict wrote, one a line


@dataclass(frozen=True)
class Photo:
    """path: the file, as the user named it. name: below the photos' common folder, with `/`; no two are the same."""

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        return images.is_video(self.path) or self.is_webcam

    @property
    def is_webcam(self) -> bool:
        return bool(re.fullmatch(WEBCAM.format(r"\d+"), str(self.path)))


@dataclass(frozen=True)
class Source:
    """What a user calls something (`shown`: an archive, an address), and the folder or file that it became here."""

    path: Path
    shown: str

    def named(self, path: Path) -> str:
        """A file of it, as the user would name it."""
        return self.shown if path == self.path else f"{self.shown.rstrip('/')}/{path.relative_to(self.path)}"


def find(
    arguments: Iterable[str | Path | Source], suffixes: Collection[str] = images.SUFFIXES
) -> tuple[list[Photo], list[UserError]]:
    """The photos in `arguments` (folders, files, globs), each once, sorted by name; and the errors of some.

    What predict wrote is no photo, whatever folder it is in: how many of these are passed over is said.

    Args:
        suffixes: of the files to take, in lower case; a file that is named itself may have any.
    """
    matched: dict[Path, Path] = {}  # {absolute path, as the user would name it: where it is}
    problems: list[UserError] = []

    def refused(error: OSError) -> None:
        remedy = errors.REFUSED.get(error.errno or 0, "leave it out")
        problems.append(UserError(str(error.filename), f"cannot be read: {error.strerror}", remedy))

    for argument in arguments:
        source, before = argument if isinstance(argument, Source) else None, len(problems)
        matches: list[Path] = []
        try:
            matches += _expanded(str(source.path if source else argument), suffixes, refused)
        except OSError as error:  # a name that is too long, or in a folder that is locked
            refused(error)
        if not matches and len(problems) == before:
            problems.append(_nothing_there(argument, suffixes))
        matched.update((_absolute(Path(source.named(path)) if source else path), path) for path in matches)
    if written := _written(set(map(_absolute, matched.values()))):
        errors.say(f"passed over: {errors.counted(len(written), 'file')} that make predict wrote")
    chosen = sorted(name for name, path in matched.items() if _absolute(path) not in written)
    root = os.path.commonpath([path.parent for path in chosen]) if chosen else ""
    photos = [Photo(matched[path], path.relative_to(root).as_posix()) for path in chosen]
    faults = {photo.name: fault for photo in photos if (fault := naming.fault(photo.name))}
    problems += [
        UserError(repr(name), f"its name is not allowed: it {fault}", "rename it") for name, fault in faults.items()
    ]
    return [photo for photo in photos if photo.name not in faults], problems


def _nothing_there(argument: str | Path | Source, suffixes: Collection[str]) -> UserError:
    wanted = "images or videos" if images.VIDEOS[0] in suffixes else "images"
    nothing = f"no {wanted} there", f"{wanted} end in {', '.join(suffixes)}"
    if isinstance(argument, Source):
        return UserError(argument.shown, *nothing)
    name, path = str(argument), files.expanded(argument)
    if name.startswith(("https://", "http://")):
        return UserError(errors.redacted(name), "is on the web", "download it, and give the file")
    is_glob = "*" in name or "?" in name  # a [ alone may be part of a name
    place = next(one for one in (path, *path.parents) if not (is_glob and glob.has_magic(str(one))))
    if place.exists():
        return UserError(name, *nothing)
    return UserError(name, "not found", "give a folder, a file, or a glob in quotes")


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 (removes `..` but keeps links as they are)


def _expanded(argument: str, suffixes: Collection[str], refused: Callable[[OSError], None]) -> Iterator[Path]:
    path = files.expanded(argument)
    if path.is_file():  # with any suffix: the user means it
        yield path
        return
    places = [path] if path.is_dir() else map(Path, glob.glob(str(path), recursive=True))  # noqa: PTH207 (absolute, too)
    for place in places:
        found = _files_below(place, refused) if place.is_dir() else [place]
        yield from (path for path in found if path.suffix.lower() in suffixes and not _is_code(path))


def _is_code(path: Path) -> bool:
    """Whether a .ts or .mts is TypeScript: that is a text, and none has the zeros of a video's first packets."""
    if path.suffix.lower() not in (".ts", ".mts"):
        return False
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return b"\0" not in file.read(1024)
    except OSError:  # whoever opens it will say so
        return False


def _files_below(folder: Path, refused: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """Links to folders are followed; a folder that is reached again, as by a link to itself, is not entered again.

    refused: called with the error of a folder that cannot be read.
    """
    entered = set()
    for parent, folders, names in os.walk(folder, onerror=refused, followlinks=True):
        place = Path(parent).stat()
        if (place.st_dev, place.st_ino) in entered:
            folders.clear()
            continue
        entered.add((place.st_dev, place.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def passed_over(arguments: Iterable[str | Path | Source], suffixes: Collection[str] = images.SUFFIXES) -> list[str]:
    """The images and videos in folders among the arguments that are not taken, sorted; suffixes: as of `find`."""
    known = *images.NOT_READ, *images.VIDEOS, *images.VIDEOS_NOT_READ
    others = tuple(suffix for suffix in known if suffix not in suffixes)
    sources = [one if isinstance(one, Source) else Source(files.expanded(one), str(one)) for one in arguments]
    found = ((source, path) for source in sources for path in _files_below(source.path))
    wanted = {source.named(path) for source, path in found if path.name.lower().endswith(others) and not _is_code(path)}
    return sorted(wanted)


def kinds(inputs: Iterable[Photo]) -> tuple[list[Photo], list[Photo]]:
    """The photos, and the videos among them."""
    both: tuple[list[Photo], list[Photo]] = [], []
    for one in inputs:
        both[one.is_video].append(one)
    return both


def video_names(videos: Sequence[Photo]) -> dict[str, str]:
    """Video name -> name of the one with boxes, an MP4: `a/x.mp4` stays, `a/x.avi` becomes `a/x.avi.mp4`."""
    names = [video.name for video in videos]
    return _unique({name: name if name.lower().endswith(".mp4") else f"{name}.mp4" for name in names}, ".mp4")


def picture_names(photos: Sequence[Photo]) -> dict[str, str]:
    """Photo name -> name of its picture, a JPEG: `a/x.jpg` stays, `a/x.png` becomes `a/x.png.jpg`; no two are equal.

    What would be too long for a file name is cut, and ends in a digest of the whole.
    """
    is_jpeg = {photo.name: photo.name.lower().endswith((".jpg", ".jpeg")) for photo in photos}
    return _unique({name: name if is_jpeg[name] else f"{name}.jpg" for name in is_jpeg}, ".jpg")


def xml_names(photos: Sequence[Photo]) -> dict[str, str]:
    """Photo name -> name of its XML: `a/x.jpg` becomes `a/x.xml`, and `a/x.png` beside it `a/x.xml.xml`."""
    return _unique({photo.name: str(PurePosixPath(photo.name).with_suffix(".xml")) for photo in photos}, ".xml")


def txt_names(photos: Sequence[Photo]) -> dict[str, str]:
    """Photo name -> name of its YOLO txt, made as `xml_names` makes them."""
    return _unique({photo.name: str(PurePosixPath(photo.name).with_suffix(".txt")) for photo in photos}, ".txt")


def _unique(wanted: Mapping[str, str], suffix: str) -> dict[str, str]:
    """{photo: a name}, with the suffix once more where another photo, or a folder, has that name already."""
    taken = {str(folder).lower() for name in wanted.values() for folder in PurePosixPath(name).parents}
    names = {}
    for photo, name in wanted.items():
        while (fitting := _cut(name, suffix)).lower() in taken:  # some file systems take X.jpg and x.jpg for one
            name += suffix
        taken.add(fitting.lower())
        names[photo] = fitting
    return names


def _cut(name: str, suffix: str) -> str:
    folder, slash, file = name.rpartition("/")
    if len(file.encode()) <= _LONGEST:
        return name
    end = f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}{suffix}"
    return folder + slash + file.encode()[: _LONGEST - len(end)].decode(errors="ignore") + end


def _written(paths: Collection[Path]) -> set[Path]:
    """Those of these absolute paths that predict wrote: the list in a folder above them says so."""
    parents = {path.parent for path in paths}
    above = {folder for parent in parents for folder in (parent, *parent.parents)}
    lists = [folder for folder in above if os.access(folder / LIST, os.R_OK) and (folder / LIST).is_file()]
    return {folder / name for folder in lists for name in _listed(folder)}.intersection(paths)


def _listed(output: Path) -> set[str]:
    """What predict wrote there, below the folder; as texts, for a Path takes ten times the memory."""
    try:
        lines = (output / LIST).read_text(encoding="utf-8", errors="replace").split("\n")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return set()
    names = (os.path.normpath(line) for line in lines if line)
    return {name for name in names if not name.startswith(("/", "../")) and name != ".."}  # it may be of elsewhere


def claim(output: Path, names: Iterable[str], photos: Iterable[Photo]) -> None:
    """Make sure that writing `names` below `output` harms no other file, then list them as written by predict.

    Raises:
        UserError: `output` is a file or holds the photos, or one of `names` exists and is not predict's.
    """
    elsewhere = "give another folder: --output FOLDER"
    if output.exists() and not output.is_dir():
        raise UserError(str(output), "is a file", elsewhere)
    place = f"{os.path.realpath(output)}{os.sep}"
    inside = [photo.name for photo in photos if os.path.realpath(photo.path).startswith(place)]  # of a loop, too
    if inside:
        raise UserError(str(output), f"holds photos to predict on, such as {inside[0]}", elsewhere)
    folder, ours, wanted = _absolute(output), _listed(output), set(names)
    foreign = sorted(name for name in wanted - ours if os.path.lexists(folder / name))
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise UserError(str(output), f"holds {foreign[0]}{more}, not written by predict", elsewhere)
    try:
        _write_list(folder, ours | wanted)
    except OSError as error:
        raise UserError(str(output), f"cannot be written to: {error.strerror}", elsewhere) from error


def release(output: Path, names: Iterable[str]) -> None:
    """Remove what predict wrote into `output` in earlier runs, except `names`, which this run wrote.

    And what a kill has left of files that were being written.
    """
    folder, ours, wanted = _absolute(output), _listed(output), set(names)
    lower = {name.lower() for name in wanted}  # some file systems take X.jpg and x.jpg for one
    stale = sorted(name for name in ours if name.lower() not in lower)
    for path in (folder / name for name in stale):
        if path.parent.resolve().is_relative_to(folder.resolve()) and not path.is_dir():
            path.unlink(missing_ok=True)
            _remove_empty(path.parent, folder)
    for parent in {name.rpartition("/")[0] for name in wanted}:
        for unfinished in (folder / parent).glob(f"{files.TEMPORARY}*"):
            unfinished.unlink()
    _write_list(folder, (ours | wanted).difference(stale))


def withdraw(output: Path) -> None:
    """Give up the names that a run claimed and wrote nothing to."""
    folder = _absolute(output)
    if ours := {name for name in _listed(output) if (folder / name).exists()}:
        _write_list(folder, ours)
    else:
        (folder / LIST).unlink()
        _remove_empty(folder, folder.parent)


def _remove_empty(path: Path, top: Path) -> None:
    while path != top and path.is_dir() and not any(path.iterdir()):
        path.rmdir()
        path = path.parent


def _write_list(folder: Path, names: Iterable[str]) -> None:
    files.write_text(folder / LIST, "".join(f"{name}\n" for name in sorted(names)))
