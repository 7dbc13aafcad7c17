"""What a model finds in one picture, whatever runs it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]  # (H, W, 3) RGB
Float32s = npt.NDArray[np.float32]


class Found(NamedTuple):
    """boxes: (M, 4) normalised [ymin, xmin, ymax, xmax]. classes: (M,) ids from 1. scores: (M,)."""

    boxes: Float32s
    classes: Float32s
    scores: Float32s


Run = Callable[[Pixels], Found]
