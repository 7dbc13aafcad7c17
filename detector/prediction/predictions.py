"""Predictions as files: COCO results with their COCO dataset, and CSV. Needs no TensorFlow.

Numbers are rounded: more digits are noise, and differ from machine to machine. The files are written image by image, as
there may be a hundred thousand.
"""

import json
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from detector.base import files
from detector.data import tables
from detector.data.tables import ImageBoxes

PIXEL_DIGITS, SCORE_DIGITS = 2, 4  # behind the point
RESULTS = ("detections.csv", "detections.json", "images.json")


def write(output: Path, results: Callable[[], Iterable[ImageBoxes]], names: Mapping[int, str]) -> None:
    """Write `RESULTS` into `output`; in COCO's, image ids are 1, 2, ... in the order of the results.

    Args:
        results: gives all of them, each time that it is called.
        names: class id -> name.
    """
    tables.write_csv(output / "detections.csv", map(rounded, results()), names, scores=True)
    _write_list(output / "detections.json", "[\n", _detections(results()), "\n]\n", empty="[]\n")
    categories = json.dumps([{"id": number, "name": name} for number, name in sorted(names.items())], indent=1)
    images = (textwrap.indent(json.dumps(image, indent=1), "  ") for image in _images(results()))
    start, end = '{\n "info": {},\n "images": [', f' "annotations": [],\n "categories": {_indented(categories)}\n}}\n'
    _write_list(output / "images.json", f"{start}\n", images, f"\n ],\n{end}", empty=f"{start}],\n{end}")


def _write_list(path: Path, start: str, items: Iterable[str], end: str, *, empty: str) -> None:
    """The items with commas between them; `empty` in the place of all where there is none."""
    with files.whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        before = start
        for item in items:
            file.write(before + item)
            before = ",\n"
        file.write(empty if before == start else end)


def _detections(results: Iterable[ImageBoxes]) -> Iterator[str]:
    for number, result in enumerate(results, start=1):
        for class_id, (xmin, ymin, xmax, ymax), score in result.rows():
            box = [round(value, PIXEL_DIGITS) for value in (xmin, ymin, xmax - xmin, ymax - ymin)]
            detection = {"image_id": number, "category_id": class_id, "bbox": box, "score": round(score, SCORE_DIGITS)}
            yield json.dumps(detection)


def _images(results: Iterable[ImageBoxes]) -> Iterator[dict[str, object]]:
    for number, result in enumerate(results, start=1):
        yield {"id": number, "file_name": result.filename, "width": result.width, "height": result.height}


def _indented(text: str) -> str:
    """A JSON text one level deeper, but for its first line."""
    return text.replace("\n", "\n ")


def rounded(result: ImageBoxes) -> ImageBoxes:
    """The result with the digits that are written."""
    boxes = [[round(value, PIXEL_DIGITS) for value in box] for box in result.boxes.tolist()]
    scores = [round(score, SCORE_DIGITS) for score in result.scores.tolist()]
    return replace(result, boxes=np.array(boxes).reshape(-1, 4), scores=np.array(scores))
