"""The files of a tree, and what their beginnings say; hidden files, and what is no file, are passed over."""

import os
import posixpath
import re
from functools import cached_property
from pathlib import Path

from detector.pictures import images

HEAD = 1 << 16  # bytes that are read to tell what a file is
_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"} | dict.fromkeys(
    ("val", "valid", "validation", "dev"), "val"
)


def is_image(name: str) -> bool:
    """As images.is_image has it, but without a Path for each of a hundred thousand names."""
    return posixpath.splitext(name)[1].lower() in images.SUFFIXES


def split_of(text: str) -> str:
    """train, val or test, where the words of a file's or folder's name hold one of them; otherwise empty."""
    splits = {_SPLITS[word] for word in re.findall("[a-z]+", text.lower()) if word in _SPLITS}
    return splits.pop() if len(splits) == 1 else ""


def folder_split(path: str) -> str:
    """The split that the folders of a path name, the innermost first."""
    return next(filter(None, map(split_of, reversed(path.split("/")[:-1]))), "")


class Folder:
    """A tree. photos, others: paths below its root with `/`, sorted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.photos: list[str] = []
        self.others: list[str] = []
        for name in _files(root):
            (self.photos if is_image(name) else self.others).append(name)

    def path(self, name: str) -> Path:
        return self.root / name

    def head(self, name: str) -> bytes:
        """The first bytes of a file; none where it cannot be read."""
        try:
            with self.path(name).open("rb") as file:
                return file.read(HEAD)
        except OSError:
            return b""

    @cached_property
    def photo_stems(self) -> set[str]:
        """The paths of the photos without their suffix."""
        return {posixpath.splitext(name)[0] for name in self.photos}

    @cached_property
    def other_names(self) -> set[str]:
        return set(self.others)

    @cached_property
    def folders(self) -> set[str]:
        """The folders that hold files, and those above them, below the root."""
        parents = {name.rpartition("/")[0] for name in (*self.photos, *self.others)}
        return {"/".join(path.split("/")[:end]) for path in parents for end in range(1, path.count("/") + 2)} - {""}


def _files(root: Path) -> list[str]:
    """Links to files are followed, links to folders are not; a FIFO is no file."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        paths = (Path(folder) / name for name in names if not _is_hidden(name))
        found += [path.relative_to(root).as_posix() for path in paths if path.is_file()]
    return sorted(found)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
