"""How much is right and wrong at every score threshold, in hundredths: what the slider of the report shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detector.data.tables import Floats, Ints
from tools.reporting import kinds
from tools.reporting.kinds import IGNORED, RIGHT, ImageKinds

GRID = np.arange(101) / 100  # the thresholds
BINS = 10  # of the calibration


@dataclass(frozen=True)
class Counts:
    """Counts of C classes at the K thresholds of `GRID`.

    detections: (kinds, C, K) those with the threshold's score or more, by their own class. missed: (C, K) objects.
    objects: (C,).
    """

    detections: Ints
    missed: Ints
    objects: Ints

    def right(self, number: int | None = None) -> Ints:
        """(K,) of one class, or of all."""
        return _of(self.detections[RIGHT], number)

    def shown(self, number: int | None = None) -> Ints:
        """(K,) all detections that count."""
        return _of(self.detections[:IGNORED].sum(axis=0), number)

    def precision(self, number: int | None = None) -> Floats:
        """(K,) the share of the detections that are right; NaN without any."""
        return _share(self.right(number), self.shown(number))

    def recall(self, number: int | None = None) -> Floats:
        """(K,) the share of the objects that are found; NaN without any."""
        return _share(self.right(number), self._objects(number))

    def f1(self, number: int | None = None) -> Floats:
        """(K,) 2 TP / (detections + objects)."""
        return _share(2 * self.right(number), self.shown(number) + self._objects(number))

    def _objects(self, number: int | None) -> Ints:
        return np.broadcast_to(_of(self.objects[:, np.newaxis], number), GRID.shape)


def hundredths(scores: npt.ArrayLike) -> Ints:
    """The last place in `GRID` at which a detection of this score is shown; NONE for what never is.

    Not `100 * score`: in floats 0.29 times 100 is less than 29.
    """
    return np.searchsorted(GRID, np.asarray(scores), side="right") - 1


def count(images: Sequence[ImageKinds], class_ids: Sequence[int]) -> Counts:
    """The counts of all images; classes in the order of `class_ids`."""
    places = {class_id: number for number, class_id in enumerate(class_ids)}
    detections = np.zeros((len(kinds.NAMES), len(class_ids), len(GRID)), dtype=np.int64)
    gone = np.zeros((len(class_ids), len(GRID) + 1), dtype=np.int64)  # objects by the last place where they are known
    for image in images:
        of = _numbers(image.detected.classes, places)
        np.add.at(detections, (image.kinds, of, hundredths(image.detected.scores)), 1)
        last = hundredths(np.maximum(image.found, image.covered))
        np.add.at(gone, (_numbers(image.truth.objects.classes, places), last + 1), 1)
    at_least = np.flip(np.cumsum(np.flip(detections, axis=2), axis=2), axis=2)
    return Counts(at_least, np.cumsum(gone, axis=1)[:, :-1], gone.sum(axis=1))


def calibration(images: Sequence[ImageKinds]) -> list[tuple[float, float, int]]:
    """(mean score, share that is right, how many) of the detections of each tenth of the scores that has some."""
    scores = np.concatenate([np.zeros(0), *(image.detected.scores[image.kinds != IGNORED] for image in images)])
    right = np.concatenate([np.zeros(0), *(image.kinds[image.kinds != IGNORED] == RIGHT for image in images)])
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    chosen = ((number, bins == number) for number in range(BINS))
    return [(float(scores[of].mean()), float(right[of].mean()), int(of.sum())) for _, of in chosen if of.any()]


def _of(counts: Ints, number: int | None) -> Ints:
    """(C, K) counts -> (K,) those of one class, or of all."""
    return np.asarray(counts.sum(axis=0) if number is None else counts[number])


def _share(part: Ints, whole: Ints) -> Floats:
    shares: Floats = np.divide(part, whole, out=np.full(len(GRID), np.nan), where=whole > 0)
    return shares


def _numbers(classes: Ints, places: Mapping[int, int]) -> Ints:
    return np.array([places[class_id] for class_id in classes.tolist()], dtype=np.int64)
