"""YOLO: a .txt for each photo, `class centre-x centre-y width height` in fractions of the photo a line.

The .txt lies beside its photo, or in `labels/` where the photo is in `images/`. Names of classes: `data.yaml` (a list
or {id: name}), `classes.txt`, `obj.names` or another `*.names` in the label's folder or the nearest one above it, or
the only one of the tree. Splits: `train`, `val` and `test` of data.yaml or of obj.data, folders or lists of photos.

Polygons (YOLO's segmentation, and its turned boxes of four corners) become their enclosing box; keypoints behind a box
are left, where data.yaml has kpt_shape. An empty .txt is a photo without objects, none at all one without labels.
"""

import math
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from detector.annotations import shapes
from detector.base.errors import UserError, few
from tools.importing import splits
from tools.importing.formats import labelled, text
from tools.importing.formats.folder import Folder
from tools.importing.formats.labelled import Box, Corners, Findings, Labels, Reading

_LINE = re.compile(rf"\S+(?:[ \t]+{labelled.NUMBER}){{4,}}[ \t]*")
_NAME_FILES = ("classes.txt", "obj.names", "labels.txt", "_darknet.labels", "predefined_classes.txt", "class_names.txt")
_YAML_NAMES = re.compile(rb"(?m)^\{?[ ]?['\"]?names['\"]?[ ]*:")  # at the top of a data.yaml
_GIVE_NAMES = "put classes.txt beside the labels, a name for each line, in the order of the ids"
_MOST_NAMES = 2**20  # bytes of a file of names
_MOST_LABELS = 2**26  # bytes of a label file
_SPLIT_KEYS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class _Names:
    """What a file says of classes, {id: name}, and splits, {folder/ or photo: split}. pose: labels have keypoints.

    leads: it is what a training reads, so it goes before a mere list of names.
    """

    file: str
    names: Mapping[str, str]
    splits: Mapping[str, str] = field(default_factory=dict)
    pose: bool = False
    leads: bool = False


def is_labels(head: str) -> bool:
    """Whether the beginning of a text looks like labels: the lines that are whole, all of them."""
    lines = [line for line in head.splitlines()[:50] if line.strip()]
    return bool(lines) and sum(bool(_LINE.fullmatch(line.strip())) for line in lines) * 2 > len(lines)


def is_names(name: str) -> bool:
    """Whether a file holds names of classes, or where they are, by its own name."""
    base = name.rpartition("/")[2].lower()
    return base in _NAME_FILES or base.endswith((".names", ".yaml", ".yml", ".data"))


def read(folder: Folder, files: list[str], findings: Findings) -> Reading:
    """The labels of a YOLO dataset; `files` are those whose content looks like it.

    The others, empty or broken, are known by the photo that they belong to.
    """
    sources = list(_all_names(folder, findings))
    nearest = cache(lambda above: _nearest(above, sources, findings))
    given = {place: split for one in sources for place, split in one.splits.items()}
    files = [name for name in _label_files(folder, files) if not is_names(name)]
    labels: list[Labels] = []
    unnamed: list[str] = []
    used: dict[str, _Names] = {}
    for name in files:
        names = nearest(name.rpartition("/")[0])
        if names:
            used.setdefault(names.file, names)
        photo = _photo(folder, name)
        labels.append(_labels(folder, name, photo, _split(photo, given, name), names, unnamed, findings))
    if unnamed:
        reason = f"ids without names: no classes.txt, data.yaml or obj.names for {few(unnamed)}"
        findings.error(files[0], "", reason, _GIVE_NAMES)
    _check_pixels(labels, findings)
    words = [word for names in used.values() for word in names.names.values()]
    known = list(dict.fromkeys(words)) or labelled.sorted_names(labels)
    return Reading(labels, known, [*filter(is_names, folder.others)])


def _label_files(folder: Folder, files: list[str]) -> list[str]:
    others = (name for name in folder.others if name.lower().endswith(".txt"))
    return sorted({*files, *(name for name in others if _photo(folder, name) in folder.photo_stems)})


def _photo(folder: Folder, name: str) -> str:
    """The photo of a label, without its suffix: beside it, or in images/ in place of labels/."""
    stem = posixpath.splitext(name)[0]
    if stem in folder.photo_stems:
        return stem
    parts = stem.split("/")
    places = [index for index, part in enumerate(parts[:-1]) if part.lower() == "labels"]
    for index in reversed(places):
        for word in ("images", "Images", "IMAGES", "JPEGImages", "imgs"):
            other = "/".join([*parts[:index], word, *parts[index + 1 :]])
            if other in folder.photo_stems:
                return other
    return stem


# Names of classes, and splits.


def _all_names(folder: Folder, findings: Findings) -> Iterator[_Names]:
    for name in folder.others:
        base = name.rpartition("/")[2].lower()
        try:
            if base.endswith((".yaml", ".yml")):
                if found := _of_yaml(folder, name):
                    yield found
            elif base.endswith(".data"):
                yield _of_data(folder, name)
            elif is_names(name):
                yield _Names(name, _listed_names(folder, name))
        except UserError as error:
            findings.errors.append(error)


def _listed_names(folder: Folder, name: str) -> dict[str, str]:
    lines = text.read(folder.path(name), name, _MOST_NAMES).rstrip().splitlines()
    return {str(number): line.strip() for number, line in enumerate(lines)}


def _of_yaml(folder: Folder, name: str) -> _Names | None:
    """What a data.yaml says; None for another YAML file, which may be broken, too."""
    if not _YAML_NAMES.search(folder.head(name)):
        return None
    content = text.load_yaml(folder.path(name), name)
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(isinstance(word, str | int) for pair in names.items() for word in pair):
        return None
    given: dict[str, str] = {}
    for key, split in _SPLIT_KEYS.items():
        entries = content.get(key)
        for entry in entries if isinstance(entries, list) else [entries]:
            if isinstance(entry, str):
                given |= dict.fromkeys(_places(folder, name, entry), split)
    words = {str(key): str(word).strip() for key, word in names.items()}
    return _Names(name, words, given, "kpt_shape" in content, leads=True)


def _of_data(folder: Folder, name: str) -> _Names:
    """obj.data: `train = data/train.txt`, a list of photos, and `names = data/obj.names`."""
    content = text.read(folder.path(name), name, _MOST_NAMES)
    values = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in content.splitlines())}
    given: dict[str, str] = {}
    for key, split in _SPLIT_KEYS.items():
        given |= dict.fromkeys(_places(folder, name, values.get(key, "")), split)
    file = _place(folder, name, values.get("names", ""))
    is_there = file in folder.other_names
    return _Names(file if is_there else name, _listed_names(folder, file) if is_there else {}, given, leads=True)


def _places(folder: Folder, name: str, entry: str) -> list[str]:
    """The folder, with a `/`, or the photos of the list that an entry of data.yaml or obj.data means."""
    place = _place(folder, name, entry)
    if place in folder.other_names:
        return _listed(folder, place)
    return [place + "/"] if place else []


def _place(folder: Folder, name: str, entry: str) -> str:
    """A path of data.yaml or obj.data in the tree; empty where it is not there.

    It may be relative to nearly anything, or absolute on another machine: the longest end of it is taken that is below
    the file's own folder or the root.
    """
    parts = _parts(entry)
    for start in range(len(parts)):
        for above in dict.fromkeys((name.rpartition("/")[0], "")):
            place = posixpath.join(above, *parts[start:])
            if place in folder.other_names or place in folder.folders:
                return place
    return ""


def _parts(path: str) -> list[str]:
    return [part for part in path.strip().replace("\\", "/").split("/") if part not in ("", ".", "..")]


def _listed(folder: Folder, name: str) -> list[str]:
    """The photos of a list, as they are in the tree: the longest end of each path that is there."""
    lines = text.read(folder.path(name), name).splitlines()
    stems = folder.photo_stems
    found = []
    for line in lines:
        parts = _parts(line)
        ends = (posixpath.splitext("/".join(parts[start:]))[0] for start in range(len(parts)))
        found += [end for end in ends if end in stems][:1]
    return found


def _nearest(above: str, sources: list[_Names], findings: Findings) -> _Names | None:
    """The names for the labels in a folder: those in it or the nearest one above it, else the only ones of the tree."""
    named = [one for one in sources if one.names]
    here: list[_Names] = []
    while not here:
        here = [one for one in named if one.file.rpartition("/")[0] == above]
        if not above:
            break
        above = above.rpartition("/")[0]
    chosen = here or named
    chosen = [one for one in chosen if one.leads] or chosen
    if len({tuple(sorted(one.names.items())) for one in chosen}) > 1:
        files = few([one.file for one in chosen])
        findings.error(files, "", "name other classes, and either may be meant", "keep the right one")
    return chosen[0] if chosen else None


def _split(photo: str, given: Mapping[str, str], file: str) -> str:
    """The split of a photo, without its suffix: that in which it or its folder is listed, or of the label's folder."""
    parts = photo.split("/")
    above = ["/".join(parts[:end]) + "/" for end in range(len(parts) - 1, 0, -1)]
    return next((given[place] for place in (photo, *above) if place in given), "") or splits.of_folders(file)


# Boxes.


def _labels(
    folder: Folder, name: str, photo: str, split: str, names: _Names | None, unnamed: list[str], findings: Findings
) -> Labels:
    try:
        content = text.read(folder.path(name), name, _MOST_LABELS)
    except UserError as error:
        return Labels("/" + photo, name, "", (), split=split, fractions=True, fault=error)
    boxes = []
    for number, line in enumerate(content.splitlines(), start=1):
        if not (values := line.split()):
            continue
        item = f"line {number}"
        word = _class(values[0], names)
        if word is None and names:
            known = few([f"{key} {value}" for key, value in names.names.items()])
            findings.error(name, item, f"unknown class {values[0][:40]}; {names.file} has {known}", "add it there")
        elif word is None and name not in unnamed:
            unnamed.append(name)
        corners = _corners([shapes.number(value) for value in values[1:]], bool(names and names.pose))
        _note(name, item, len(values), corners, bool(names and names.pose), findings)
        boxes.append(Box(word or "", corners))
    return Labels("/" + photo, name, "", tuple(boxes), split=split, fractions=True)


def _class(token: str, names: _Names | None) -> str | None:
    """The name of a class by its id; some write the name itself."""
    key = str(int(float(token))) if re.fullmatch(r"\d{1,9}(\.0*)?", token) else token
    if names and key in names.names:
        return names.names[key]
    is_name = not math.isfinite(shapes.number(token)) and (not names or token in names.names.values())
    return token if is_name else None


def _corners(values: list[float], is_pose: bool) -> Corners | None:
    """The box of a line's numbers, in fractions: 4, with a score 5, or a polygon."""
    if len(values) in (4, 5) or (is_pose and len(values) > 4):
        x, y, width, height = values[:4]
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return shapes.enclosing(labelled.pairs(values)) if len(values) >= 6 and len(values) % 2 == 0 else None


def _note(name: str, item: str, count: int, corners: Corners | None, is_pose: bool, findings: Findings) -> None:
    if corners is None:
        findings.note(name, item, "neither five values nor a polygon", labelled.LOST)
    elif not all(map(math.isfinite, corners)):
        findings.note(name, item, "a value that is not a number", "make train reports it")
    elif is_pose and count > 5:
        findings.note(name, item, "keypoints behind a box", "the box is taken")
    elif count == 6:
        findings.note(name, item, "a sixth value, as models write their score", "passed over")
    elif count > 6:
        findings.note(name, item, "a polygon", labelled.ENCLOSING)


def _check_pixels(labels: list[Labels], findings: Findings) -> None:
    """Numbers far beyond 1 are pixels: another format, which only looks like YOLO."""
    boxes = [(one, max(map(abs, box.corners))) for one in labels for box in one.boxes if box.corners]
    far = [(one, most) for one, most in boxes if most > 4]
    if len(far) * 2 > len(boxes):
        reason = f"numbers up to {max(most for _, most in far):g}: pixels, not fractions of the photo"
        findings.error(far[0][0].file, "", reason, "export it as YOLO, COCO or PASCAL VOC")
