"""Boxes image by image, and their CSV: `filename,width,height,class,xmin,ymin,xmax,ymax`, and `score` of detections.

Boxes are in pixels, `[xmin, ymin, xmax, ymax]` as in PASCAL VOC. Numbers keep all their digits, so what is read is what
was written. An image without boxes is a row with empty cells: the number of images never changes on the way.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from detector.base import files
from detector.base.errors import UserError

BOX_COLUMNS = ["xmin", "ymin", "xmax", "ymax"]
COLUMNS = ["filename", "width", "height", "class", *BOX_COLUMNS]
SCORE = "score"  # the last column of detections

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ImageBoxes:
    """The boxes of one image, drawn by a person (`scores` all 1) or by a detector (highest score first).

    filename: relative to the split's folder. width, height: pixels.
    boxes: (N, 4) pixels, [xmin, ymin, xmax, ymax]. classes: (N,) ids of the label map. scores: (N,) in [0, 1].
    """

    filename: str
    width: int
    height: int
    boxes: Floats
    classes: Ints
    scores: Floats

    def above(self, threshold: float) -> "ImageBoxes":
        """The image with those boxes alone whose score is at least `threshold`."""
        return self.subset(self.scores >= threshold)

    def best_first(self) -> "ImageBoxes":
        """The image with the highest score first; equal scores keep their order."""
        return self.subset(np.argsort(-self.scores, kind="stable"))

    def subset(self, chosen: npt.NDArray[np.bool_] | Ints | slice) -> "ImageBoxes":
        """The image with some of its boxes: a mask, indices or a slice."""
        return replace(self, boxes=self.boxes[chosen], classes=self.classes[chosen], scores=self.scores[chosen])

    def rows(self) -> Iterator[tuple[int, list[float], float]]:
        """Class id, box and score of each box, as plain numbers."""
        return zip(self.classes.tolist(), self.boxes.tolist(), self.scores.tolist(), strict=True)


def write_csv(
    path: str | Path, images: Iterable[ImageBoxes], names: Mapping[int, str], *, scores: bool = False
) -> None:
    """Write the boxes of all images in the order given, atomically; with `scores` for detections.

    Args:
        names: class id -> name.
    """
    columns = [*COLUMNS, SCORE] if scores else COLUMNS
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for image in images:
        start = [image.filename, image.width, image.height]
        cells = [[names[class_id], *box, score] for class_id, box, score in image.rows()]
        writer.writerows([*start, *row][: len(columns)] for row in cells or [[""] * 6])
    files.write_text(path, text.getvalue())


def read_csv(
    path: str | Path,
    label_map: Mapping[str, int],
    *,
    scores: bool = False,
    remedy: str = "run: dvc repro xml2csv",
) -> list[ImageBoxes]:
    """The images of a CSV, sorted by file name; the boxes of each keep their order.

    Args:
        label_map: class name -> id.
        scores: whether it is a table of detections.
        remedy: what makes the table again, for errors.

    Raises:
        UserError: the file is missing or not such a table, or holds a class that the label map does not have.
    """
    numbers = [*BOX_COLUMNS, SCORE] if scores else BOX_COLUMNS
    try:
        frame = pd.read_csv(
            path,
            dtype={"filename": str, "class": str},
            keep_default_na=False,
            na_values={column: [""] for column in numbers},
        )
        if missing := [column for column in dict.fromkeys([*COLUMNS, *numbers]) if column not in frame.columns]:
            raise ValueError(f"missing columns: {', '.join(missing)}")
        if unknown := sorted(set(frame["class"]) - set(label_map) - {""}):
            raise ValueError(f"unknown class {', '.join(unknown)}; the label map has {', '.join(label_map)}")
        return _images(frame, frame[numbers].to_numpy(dtype=np.float64), label_map)
    except FileNotFoundError:
        raise UserError(str(path), "not found", remedy) from None
    except (ValueError, OverflowError) as error:  # pandas' own errors and UnicodeDecodeError are ValueErrors, too
        raise UserError(str(path), f"not a table of boxes: {error}", remedy) from error


def _images(frame: pd.DataFrame, numbers: Floats, label_map: Mapping[str, int]) -> list[ImageBoxes]:
    """`numbers`: (rows, 4) boxes, or (rows, 5) with their scores."""
    classes = np.asarray(frame["class"].map({**label_map, "": 0}), dtype=np.int64)  # 0: a row without a box
    if not np.isfinite(numbers[classes > 0]).all():
        raise ValueError("a box with an empty cell, or an infinite number")
    sizes = [(int(width), int(height)) for width, height in zip(frame["width"], frame["height"], strict=True)]
    scores = numbers[:, 4] if numbers.shape[1] > 4 else np.ones(len(numbers))
    return [
        ImageBoxes(str(filename), *sizes[rows[0]], numbers[rows, :4], classes[rows], scores[rows]).subset(
            classes[rows] > 0
        )
        for filename, rows in sorted(frame.groupby("filename").indices.items())
    ]


def most_boxes(images: Iterable[ImageBoxes]) -> int:
    """The most boxes that any of the images has; 1 where none has any, since batches are padded to this."""
    return max([1, *(len(image.boxes) for image in images)])
