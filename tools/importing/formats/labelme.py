"""LabelMe's JSON, one for each photo, as AnyLabeling and X-AnyLabeling write it, too.

Polygons, circles and turned rectangles become their enclosing box; points and lines are named. A photo that is only
inside of its JSON (imageData) is missing: it must lie beside.
"""

from collections.abc import Mapping
from math import dist
from pathlib import PurePosixPath
from typing import Any

from detector.annotations import shapes
from detector.base.errors import UserError
from tools.importing import splits
from tools.importing.formats import labelled, text
from tools.importing.formats.folder import Folder
from tools.importing.formats.labelled import Box, Corners, Findings, Labels, Reading

_AREAS = ("polygon", "rotation", "mask")


def read(folder: Folder, files: list[str], findings: Findings) -> Reading:
    """The labels of LabelMe files of one dataset."""
    labels = [_labels(folder, name, findings) for name in files]
    return Reading(labels, labelled.sorted_names(labels))


def _labels(folder: Folder, name: str, findings: Findings) -> Labels:
    own = PurePosixPath(name).stem  # the photo has the name of its JSON, whatever imagePath says after a renaming
    try:
        document = text.load_json(text.json_text(folder.path(name), name), name)
        drawn = document.get("shapes") if isinstance(document, dict) else None
        if not isinstance(drawn, list):
            raise UserError(name, "has no list of shapes", "save it in LabelMe again")
    except UserError as error:
        return Labels(own, name, "", (), fault=error)
    is_beside = str(PurePosixPath(name).with_suffix("")) in folder.photo_stems
    path = document.get("imagePath")
    photo = path if not is_beside and isinstance(path, str) and path else own
    boxes = [_box(shape, name, f"shapes[{index}]", findings) for index, shape in enumerate(drawn)]
    size = labelled.size(document.get("imageWidth"), document.get("imageHeight"))
    return Labels(photo, name, "", tuple(boxes), size, splits.of_folders(name))


def _box(shape: object, name: str, item: str, findings: Findings) -> Box:
    values: Mapping[str, Any] = shape if isinstance(shape, dict) else {}
    kind = labelled.name(values.get("shape_type")) or "polygon"  # of old versions, which knew no other
    points = values.get("points")
    corners = _corners(kind, [labelled.numbers(point) for point in points] if isinstance(points, list) else [])
    if corners is None:
        findings.note(name, item, f"a {kind[:20]} that makes no box", labelled.LOST)
    elif kind != "rectangle":
        findings.note(name, item, "a polygon, mask, circle or turned rectangle", labelled.ENCLOSING)
    return Box(labelled.name(values.get("label")), corners, labelled.flag(values.get("difficult")))


def _corners(kind: str, points: list[list[float]]) -> Corners | None:
    if any(len(point) != 2 for point in points):
        return None
    if kind == "circle" and len(points) == 2:
        (x, y), edge = points
        radius = dist((x, y), edge)
        return labelled.ellipse(x, y, radius, radius)
    if kind in _AREAS or kind == "rectangle":  # of which two corners are given, any two, or all four
        return shapes.enclosing([(x, y) for x, y in points])
    return None
