"""Label Studio's own JSON, and its JSON-MIN: rectangles, turned ones too, ellipses and polygons, in percent.

A photo's name is that of the uploaded file, with or without the eight digits that Label Studio puts before it.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from detector.annotations import shapes
from detector.pictures import images
from tools.importing import splits
from tools.importing.formats import labelled, text
from tools.importing.formats.folder import Folder
from tools.importing.formats.labelled import Box, Corners, Findings, Labels, Reading

_KINDS = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels", "keypointlabels", "labels")


def read(folder: Folder, files: list[str], findings: Findings) -> Reading:
    """The labels of some Label Studio files of one dataset."""
    labels = []
    for name, item, task in text.entries(folder, files, findings.errors):
        results = _results(task, name, item, findings)
        if not (photo := _photo(task)):
            findings.error(name, item, "names no photo", "export it again")
        elif results is not None:
            labels.append(_labels(photo, results, name, item, findings))
    return Reading(labels, labelled.sorted_names(labels))


def _photo(task: Mapping[str, Any]) -> str:
    data = task.get("data")
    places = data.values() if isinstance(data, dict) else task.values()
    texts = [unquote(place.rpartition("?d=")[2]) for place in places if isinstance(place, str)]
    return next(filter(images.is_image, texts), "")


def _results(task: Mapping[str, Any], name: str, item: str, findings: Findings) -> list[Any] | None:
    """The regions of a task; None where nobody labelled it."""
    many = task.get("annotations")
    if not isinstance(many, list):  # JSON-MIN: a list of regions under a name of the user's
        regions = [value for value in task.values() if isinstance(value, list)]
        return regions[0] if regions else None
    done = [one for one in many if isinstance(one, dict) and not one.get("was_cancelled")]
    if len(done) > 1:
        findings.note(name, item, "labelled several times", "the first is taken")
    result = done[0].get("result") if done else None
    return result if isinstance(result, list) else None


def _labels(photo: str, results: list[Any], name: str, item: str, findings: Findings) -> Labels:
    boxes: list[Box] = []
    sizes: list[labelled.Size | None] = []
    for number, result in enumerate(results, start=1):
        entry: Mapping[str, Any] = result if isinstance(result, dict) else {}
        values: Mapping[str, Any] = entry["value"] if isinstance(entry.get("value"), dict) else entry
        if "choices" in values or "text" in values or entry.get("type") in ("choices", "relation", "textarea"):
            continue  # of the whole photo
        size = labelled.size(entry.get("original_width"), entry.get("original_height"))
        place = f"{item}: result {number}"
        corners = _corners(values, size or (1, 1))
        if corners is None:
            findings.note(name, place, "a brush, point or other shape that makes no box", labelled.LOST)
        elif "points" in values or "radiusX" in values or shapes.number(values.get("rotation", 0)):
            findings.note(name, place, "a polygon, ellipse or turned rectangle", labelled.ENCLOSING)
        boxes.append(Box(_class(values), corners))
        sizes.append(size)
    split = splits.of_file(name)
    known = next(filter(None, sizes), None)
    return Labels(photo, name, item, tuple(boxes), known, split, fractions=known is None)


def _class(values: Mapping[str, Any]) -> str:
    words: list[Any] = next((values[kind] for kind in _KINDS if isinstance(values.get(kind), list)), [])
    return labelled.name(words[0]) if len(words) == 1 else ""


def _corners(values: Mapping[str, Any], size: labelled.Size) -> Corners | None:
    """The box of a region in pixels of `size`; its numbers are percent."""
    width, height = size[0] / 100, size[1] / 100
    degrees = shapes.number(values.get("rotation", 0))
    points = values.get("points")
    if isinstance(points, list):
        flat = [labelled.numbers(point) for point in points]
        return shapes.enclosing([(p[0] * width, p[1] * height) for p in flat if len(p) == 2])
    x, y = shapes.number(values.get("x")) * width, shapes.number(values.get("y")) * height
    if "radiusX" in values:
        rx, ry = shapes.number(values["radiusX"]) * width, shapes.number(values.get("radiusY")) * height
        return labelled.ellipse(x, y, rx, ry, degrees)
    if "width" not in values or "height" not in values:
        return None
    xmax, ymax = x + shapes.number(values["width"]) * width, y + shapes.number(values["height"]) * height
    return shapes.turned((x, y, xmax, ymax), degrees, about=(x, y)) if degrees else (x, y, xmax, ymax)
