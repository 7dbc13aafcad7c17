"""Made-up boxes, by hand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from detector.data.tables import ImageBoxes

SIZE = (500, 400)  # pixels


def image(filename: str, *rows: Sequence[float], size: tuple[int, int] = SIZE) -> ImageBoxes:
    """The boxes of an image; rows are (xmin, ymin, xmax, ymax, class[, score]), without a score 1."""
    values = np.array([[*row, 1.0][:6] for row in rows], dtype=np.float64).reshape(-1, 6)
    return ImageBoxes(filename, *size, values[:, :4], values[:, 4].astype(np.int64), values[:, 5])


def with_crowds(one: ImageBoxes, *indices: int) -> ImageBoxes:
    """The image with these of its boxes marked as crowds."""
    return replace(one, is_crowd=np.isin(np.arange(len(one.boxes)), indices))
