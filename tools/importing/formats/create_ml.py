"""CreateML's JSON: a list of photos with centre, width and height of each box in pixels."""

from collections.abc import Mapping
from typing import Any

from detector.annotations import shapes
from tools.importing import splits
from tools.importing.formats import labelled, text
from tools.importing.formats.folder import Folder
from tools.importing.formats.labelled import Box, Findings, Labels, Reading


def read(folder: Folder, files: list[str], findings: Findings) -> Reading:
    """The labels of some CreateML files of one dataset."""
    labels = []
    for name, item, entry in text.entries(folder, files, findings.errors):
        photo = entry.get("image") or entry.get("imagefilename")
        many = entry.get("annotations", entry.get("annotation"))
        if isinstance(photo, str) and isinstance(many, list):
            boxes = [_box(one, name, f"{item}: annotation {n}", findings) for n, one in enumerate(many, 1)]
            labels.append(Labels(photo, name, item, tuple(boxes), split=splits.of_file(name)))
        else:
            findings.error(name, item, "has no image or no list of annotations", "export it again")
    return Reading(labels, labelled.sorted_names(labels))


def _box(annotation: object, name: str, item: str, findings: Findings) -> Box:
    values: Mapping[str, Any] = annotation if isinstance(annotation, dict) else {}
    place = values.get("coordinates")
    if not isinstance(place, dict):
        findings.note(name, item, "no coordinates", labelled.LOST)
        return Box(labelled.name(values.get("label")), None)
    x, y, width, height = (shapes.number(place.get(key)) for key in ("x", "y", "width", "height"))
    return Box(labelled.name(values.get("label")), (x - width / 2, y - height / 2, x + width / 2, y + height / 2))
