"""Detections as YOLO txt: a file for each photo, and data.yaml with the names of the classes.

A line is `class x_center y_center width height confidence`, as Ultralytics' `save_txt` and `save_conf` write it: the
class from 0 on, the box in fractions of the photo's sides. A photo without detections has an empty file.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from detector.base import files
from detector.data.tables import ImageBoxes
from detector.prediction.predictions import SCORE_DIGITS, rounded

LABELS, NAMES = "labels", "data.yaml"  # the folder, and the file beside it
_DIGITS = 6  # behind the point of a fraction: of a side of 10,000 pixels that is 0.01 pixels, the CSV's last digit


def write(
    results: Iterable[ImageBoxes], names: Mapping[int, str], labels: Mapping[str, Path], names_file: Path
) -> None:
    """Write the results. names: class id -> name. labels: {photo name: its file}."""
    for result in map(rounded, results):
        files.write_text(labels[result.filename], "".join(_lines(result)))
    lines = (f"  {class_id - 1}: {json.dumps(name, ensure_ascii=False)}\n" for class_id, name in sorted(names.items()))
    files.write_text(names_file, f"names:\n{''.join(lines)}")


def _lines(result: ImageBoxes) -> Iterable[str]:
    width, height = result.width, result.height
    for class_id, (xmin, ymin, xmax, ymax), score in result.rows():
        centre, extent = ((xmin + xmax) / 2 / width, (ymin + ymax) / 2 / height), (xmax - xmin, ymax - ymin)
        fractions = (*centre, extent[0] / width, extent[1] / height)
        numbers = " ".join(f"{value:.{_DIGITS}f}" for value in fractions)
        yield f"{class_id - 1} {numbers} {score:.{SCORE_DIGITS}f}\n"
