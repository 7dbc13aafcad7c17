"""What AP at the threshold of a right box would gain, were all errors of one kind put right: TIDE's ΔAP.

class, box       the best detection that such an error about an object not found is of becomes right; the others vanish
the other kinds  the detections vanish
missed           the objects vanish

The gains do not add up: where one error is gone, another may weigh more. tidecv 1.0.1 has the same numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from detector.data.tables import Bools, Floats, Ints
from detector.evaluation.curves import RECALLS
from tools.reporting.kinds import BOX, CLASS, ERRORS, IGNORED, MISSED, NAMES, NEVER, RIGHT, ImageKinds


@dataclass(frozen=True)
class _Detections:
    """All detections that count (D); fixed: the class that makes an error right, or 0."""

    classes: Ints
    scores: Floats
    kinds: Ints
    right: Bools
    fixed: Ints

    def without(self, gone: Bools) -> "_Detections":
        return _Detections(*(getattr(self, name)[~gone] for name in self.__dataclass_fields__))


def gains(images: Sequence[ImageKinds], class_ids: Sequence[int]) -> dict[str, float]:
    """Kind -> how much AP, the mean over the classes that have objects, would gain."""
    if not images:
        return dict.fromkeys((*(NAMES[kind] for kind in ERRORS), MISSED), 0.0)
    found = _detections(images)
    objects = dict.fromkeys(class_ids, 0)
    missed = dict(objects)
    for image in images:
        unknown = np.maximum(image.found, image.covered) == NEVER
        for class_id, is_missed in zip(image.truth.objects.classes.tolist(), unknown.tolist(), strict=True):
            objects[class_id] += 1
            missed[class_id] += is_missed
    before = _mean_ap(found, objects)
    fixed = {NAMES[kind]: _mean_ap(_fixed(found, kind), objects) for kind in ERRORS}
    fixed[MISSED] = _mean_ap(found, {class_id: number - missed[class_id] for class_id, number in objects.items()})
    return {name: max(0.0, ap - before) for name, ap in fixed.items()}


def _detections(images: Sequence[ImageKinds]) -> _Detections:
    parts = []
    for image in images:
        counts = image.kinds != IGNORED
        columns = (image.detected.classes, image.detected.scores, image.kinds, image.kinds == RIGHT, _fixes(image))
        parts.append([column[counts] for column in columns])
    return _Detections(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _fixes(image: ImageKinds) -> Ints:
    """(D,) for the best error about each object that is not found, the object's class; else 0."""
    fixed, seen = np.zeros(len(image.kinds), dtype=np.int64), set(np.flatnonzero(image.found != NEVER).tolist())
    for number in np.flatnonzero((image.kinds == CLASS) | (image.kinds == BOX)).tolist():
        about = int(image.about[number])
        if about not in seen:
            fixed[number] = image.truth.objects.classes[about]
            seen.add(about)
    return fixed


def _fixed(found: _Detections, kind: int) -> _Detections:
    of_kind = found.kinds == kind
    put_right = of_kind & (found.fixed > 0)
    classes = np.where(put_right, found.fixed, found.classes)
    return replace(found, classes=classes, right=found.right | put_right).without(of_kind & ~put_right)


def _mean_ap(found: _Detections, objects: Mapping[int, int]) -> float:
    aps = [
        _ap(found.scores[found.classes == class_id], found.right[found.classes == class_id], number)
        for class_id, number in objects.items()
        if number
    ]
    return float(np.mean(aps)) if aps else 0.0


def _ap(scores: Floats, right: Bools, objects: int) -> float:
    """COCO's mean of the interpolated precision at 101 recalls."""
    true = np.cumsum(right[np.argsort(-scores, kind="stable")])
    falling = np.maximum.accumulate((true / np.arange(1, len(true) + 1))[::-1])[::-1]
    return float(np.append(falling, 0.0)[np.searchsorted(true / objects, RECALLS)].mean())
