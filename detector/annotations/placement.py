"""Whether the objects of two photos that look the same are at the same places.

They are in a copy, even where two people labelled it: boxes drawn otherwise, or of another class, are about there.
Where they are elsewhere, an animal walked before a camera that stands still, too small to change the look of the whole:
two photos, both worth having.
"""

import math
from dataclasses import dataclass

from detector.annotations.perceptual import FLIPPED_ACROSS, FLIPPED_DOWN
from detector.annotations.voc import Annotation

_SHIFT, _SHIFT_OF_CROP = 0.1, 0.15  # of a side, of a centre; crops leave out a tenth at either end
_PER_SIDE = 0.25  # more for each side of the object: the larger, the more two people differ
_SHARE = 0.5  # of the objects that must be where those of the other are; a crop may cut some off, a person forget many


@dataclass(frozen=True)
class Place:
    """An object: its centre and its mean side, as shares of the photo's sides."""

    x: float
    y: float
    side: float


def of(annotation: Annotation | None) -> tuple[Place, ...] | None:
    """The places of a photo's objects; None where their frame is not known."""
    if annotation is None or annotation.size is None:
        return None
    width, height = annotation.size
    boxes = [one.box for one in annotation.objects]
    return tuple(
        Place(
            (xmin + xmax) / 2 / width, (ymin + ymax) / 2 / height, ((xmax - xmin) / width + (ymax - ymin) / height) / 2
        )
        for xmin, ymin, xmax, ymax in boxes
    )


def agree(
    ones: tuple[Place, ...] | None, others: tuple[Place, ...] | None, flip: int = 0, *, is_crop: bool = False
) -> bool:
    """Whether half of the objects of the photo with fewer are where the other has one; so they are where one is None.

    Args:
        flip: of the others' picture, as in `perceptual`; their labels may have been flipped with it, or forgotten.
        is_crop: whether one picture may be a crop of the other.
    """
    if ones is None or others is None:
        return True
    shift = _SHIFT_OF_CROP if is_crop else _SHIFT
    fewer = min(len(ones), len(others))
    if not fewer:
        return len(ones) == len(others)
    return any(
        min(_matched(ones, placed, shift), _matched(placed, ones, shift)) >= _SHARE * fewer
        for placed in (others, tuple(_flipped(one, flip) for one in others))
    )


def _matched(ones: tuple[Place, ...], others: tuple[Place, ...], shift: float) -> int:
    return sum(any(_is_same(one, other, shift) for other in others) for one in ones)


def _is_same(one: Place, other: Place, shift: float) -> bool:
    return math.dist((one.x, one.y), (other.x, other.y)) <= shift + _PER_SIDE * (one.side + other.side) / 2


def _flipped(one: Place, flip: int) -> Place:
    x = 1 - one.x if flip in FLIPPED_ACROSS else one.x
    return Place(x, 1 - one.y if flip in FLIPPED_DOWN else one.y, one.side)
