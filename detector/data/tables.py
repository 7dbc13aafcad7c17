"""Boxes image by image, and their CSV: `filename,width,height,class,xmin,ymin,xmax,ymax`.

Boxes are in pixels, `[xmin, ymin, xmax, ymax]` as in PASCAL VOC, fractions kept. An image without objects is a row
whose last five cells are empty, so that the count of images never changes on the way.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from detector.base import files
from detector.base.errors import UserError

BOX_COLUMNS = ["xmin", "ymin", "xmax", "ymax"]
COLUMNS = ["filename", "width", "height", "class", *BOX_COLUMNS]

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


def write_csv(path: str | Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows with the keys of `COLUMNS`, sorted by file name and box, whole or not at all."""
    frame = pd.DataFrame(list(rows), columns=COLUMNS).sort_values(COLUMNS, kind="stable")
    files.write_text(path, frame.to_csv(index=False, lineterminator="\n"))


def read_csv(path: str | Path, label_map: Mapping[str, int]) -> list[ImageBoxes]:
    """The images of a CSV in the order of their file names, those without objects included.

    Raises:
        UserError: the file is missing, lacks a column, or names a class that the label map does not hold.
    """
    path = Path(path)
    try:
        frame = pd.read_csv(
            path, dtype={"filename": str, "class": str}, keep_default_na=False, na_values={c: [""] for c in BOX_COLUMNS}
        )
    except FileNotFoundError:
        raise UserError(str(path), "not found", "run: dvc repro xml2csv") from None
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UserError(str(path), f"not a CSV: {error}", "run: dvc repro xml2csv") from error
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise UserError(str(path), f"lacks the columns {', '.join(missing)}", f"the columns are {','.join(COLUMNS)}")
    unknown = sorted(set(frame["class"]) - set(label_map) - {""})
    if unknown:
        raise UserError(str(path), f"unknown class {', '.join(unknown)}", f"the label map has {', '.join(label_map)}")
    return [_image(str(name), rows, label_map) for name, rows in frame.groupby("filename", sort=True)]


def _image(filename: str, rows: pd.DataFrame, label_map: Mapping[str, int]) -> ImageBoxes:
    objects = rows[rows["class"] != ""]
    return ImageBoxes(
        filename=filename,
        width=int(rows["width"].iloc[0]),
        height=int(rows["height"].iloc[0]),
        boxes=objects[BOX_COLUMNS].to_numpy(dtype=np.float64),
        classes=np.array([label_map[name] for name in objects["class"]], dtype=np.int64),
        scores=np.ones(len(objects)),
    )


def most_boxes(images: Iterable[ImageBoxes]) -> int:
    """The most boxes that any of the images has; 1 where none has any, since batches are padded to this."""
    return max([1, *(len(image.boxes) for image in images)])
