"""Detections as files: COCO results with their COCO dataset, and CSV. Needs no TensorFlow.

Pixels are rounded to hundredths and scores to 5 digits: finer digits are noise, and differ from machine to machine.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from detector.base import files
from detector.data.tables import COLUMNS, ImageBoxes

RESULTS = ("detections.csv", "detections.json", "images.json")


def above(result: ImageBoxes, threshold: float) -> ImageBoxes:
    """The detections with a score of at least `threshold`."""
    kept = result.scores >= threshold
    return replace(result, boxes=result.boxes[kept], classes=result.classes[kept], scores=result.scores[kept])


def coco(results: Sequence[ImageBoxes], names: Mapping[int, str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The COCO dataset (images and categories) and the COCO results; image ids are 1, 2, ... in the order given."""
    detections = [
        {
            "image_id": number,
            "category_id": int(class_id),
            "bbox": [round(value, 2) for value in (xmin, ymin, xmax - xmin, ymax - ymin)],
            "score": round(score, 5),
        }
        for number, result in enumerate(results, start=1)
        for (xmin, ymin, xmax, ymax), class_id, score in rows(result)
    ]
    listed = [
        {"id": number, "file_name": result.filename, "width": result.width, "height": result.height}
        for number, result in enumerate(results, start=1)
    ]
    categories = [{"id": number, "name": name} for number, name in sorted(names.items())]
    return {"info": {}, "images": listed, "annotations": [], "categories": categories}, detections


def rows(result: ImageBoxes) -> Iterator[tuple[list[float], int, float]]:
    """Box in pixels [xmin, ymin, xmax, ymax], class id and score of each detection, as plain numbers."""
    return zip(result.boxes.tolist(), result.classes.tolist(), result.scores.tolist(), strict=True)


def csv_text(results: Iterable[ImageBoxes], names: Mapping[int, str]) -> str:
    """The detections as CSV; an image without any keeps a row with empty cells."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*COLUMNS, "score"])
    for result in results:
        image = [result.filename, result.width, result.height]
        found = [[names[c], *(round(value, 2) for value in box), round(score, 5)] for box, c, score in rows(result)]
        writer.writerows([*image, *cells] for cells in found or [[""] * 6])
    return buffer.getvalue()


def write(output: Path, results: Sequence[ImageBoxes], names: Mapping[int, str]) -> None:
    """Write `RESULTS` into `output`."""
    dataset, detections = coco(results, names)
    files.write_text(output / "detections.csv", csv_text(results, names))
    files.write_text(output / "images.json", json.dumps(dataset, indent=1) + "\n")
    lines = ",\n".join(json.dumps(detection) for detection in detections)
    files.write_text(output / "detections.json", f"[\n{lines}\n]\n" if lines else "[]\n")
