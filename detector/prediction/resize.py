"""A picture in the size of a model's input, resized as the Object Detection API does it: bilinear, the legacy way.

TensorFlow 1's `resize_bilinear`: pixel x of the result is at x * scale in the picture, without half-pixel centres, and
nothing is averaged where the picture shrinks. A detector that saw such pictures in training finds other objects in ones
of Pillow's or OpenCV's resize. This gives the same floats as TensorFlow's CPU kernel, because each is computed in the
same order (tensorflow/core/kernels/image/resize_bilinear_op.cc).
"""

from typing import Any

import numpy as np

Pixels = np.ndarray[tuple[int, int, int], np.dtype[Any]]  # (height, width, channels)
Floats = np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
Rows = np.ndarray[tuple[int, int], np.dtype[np.float32]]
Indices = np.ndarray[tuple[int], np.dtype[np.int64]]
Shares = np.ndarray[tuple[int], np.dtype[np.float32]]


def legacy_bilinear(pixels: Pixels, height: int, width: int) -> Floats:
    """The picture, (H, W, C) of uint8 or float32, as float32 (height, width, C) in the same range."""
    channels = pixels.shape[2]
    top, bottom, down = _between(pixels.shape[0], height)
    left, right, across = _between(pixels.shape[1], width)
    used, places = np.unique([top, bottom], return_inverse=True)  # a row is resized once
    flat = pixels.reshape(len(pixels), -1)[used]  # NumPy is quick over long axes, and the channels are a short one
    start, end = (flat[:, _flat(x, channels)].astype(np.float32) for x in (left, right))
    rows = _mixed(start, end, np.repeat(across, channels))
    upper, lower = rows[places.reshape(2, -1)]
    return _mixed(upper, lower, down[:, np.newaxis]).reshape(height, width, channels)


def _flat(x: Indices, channels: int) -> Indices:
    """The places of all channels of pixels x in a row, in which they stand one after the other."""
    return (x[:, np.newaxis] * channels + np.arange(channels)).ravel()


def _mixed(start: Rows, end: Rows, share: Any) -> Rows:
    """start + (end - start) * share, in the memory of `end`."""
    end -= start
    end *= share
    end += start
    return end


def _between(size: int, resized: int) -> tuple[Indices, Indices, Shares]:
    """For each place of a resized axis: the index before it, the one behind it, and how far it is from the first."""
    place = np.arange(resized, dtype=np.float32) * (np.float32(size) / np.float32(resized))
    before = np.floor(place)
    behind = np.minimum(np.ceil(place).astype(np.int64), size - 1)
    return before.astype(np.int64), behind, place - before
