"""The numbers at the threshold, as the page shows them without its script; and at all thresholds, for its script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tools.checks import enough
from tools.page.language import Language
from tools.reporting import album, confusions, data
from tools.reporting.album import CROWD, Photo
from tools.reporting.confusions import BACKGROUND, OTHERS, Confusion
from tools.reporting.kinds import IGNORED, MISSED, NAMES
from tools.reporting.measured import Measured

ONE_WRONG = "finds {right} of {objects} objects; {wrong} of {shown} boxes is wrong, at {threshold}"
WRONG = "finds {right} of {objects} objects; {wrong} of {shown} boxes are wrong, at {threshold}"
NO_BOX = "shows no box at {threshold}: a lower threshold shows more"
NOTHING = "finds no box at any score"
KIND_NAMES = {  # in the order of the page
    "right": "right",
    MISSED: "missed",
    "class": "wrong class",
    "box": "poor box",
    "both": "wrong class and poor box",
    "duplicate": "duplicate",
    "background": "nothing there",
}
WORDS = {  # what the script says
    "none": "no box",
    "interval": "{low} to {high}",
    "photos": "{shown} of {all} photos",
    "enlarge": "Enlarge {name}",
    "labelled": "labelled",
    "crowd": "not counted",
    "ignored": "not counted",
    **KIND_NAMES,
}


@dataclass(frozen=True)
class ClassRow:
    """A class in the table. train: photos and objects to train on. found, correct: shares with their 95 % intervals."""

    name: str
    train: tuple[int, int]
    objects: int
    right: int
    shown: int
    ap: float | None
    ap50: float | None

    @property
    def found(self) -> tuple[float, float]:
        return _interval(self.right, self.objects)

    @property
    def correct(self) -> tuple[float, float]:
        return _interval(self.right, self.shown)


def _interval(part: int, of: int) -> tuple[float, float]:
    low, high = enough.interval(part / of if of else 0.0, of)
    return round(low, 6), round(high, 6)  # an end that is 1, but for the last bit, is


def class_rows(measured: Measured, metrics: Mapping[str, Any]) -> list[ClassRow]:
    """The classes in the order of the label map."""
    train, per_class = data.by_class("train"), metrics.get("per_class", {})
    counts, place = measured.counts, measured.place
    return [
        ClassRow(
            name,
            train.get(name, (0, 0)),
            int(counts.objects[number]),
            int(counts.right(number)[place]),
            int(counts.shown(number)[place]),
            per_class.get(name, {}).get("AP"),
            per_class.get(name, {}).get("AP50"),
        )
        for number, name in enumerate(measured.names.values())
    ]


def now(measured: Measured) -> dict[str, Any]:
    """The numbers of all classes at the threshold."""
    counts, place = measured.counts, measured.place
    right, shown = int(counts.right()[place]), int(counts.shown()[place])
    of_kinds = {name: int(counts.detections[kind].sum(axis=0)[place]) for kind, name in enumerate(NAMES)}
    return {
        "right": right,
        "shown": shown,
        "wrong": shown - right,
        "objects": int(counts.objects.sum()),
        "ever": int(counts.shown()[0]),
        "threshold": measured.threshold,
        "precision": float(counts.precision()[place]),
        "recall": float(counts.recall()[place]),
        "f1": float(counts.f1()[place]),
        "kinds": of_kinds | {MISSED: int(counts.missed.sum(axis=0)[place])},
    }


def sentence(numbers: Mapping[str, Any]) -> str:
    """The headline's message for the numbers of `now`."""
    if not numbers["shown"]:
        return NO_BOX if numbers["ever"] else NOTHING
    return ONE_WRONG if numbers["wrong"] == 1 else WRONG


def matrix(measured: Measured, confusion: Confusion, language: Language) -> dict[str, Any]:
    """The confusion matrix at the threshold, its rows and columns by name."""
    words = {BACKGROUND: language.text("background"), OTHERS: language.text("other classes")}
    names = [words.get(class_id) or measured.names[class_id] for class_id in confusion.order]
    return {"names": names, "rows": confusions.at(confusion, measured.place)}


def for_script(measured: Measured, confusion: Confusion, photos: Sequence[Photo], language: Language) -> dict[str, Any]:
    """What the script needs to show the page at another threshold: arrays are by place in GRID, 0 to 100 hundredths."""
    counts, classes = measured.counts, range(len(measured.names))
    no_box = NO_BOX if counts.shown()[0] else NOTHING
    kinds = {name: counts.detections[kind].sum(axis=0).tolist() for kind, name in enumerate(NAMES) if kind != IGNORED}
    return {
        "place": measured.place,
        "decimal": language.decimal,
        "thousands": language.thousands,
        "words": {name: language.text(message) for name, message in WORDS.items()},
        "sentence": [language.text(message) for message in (WRONG, ONE_WRONG, no_box)],
        "boxes": [*NAMES, MISSED, CROWD],
        "classes": list(measured.names.values()),
        "objects": counts.objects.tolist(),
        "right": [counts.right(number).tolist() for number in classes],
        "shown": [counts.shown(number).tolist() for number in classes],
        "kinds": kinds | {MISSED: counts.missed.sum(axis=0).tolist()},
        "confusion": [[*cell, counts.tolist()] for cell, counts in confusion.cells.items()],
        "photos": [album.rows(photo) for photo in photos],
    }
