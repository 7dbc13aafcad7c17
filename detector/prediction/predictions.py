"""Predictions as files: COCO results with their COCO dataset, and CSV. Needs no TensorFlow.

Numbers are rounded: more digits are noise, and differ from machine to machine.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from detector.base import files
from detector.data import tables
from detector.data.tables import ImageBoxes

PIXEL_DIGITS, SCORE_DIGITS = 2, 5  # behind the point
RESULTS = ("detections.csv", "detections.json", "images.json")


def coco(results: Sequence[ImageBoxes], names: Mapping[int, str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The COCO dataset (images and categories) and the COCO results; image ids are 1, 2, ... in their order."""
    detections = [
        {
            "image_id": number,
            "category_id": class_id,
            "bbox": [round(value, PIXEL_DIGITS) for value in (xmin, ymin, xmax - xmin, ymax - ymin)],
            "score": round(score, SCORE_DIGITS),
        }
        for number, result in enumerate(results, start=1)
        for class_id, (xmin, ymin, xmax, ymax), score in result.rows()
    ]
    listed = [
        {"id": number, "file_name": result.filename, "width": result.width, "height": result.height}
        for number, result in enumerate(results, start=1)
    ]
    categories = [{"id": number, "name": name} for number, name in sorted(names.items())]
    return {"info": {}, "images": listed, "annotations": [], "categories": categories}, detections


def write(output: Path, results: Sequence[ImageBoxes], names: Mapping[int, str]) -> None:
    """Write `RESULTS` into `output`."""
    dataset, detections = coco(results, names)
    tables.write_csv(output / "detections.csv", map(_rounded, results), names, scores=True)
    files.write_text(output / "images.json", json.dumps(dataset, indent=1) + "\n")
    lines = ",\n".join(json.dumps(detection) for detection in detections)
    files.write_text(output / "detections.json", f"[\n{lines}\n]\n" if lines else "[]\n")


def _rounded(result: ImageBoxes) -> ImageBoxes:
    boxes = [[round(value, PIXEL_DIGITS) for value in box] for box in result.boxes.tolist()]
    scores = [round(score, SCORE_DIGITS) for score in result.scores.tolist()]
    return replace(result, boxes=np.array(boxes).reshape(-1, 4), scores=np.array(scores))
