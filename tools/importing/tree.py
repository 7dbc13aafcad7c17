"""One walk over a source: every regular file by its path in it, and what has the name of a file but is none.

Hidden files and macOS's own are passed over. A link is what it leads to: DVC and git-annex keep files so, and people
their photos on a larger disk. A folder is entered once, so that no link leads in a circle. Nothing is opened that could
block, as a FIFO does.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from detector.base.errors import UserError
from detector.pictures import images
from detector.storage import archives, zip_archive

HEAD = 1 << 16  # bytes that are read to tell what a file is
MOST_ARCHIVES = 1000  # that are unpacked, those inside of others included
_PNG_COLOUR_TYPE, _PNG_GREY, _PNG_PALETTE = 25, 0, 3  # the byte of a PNG's header, and two of its values


@dataclass(frozen=True)
class Tree:
    """The files of a folder, sorted, by their paths below it.

    source: what the user calls it. files: {path: where it is on this machine}. odd: {path: why it is no file to read}.
    is_folder: whether `source` is one on this machine; else the files came out of an archive, or from elsewhere.
    """

    root: Path
    source: str
    files: Mapping[PurePosixPath, Path]
    odd: Mapping[PurePosixPath, str]
    is_folder: bool = True

    @cached_property
    def photos(self) -> list[PurePosixPath]:
        return [path for path in self.files if images.is_image(path.name)]

    @cached_property
    def other_images(self) -> list[PurePosixPath]:
        """Those of formats that cannot be read."""
        return self.ending(*images.NOT_READ)

    def ending(self, *suffixes: str) -> list[PurePosixPath]:
        """The files whose names end so, in upper or lower case."""
        return [path for path in self.files if path.name.lower().endswith(suffixes)]

    def read(self, path: PurePosixPath) -> bytes:
        """Raises: UserError: it cannot be read."""
        try:
            return self.files[path].read_bytes()
        except OSError as error:
            reason = f"cannot be read or copied: {error.strerror}"
            raise UserError(self.shown(path), reason, "fix that and run the command again") from error

    def head(self, path: PurePosixPath) -> bytes:
        return head(self.files[path])

    def shown(self, path: PurePosixPath) -> str:
        """The SRC= of a file or a folder of it."""
        if path == PurePosixPath():
            return self.source
        return os.path.join(self.source, path) if self.is_folder else f"{self.source}#{path}"  # noqa: PTH118

    def below(self, folder: PurePosixPath, temporary: Path) -> "Tree":
        """The files below a folder of it, which may be in an archive: then it is unpacked to `temporary`, a new one.

        Raises:
            UserError: there is no such folder.
        """
        if folder == PurePosixPath():
            return self
        tree = self
        if not tree._has(folder) and tree.ending(*zip_archive.SUFFIXES):
            tree = with_archives(tree, temporary)
        if ".." in folder.parts or not tree._has(folder):
            raise UserError(self.source, f"has no folder {folder}", "check what is behind # in SRC")
        return walk(tree.root / folder, self.shown(folder), is_folder=self.is_folder)

    def _has(self, folder: PurePosixPath) -> bool:
        return any(folder in path.parents for path in self.files)

    def is_mask(self, path: PurePosixPath) -> bool:
        """Whether an image may be a segmentation mask: a grey PNG, or one of few colours."""
        if path.suffix.lower() != ".png":
            return False
        with self.files[path].open("rb") as file:
            header = file.read(_PNG_COLOUR_TYPE + 1)
        return header[_PNG_COLOUR_TYPE:] in (bytes([_PNG_GREY]), bytes([_PNG_PALETTE]))


def head(file: Path) -> bytes:
    """The first bytes of a file, by which it is known; none where it cannot be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(HEAD)
    except OSError:
        return b""


def walk(root: Path, source: str = "", *, is_folder: bool = True) -> Tree:
    """The tree of a folder; `source`: what the user calls it, else its path."""
    files: dict[PurePosixPath, Path] = {}
    odd: dict[PurePosixPath, str] = {}
    for path, file, fault in _entries(root):
        if fault:
            odd[path] = fault
        else:
            files[path] = file
    return Tree(root, source or str(root), dict(sorted(files.items())), dict(sorted(odd.items())), is_folder)


def with_archives(tree: Tree, folder: Path) -> Tree:
    """The tree with its archives, and those in them, unpacked where they are; it is built in `folder`, a new one.

    Raises:
        UserError: one of them cannot be unpacked.
    """
    for path, file in tree.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).symlink_to(file.absolute())
    for _ in range(MOST_ARCHIVES):
        if not (packed := walk(folder).ending(*zip_archive.SUFFIXES)):
            break
        zip_archive.unpack(folder / packed[0], _free(folder / _without_suffix(packed[0])), tree.shown(packed[0]))
        (folder / packed[0]).unlink()
    whole = walk(folder, tree.source, is_folder=False)
    return replace(whole, odd={**tree.odd, **whole.odd})


def _without_suffix(path: PurePosixPath) -> PurePosixPath:
    suffix = max((suffix for suffix in zip_archive.SUFFIXES if path.name.lower().endswith(suffix)), key=len)
    return path.with_name(path.name[: -len(suffix)] or "archive")


def _free(path: Path) -> Path:
    """The path, with underscores behind it where something is there."""
    while path.exists():
        path = path.with_name(f"{path.name}_")
    return path


def _entries(root: Path) -> Iterator[tuple[PurePosixPath, Path, str]]:
    """(path, where it is, why it is no file to read) of all that is not hidden.

    Links to folders come last, so that a folder has its own path wherever it has one; each folder is entered once.
    """
    folders = [(PurePosixPath(), root)]
    links: list[tuple[PurePosixPath, Path]] = []
    entered: set[tuple[int, int]] = set()
    while folders or links:
        below, folder = folders.pop() if folders else links.pop(0)
        try:
            known = folder.stat()
            inside = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield below, folder, f"cannot be read: {error.strerror}"
            continue
        if (known.st_dev, known.st_ino) in entered:
            yield below, folder, "is a link to a folder that is there already"
            continue
        entered.add((known.st_dev, known.st_ino))
        if not inside and _is_label_or_image(below):
            yield below, folder, "is a folder"
        for entry in inside:
            if archives.is_hidden(entry.name):
                continue
            path = below / entry.name
            if _is_folder(entry):
                (links if entry.is_symlink() else folders).append((path, Path(entry.path)))
            else:
                yield path, Path(entry.path), _fault(entry)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _fault(entry: os.DirEntry[str]) -> str:
    """Why an entry that is no folder cannot be read as a file, or empty; nothing is opened."""
    try:
        mode = entry.stat().st_mode
    except OSError:
        return "is a broken link"
    if not stat.S_ISREG(mode):
        return "is not a file"
    return "" if os.access(entry.path, os.R_OK) else "may not be read: permission denied"


def _is_label_or_image(path: PurePosixPath) -> bool:
    return images.is_image(path.name) or path.suffix.lower() == ".xml"
