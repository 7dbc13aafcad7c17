"""Boxes as arrays; every function has the format in its name.

voc          (N, 4) pixels, [xmin, ymin, xmax, ymax]
normalized   (N, 4) fractions of the image in [0, 1], [ymin, xmin, ymax, xmax]: the Object Detection API's order
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def voc_to_normalized(boxes: npt.ArrayLike, width: int, height: int) -> Floats:
    """(N, 4) pixels [xmin, ymin, xmax, ymax] -> (N, 4) [ymin, xmin, ymax, xmax] in [0, 1].

    Raises:
        ValueError: the image has no area, or a box is not finite, has no area or leaves the image.
    """
    if width < 1 or height < 1:
        raise ValueError(f"an image of {width}x{height} has no area")
    values, sides = _as_boxes(boxes), _scale(width, height)
    inside = ((values >= 0) & (values <= sides)).all(axis=1)  # false for NaN
    sound = inside & (values[:, :2] < values[:, 2:]).all(axis=1)
    if not sound.all():
        raise ValueError(f"box {values[~sound][0].tolist()} is empty, inverted or outside {[width, height]}")
    return (values / sides)[:, [1, 0, 3, 2]]


def detected_to_voc(boxes: npt.ArrayLike, width: int, height: int) -> Floats:
    """(N, 4) [ymin, xmin, ymax, xmax] of a detector -> (N, 4) pixels [xmin, ymin, xmax, ymax], clipped to the image."""
    return _as_boxes(boxes).clip(0, 1)[:, [1, 0, 3, 2]] * _scale(width, height)


def iou(first: npt.ArrayLike, second: npt.ArrayLike) -> Floats:
    """(N, 4) and (M, 4) boxes of one format -> (N, M) intersection over union in [0, 1]; of boxes without area, 0."""
    a, b = _as_boxes(first)[:, None], _as_boxes(second)[None]  # (N, 1, 4), (1, M, 4)
    intersection = _intersection(a, b)
    union = _area(a) + _area(b) - intersection
    shares: Floats = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return shares


def ioa(first: npt.ArrayLike, second: npt.ArrayLike) -> Floats:
    """(N, 4) and (M, 4) boxes of one format -> (N, M) the share of each first box that lies in each second one."""
    a, b = _as_boxes(first)[:, None], _as_boxes(second)[None]
    area = np.broadcast_to(_area(a), (len(a), b.shape[1]))
    shares: Floats = np.divide(_intersection(a, b), area, out=np.zeros(area.shape), where=area > 0)
    return shares


def _intersection(a: Floats, b: Floats) -> Floats:
    """The areas that (N, 1, 4) and (1, M, 4) boxes have in common, (N, M)."""
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])  # (N, M, 2)
    return np.asarray(sides.clip(min=0).prod(axis=-1))


def _area(boxes: Floats) -> Floats:
    return np.asarray((boxes[..., 2:] - boxes[..., :2]).clip(min=0).prod(axis=-1))


def _as_boxes(boxes: npt.ArrayLike) -> Floats:
    return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)


def _scale(width: int, height: int) -> Floats:
    return np.array([width, height, width, height], dtype=np.float64)
