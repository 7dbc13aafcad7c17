"""Which kind of error each detection is, and which objects are missed: TIDE's definitions, at one IoU threshold.

right       matched to an object of its class, as COCO does it: the highest score first, each takes the free object that
            it overlaps most, if that is by the threshold
box         poor box: it overlaps an object of its class, by less than the threshold and by `LEAST_IOU` or more
class       wrong class: it overlaps an object of another class by the threshold
duplicate   it overlaps an object of its class by the threshold, and a higher score has taken that
background  it overlaps no object by more than `LEAST_IOU`
both        what is left: wrong class and poor box
missed      an object that is not found, and that no `box` or `class` error is about

The first that fits counts, in this order. A detection that is not right and lies in a crowd of its class is `ignored`.
None of this depends on the score threshold, since a lower score never changes what a higher one takes: a higher
threshold only shows fewer of the same detections. An object is found from the score of its detection down.

tidecv 1.0.1, its authors' program, counts the same on two test splits at seven score thresholds each.

Source: Bolya, Foley, Hays and Hoffman 2020, "TIDE: A General Toolbox for Identifying Object Detection Errors".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.data import boxes
from detector.data.tables import Bools, Floats, ImageBoxes, Ints
from detector.evaluation.metrics import paired

RIGHT, CLASS, BOX, BOTH, DUPLICATE, BACKGROUND, IGNORED = range(7)  # kinds of detections
NAMES = ("right", "class", "box", "both", "duplicate", "background", "ignored")
ERRORS = (CLASS, BOX, BOTH, DUPLICATE, BACKGROUND)
MISSED = "missed"
LEAST_IOU = 0.1  # TIDE's background threshold
NONE = -1  # in the place of an object's number
NEVER = -1.0  # in the place of a score


@dataclass(frozen=True)
class ImageKinds:
    """What is right and wrong in one image.

    truth: its objects (N), then its crowds. detected: its detections (D), the highest score first.
    kinds: (D,) of each detection. about: (D,) the number of the object that is found, or that the error is about (box,
    class), or NONE. whose: (D,) the object that it takes whatever its class, as in the confusion matrix, or NONE.
    crowded: (D,) whether it lies in a crowd, of whatever class.
    found: (N,) the score of each object's detection, or NEVER. covered: (N,) the greatest score of an error about it.
    """

    truth: ImageBoxes
    detected: ImageBoxes
    kinds: Ints
    about: Ints
    whose: Ints
    crowded: Bools
    found: Floats
    covered: Floats


def of_images(
    groundtruth: Sequence[ImageBoxes], detections: Sequence[ImageBoxes], iou_threshold: float
) -> list[ImageKinds]:
    """The kinds of every image, sorted by file name.

    Raises:
        ValueError: an image is twice, or in one of the two only.
    """
    return [of_image(truth, detected, iou_threshold) for truth, detected in paired(groundtruth, detections)]


def of_image(truth: ImageBoxes, detected: ImageBoxes, iou_threshold: float) -> ImageKinds:
    """The kinds of one image."""
    truth = truth.subset(np.argsort(truth.is_crowd, kind="stable"))
    ranked, objects = detected.best_first(), truth.objects
    iou = boxes.iou(ranked.boxes, objects.boxes)  # (D, N)
    same = ranked.classes[:, np.newaxis] == objects.classes
    match, whose = _taken(iou * same, iou_threshold), _taken(iou, iou_threshold)
    crowds = truth.subset(truth.is_crowd)
    inside = boxes.ioa(ranked.boxes, crowds.boxes) >= iou_threshold  # (D, crowds), as in COCO
    crowded: Bools = np.asarray(inside.any(axis=1))
    own, others = (_greatest(iou * of) for of in (same, ~same))
    conditions = (
        (RIGHT, match != NONE),
        (IGNORED, (inside & (ranked.classes[:, np.newaxis] == crowds.classes)).any(axis=1)),
        (BOX, (own[1] >= LEAST_IOU) & (own[1] < iou_threshold)),
        (CLASS, others[1] >= iou_threshold),
        (DUPLICATE, own[1] >= iou_threshold),
        (BACKGROUND, np.maximum(own[1], others[1]) <= LEAST_IOU),
    )
    kinds = np.select([holds for _, holds in conditions], [kind for kind, _ in conditions], BOTH)
    about = np.select([kinds == RIGHT, kinds == BOX, kinds == CLASS], [match, own[0], others[0]], NONE)
    found, covered = (np.full(len(objects.boxes), NEVER) for _ in range(2))
    for scores, chosen in ((found, kinds == RIGHT), (covered, (kinds == BOX) | (kinds == CLASS))):
        np.maximum.at(scores, about[chosen], ranked.scores[chosen])
    return ImageKinds(truth, ranked, kinds, about, whose, crowded, found, covered)


def _taken(iou: Floats, iou_threshold: float) -> Ints:
    """(D, N) -> (D,) the object that each detection takes, the best first; of equal ones the last, as COCO does."""
    free = iou.copy()
    taken = np.full(len(free), NONE)
    for k, row in enumerate(free):
        best = len(row) - 1 - int(np.argmax(row[::-1])) if len(row) else NONE
        if best != NONE and row[best] >= iou_threshold:
            taken[k] = best
            free[:, best] = -1
    return taken


def _greatest(iou: Floats) -> tuple[Ints, Floats]:
    """(D, N) -> (D,) which object each detection overlaps most, and by how much: 0 without any."""
    if not iou.shape[1]:
        return np.full(len(iou), NONE), np.zeros(len(iou))
    return iou.argmax(axis=1), iou.max(axis=1)
