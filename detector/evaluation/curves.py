"""Where a detector errs, at one IoU threshold: precision over recall, which class is taken for which, worst images.

The precision-recall curve is COCO's: the mean of `Curve.interpolated` is the class's AP at that threshold. The
confusion matrix matches boxes whatever their class, so that a dog taken for a cat is one error, not two.

Crowds are no objects. A detection that is matched to no object and lies in a crowd does not count: the share of it that
does is at least the IoU threshold, as in COCO. In a curve the crowd is of the same class, in the confusion of any.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detector.data import boxes
from detector.data.tables import Floats, ImageBoxes, Ints
from detector.evaluation.metrics import paired

Bools = npt.NDArray[np.bool_]

BACKGROUND = 0  # no class has this id in a label map
UNMATCHED, IN_CROWD = -1, -2  # in the place of an object's index
F1_IOU = 0.5  # from which on a box is right
MAX_DETECTIONS = 100  # of a class in an image, as in COCO's AP
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Curve:
    """Precision and recall of one class.

    recall, precision, scores: (D,) after each of the class's detections, the highest score first.
    interpolated: (101,) the greatest precision at a recall of at least `RECALLS[k]`; 0 where that is never reached.
    thresholds: (101,) the score at which `RECALLS[k]` is first reached; 0 where it never is.
    """

    recall: Floats
    precision: Floats
    scores: Floats
    interpolated: Floats
    thresholds: Floats


@dataclass(frozen=True)
class ImageErrors:
    """What is wrong in one image.

    pairs: (actual, predicted) class ids, `BACKGROUND` for a false detection's actual or a missed object's predicted
    class; one for every object and every unmatched detection. worst_iou: the least IoU of an object with its
    detection, 0 if one is missed, 1 without objects. worst_score: the least score of a matched detection, or 1.
    """

    filename: str
    pairs: tuple[tuple[int, int], ...]
    worst_iou: float
    worst_score: float

    @property
    def missed(self) -> int:
        """Objects that no detection was matched to."""
        return sum(predicted == BACKGROUND for _, predicted in self.pairs)

    @property
    def false(self) -> int:
        """Detections that no object was matched to."""
        return sum(actual == BACKGROUND for actual, _ in self.pairs)

    @property
    def wrong_class(self) -> int:
        """Objects that were found and taken for another class."""
        return sum(BACKGROUND not in (one, other) and one != other for one, other in self.pairs)

    @property
    def badness(self) -> tuple[int, float, float, str]:
        """The sort key that puts the worst image first: most errors, then least IoU, least score, file name."""
        return -(self.missed + self.false + self.wrong_class), self.worst_iou, self.worst_score, self.filename


@dataclass(frozen=True)
class Hits:
    """The detections of one class. scores, hits: (D,) and whether each is right. total: how many objects there are."""

    scores: Floats
    hits: Bools
    total: int


def precision_recall(
    groundtruth: Sequence[ImageBoxes], detections: Sequence[ImageBoxes], class_id: int, iou_threshold: float
) -> Curve | None:
    """The curve of one class over all images, which are matched by file name; None without groundtruth of the class."""
    found = hits(groundtruth, detections, class_id, iou_threshold)
    return _curve(found.scores, found.hits, found.total) if found.total else None


def hits(
    groundtruth: Sequence[ImageBoxes], detections: Sequence[ImageBoxes], class_id: int, iou_threshold: float
) -> Hits:
    """Which detections of one class are right, over all images, which are matched by file name."""
    total, scores, right = 0, [np.zeros(0)], [np.zeros(0, dtype=bool)]
    for truth, detected in paired(groundtruth, detections):
        labelled = truth.subset(truth.classes == class_id)
        ranked = detected.subset(detected.classes == class_id).best_first().subset(slice(MAX_DETECTIONS))
        total += len(labelled.objects.boxes)
        match, _ = _match(labelled, ranked.boxes, iou_threshold)
        scores.append(ranked.scores[match != IN_CROWD])
        right.append(match[match != IN_CROWD] >= 0)
    return Hits(np.concatenate(scores), np.concatenate(right), total)


def best_threshold(groundtruth: Sequence[ImageBoxes], detections: Sequence[ImageBoxes]) -> float | None:
    """The score with the greatest F1 over all classes together, to two digits; None where no detection is right.

    F1 is 2 TP / (detections + objects), at an IoU of `F1_IOU`. It is the same for every score between the last
    detection that is kept and the first that is not: the middle of the two is taken, as other photos have other scores.
    Of two cuts that are as good, the higher one. Images are matched by file name.
    """
    class_ids = {class_id for image in (*groundtruth, *detections) for class_id in image.classes.tolist()}
    found = [hits(groundtruth, detections, class_id, F1_IOU) for class_id in sorted(class_ids)]
    scores = np.concatenate([np.zeros(0), *(one.scores for one in found)])
    right = np.concatenate([np.zeros(0, dtype=bool), *(one.hits for one in found)])
    order = np.argsort(-scores, kind="stable")
    true, objects = np.cumsum(right[order]), sum(one.total for one in found)
    if not len(true) or not true[-1]:
        return None
    f1 = 2 * true / (np.arange(1, len(true) + 1) + objects)
    scores = np.append(scores[order], 0.0)
    f1[scores[:-1] == scores[1:]] = 0  # equal scores cannot be parted
    last = int(np.argmax(f1))
    return round(float(scores[last] + scores[last + 1]) / 2, 2)


def _curve(scores: Floats, hits: Bools, total: int) -> Curve:
    order = np.argsort(-scores, kind="stable")
    scores, true = scores[order], np.cumsum(hits[order])  # the count of true detections
    recall, precision = true / total, true / np.arange(1, len(true) + 1)
    at = np.searchsorted(recall, RECALLS, side="left")  # the first detection that reaches each recall
    falling = np.maximum.accumulate(precision[::-1])[::-1]  # the greatest precision from each detection on
    return Curve(recall, precision, scores, np.append(falling, 0.0)[at], np.append(scores, 0.0)[at])


def image_errors(
    groundtruth: Sequence[ImageBoxes],
    detections: Sequence[ImageBoxes],
    *,
    score_threshold: float,
    iou_threshold: float,
) -> list[ImageErrors]:
    """The errors of every image, the worst image first (`ImageErrors.badness`).

    Detections of at least `score_threshold`, the highest score first, each take the free object of greatest IoU, of
    whatever class, if that IoU is at least `iou_threshold`.
    """
    pairs = paired(groundtruth, detections)
    result = [_image_errors(truth, detected.above(score_threshold), iou_threshold) for truth, detected in pairs]
    return sorted(result, key=lambda errors: errors.badness)


def _image_errors(truth: ImageBoxes, detected: ImageBoxes, iou_threshold: float) -> ImageErrors:
    ranked = detected.best_first()
    match, ious = _match(truth, ranked.boxes, iou_threshold)
    actual = truth.objects.classes
    predicted = np.full(len(actual), BACKGROUND)
    predicted[match[match >= 0]] = ranked.classes[match >= 0]
    false = [(BACKGROUND, class_id) for class_id in ranked.classes[match == UNMATCHED].tolist()]
    missed = len(actual) > np.count_nonzero(match >= 0)
    return ImageErrors(
        filename=truth.filename,
        pairs=(*zip(actual.tolist(), predicted.tolist(), strict=True), *false),
        worst_iou=0.0 if missed else float(ious[match >= 0].min(initial=1)),
        worst_score=float(ranked.scores[match >= 0].min(initial=1)),
    )


def confusion_matrix(errors: Iterable[ImageErrors], class_ids: Sequence[int]) -> Ints:
    """(C + 1, C + 1) counts: rows are actual, columns predicted classes in the order of `class_ids`, then background.

    The sum is that of the objects and of the detections that were matched to none.
    """
    place: Mapping[int, int] = {class_id: k for k, class_id in enumerate((*class_ids, BACKGROUND))}
    matrix = np.zeros((len(place), len(place)), dtype=np.int64)
    for image in errors:
        for actual, predicted in image.pairs:
            matrix[place[actual], place[predicted]] += 1
    return matrix


def _match(truth: ImageBoxes, detected: Floats, iou_threshold: float) -> tuple[Ints, Floats]:
    """(D,) for each detection, the best first: the index of its object, UNMATCHED or IN_CROWD; its IoU with it (or 0).

    Each takes the free object of greatest IoU; of equal ones the last, as COCO does.
    """
    free = boxes.iou(detected, truth.objects.boxes)  # (D, N)
    in_crowd = boxes.ioa(detected, truth.boxes[truth.is_crowd]).max(axis=1, initial=0) >= iou_threshold
    match, ious = np.where(in_crowd, IN_CROWD, UNMATCHED), np.zeros(len(detected))
    for k, row in enumerate(free):
        best = len(row) - 1 - int(np.argmax(row[::-1])) if len(row) else -1
        if best >= 0 and row[best] >= iou_threshold:
            match[k], ious[k] = best, row[best]
            free[:, best] = -1
    return match, ious
