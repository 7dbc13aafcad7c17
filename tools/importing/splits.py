"""Which split a photo is in: as the folders say that it lies in, else as lists of names say (name_lists.py), else by
chance.

Folders and lists are known by their names, in any case: train, training, trainval; valid, validation, val, dev, eval;
test, testing; also with words like `images` and `set`, and with numbers: train_images, Test Set, train2017.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from detector.annotations import splitting
from tools.importing import pairs

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


@lru_cache(2**16)
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


@lru_cache(2**16)
def by_folder(folder: PurePosixPath, base: PurePosixPath) -> Given | None:
    """The split of the outermost part of a folder's path below `base` that is named after one."""
    for count in range(len(base.parts), len(folder.parts)):
        if split := named(folder.parts[count]):
            return Given(split, PurePosixPath(*folder.parts[: count + 1]))
    return None


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
