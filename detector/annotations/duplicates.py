"""Photos that show the same picture: equal files, and copies that were resized, encoded again, mirrored or cropped.

A copy of a training photo in the test split makes a detector look better than it is. The signs, strongest first:

- the same bytes;
- the same look: perceptual hashes propose pairs (`perceptual`), and each is laid over the other and compared in its
  details (`likeness`). Brightness, contrast, colour and aspect ratio do not matter, and a tenth of each side may be
  missing at either end. Not known as copies: photos turned by 90 degrees or by a few, larger crops, and photos on
  which something was added. Two kinds are frames of a camera that stands still, and no copies: photos whose labels
  say that the objects moved (`placement`), and more than 20 photos that look the same;
- the name in a Roboflow export, `IMG_1_jpg.rf.<hash>.jpg`: the same before `.rf.` means made from one photo. It is no
  proof: two uploads may have shared that name.

Other names, such as `cat (1).jpg`, say nothing: what looks the same is a copy under any name.
`python -m tools.lab.copies FOLDER` lists the copies in a folder, plants others, and measures how many are found.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from detector.annotations import likeness, perceptual, placement
from detector.annotations.likeness import SIDE
from detector.annotations.placement import Place
from detector.annotations.voc import Annotation
from detector.pictures import images
from detector.pictures.images import ImageInfo, Thumbnail

SAME_BYTES = "the same bytes"
LOOKS_SAME = "looks the same"
SAME_SCENE = "looks the same, as many do"
MOVED = "looks the same, but its objects are elsewhere"
SAME_SOURCE = "made from the same photo, by its name"

MOST_COPIES = 20  # of one photo
SAME_DETAILS = 0.8  # agreement: 99 of 100 planted copies 0.8 to 1, different photos up to 0.66

_BATCH = 512  # pairs compared at once
_SOURCE = re.compile(r"(.+)\.rf\.[0-9A-Za-z]{16,}\.\w+")

Key = TypeVar("Key", str, tuple[str, str])  # of a photo: its name, or its split and name
Pair = tuple[int, int]


@dataclass(frozen=True)
class Fingerprint:
    """What a photo is recognised by.

    sha256: of the file. source: what a Roboflow export calls the photo that it was made from, or empty.
    hashes: of `perceptual`. thumbnail: grey, SIDE x SIDE. places: of its labelled objects; None where not known.
    """

    sha256: str
    source: str
    hashes: bytes
    thumbnail: bytes
    places: tuple[Place, ...] | None = None

    def labelled(self, annotation: Annotation | None) -> "Fingerprint":
        """The fingerprint of the photo with its labels."""
        return replace(self, places=placement.of(annotation))


@dataclass(frozen=True)
class Copy(Generic[Key]):
    """Two photos of one picture, and how that is known."""

    first: Key
    second: Key
    reason: str


def fingerprint(name: str, sha256: str, thumbnail: Thumbnail) -> Fingerprint:
    """What to recognise a photo by; 1.6 ms. `name` and `sha256`: of the file. `thumbnail`: of `images.glance`."""
    match = _SOURCE.fullmatch(name)
    source = match[1].casefold() if match else ""
    return Fingerprint(sha256, source, perceptual.hashes(thumbnail), perceptual.shrunk(thumbnail).tobytes())


def read(path: Path, name: str) -> tuple[ImageInfo, Fingerprint]:
    """What a file holds that the user calls `name`, and its fingerprint; a `UserError` where it is no photo."""
    content = images.read_bytes(path)
    info, thumbnail = images.glance(path, content)
    return info, fingerprint(name, hashlib.sha256(content).hexdigest(), thumbnail)


def find(fingerprints: Mapping[Key, Fingerprint]) -> list[Copy[Key]]:
    """The copies among photos, sorted: as many as join each group, not every pair of it.

    The bytes and looks join what they can without the names: a photo that was joined by its name alone has no other
    sign.
    """
    keys = sorted(fingerprints)
    links = _links([fingerprints[key] for key in keys])
    return [Copy(keys[first], keys[second], reason) for first, second, reason in links]


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


def first_of(copies: Iterable[Copy[Key]]) -> dict[Key, Key]:
    """{each photo that has copies: the first of them}, as `splitting` wants it; frames of a still camera are none."""
    joined = groups(copy for copy in copies if copy.reason not in (SAME_SCENE, MOVED))
    return {key: group[0] for group in joined for key in group}


class _Forest:
    """Numbers in groups (a union-find); the least of a group is its root."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def root(self, number: int) -> int:
        while (parent := self._parents[number]) != number:
            self._parents[number] = number = self._parents[parent]
        return number

    def apart(self, pair: Sequence[int]) -> bool:
        return self.root(pair[0]) != self.root(pair[1])

    def join(self, pairs: Iterable[Pair]) -> list[Pair]:
        """The pairs that joined two groups; the others said nothing new."""
        new = []
        for pair in pairs:
            low, high = sorted((self.root(pair[0]), self.root(pair[1])))
            if low != high:
                self._parents[high] = low
                new.append((min(pair), max(pair)))
        return new


def _links(prints: Sequence[Fingerprint]) -> list[tuple[int, int, str]]:
    forest = _Forest(len(prints))
    same_bytes = forest.join(_equal([one.sha256 for one in prints]))
    alike, moved = _alike(prints, forest)
    sizes = Counter(forest.root(first) for first, _ in alike)  # less one
    many = {pair for pair in alike if sizes[forest.root(pair[0])] >= MOST_COPIES}
    few = [pair for pair in alike if pair not in many]
    proved = _Forest(len(prints))
    proved.join([*same_bytes, *few])
    same_source = proved.join(_equal([one.source for one in prints]))
    reasons = (
        (SAME_BYTES, same_bytes),
        (LOOKS_SAME, few),
        (SAME_SCENE, many),
        (MOVED, forest.join(moved)),
        (SAME_SOURCE, same_source),
    )
    return sorted((first, second, reason) for reason, pairs in reasons for first, second in pairs)


def _equal(values: Sequence[str]) -> Iterator[Pair]:
    """Each number with the first that has the same value; empty values are equal to none."""
    first: dict[str, int] = {}
    for number, value in enumerate(values):
        if value and first.setdefault(value, number) != number:
            yield first[value], number


def _alike(prints: Sequence[Fingerprint], forest: _Forest) -> tuple[list[Pair], list[Pair]]:
    """Joins the photos that look the same, the closest first; of equal files the first stands for all.

    Returns:
        The pairs that were joined, and those that were not, as their objects are elsewhere.
    """
    chosen = np.array([number for number in range(len(prints)) if forest.root(number) == number], np.int64)
    table = np.frombuffer(b"".join(prints[number].hashes for number in chosen), np.uint64).reshape(len(chosen), 14)
    pictures = np.frombuffer(b"".join(prints[number].thumbnail for number in chosen), np.uint8)
    pictures = pictures.reshape(-1, SIDE, SIDE)
    candidates = perceptual.candidates(table)
    joined, moved = list[Pair](), list[Pair]()
    for start in range(0, len(candidates), _BATCH):
        batch = candidates[start : start + _BATCH]
        batch = batch[[forest.apart(pair) for pair in chosen[batch[:, :2]].tolist()]]
        ones, others, crops, flips = batch.T
        seen = perceptual.flipped(pictures[others], flips)
        agreement = likeness.details(pictures[ones], seen, perceptual.windows(crops))
        for one, other, crop, flip in batch[agreement >= SAME_DETAILS].tolist():
            pair = int(chosen[one]), int(chosen[other])
            if placement.agree(prints[pair[0]].places, prints[pair[1]].places, flip, is_crop=crop > 0):
                joined += forest.join([pair])
            else:
                moved.append(pair)
    return joined, moved
