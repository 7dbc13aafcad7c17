"""Which split a photo is in: as the folders say that it lies in, else as lists of names say, else by chance.

Folders and lists are known by their names, in any case: train, training, trainval; valid, validation, val, dev, eval;
test, testing; also with words like `images` and `set`, and with numbers: train_images, Test Set, train2017.

A list is a text file of that name, anywhere (ImageSets/Main/train.txt), with a photo a line: its name, with or without
folders, suffix and quotes. VOC's flags (1, 0, -1) behind it are taken off only where the whole line names no photo.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from detector.annotations import pairing, splitting
from tools.importing import pairs
from tools.importing.pairs import Photo
from tools.importing.tree import Tree

TRAIN, VALIDATION, TEST = "train", "val", "test"
_WORDS = {
    **dict.fromkeys(("train", "training", "trainset", "treino", "treinamento"), TRAIN),
    **dict.fromkeys(("valid", "validation", "val", "valset", "dev", "eval", "evaluation"), VALIDATION),
    **dict.fromkeys(("validacao", "validação"), VALIDATION),
    **dict.fromkeys(("test", "testing", "testset", "teste"), TEST),
    **dict.fromkeys(("trainval", "trainvalidation"), TRAIN),
}
_NEUTRAL = pairs.ROLES | {
    "folder",
    "ids",
    "index",
    "list",
    "lists",
    "names",
    "of",
    "set",
    "sets",
    "split",
    "splits",
    "zip",
}
_KNOWN = _NEUTRAL | _WORDS.keys()
_OF_A_CLASS = re.compile(r"(.+)_(train|trainval|val|test)", re.IGNORECASE)  # cat_train.txt
_LISTS = (".txt", ".lst")
_MOST_BYTES = 2**26  # of a list
_FLAG = re.compile(r"\s+[+-]?\d+$")


def named(name: str) -> str:
    """The split that a folder or a list is named after, or empty."""
    return mentioned(name) if _KNOWN.issuperset(_words(name)) else ""


@lru_cache(2**16)
def mentioned(name: str) -> str:
    """The split that is among the words of a name, whatever the others are: instances_train2017.json; or empty."""
    splits = {_WORDS[word] for word in _words(name) if word in _WORDS}
    if splits == {TRAIN, VALIDATION}:
        splits = {TRAIN}
    return splits.pop() if len(splits) == 1 else ""


def of_file(path: str) -> str:
    """The split that the name of a label file mentions, else the innermost of its folders that mentions one."""
    return next(filter(None, map(mentioned, reversed(path.split("/")))), "")


def of_folders(path: str) -> str:
    return of_file(path.rpartition("/")[0])


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", name).casefold())


def below(path: PurePosixPath, folder: PurePosixPath) -> PurePosixPath:
    """A path as it is seen from a folder, where it is in it."""
    return path.relative_to(folder) if path.is_relative_to(folder) else path


@dataclass(frozen=True)
class Given:
    """The split that a source gives a photo, and the folder or the list that says so."""

    split: str
    by: PurePosixPath


@dataclass(frozen=True)
class NameList:
    """A list of photos, those that it names; unknown: its other lines."""

    path: PurePosixPath
    split: str
    photos: list[Photo]
    unknown: list[str]


@lru_cache(2**16)
def by_folder(folder: PurePosixPath, base: PurePosixPath) -> Given | None:
    """The split of the outermost part of a folder's path below `base` that is named after one."""
    for count in range(len(base.parts), len(folder.parts)):
        if split := named(folder.parts[count]):
            return Given(split, PurePosixPath(*folder.parts[: count + 1]))
    return None


def lists(tree: Tree, labelled: Collection[Photo], others: Collection[Photo]) -> list[NameList]:
    """Every list that names a photo, sorted; those of one class where their folder has no other."""
    names = _Names(labelled, others)
    found: list[NameList] = []
    for of_class in (False, True):
        plain = {one.path.parent for one in found}
        for path in tree.ending(*_LISTS):
            split = _split_of_class(path.stem) if of_class else named(path.stem)
            if split and path.parent not in plain and tree.files[path].stat().st_size <= _MOST_BYTES:
                one = _read(path, split, tree.read(path), names)
                found += [one] if one.photos else []
    return found


def _split_of_class(stem: str) -> str:
    """The split of a list of one class, cat_train.txt, or empty."""
    match = _OF_A_CLASS.fullmatch(stem)
    return named(match[2]) if match else ""


def joined(name_lists: Collection[NameList]) -> dict[Photo, Given]:
    """The split of each listed photo: test where any list says so, else validation, else train."""
    given: dict[Photo, Given] = {}
    for split in (TRAIN, VALIDATION, TEST):
        for one in name_lists:
            given |= dict.fromkeys(one.photos, Given(split, one.path)) if one.split == split else {}
    return given


def _read(path: PurePosixPath, split: str, content: bytes, names: "_Names") -> NameList:
    found: dict[Photo, None] = {}
    unknown = []
    for line in _lines(content):
        if photo := names.meant(line):
            found[photo] = None
        else:
            unknown.append(line)
    return NameList(path, split, list(found), unknown)


def _lines(content: bytes) -> Iterator[str]:
    """The lines that hold something, comments left out."""
    encodings = ("utf-16",) if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ("utf-8-sig", "cp1252")
    text = ""
    for encoding in encodings:
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    for line in text.splitlines():
        if (line := line.strip()) and not line.startswith("#"):
            yield line


class _Names:
    """Photos by what a line of a list may call them; where a mask has a photo's name, the labelled one is meant."""

    def __init__(self, labelled: Collection[Photo], others: Collection[Photo]) -> None:
        self.labelled = frozenset(labelled)
        self.exact = defaultdict(list)
        self.loose = defaultdict(list)
        for photo in (*labelled, *others):
            for name in {photo.name, photo.stem}:
                self.exact[name].append(photo)
            self.loose[pairing.loosest(photo.name)].append(photo)

    def meant(self, line: str) -> Photo | None:
        """The photo that a line means, its quotes and as few of its flags as possible taken off."""
        while True:
            if photo := self._named(line) or self._named(_unquoted(line)):
                return photo
            shorter = _FLAG.sub("", line)
            if shorter == line:
                return None
            line = shorter

    def _named(self, name: str) -> Photo | None:
        path = PurePosixPath(name.replace("\\", "/"))
        candidates = self.exact.get(path.name) or self.loose.get(pairing.loosest(path.name)) or []
        candidates = [photo for photo in candidates if photo in self.labelled] or candidates
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        best = pairs.best(candidates, lambda photo: -pairs.shared_end(path.parent.parts, photo.parent.parts))
        return best[0] if len(best) == 1 else None


def _unquoted(line: str) -> str:
    return line[1:-1].strip() if len(line) > 2 and line[0] == line[-1] and line[0] in "\"'" else line


def by_chance(
    classes: Mapping[str, Collection[str]], share: float, group_of: Mapping[str, str]
) -> tuple[set[str], list[str]]:
    """The names of the photos that are for test, and the classes that would have no photo left to train on.

    Of these a photo stays in train, as long as another one is left for test.

    Args:
        classes: {a photo's name, which decides: the classes of its objects}.
        group_of: {name: the first name of its copies}, which all go to one side.
    """
    test = splitting.choose(classes, share, TEST, group_of)
    kept = splitting.keep_classes(test, classes, TEST, group_of)
    left = {name for photo in classes.keys() - test for name in classes[photo]}
    taught = {name for photo in classes.keys() - kept for name in classes[photo]}
    return kept, sorted(taught - left)
