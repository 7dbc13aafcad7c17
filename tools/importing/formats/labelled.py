"""What a reader gives: the boxes of each photo as a label file has them, and what is to be said of them."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from detector.annotations import shapes
from detector.base.errors import UserError, few

Corners = shapes.Box
Size = tuple[int, int]  # width, height in pixels

ENCLOSING = "the enclosing box is taken"
LOST = "written as an object without a box, which make train reports"
NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"  # in one way alone, or a long one takes for ever
_LONGEST_SIDE = 10_000_000  # pixels: no size beyond it can be meant


@dataclass(frozen=True)
class Box:
    """A labelled object. corners: None where nothing makes a box. difficult: a crowd, or hard to tell."""

    name: str
    corners: Corners | None
    difficult: bool = False
    truncated: bool = False


@dataclass(frozen=True)
class Labels:
    """What a label file says of one photo.

    photo: its path as the file has it, with `/`; taken from the folder of `file`, or from a folder above it.
    file: the label file, below the tree's root. item: where in it; empty for the whole file.
    size: of the picture that the boxes were drawn on; None: as the photo is seen.
    split: train, val or test; empty where the format does not say.
    fractions: corners are shares of the photo's sides, not pixels. fault: why nothing of it can be used.
    """

    photo: str
    file: str
    item: str
    boxes: tuple[Box, ...]
    size: Size | None = None
    split: str = ""
    fractions: bool = False
    fault: UserError | None = None

    @property
    def source(self) -> str:
        return f"{self.file}: {self.item}" if self.item else self.file


@dataclass(frozen=True)
class Reading:
    """All that the label files of a format say.

    names: the classes in the order of the format's ids, or sorted. descriptions: files that were read for these.
    """

    labels: list[Labels]
    names: list[str]
    descriptions: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Finding:
    """Something that was left out or taken otherwise than it is written.

    where: a file. item: where in it. reason: what is there, in the same words for all of a kind. done: what was done.
    """

    where: str
    item: str
    reason: str
    done: str

    def line(self) -> str:
        return UserError(self.where, self.reason, self.done, self.item).line()


@dataclass
class Findings:
    """Collects what a reader meets: errors stop the import, notes are listed."""

    errors: list[UserError] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)

    def error(self, where: str, item: str, reason: str, remedy: str) -> None:
        self.errors.append(UserError(where, reason, remedy, item))

    def note(self, where: str, item: str, reason: str, done: str) -> None:
        self.notes.append(Finding(where, item, reason, done))


def summary(notes: Iterable[Finding]) -> list[str]:
    """A line for each kind of finding: how many, what was done, the first places."""
    kinds: dict[tuple[str, str], list[str]] = defaultdict(list)
    for note in notes:
        kinds[note.reason, note.done].append(f"{note.where}: {note.item}" if note.item else note.where)
    return [
        " ".join(f"{len(places)} x {reason}: {done} ({few(places)})".split())
        for (reason, done), places in kinds.items()
    ]


def numbers(values: object) -> list[float]:
    """The numbers of a list; none where it is something else."""
    return [shapes.number(value) for value in values] if isinstance(values, list | tuple) else []


def size(width: object, height: object) -> Size | None:
    """(width, height), or None where they are missing or make no sense."""
    sides = shapes.number(width), shapes.number(height)
    if not all(1 <= side <= _LONGEST_SIDE for side in sides):
        return None
    return int(sides[0]), int(sides[1])


def flag(value: object) -> bool:
    """Whether a flag is set: 1, true or yes, as number or text."""
    return (
        value is True
        or shapes.number(value) == 1
        or (isinstance(value, str) and value.strip().lower() in ("true", "yes"))
    )


def name(value: object) -> str:
    """A class name: text, or a whole number as text; empty for anything else."""
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def sorted_names(labels: Iterable[Labels]) -> list[str]:
    """The classes of all boxes, sorted, for formats without ids."""
    return sorted({box.name for one in labels for box in one.boxes} - {""})


def pairs(flat: Sequence[float]) -> list[shapes.Point]:
    """x, y, x, y, ... as points; an odd last one is left."""
    return list(zip(flat[::2], flat[1::2], strict=False))


def ellipse(cx: float, cy: float, rx: float, ry: float, degrees: float = 0.0) -> Corners | None:
    """The box around an ellipse, or a circle, that may be turned."""
    if not all(map(math.isfinite, (cx, cy, rx, ry, degrees))):
        return None
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = math.hypot(rx * cos, ry * sin), math.hypot(rx * sin, ry * cos)
    return cx - x, cy - y, cx + x, cy + y
