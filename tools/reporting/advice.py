"""What would help most: findings by evidence, each with the command that helps, the greatest gain first.

A gain is a rough estimate of the share of the test objects that would come right, so that findings of all kinds can be
ranked; it is not shown. Where none is worth a word, the advice is more photos.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from detector.base import paths
from tools.checks.enough import ADVISED_PHOTOS, FEWEST_PHOTOS

MOST = 3  # findings
LEAST_GAIN = 0.02
FEWEST_OBJECTS = 20  # in the test images, for the errors to mean something
LAGS = 0.05  # AP50 below the mean of the other classes: worth a word
ENOUGH_SMALL = 10  # objects, for their share to mean something
SURE = 0.8  # the score from which on an error may be the label's
LARGEST_MODEL = "ssd_mobilenet_v2_fpnlite_640x640"
AGNOSTIC_NMS = 0.6  # docs/measurements.md
LEARNED = 0.1  # AP50 below it: next to nothing, so its errors say nothing
FEWEST_STEPS = 300
BUILT_IN = paths.SAMPLE.name


@dataclass(frozen=True)
class Finding:
    """title, why: messages with {places} for `values`. command: what to run. gain: see above."""

    slug: str
    gain: float
    title: str
    why: str
    command: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ClassEvidence:
    """Of one class. photos: that show it, to train on. ap50: None where it was not measured."""

    name: str
    photos: int
    ap50: float | None


@dataclass(frozen=True)
class Evidence:
    """What is known of a run.

    dataset: its name; model: `train.model`. validation: (step, AP) of each look. ended: whether the training did all of
    its `steps`. best_step: the step of the best look, None without one. minutes: of twice the steps here; 0: unknown.
    f1: at the threshold that is used; best: (threshold, F1, found, shown) where that is greatest. objects: in the test
    images; found, wrong: at the threshold. small: (found, all) of those that are small to the network; others: of the
    others. sure: errors of a score from SURE. twice: boxes of another class on an object that is found. agnostic_nms:
    of params.yaml. ap50: of all classes.
    """

    dataset: str
    model: str
    classes: Sequence[ClassEvidence] = ()
    validation: Sequence[tuple[float, float]] = ()
    steps: int = 0
    best_step: int | None = None
    ended: bool = True
    minutes: int = 0
    threshold: float = 0.5
    f1: float = 0.0
    best: tuple[float, float, int, int] | None = None
    objects: int = 0
    found: int = 0
    wrong: int = 0
    small: tuple[int, int] = (0, 0)
    others: tuple[int, int] = (0, 0)
    sure: int = 0
    twice: int = 0
    agnostic_nms: float = 1.0
    ap50: float | None = None


def typed(command: str) -> str:
    """A command as it also works in a new terminal: dvc is in .venv alone."""
    return f"source .venv/bin/activate; {command}" if command.startswith("dvc ") else command


def findings(evidence: Evidence) -> list[Finding]:
    """At most `MOST`, the greatest gain first; at least one."""
    if evidence.ap50 is not None and evidence.ap50 < LEARNED:
        return unlearned(evidence)
    errors = (threshold, check_labels, larger_input, one_box) if evidence.objects >= FEWEST_OBJECTS else ()
    rules = (longer, photos, *errors)
    found = [one for rule in rules for one in rule(evidence) if one.gain >= LEAST_GAIN]
    return sorted(found, key=lambda one: -one.gain)[:MOST] or [nothing(evidence)]


def unlearned(run: Evidence) -> list[Finding]:
    """Where next to nothing is found: more steps, and a look at what it learns from."""
    why = "AP50 is {ap50:.3f}: it has hardly learned anything yet"
    command = f"make train STEPS={max(FEWEST_STEPS, 2 * run.steps)}"
    return [
        Finding("unlearned", 1.0, "train longer", why, command, {"ap50": run.ap50}),
        Finding("boxes", 0.5, "look at the boxes that it learns from", "many may be wrong or missing", "make inspect"),
    ]


def longer(run: Evidence) -> Iterator[Finding]:
    """More steps, where the last look at the validation images was the best and AP rose until then.

    Without a look in the first half, nobody knows how much.
    """
    half = run.steps / 2
    if not (run.validation and run.ended and run.steps) or run.best_step != run.steps or run.validation[0][0] > half:
        return
    rise = run.validation[-1][1] - _ap_at(run.validation, half)
    why = "validation AP rose by {rise:.3f} in the second half"
    values = {"rise": rise, "minutes": run.minutes}
    title = "train longer, {minutes} minutes here" if run.minutes else "train longer"
    yield Finding("longer", rise / 2, title, why, f"make train STEPS={2 * run.steps}", values)


def _ap_at(validation: Sequence[tuple[float, float]], step: float) -> float:
    """The AP on the straight line between the looks before and after a step; the last one's where none is after it."""
    around = ((one, other) for one, other in itertools.pairwise(validation) if one[0] <= step < other[0])
    (x, low), (end, high) = next(around, (validation[-1], (math.inf, validation[-1][1])))
    return low + (high - low) * (step - x) / (end - x)


def photos(run: Evidence) -> Iterator[Finding]:
    """More photos of the class that lags most, or has too few."""
    known = [(one, one.ap50) for one in run.classes if one.ap50 is not None]
    lag = {
        one.name: sum(ap for other, ap in known if other is not one) / (len(known) - 1) - ap50
        for one, ap50 in known
        if len(known) > 1
    }
    behind = max(known, key=lambda pair: lag.get(pair[0].name, 0.0), default=None)
    fewest = min(run.classes, key=lambda one: one.photos, default=None)
    if behind and (least := lag.get(behind[0].name, 0.0)) >= LAGS:
        one, ap50 = behind
        why = "its AP50 is {ap50:.3f}, {lag:.3f} below the mean of the other classes; "
        why += "training photos that show it: {photos}"
        values = {"name": one.name, "ap50": ap50, "lag": least, "photos": one.photos}
        yield Finding("photos", least / len(known), "more photos of {name}", why, adding(run.dataset), values)
    elif fewest and fewest.photos < ADVISED_PHOTOS:
        why = "training photos that show it: {photos}; with {advised} or more AP is higher"
        values = {"name": fewest.name, "photos": fewest.photos, "advised": ADVISED_PHOTOS}
        gain = 0.15 if fewest.photos < FEWEST_PHOTOS else 0.05
        yield Finding("photos", gain, "more photos of {name}", why, adding(run.dataset), values)


def threshold(run: Evidence) -> Iterator[Finding]:
    """Another score threshold, where more would be right at it."""
    if run.best is None:
        return
    at, f1, found, shown = run.best
    title = "a lower threshold" if at < run.threshold else "a higher threshold"
    why = "at {at:.2f} it finds {found} of {objects} objects, and {wrong} of {shown} boxes are wrong; "
    why += "at {now:.2f} it finds {before}, and {errors} are wrong"
    values = {"at": at, "found": found, "objects": run.objects, "wrong": shown - found, "shown": shown}
    values |= {"now": run.threshold, "before": run.found, "errors": run.wrong}
    yield Finding("threshold", f1 - run.f1, title, why, f"make predict IMAGES=folder THRESHOLD={at:g}", values)


def check_labels(run: Evidence) -> Iterator[Finding]:
    """Labels to look at, where the detector is sure of what is counted as an error."""
    if run.sure:
        why = "errors with a score of {least:.1f} or more: {sure}; some may be right, and a label wrong"
        values = {"sure": run.sure, "least": SURE}
        yield Finding("labels", run.sure / run.objects / 2, "look at the labels", why, "make label-errors", values)


def larger_input(run: Evidence) -> Iterator[Finding]:
    """A larger input, where small objects are missed more than others."""
    (found, small), (others_found, others) = run.small, run.others
    if small < ENOUGH_SMALL or not others:
        return
    gain = (others_found / others - found / small) * small / run.objects
    why = "it finds {found} of {small} objects that are small to the network, and {others_found} of {others} others"
    values = {"found": found, "small": small, "others_found": others_found, "others": others}
    if run.model == LARGEST_MODEL:
        yield Finding("small", gain, "go closer, or cut large photos into parts", why, adding(run.dataset), values)
    else:
        command = f"dvc exp run -S train.model={LARGEST_MODEL} evaluate parity predict"
        yield Finding("small", gain, "a larger input for small objects", why, command, values)


def one_box(run: Evidence) -> Iterator[Finding]:
    """One box an object, where some have a second one of another class."""
    if run.twice and run.agnostic_nms > AGNOSTIC_NMS:
        why = "boxes of another class on an object that is found: {twice}; the best alone would be shown"
        command = f"dvc exp run -S predict.agnostic_nms={AGNOSTIC_NMS:g} predict"
        yield Finding("one-box", run.twice / run.objects, "one box for each object", why, command, {"twice": run.twice})


def nothing(run: Evidence) -> Finding:
    """Where no weakness stands out."""
    why = "no weakness stands out: photos as varied as those that it will see help most"
    return Finding("photos", 0.0, "more photos", why, adding(run.dataset))


def adding(dataset: str) -> str:
    """The command that adds photos to a dataset, by its name; the built-in ones are drawn, so it makes another."""
    if dataset in ("", BUILT_IN):
        return "make dataset SRC=folder NAME=pets"
    return f"make dataset SRC=folder NAME={dataset} ADD=1"
