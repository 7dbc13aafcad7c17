"""VIA, the VGG Image Annotator 1 and 2: its JSON, a whole project or the annotations alone, and its CSV.

The class is the region's only attribute, or the one that is named as a class. Circles, ellipses and polygons become
their enclosing box. VIA stores no size: boxes are on the photo as it is seen.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from detector.annotations import shapes
from detector.base.errors import UserError
from tools.importing import splits
from tools.importing.formats import labelled, tables, text
from tools.importing.formats.folder import Folder
from tools.importing.formats.labelled import Box, Corners, Findings, Labels, Reading

_CLASS = ("class", "label", "name", "type", "category", "object", "species")  # attributes that hold the class
_ROW = ("filename", "region_shape_attributes", "region_attributes")  # columns of the CSV

Region = tuple[str, Mapping[str, Any], Mapping[str, Any]]  # where, its shape, its attributes


def read(folder: Folder, files: list[str], findings: Findings) -> Reading:
    """The labels of some VIA files of one dataset."""
    photos: dict[tuple[str, str], list[Region]] = {}
    for name in files:
        try:
            content = text.json_text(folder.path(name), name)
            is_json = content.lstrip()[:1] == "{"
            for photo, regions in _of_json(content, name) if is_json else _of_csv(content, name):
                photos.setdefault((name, photo), []).extend(regions)
        except UserError as error:
            findings.errors.append(error)
    attributes = Counter(key for regions in photos.values() for _, _, values in regions for key in values)
    count = sum(map(len, photos.values()))
    key = _class_attribute(attributes, count)
    if key is None and count:
        found = ", ".join(sorted(attributes)) or "none"
        reason = f"no attribute of the regions is the class: {found}"
        findings.error(files[0], "", reason, "call one of them class, and set it for every region")
    labels = [_labels(name, photo, many, key, findings) for (name, photo), many in photos.items()]
    return Reading(labels, labelled.sorted_names(labels))


def _class_attribute(attributes: Mapping[str, int], regions: int) -> str | None:
    named = [key for word in _CLASS for key in attributes if word in key.lower()]
    complete = [key for key, count in attributes.items() if count == regions]
    if len(attributes) == 1 or named:
        return named[0] if named else next(iter(attributes))
    return complete[0] if len(complete) == 1 else None


def _of_json(content: str, name: str) -> Iterator[tuple[str, list[Region]]]:
    document = text.load_json(content, name)
    document = document.get("_via_img_metadata", document) if isinstance(document, dict) else document
    entries = document.values() if isinstance(document, dict) else []
    for entry in entries:
        photo = entry.get("filename") if isinstance(entry, dict) else None
        if not isinstance(photo, str) or not photo:
            raise UserError(name, "an entry has no filename", "export it from VIA again")
        regions = entry.get("regions") or []
        yield photo, list(_regions(regions.values() if isinstance(regions, dict) else regions, photo))


def _regions(regions: Iterable[Any], photo: str) -> Iterator[Region]:
    for number, region in enumerate(regions if isinstance(regions, Iterable) else [], start=1):
        values = _mapping(region)
        shape, attributes = (_mapping(values.get(key)) for key in ("shape_attributes", "region_attributes"))
        yield f"{photo}: region {number}", shape, attributes


def _of_csv(content: str, name: str) -> Iterator[tuple[str, list[Region]]]:
    rows = tables.rows(content, name, ",")
    header = [column.strip().lstrip("#").lower() for column in next(rows, (1, []))[1]]
    places = [header.index(column) if column in header else -1 for column in _ROW]
    if -1 in places:
        raise UserError(name, "has not all columns of VIA's CSV", "export it from VIA again")
    for line, row in rows:
        if len(row) <= max(places):
            raise UserError(name, f"has {len(row)} cells", "export it from VIA again", f"line {line}")
        photo, *cells = (row[place] for place in places)
        try:
            shape, attributes = (_mapping(json.loads(cell or "{}")) for cell in cells)
        except (ValueError, RecursionError):
            raise UserError(name, "a cell is not JSON", "export it from VIA again", f"line {line}") from None
        yield photo, [(f"line {line}", shape, attributes)] if shape else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _labels(name: str, photo: str, regions: list[Region], key: str | None, findings: Findings) -> Labels:
    boxes = []
    for item, shape, attributes in regions:
        corners = _corners(shape)
        kind = labelled.name(shape.get("name")) or "shape"
        if corners is None:
            findings.note(name, item, f"a {kind[:20]} that makes no box", labelled.LOST)
        elif kind != "rect":
            findings.note(name, item, "a polygon, circle or ellipse", labelled.ENCLOSING)
        boxes.append(Box(_value(attributes.get(key or "")), corners))
    split = splits.of_file(name)
    return Labels(photo, name, photo, tuple(boxes), split=split)


def _value(value: object) -> str:
    """The class of a region; a checkbox is written as {class: true}."""
    chosen = [word for word, is_set in value.items() if is_set] if isinstance(value, dict) else [value]
    return labelled.name(chosen[0]) if len(chosen) == 1 else ""


def _corners(shape: Mapping[str, Any]) -> Corners | None:
    kind = shape.get("name")
    if kind == "rect":
        x, y, width, height = (shapes.number(shape.get(key)) for key in ("x", "y", "width", "height"))
        return x, y, x + width, y + height
    if kind in ("circle", "ellipse"):
        rx, ry = ("r", "r") if kind == "circle" else ("rx", "ry")
        cx, cy, x, y, theta = (shapes.number(shape.get(key, 0)) for key in ("cx", "cy", rx, ry, "theta"))
        return labelled.ellipse(cx, cy, x, y, math.degrees(theta))
    if kind in ("polygon", "polyline"):
        xs, ys = (labelled.numbers(shape.get(key)) for key in ("all_points_x", "all_points_y"))
        return shapes.enclosing(list(zip(xs, ys, strict=False))) if len(xs) == len(ys) else None
    return None
