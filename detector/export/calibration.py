"""Photos of the training split, by which the ranges of an int8 model's numbers are measured."""

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detector.base.errors import UserError
from detector.data import records
from detector.pictures import images

MOST = 100  # photos

Pixels = npt.NDArray[np.uint8]  # (H, W, 3) RGB
Photos = Callable[[], Iterable[Pixels]]  # the same ones each time


def photos(record: Path) -> Iterator[Pixels]:
    """At most MOST photos of a record, evenly spread."""
    starts = records.offsets(record)
    if not starts:
        raise UserError(str(record), "holds no photos, which int8 is calibrated with", "run: dvc repro csv2record")
    for example in records.read_every(record, math.ceil(len(starts) / MOST), starts):
        yield np.asarray(images.open_raw(example["image/filename"][0].decode(), example["image/encoded"][0]))
