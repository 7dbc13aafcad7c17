"""Lists of the photos of a split, by their names: wherever they lie, and whatever kind of file they are in.

train.txt  train.lst                ImageSets/Main/train.txt; a photo a line
train.json                          ["a.jpg", "b.jpg"]
split.json                          {"train": ["a.jpg"], "val": [], "test": ["b.jpg"]}, under any name
train.csv                           a column of file names, with or without a header; further columns say nothing
any.csv                             columns of file names and of splits: filename,split

A photo is named with or without folders, suffix and quotes. VOC's flags (1, 0, -1) behind it are taken off only where
the whole line names no photo.
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from detector.annotations import pairing
from detector.base.errors import UserError
from tools.importing import pairs, splits
from tools.importing.formats import tables
from tools.importing.pairs import Photo
from tools.importing.splits import TEST, TRAIN, VALIDATION, Given
from tools.importing.tree import Tree

_TEXTS, _TABLES = (".txt", ".lst"), (".csv", ".tsv")
_MOST_BYTES = 2**26
_OF_A_CLASS = re.compile(r"(.+)_(train|trainval|val|test)", re.IGNORECASE)  # cat_train.txt
_FLAG = re.compile(r"(?<!\s)\s+[+-]?\d+$")  # blanks from the first of them on: from each, a long line takes for ever
_MOST_FLAGS = 8  # numbers behind a name; Oxford's pets have three
_LONGEST = 2**13  # letters of a line; a path has 4,096 bytes at most, and may be percent-encoded


@dataclass(frozen=True)
class NameList:
    """The photos that a file lists for a split; unknown: its names of no photo."""

    path: PurePosixPath
    split: str
    photos: list[Photo]
    unknown: list[str]


def find(tree: Tree, labelled: Collection[Photo], others: Collection[Photo]) -> list[NameList]:
    """Every list that names a photo, sorted; those of one class where their folder has no other."""
    names = _Names(labelled, others)
    candidates = tree.ending(*_TEXTS, *_TABLES, ".json")
    found = [_list(path, split, many, names) for path in candidates for split, many in entries(tree, path).items()]
    plain = {one.path.parent for one in found if one.photos}
    others = [path for path in tree.ending(*_TEXTS) if path.parent not in plain and _is_small(tree, path)]
    found += [
        _list(path, splits.named(match[2]), [*_lines(tree.read(path))], names)
        for path in others
        if (match := _OF_A_CLASS.fullmatch(path.stem))
    ]
    return [one for one in found if one.photos]


def entries(tree: Tree, path: PurePosixPath) -> dict[str, list[str]]:
    """{split: the names that a file lists for it}; empty where it is no list."""
    suffix, own = path.suffix.lower(), splits.named(path.stem)
    if not (suffix in (*_TABLES, ".json") or (own and suffix in _TEXTS)) or not _is_small(tree, path):
        return {}
    content = tree.read(path)
    if suffix == ".json":
        return _of_json(content, own)
    if suffix in _TABLES:
        return _of_table([*_lines(content)], own)
    return {own: [*_lines(content)]}


def joined(name_lists: Collection[NameList]) -> dict[Photo, Given]:
    """The split of each listed photo: test where any list says so, else validation, else train."""
    given: dict[Photo, Given] = {}
    for split in (TRAIN, VALIDATION, TEST):
        for one in name_lists:
            given |= dict.fromkeys(one.photos, Given(split, one.path)) if one.split == split else {}
    return given


def _is_small(tree: Tree, path: PurePosixPath) -> bool:
    return tree.files[path].stat().st_size <= _MOST_BYTES


def _of_json(content: bytes, own: str) -> dict[str, list[str]]:
    """Of a list of names, or an object of such; label files have objects in objects."""
    if content.count(b"{") > 1:
        return {}
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    given = document if isinstance(document, dict) else {own: document}
    found: dict[str, list[str]] = defaultdict(list)
    for key, names in given.items():
        if (split := splits.named(key)) and isinstance(names, list) and all(isinstance(n, str | int) for n in names):
            found[split] += map(str, names)
    return found


def _of_table(lines: list[str], own: str) -> dict[str, list[str]]:
    """Of a table with a column of photos, and none of boxes."""
    header = tables.header(lines[0]) if lines else None
    if header is None:
        return {own: lines} if own and not any(mark in line for line in lines for mark in tables.DELIMITERS) else {}
    if header.columns.keys() & {*tables.CORNERS, "box"}:
        return {}
    photo, split = header.columns["photo"], header.columns.get("split")
    found: dict[str, list[str]] = defaultdict(list)
    try:
        for _, cells in tables.rows("\n".join(lines[1:]), "", header.delimiter):
            if len(cells) > max(photo, split or 0) and (name := own if split is None else splits.named(cells[split])):
                found[name].append(cells[photo])
    except UserError:  # no table any more
        return {}
    return found


def _list(path: PurePosixPath, split: str, lines: list[str], names: "_Names") -> NameList:
    meant = {line: names.meant(line) for line in lines}
    photos = dict.fromkeys(photo for photo in meant.values() if photo)
    return NameList(path, split, [*photos], [line for line, photo in meant.items() if not photo])


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
        for _ in range(_MOST_FLAGS + 1):
            if len(line) > _LONGEST:
                return None
            if photo := self._named(line) or self._named(_unquoted(line)):
                return photo
            shorter = _FLAG.sub("", line)
            if shorter == line:
                return None
            line = shorter
        return None

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
