"""The detections that `evaluate` judged, as CSV: `filename,width,height,class,xmin,ymin,xmax,ymax,score`.

One row each, sorted by file name, the highest score first; an image without any keeps a row with empty cells. Numbers
have all their digits, so that what is read is what was written and any number in metrics.json can be had from it again.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from detector.base import files
from detector.base.errors import UserError
from detector.data.tables import BOX_COLUMNS, COLUMNS, ImageBoxes

FILE = "detections.csv"
REMEDY = "run: dvc repro evaluate"


def write(path: Path, images: Sequence[ImageBoxes], names: Mapping[int, str]) -> None:
    """Write the detections of all images, whole or not at all. `names`: class id -> name."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*COLUMNS, "score"])
    for image in sorted(images, key=lambda image: image.filename):
        rows = zip(image.classes.tolist(), image.boxes.tolist(), image.scores.tolist(), strict=True)
        found = [[names[class_id], *box, score] for class_id, box, score in rows]
        writer.writerows([image.filename, image.width, image.height, *cells] for cells in found or [[""] * 6])
    files.write_text(path, buffer.getvalue())


def read(path: Path, label_map: Mapping[str, int]) -> list[ImageBoxes]:
    """The detections of all images, sorted by file name, in the order in which they were written.

    Raises:
        UserError: the file is missing or no such table, or names a class that `label_map` does not hold.
    """
    found: dict[tuple[str, int, int], list[list[float]]] = defaultdict(list)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                image = found[row["filename"], int(row["width"]), int(row["height"])]
                if row["class"]:
                    box_and_score = [float(row[column]) for column in (*BOX_COLUMNS, "score")]
                    image.append([_class_id(row["class"], label_map), *box_and_score])
    except FileNotFoundError:
        raise UserError(str(path), "not found", REMEDY) from None
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(str(path), f"not a table of detections: {error}", REMEDY) from error
    return [_image(*key, found[key]) for key in sorted(found)]


def _class_id(name: str, label_map: Mapping[str, int]) -> int:
    if name not in label_map:
        raise ValueError(f"class {name}, but the label map has {', '.join(label_map)}")
    return label_map[name]


def _image(filename: str, width: int, height: int, rows: Sequence[Sequence[float]]) -> ImageBoxes:
    """Rows are [class id, xmin, ymin, xmax, ymax, score]."""
    values = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return ImageBoxes(filename, width, height, values[:, 1:5], values[:, 0].astype(np.int64), values[:, 5])
