"""Photos that show the same picture: equal files, and copies that were resized, encoded again, mirrored or cropped.

A copy of a training photo in the test split makes a detector look better than it is. Three signs, strongest first:

- the same bytes;
- the same look. Perceptual hashes (imagehash's phash) of the picture, its mirror images and ten crops propose pairs.
  Each is then laid over the other, shifted and scaled to the best fit, and compared in its details, not in its light
  and shade. Brightness, contrast, colour and aspect ratio do not matter; of each side a tenth may be missing at either
  end. Not known as copies: photos turned by 90 degrees or by a few, and larger crops;
- the name of a Roboflow export, `IMG_1_jpg.rf.<hash>.jpg`: same before `.rf.`, so both were made from one photo. Not
  proof: two different uploads may have shared the name.

Other names, such as `cat (1).jpg`, prove nothing: what looks the same is a copy under any name.
`python -m tools.lab.copies FOLDER` measures how many of planted copies are found, and lists the pairs of a folder.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from PIL import Image

from detector.annotations import likeness
from detector.annotations.likeness import SIDE
from detector.pictures.images import THUMBNAIL, Thumbnail

SAME_BYTES = "the same bytes"
LOOKS_SAME = "looks the same"
SAME_SOURCE = "made from the same photo, by its name"

MARGIN = 6  # pixels of THUMBNAIL: the tenth of a side that a crop leaves out
HASH_BITS = 12  # of 64 that may differ: nearly all planted copies, 1 in 4000 pairs of different photos
SAME_DETAILS = 0.8  # agreement: 99 of 100 planted copies 0.8 to 1, different photos up to 0.66

_FLIPS = (
    None,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.ROTATE_180,
)
_BATCH = 512  # pairs compared at once
_BLOCK = 1 << 18  # pairs of hashes compared at once: they stay in a processor's cache
_CROWD = 1 << 15  # hashes of one bucket; more are thinned out, as thousands of frames of one still camera need
_MOST = 16  # candidates for one hash in one bucket, likewise
_SOURCE = re.compile(r"(.+)\.rf\.[0-9A-Za-z]{16,}\.\w+")

Key = TypeVar("Key", str, tuple[str, str])  # of a photo: its name, or its split and name
_Integers = np.ndarray[Any, Any]
_Hashes = np.ndarray[Any, Any]  # of uint64


def _crops() -> list[tuple[int, int, int, int]]:
    """(left, top, right, bottom) in a thumbnail: the whole, then less a tenth at one side, at two, and around."""
    far = THUMBNAIL - MARGIN
    ranges = ((0, THUMBNAIL), (0, far), (MARGIN, THUMBNAIL))
    around = [(left, top, right, bottom) for left, right in ranges for top, bottom in ranges]
    return [*around, *[(cut, cut, THUMBNAIL - cut, THUMBNAIL - cut) for cut in (MARGIN // 2, MARGIN)]]


_CROPS = _crops()


@dataclass(frozen=True)
class Fingerprint:
    """What a photo is recognised by.

    sha256: of the file. source: the name that Roboflow's export gives for the photo it was made from, or empty.
    hashes: the perceptual hashes of the picture in all flips, then of its crops, 8 bytes each. thumbnail: SIDE x SIDE.
    """

    sha256: str
    source: str
    hashes: bytes
    thumbnail: bytes


@dataclass(frozen=True)
class Copy(Generic[Key]):
    """Two photos of one picture, and how that is known."""

    first: Key
    second: Key
    reason: str


def fingerprint(name: str, sha256: str, thumbnail: Thumbnail) -> Fingerprint:
    """What to recognise a photo by; 1.6 ms. `name` and `sha256`: of the file. `thumbnail`: of `images.glance`."""
    import imagehash  # half a second, with scipy

    picture = Image.fromarray(thumbnail)
    square = (SIDE, SIDE)
    whole = picture.resize(square, Image.Resampling.BOX)
    views = [whole if flip is None else whole.transpose(flip) for flip in _FLIPS]
    views += [picture.resize(square, Image.Resampling.BOX, box=box) for box in _CROPS[1:]]
    hashes = b"".join(np.packbits(imagehash.phash(view).hash).tobytes() for view in views)
    match = _SOURCE.fullmatch(name)
    return Fingerprint(sha256, match[1].casefold() if match else "", hashes, whole.tobytes())


def find(fingerprints: Mapping[Key, Fingerprint]) -> list[Copy[Key]]:
    """The copies among photos, in the order of their names: as many as join each group, not every pair of it.

    Two photos that are joined by looks or bytes are not joined once more by their names.
    """
    keys = sorted(fingerprints)
    prints = [fingerprints[key] for key in keys]
    forest = _Forest(len(keys))
    copies = [(first, second, SAME_BYTES) for first, second in forest.join(_equal([one.sha256 for one in prints]))]
    distinct = sorted({forest.root(number) for number in range(len(keys))})
    for pairs in _alike([prints[number] for number in distinct], forest, distinct):
        copies += [(first, second, LOOKS_SAME) for first, second in pairs]
    copies += [(first, second, SAME_SOURCE) for first, second in forest.join(_equal([one.source for one in prints]))]
    return [Copy(keys[first], keys[second], reason) for first, second, reason in sorted(copies)]


def groups(copies: Iterable[Copy[Key]]) -> list[list[Key]]:
    """The photos of each picture that has several, sorted; groups by their first."""
    listed = list(copies)
    keys = sorted({key for copy in listed for key in (copy.first, copy.second)})
    numbers = {key: number for number, key in enumerate(keys)}
    forest = _Forest(len(keys))
    forest.join((numbers[copy.first], numbers[copy.second]) for copy in listed)
    members = defaultdict(list)
    for number, key in enumerate(keys):
        members[forest.root(number)].append(key)
    return list(members.values())


class _Forest:
    """Numbers in groups (a union-find); the least of a group is its root."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def root(self, number: int) -> int:
        while (parent := self._parents[number]) != number:
            self._parents[number] = number = self._parents[parent]
        return number

    def join(self, pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """The pairs that joined two groups, in order; the others said nothing new."""
        new = []
        for pair in pairs:
            low, high = sorted((self.root(pair[0]), self.root(pair[1])))
            if low != high:
                self._parents[high] = low
                new.append((min(pair), max(pair)))
        return new


def _equal(values: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Each number with the first that has the same value; empty values are equal to none."""
    first: dict[str, int] = {}
    for number, value in enumerate(values):
        if value and first.setdefault(value, number) != number:
            yield first[value], number


def _alike(prints: Sequence[Fingerprint], forest: _Forest, numbers: Sequence[int]) -> Iterator[list[tuple[int, int]]]:
    """Joins the photos that look the same, most alike first; `numbers` are their places in the forest."""
    if len(prints) < 2:
        return
    hashes = np.frombuffer(b"".join(one.hashes for one in prints), np.uint64).reshape(len(prints), -1)
    pictures = np.frombuffer(b"".join(one.thumbnail for one in prints), np.uint8).reshape(-1, SIDE, SIDE)
    candidates = _candidates(hashes)
    for start in range(0, len(candidates), _BATCH):
        batch = candidates[start : start + _BATCH]
        open_ = [forest.root(numbers[one]) != forest.root(numbers[other]) for one, other in batch[:, :2].tolist()]
        batch = batch[open_]
        ones, others, crops, flips = batch.T
        windows = np.array(_CROPS)[crops] / THUMBNAIL
        agreement = likeness.details(pictures[ones], _flipped(pictures[others], flips), windows)
        same = batch[agreement >= SAME_DETAILS]
        yield forest.join([(numbers[one], numbers[other]) for one, other in same[:, :2].tolist()])


def _flipped(pictures: _Integers, flips: _Integers) -> _Integers:
    pictures = np.where(np.isin(flips, (1, 3))[:, None, None], pictures[:, :, ::-1], pictures)
    return np.where(np.isin(flips, (2, 3))[:, None, None], pictures[:, ::-1], pictures)


def _candidates(hashes: _Hashes) -> _Integers:
    """(N, 4): photo, other photo, crop of the first, flip of the other, whose hashes are close; the closest first.

    Photos with one and the same hash are chained, and the first alone is compared with the rest.
    """
    order = np.argsort(hashes[:, 0], kind="stable")
    again = hashes[order[1:], 0] == hashes[order[:-1], 0]
    chained = np.stack([order[:-1][again], order[1:][again]], axis=1)
    first = np.sort(order[np.concatenate([[True], ~again])])
    flips, crops = len(_FLIPS), len(_CROPS)
    keys = hashes[first, :flips].ravel()
    probes = np.concatenate([hashes[first, :1], hashes[first, flips:]], axis=1).ravel()
    near = np.concatenate([np.empty((0, 3), np.int64), *_near(keys, probes, flips, crops)])
    distances, others, ones = near.T
    rows = np.stack([distances, first[ones // crops], first[others // flips], ones % crops, others % flips], axis=1)
    rows = np.concatenate([np.pad(chained, ((0, 0), (1, 2))), rows])
    pairs = np.sort(rows[:, 1:3], axis=1)
    order = np.lexsort((*rows.T[::-1], pairs[:, 1], pairs[:, 0]))
    rows, pairs = rows[order], pairs[order]
    closest = np.concatenate([[True], (pairs[1:] != pairs[:-1]).any(axis=1)])[: len(rows)]
    rows = rows[closest]
    return rows[np.argsort(rows[:, 0], kind="stable"), 1:]


def _near(keys: _Hashes, probes: _Hashes, per_key: int, per_probe: int) -> Iterator[_Integers]:
    """(N, 3): distance, key, probe, of hashes of two photos that are close.

    Only hashes that have one of their 8 bytes in common are compared, 1 pair in 32. Where 12 bits differ, one byte in
    eleven pairs has none in common; a copy has several crops that are close.
    """
    for place in range(8):
        for rows, columns in zip(_buckets(keys, place), _buckets(probes, place), strict=True):
            height = max(1, _BLOCK // max(1, len(columns)))
            for start in range(0, len(rows) if len(columns) else 0, height):
                yield _close(keys, probes, rows[start : start + height], columns, per_key, per_probe)


def _buckets(hashes: _Hashes, place: int) -> list[_Integers]:
    """The hashes' numbers by the value of one byte."""
    values = hashes.view(np.uint8).reshape(-1, 8)[:, place]
    order = np.argsort(values, kind="stable")
    buckets = np.split(order, np.searchsorted(values[order], np.arange(1, 256)))
    return [bucket[:: 1 + len(bucket) // _CROWD] for bucket in buckets]


def _close(
    keys: _Hashes, probes: _Hashes, rows: _Integers, columns: _Integers, per_key: int, per_probe: int
) -> _Integers:
    distances = np.bitwise_count(keys[rows][:, None] ^ probes[columns][None])
    near, others = np.divmod(np.flatnonzero(distances <= HASH_BITS), len(columns))
    key, probe = rows[near], columns[others]
    two = key // per_key != probe // per_probe
    found = np.stack([distances[near, others], key, probe], axis=1, dtype=np.int64)[two]
    most = _MOST * len(rows)
    return found if len(found) <= most else found[np.argsort(found[:, 0], kind="stable")[:most]]
