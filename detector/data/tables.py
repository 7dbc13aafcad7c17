"""Boxes image by image, and their CSV: `filename,width,height,class,xmin,ymin,xmax,ymax`, then one column more.

Labels end with `is_crowd`, 0 or 1 (0 where the column is missing), detections with `score`; `frame` and `time` are
behind it where a video is among the images. Boxes are in pixels, `[xmin, ymin, xmax, ymax]` as in PASCAL VOC. Numbers
keep all their digits, so what is read is what was written. An image without boxes is a row with empty cells: the number
of images never changes on the way. A name that a spreadsheet would take for a formula is written behind a '
(detector/base/naming.py), which is taken off again.
"""

import csv
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detector.base import files, naming
from detector.data import columns
from detector.data.columns import COLUMNS, IS_CROWD, SCORE

FRAME = ("frame", "time")  # columns: `Frame`

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Frame(NamedTuple):
    """Of a video. number: from 0. seconds: from the first frame."""

    number: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ImageBoxes:
    """The boxes of one image, drawn by a person (`scores` all 1) or by a detector (highest score first).

    filename: relative to the split's folder. width, height: pixels.
    boxes: (N, 4) pixels, [xmin, ymin, xmax, ymax]. classes: (N,) ids of the label map. scores: (N,) in [0, 1].
    is_crowd: (N,) as COCO's iscrowd: whether to find something there is neither asked for nor an error. Left out: none.
    frame: which one, of a video.
    """

    filename: str
    width: int
    height: int
    boxes: Floats
    classes: Ints
    scores: Floats
    is_crowd: Bools = field(default_factory=lambda: np.zeros(0, dtype=bool))
    frame: Frame | None = None

    def __post_init__(self) -> None:
        if not len(self.is_crowd):
            object.__setattr__(self, "is_crowd", np.zeros(len(self.boxes), dtype=bool))

    @property
    def objects(self) -> "ImageBoxes":
        """The image with the boxes that a detector is to find: all but crowds."""
        return self.subset(~self.is_crowd) if self.is_crowd.any() else self

    def above(self, threshold: float) -> "ImageBoxes":
        """The image with those boxes alone whose score is at least `threshold`."""
        return self.subset(self.scores >= threshold)

    def best_first(self) -> "ImageBoxes":
        """The image with the highest score first; equal scores keep their order."""
        return self.subset(np.argsort(-self.scores, kind="stable"))

    def subset(self, chosen: Bools | Ints | slice) -> "ImageBoxes":
        """The image with some of its boxes: a mask, indices or a slice."""
        columns = {name: getattr(self, name)[chosen] for name in ("boxes", "classes", "scores", "is_crowd")}
        return replace(self, **columns)

    def rows(self) -> Iterator[tuple[int, list[float], float]]:
        """Class id, box and score of each box, as plain numbers."""
        return zip(self.classes.tolist(), self.boxes.tolist(), self.scores.tolist(), strict=True)


def most_boxes(images: Iterable[ImageBoxes]) -> int:
    """The most boxes that any of the images has; 1 where none has any, since batches are padded to this."""
    return max([1, *(len(image.boxes) for image in images)])


def write_csv(
    path: str | Path,
    images: Iterable[ImageBoxes],
    names: Mapping[int, str],
    *,
    scores: bool = False,
    frames: bool = False,
) -> None:
    """Write the boxes of all images in the order given, atomically; with `scores` for detections, with `frames` for
    those of videos, too.

    Args:
        names: class id -> name.
    """
    with files.whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, SCORE if scores else IS_CROWD, *(FRAME if frames else ())])
        classes = {class_id: naming.cell(name) for class_id, name in names.items()}
        for image in images:
            start = [naming.cell(image.filename), image.width, image.height]
            last = (image.scores if scores else image.is_crowd.astype(int)).tolist()
            cells = [[classes[class_id], *box, end] for (class_id, box, _), end in zip(image.rows(), last, strict=True)]
            which = (image.frame or [""] * len(FRAME)) if frames else ()
            writer.writerows([*start, *row, *which] for row in cells or [[""] * 6])


def read_csv(
    path: str | Path,
    label_map: Mapping[str, int],
    *,
    scores: bool = False,
    remedy: str = "run: dvc repro xml2csv",
) -> list[ImageBoxes]:
    """The images of a CSV, sorted by file name; the boxes of each keep their order. Other columns are passed over.

    Args:
        label_map: class name -> id.
        scores: whether it is a table of detections.
        remedy: what makes the table again, for errors.

    Raises:
        UserError: the file is missing or not such a table; it names the first row that is wrong.
    """
    table = columns.read(Path(path), label_map, SCORE if scores else IS_CROWD, remedy)
    starts, is_box = table.starts(), table.classes > 0
    numbers, classes = table.numbers[is_box], table.classes[is_box]
    boxes, last = np.ascontiguousarray(numbers[:, :4]), np.ascontiguousarray(numbers[:, 4])
    marks, is_crowd = (last, np.zeros(len(last), dtype=bool)) if scores else (np.ones(len(last)), last == 1)
    ends = np.append(0, np.cumsum(is_box))[np.append(starts, len(is_box))].tolist()
    parts = (slice(*bounds) for bounds in itertools.pairwise(ends))
    images = zip(table.filenames[starts], table.sizes[starts].astype(int).tolist(), parts, strict=True)
    return [
        ImageBoxes(name, width, height, boxes[part], classes[part], marks[part], is_crowd[part])
        for name, (width, height), part in images
    ]
