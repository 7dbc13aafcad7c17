"""COCO JSON: `instances_train.json`, Roboflow's `_annotations.coco.json`, any with images, annotations and categories.

The split is in the file's name or its folder's. `iscrowd` becomes `difficult`. Where an annotation has no bbox, it is
that of its polygons. CVAT's attribute `rotation` turns the bbox, which is written as before the turn.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from detector.annotations import shapes
from detector.base.errors import UserError
from tools.importing import splits
from tools.importing.formats import labelled, text
from tools.importing.formats.folder import Folder
from tools.importing.formats.labelled import Box, Corners, Findings, Labels, Reading

_NO_BOX = "neither bbox nor polygons"


@dataclass(frozen=True)
class _Annotation:
    index: int
    category: Hashable
    corners: Corners | None
    difficult: bool


@dataclass
class _Content:
    """One file. images, categories: {id: entry}. annotations: {id of the image: its own}."""

    images: dict[Hashable, dict[str, Any]] = field(default_factory=dict)
    categories: dict[Hashable, dict[str, Any]] = field(default_factory=dict)
    annotations: dict[Hashable, list[_Annotation]] = field(default_factory=lambda: defaultdict(list))
    keys: set[str] = field(default_factory=set)  # that annotations have


def read(folder: Folder, files: list[str], findings: Findings) -> Reading:
    """The labels of some COCO files of one dataset."""
    contents: dict[str, _Content] = {}
    for name in files:
        content, own = _Content(), Findings()
        try:
            _fill(content, folder, name, own)
        except UserError as error:
            own.errors.append(error)
            findings.errors += own.errors
            continue
        findings.errors += own.errors
        if reason := _no_boxes(content):
            findings.note(name, "", *reason)
        else:
            findings.notes += own.notes
            contents[name] = content
    contents = _without_keypoints(contents, findings)
    names = {name: _names(name, content, contents, findings) for name, content in contents.items()}
    labels = [one for name, content in contents.items() for one in _labels(name, content, names[name], findings)]
    return Reading(labels, list(dict.fromkeys(word for one in names.values() for word in one.values())))


def _fill(content: _Content, folder: Folder, name: str, findings: Findings) -> None:
    for section, index, entry in text.elements(text.json_text(folder.path(name), name), name):
        if section not in ("images", "annotations", "categories"):
            continue
        item = f"{section}[{index}]"
        if index < 0 or not isinstance(entry, dict):
            findings.error(name, item if index >= 0 else section, "is not as in COCO", "export it again")
        elif section == "annotations":
            content.keys |= entry.keys()
            content.annotations[_id(entry.get("image_id"))].append(_annotation(entry, index, name, findings))
        else:
            _add(getattr(content, section), entry, name, item, findings)


def _add(
    table: dict[Hashable, dict[str, Any]], entry: dict[str, Any], name: str, item: str, findings: Findings
) -> None:
    number = _id(entry.get("id"))
    plain = {key: value for key, value in entry.items() if isinstance(value, str | int | float)}
    if number is None:
        findings.error(name, item, "has no id", "give it one")
    elif table.setdefault(number, plain) != plain:
        findings.error(name, item, f"id {number} is there twice", "give every entry its own")


def _id(value: object) -> Hashable:
    """An id: a whole number, also as text or float, or any other text; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19 else value


def _annotation(entry: Mapping[str, Any], index: int, name: str, findings: Findings) -> _Annotation:
    item, corners = f"annotations[{index}]", None
    bbox = labelled.numbers(entry.get("bbox"))
    if len(bbox) == 4:
        x, y, width, height = bbox
        corners = (x, y, x + width, y + height)
    elif corners := shapes.enclosing(list(_points(entry.get("segmentation")))):
        findings.note(name, item, "polygons without a bbox", labelled.ENCLOSING)
    else:
        findings.note(name, item, _NO_BOX, labelled.LOST)
    attributes = entry.get("attributes")
    degrees = shapes.number(attributes.get("rotation", 0)) if isinstance(attributes, dict) else 0
    if corners and degrees:
        corners = shapes.turned(corners, degrees)
        findings.note(name, item, "a turned rectangle", labelled.ENCLOSING)
    return _Annotation(index, _id(entry.get("category_id")), corners, labelled.flag(entry.get("iscrowd")))


def _points(segmentation: object) -> Iterator[shapes.Point]:
    """The points of polygons: a list of lists of x, y, x, y, ..., or one such list."""
    if isinstance(segmentation, list):
        for polygon in segmentation if segmentation and isinstance(segmentation[0], list) else [segmentation]:
            yield from labelled.pairs(labelled.numbers(polygon))


def _no_boxes(content: _Content) -> tuple[str, str] | None:
    """Why nothing can be taken of a file, and what to do; None where it has boxes."""
    if not content.annotations:
        return "no annotations", "its photos count as unlabelled"
    if content.keys & {"bbox", "segmentation"}:
        return None
    kind = next((key for key in ("caption", "segments_info", "keypoints") if key in content.keys), "something else")
    return f"COCO with {kind}, not boxes", "passed over; export bounding boxes (instances)"


def _without_keypoints(contents: dict[str, _Content], findings: Findings) -> dict[str, _Content]:
    """COCO's own person_keypoints_*.json repeats what instances_*.json says of persons."""
    people = [name for name, content in contents.items() if "keypoints" in content.keys]
    if len(people) == len(contents):
        return contents
    for name in people:
        findings.note(name, "", "keypoints, beside files of boxes", "passed over")
    return {name: content for name, content in contents.items() if name not in people}


def _names(name: str, content: _Content, contents: Mapping[str, _Content], findings: Findings) -> dict[Hashable, str]:
    """{id: class name} of a file, in the order of ids; Roboflow's entry for the group of all classes is left out."""
    used = {one.category for each in contents.values() for many in each.annotations.values() for one in many}
    groups: dict[Hashable, set[Hashable]] = defaultdict(set)
    for number, entry in content.categories.items():
        groups[entry.get("supercategory")].add(number)
    names = {}
    for number, entry in sorted(content.categories.items(), key=lambda one: (isinstance(one[0], str), one[0])):
        word = labelled.name(entry.get("name"))
        if number not in used and groups.get(entry.get("name"), set()) - {number}:
            findings.note(name, f"category {number} ({word})", "a supercategory that no annotation uses", "left out")
        elif not word:
            findings.error(name, f"category {number}", "has no name", "give it one")
        else:
            names[number] = word
    return names


def _labels(name: str, content: _Content, names: Mapping[Hashable, str], findings: Findings) -> Iterator[Labels]:
    split = splits.of_file(name)
    for number, many in content.annotations.items():
        if number not in content.images:
            for one in many:
                findings.note(name, f"annotations[{one.index}]", "of an image that is not listed", "left out")
        for one in many:
            if one.category not in names and one.category not in content.categories:
                reason = f"category {one.category} is not in categories"
                findings.error(name, f"annotations[{one.index}]", reason, "add it there, or change its category_id")
    for number, image in content.images.items():
        file_name = image.get("file_name")
        if not isinstance(file_name, str) or not file_name:
            findings.error(name, f"image {number}", "has no file_name", "add it")
            continue
        boxes = [
            Box(names.get(one.category, ""), one.corners, one.difficult) for one in content.annotations.get(number, [])
        ]
        size = labelled.size(image.get("width"), image.get("height"))
        yield Labels(file_name, name, f"image {number}", tuple(boxes), size, split)
