"""Which photos to label first: those that the detector is least sure of, and that do not look like each other.

Uncertainty of a photo: the sum over its boxes of (1 - margin)^2, as Brust, Kaeding and Denzler sum it (Active Learning
for Deep Object Detection, 2019). Their margin is between the two likeliest classes. Here each score says yes or no to
one class, so it is the distance of the score to the threshold from which boxes are shown, on a scale on which no and
yes are 1 away from it: a box at the threshold counts 1, one that is surely there or surely not counts 0.

Diversity: the k-center greedy choice of Sener and Savarese (Active Learning for CNNs: A Core-Set Approach, 2018), each
distance times the uncertainty: next comes the photo with the greatest product of its uncertainty and its distance to
the nearest that was chosen. The distance is the share of bits in which the perceptual hashes of two photos differ:
about a half for any two, nearly 0 for the next frame of a burst.
"""

from collections.abc import Sequence

import numpy as np

from detector.data.tables import Floats, ImageBoxes, Ints

HASH_BYTES = 8  # of the picture as it is; `perceptual.hashes` has more behind them


def doubts(scores: Floats, threshold: float) -> Floats:
    """(N,) how unsure each box is, 0 to 1: 1 at the threshold, 0 for the scores 0 and 1."""
    below = scores / max(threshold, 1e-6)
    above = (1 - scores) / max(1 - threshold, 1e-6)
    return np.asarray(np.minimum(below, above).clip(0, 1) ** 2)


def uncertainty(found: ImageBoxes, threshold: float) -> float:
    """How much the detector does not know about a photo; `found`: all its boxes, those below the threshold too."""
    return float(doubts(found.scores, threshold).sum())


def least_sure_first(uncertainties: Sequence[float], hashes: Sequence[bytes]) -> list[int]:
    """The photos' numbers in the order in which to label them; equal ones keep their order.

    Args:
        hashes: the perceptual hash of each, of HASH_BYTES.
    """
    weights = np.array(uncertainties, dtype=np.float64)
    table = np.frombuffer(b"".join(hashes), np.uint64)
    nearest = np.ones(len(weights))
    left = np.arange(len(weights))
    order: list[int] = []
    while len(left):
        place = _best(weights[left] * nearest[left], weights[left])
        chosen = left[place]
        order.append(int(chosen))
        left = np.delete(left, place)
        distances = np.bitwise_count(table[left] ^ table[chosen]) / (8 * HASH_BYTES)
        nearest[left] = np.minimum(nearest[left], distances)
    return order


def _best(values: Floats, then: Floats) -> int:
    """The place of the greatest value; of equal ones the one with the greatest of the other values."""
    best: Ints = np.flatnonzero(values == values.max())
    return int(best[np.argmax(then[best])])
