"""Which labels may be wrong: where a detector that is sure says something else.

Each label and each detection is as suspicious as it surprises the other side, in nats, as in the training's loss: a
label by -log(p) of the likeliest detection of its class at its place, a detection without a label by -log(1 - p). The
place counts by the overlap (IoU): fully from GOOD on, not at all up to BAD. So the losses of all kinds are on one
scale, and one list has them all; what disagrees about one object is one entry of it, with the sum.

kinds      missing       a detection, and no label at its place
           class         a label, and a detection of another class at its place
           place         a label, and a detection of its class that overlaps it too little
           spurious      a label, and no detection at its place

ObjectLab (Tkachenko, Thyagarajan and Mueller, 2023) has the same kinds, with a score of its own for each; it calls them
overlooked, swapped and badly located. The idea that a label with a great loss is often wrong is older: Small-Loss,
O2U-Net.
"""

from dataclasses import dataclass

import numpy as np

from detector.data import boxes
from detector.data.tables import Floats, ImageBoxes

MISSING, CLASS, PLACE, SPURIOUS = "missing", "class", "place", "spurious"
KINDS = (MISSING, CLASS, PLACE, SPURIOUS)
BAD, GOOD = 0.3, 0.7  # IoU: of two boxes that are not about one object; of two that are, as people draw them
TOUCHES = 0.1  # IoU from which on a detection is about a label, if nothing fits better
LEAST = 1e-3  # a probability: no single box weighs more than -log of it, 6.9


@dataclass(frozen=True)
class Suspicion:
    """One object that label and detector do not agree about.

    nats: how suspicious. label, detection: numbers of the boxes, or None. iou: of the two; 0 without one of them.
    """

    nats: float
    kind: str
    label: int | None
    detection: int | None
    iou: float


def find(labelled: ImageBoxes, detected: ImageBoxes) -> list[Suspicion]:
    """The suspicions of one photo, the greatest first. `detected`: all boxes, also those of low scores.

    A crowd is no label that must be found, and what is detected in it needs no label.
    """
    truth = labelled.objects
    numbers = np.flatnonzero(~labelled.is_crowd)
    in_crowd = boxes.ioa(detected.boxes, labelled.boxes[labelled.is_crowd]).max(axis=1, initial=0) >= GOOD
    found = detected.subset(~in_crowd)
    found_numbers = np.flatnonzero(~in_crowd)
    iou = boxes.iou(truth.boxes, found.boxes)  # (N, D)
    same = truth.classes[:, None] == found.classes[None]
    place = ((iou - BAD) / (GOOD - BAD)).clip(0, 1)
    agreed = (place * same * found.scores).max(axis=1, initial=0)  # (N,) how sure the detector is of each label
    of_labels = -np.log(agreed.clip(LEAST, 1))
    denied = found.scores * (1 - (place * same).max(axis=0, initial=0))
    denied *= 1 - (place * agreed[:, None]).max(axis=0, initial=0)  # a second box on an object that has its own
    of_detections = -np.log((1 - denied).clip(LEAST, 1))
    result = []
    free = np.ones(len(found.boxes), dtype=bool)
    for label in np.argsort(-of_labels, kind="stable").tolist():
        rival = _rival(iou[label], of_detections * free)
        if rival is None:
            suspicion = Suspicion(float(of_labels[label]), SPURIOUS, int(numbers[label]), None, 0.0)
        else:
            free[rival] = False
            kind = PLACE if same[label, rival] else CLASS
            nats, overlap = float(of_labels[label] + of_detections[rival]), float(iou[label, rival])
            suspicion = Suspicion(nats, kind, int(numbers[label]), int(found_numbers[rival]), overlap)
        result.append(suspicion)
    result += [
        Suspicion(float(of_detections[number]), MISSING, None, int(found_numbers[number]), 0.0)
        for number in np.flatnonzero(free).tolist()
    ]
    return sorted(result, key=lambda one: -one.nats)


def _rival(iou: Floats, nats: Floats) -> int | None:
    """The detection that says something else of a label: of those that touch it, the one that is surest of it."""
    weights = nats * (iou >= TOUCHES) * iou
    return int(np.argmax(weights)) if len(weights) and weights.max() > 0 else None
