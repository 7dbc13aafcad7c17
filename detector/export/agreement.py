"""How far two detectors agree on the same images: one is the reference, the other the same model in another format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detector.data import boxes
from detector.data.tables import Floats, ImageBoxes
from detector.evaluation.metrics import paired

SAME_IOU = 0.5  # from which on two boxes of a class are the same detection


@dataclass(frozen=True)
class Agreement:
    """Of the detections with a score of at least `threshold`, in all images.

    kept: how many both have. lost: those of the reference alone. added: those of the other alone. box: (kept,) the
    greatest difference of a corner's coordinate, in pixels; score: (kept,) the difference of the scores, absolute.
    by_image: {file name: lost and added ones}, for images with any, the most first.
    """

    lost: int
    added: int
    box: Floats
    score: Floats
    by_image: Mapping[str, int]

    @property
    def kept(self) -> int:
        """How many detections both have."""
        return len(self.box)


def agreement(reference: Sequence[ImageBoxes], other: Sequence[ImageBoxes], threshold: float) -> Agreement:
    """Compare the detections; the same images in both, matched by file name.

    Raises:
        ValueError: an image is twice, or in one of the two only.
    """
    lost, added, by_image = 0, 0, {}
    box, score = [np.zeros(0)], [np.zeros(0)]
    for first, second in paired(reference, other):
        first, second = first.above(threshold), second.above(threshold)
        pairs = _same(first, second)
        box.append(np.abs(first.boxes[pairs[:, 0]] - second.boxes[pairs[:, 1]]).max(axis=1, initial=0))
        score.append(np.abs(first.scores[pairs[:, 0]] - second.scores[pairs[:, 1]]))
        missing, new = len(first.boxes) - len(pairs), len(second.boxes) - len(pairs)
        lost, added = lost + missing, added + new
        if missing + new:
            by_image[first.filename] = missing + new
    worst = dict(sorted(by_image.items(), key=lambda item: (-item[1], item[0])))
    return Agreement(lost, added, np.concatenate(box), np.concatenate(score), worst)


def _same(first: ImageBoxes, second: ImageBoxes) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    """(P, 2) indices of boxes that are the same detection, each used once, those of the greatest overlap first."""
    overlap = boxes.iou(first.boxes, second.boxes)
    overlap[first.classes[:, np.newaxis] != second.classes] = 0
    pairs = []
    while overlap.size and overlap.max() >= SAME_IOU:
        row, column = np.unravel_index(overlap.argmax(), overlap.shape)
        pairs.append((row, column))
        overlap[row], overlap[:, column] = 0, 0
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
