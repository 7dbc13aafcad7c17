"""Which photos may look alike: perceptual hashes (imagehash's phash) of which few bits differ.

A hash tells light and shade of a whole picture in 64 bits; it does not survive a mirror, and a crop of a tenth changes
a quarter of its bits. So each photo has hashes of its mirror images and of ten crops, and one of the former is compared
with all of the latter. What is close is a candidate, and `likeness` decides.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from detector.annotations.likeness import SIDE
from detector.pictures.images import THUMBNAIL, Thumbnail

MARGIN = 6  # pixels of THUMBNAIL: the tenth of a side that a crop leaves out
HASH_BITS = 12  # of 64 that may differ: nearly all planted copies, 1 in 4000 pairs of different photos

_FLIPS = (None, Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.ROTATE_180)
FLIPPED_ACROSS, FLIPPED_DOWN = (1, 3), (2, 3)  # the places of those in it
_BLOCK = 1 << 18  # pairs of hashes compared at once: they stay in a processor's cache
_CROWD = 1 << 15  # hashes of one bucket; more are thinned out, as thousands of frames of one still camera need
_MOST = 2  # candidates for a hash in a bucket, likewise; the closest

Integers = np.ndarray[Any, Any]
Hashes = np.ndarray[Any, Any]  # (N, 14) uint64


def _crops() -> list[tuple[int, int, int, int]]:
    """(left, top, right, bottom) in a thumbnail: the whole, then less a tenth at one side, at two, and around."""
    far = THUMBNAIL - MARGIN
    ranges = ((0, THUMBNAIL), (0, far), (MARGIN, THUMBNAIL))
    around = [(left, top, right, bottom) for left, right in ranges for top, bottom in ranges]
    return [*around, *[(cut, cut, THUMBNAIL - cut, THUMBNAIL - cut) for cut in (MARGIN // 2, MARGIN)]]


_CROPS = _crops()


def shrunk(thumbnail: Thumbnail) -> Image.Image:
    """The picture in SIDE x SIDE pixels."""
    return Image.fromarray(thumbnail).resize((SIDE, SIDE), Image.Resampling.BOX)


def hashes(thumbnail: Thumbnail) -> bytes:
    """14 hashes of 8 bytes: of the picture in all flips, the picture itself first, then of its ten crops."""
    import imagehash  # a third of a second, with scipy

    picture, whole = Image.fromarray(thumbnail), shrunk(thumbnail)
    views = [whole if flip is None else whole.transpose(flip) for flip in _FLIPS]
    views += [picture.resize((SIDE, SIDE), Image.Resampling.BOX, box=box) for box in _CROPS[1:]]
    return b"".join(np.packbits(imagehash.phash(view).hash).tobytes() for view in views)


def candidates(table: Hashes) -> Integers:
    """(N, 4): photo, other photo, crop of the first, flip of the other, whose hashes are close; the closest first.

    Photos with one and the same hash are chained, and the first alone is compared with the rest.

    Args:
        table: the `hashes` of each photo.
    """
    order = np.argsort(table[:, 0], kind="stable")
    again = table[order[1:], 0] == table[order[:-1], 0]
    chained = np.stack([order[:-1][again], order[1:][again]], axis=1)
    first = np.sort(order[np.concatenate([np.ones(1, bool), ~again])[: len(order)]])
    keys = table[first, : len(_FLIPS)].ravel()
    probes = np.concatenate([table[first, :1], table[first, len(_FLIPS) :]], axis=1).ravel()
    near = np.concatenate([np.empty((0, 3), np.int64), *_near(keys, probes)])
    others, flips = np.divmod(near[:, 1], len(_FLIPS))
    ones, crops = np.divmod(near[:, 2], len(_CROPS))
    rows = np.stack([near[:, 0], first[ones], first[others], crops, flips], axis=1)
    return _closest(np.concatenate([np.pad(chained, ((0, 0), (1, 2))), rows]))


def _closest(rows: Integers) -> Integers:
    """Of rows (distance, photo, other photo, ...) the first of each pair, without its distance; the closest first."""
    rows = rows[np.lexsort(rows.T[::-1])]
    pairs = np.sort(rows[:, 1:3], axis=1)
    _, first = np.unique(pairs, axis=0, return_index=True)
    return np.asarray(rows[np.sort(first), 1:])


def windows(crops: Integers) -> np.ndarray[Any, Any]:
    """(N, 4): left, top, right, bottom of crops, of a side of 1."""
    return np.asarray(np.array(_CROPS, np.float32)[crops] / THUMBNAIL)


def flipped(pictures: np.ndarray[Any, Any], flips: Integers) -> np.ndarray[Any, Any]:
    """(N, H, W) pictures, each in its flip."""
    pictures = np.where(np.isin(flips, FLIPPED_ACROSS)[:, None, None], pictures[:, :, ::-1], pictures)
    return np.where(np.isin(flips, FLIPPED_DOWN)[:, None, None], pictures[:, ::-1], pictures)


def _near(keys: Hashes, probes: Hashes) -> Iterator[Integers]:
    """(N, 3): distance, key, probe, of hashes of two photos that are close.

    Only hashes that have one of their 8 bytes in common are compared, 1 pair in 32. Where 12 bits differ, one byte in
    eleven pairs has none in common; a copy has several crops that are close.
    """
    for place in range(8):
        for rows, columns in zip(_buckets(keys, place), _buckets(probes, place), strict=True):
            height = max(1, _BLOCK // max(1, len(columns)))
            for start in range(0, len(rows) if len(columns) else 0, height):
                yield _close(keys, probes, rows[start : start + height], columns)


def _buckets(hashes: Hashes, place: int) -> list[Integers]:
    """The hashes' numbers by the value of one byte."""
    values = hashes.view(np.uint8).reshape(-1, 8)[:, place]
    order = np.argsort(values, kind="stable")
    buckets = np.split(order, np.searchsorted(values[order], np.arange(1, 256)))
    return [bucket[:: 1 + len(bucket) // _CROWD] for bucket in buckets]


def _close(keys: Hashes, probes: Hashes, rows: Integers, columns: Integers) -> Integers:
    distances = np.bitwise_count(keys[rows][:, None] ^ probes[columns][None])
    near, others = np.divmod(np.flatnonzero(distances <= HASH_BITS), len(columns))
    key, probe = rows[near], columns[others]
    two = key // len(_FLIPS) != probe // len(_CROPS)
    close = np.stack([distances[near, others], key, probe], axis=1, dtype=np.int64)[two]
    most = _MOST * len(rows)
    return np.asarray(close if len(close) <= most else close[np.argsort(close[:, 0], kind="stable")[:most]])
