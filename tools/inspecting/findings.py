"""What somebody should look at: a finding, its cases, and the part of a photo that shows each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from detector.base.errors import counted
from detector.data.boxes import Floats
from tools.inspecting.dataset import Photo

SHOWN = 8  # cases of a finding with pictures
NAMED = 200  # further ones by name
STOP, LOOK, NOTE = "stop", "look", "note"  # training stops; look at it; good to know
_SMALL = 0.1  # of the photo's longer side: a box below it is shown enlarged
_AROUND = 6  # times as wide as such a box is the part that is shown
_LEAST_PART = 48  # pixels, so that something of the photo is on it


@dataclass(frozen=True)
class Mark:
    """A box on a picture. name: its class. odd: the finding is about it."""

    box: tuple[float, float, float, float]
    name: str
    odd: bool = False
    crowd: bool = False


@dataclass(frozen=True)
class Shot:
    """A photo, or a part of it, with boxes. size: of the frame, (width, height). part: (x, y, width, height) in it."""

    path: Path
    size: tuple[int, int]
    part: tuple[int, int, int, int]
    caption: str
    note: str = ""
    marks: tuple[Mark, ...] = ()
    stored: bool = False

    @property
    def key(self) -> tuple[str, bool, tuple[int, int, int, int]]:
        """What its picture depends on: shots that share it share the picture."""
        return self.path.as_posix(), self.stored, self.part


@dataclass(frozen=True)
class Case:
    """One photo of a finding: the numbers of the boxes that it is about, and a note for its caption."""

    photo: Photo
    odd: tuple[int, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """title: what, with its count. why: what it does to the training. remedy: what to do. weight: STOP, LOOK or NOTE.

    groups: shots that belong side by side. more: names of the cases without a picture; unnamed: how many beyond those.
    """

    slug: str
    weight: str
    title: str
    why: str
    remedy: str
    groups: list[list[Shot]] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    unnamed: int = 0


def finding(slug: str, weight: str, words: tuple[str, str, str], cases: Sequence[Case]) -> Finding:
    """A finding whose cases stand alone, the ones worth most attention first; words: title, why and remedy."""
    names = [f"{place(case.photo)}{case.note and f' ({case.note})'}" for case in cases[SHOWN:]]
    shots = [[shot(case)] for case in cases[:SHOWN]]
    return Finding(slug, weight, *words, shots, names[:NAMED], max(0, len(names) - NAMED))


def boxes_in_photos(cases: Iterable[Case]) -> str:
    """`3 boxes in 2 photos`."""
    cases = list(cases)
    return f"{counted(sum(len(case.odd) for case in cases), 'box')} in {counted(len(cases), 'photo')}"


def place(photo: Photo) -> str:
    """`train/cat.1.jpg`."""
    return f"{photo.split}/{photo.path.name}"


def shot(case: Case) -> Shot:
    """The photo with all its boxes, the odd ones marked; a part of it where those are too small to be seen."""
    photo, odd = case.photo, set(case.odd)
    marks = tuple(
        Mark((box[0], box[1], box[2], box[3]), name, number in odd, bool(photo.crowd[number]))
        for number, (name, box) in enumerate(zip(photo.classes, photo.boxes.tolist(), strict=True))
    )
    part = surroundings(photo.boxes[list(case.odd)[:1]], photo.size)
    return Shot(photo.path, photo.size, part, place(photo), case.note, marks, photo.stored)


def whole(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part that is all of a photo."""
    return 0, 0, max(1, size[0]), max(1, size[1])


def surroundings(odd: Floats, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(x, y, width, height): the surroundings of a small box, else the whole photo."""
    if not len(odd) or (odd[0, 2:] - odd[0, :2]).max() >= _SMALL * max(size):
        return whole(size)
    side = max(_LEAST_PART, _AROUND * float((odd[0, 2:] - odd[0, :2]).max()))
    width, height = max(1, min(round(side * 4 / 3), size[0])), max(1, min(round(side), size[1]))  # as the page shows it
    x, y = np.rint((odd[0, :2] + odd[0, 2:]) / 2 - (width / 2, height / 2)).astype(int).tolist()
    return max(0, min(x, size[0] - width)), max(0, min(y, size[1] - height)), width, height
