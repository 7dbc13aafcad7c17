"""The files of a tree by their names, as label files write them, and what their beginnings say."""

import posixpath
from functools import cached_property
from pathlib import Path

from detector.pictures import images
from tools.importing import tree as trees
from tools.importing.tree import Tree


def is_image(name: str) -> bool:
    """As images.is_image has it, but without a Path for each of a hundred thousand names."""
    return posixpath.splitext(name)[1].lower() in images.SUFFIXES


class Folder:
    """A tree. photos, others: paths below its root with `/`, sorted."""

    def __init__(self, tree: Tree) -> None:
        self._files = {path.as_posix(): file for path, file in tree.files.items()}
        names = sorted(self._files)
        self.photos = [name for name in names if is_image(name)]
        self.others = [name for name in names if not is_image(name)]

    def path(self, name: str) -> Path:
        return self._files[name]

    def head(self, name: str) -> bytes:
        return trees.head(self.path(name))

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
