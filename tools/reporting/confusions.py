"""The confusion matrix at every score threshold, as detector/evaluation/curves.py counts it at one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.data.tables import Ints
from tools.reporting.counting import GRID, hundredths
from tools.reporting.kinds import NONE, ImageKinds

MOST = 12  # rows of classes, so that it fits its page
BACKGROUND, OTHERS = 0, -1  # no class has these ids
Pair = tuple[int, int, int]  # actual, predicted class id, the last place in GRID where it is one


@dataclass(frozen=True)
class Confusion:
    """Which class is taken for which. order: class ids of the rows and columns, with OTHERS if there are more classes
    than `MOST`, then BACKGROUND. cells: (row, column) -> (K,) counts by place in GRID, of those that are not all 0.
    """

    order: list[int]
    cells: dict[tuple[int, int], Ints]


def confusion(images: Sequence[ImageKinds], class_ids: Sequence[int], place: int) -> Confusion:
    """The matrix. place: in GRID, of the threshold at which the classes with the most errors are chosen."""
    pairs = [pair for image in images for pair in _pairs(image)]
    kept = _kept(pairs, class_ids, place)
    order = [*kept, *([OTHERS] if len(kept) < len(class_ids) else []), BACKGROUND]
    numbers = {class_id: number for number, class_id in enumerate(order)}
    cells: dict[tuple[int, int], Ints] = {}
    for actual, predicted, last in pairs:
        key = numbers.get(actual, numbers.get(OTHERS, 0)), numbers.get(predicted, numbers.get(OTHERS, 0))
        cell = cells.setdefault(key, np.zeros(len(GRID) + 1, dtype=np.int64))
        cell[last + 1] += 1
    missed = numbers[BACKGROUND]
    return Confusion(
        order,
        {
            key: np.cumsum(cell)[:-1] if key[1] == missed else np.flip(np.cumsum(np.flip(cell)))[1:]
            for key, cell in sorted(cells.items())
        },
    )


def _pairs(image: ImageKinds) -> list[Pair]:
    """Each detection that counts; and each object as one that is missed above its detection's place."""
    last, objects = hundredths(image.detected.scores).tolist(), image.truth.objects.classes.tolist()
    known = np.full(len(objects), NONE)
    pairs: list[Pair] = []
    for k, (whose, predicted) in enumerate(zip(image.whose.tolist(), image.detected.classes.tolist(), strict=True)):
        if whose != NONE:
            known[whose] = last[k]
        if whose != NONE or not image.crowded[k]:
            pairs.append((objects[whose] if whose != NONE else BACKGROUND, predicted, last[k]))
    return [*pairs, *((actual, BACKGROUND, k) for actual, k in zip(objects, known.tolist(), strict=True))]


def _kept(pairs: Sequence[Pair], class_ids: Sequence[int], place: int) -> list[int]:
    """The classes that have rows of their own: all, or those with the most errors at a threshold."""
    if len(class_ids) <= MOST:
        return list(class_ids)
    wrong: Counter[int] = Counter()
    for actual, predicted, last in pairs:
        if actual != predicted and (last < place if predicted == BACKGROUND else last >= place):
            wrong.update({actual, predicted} - {BACKGROUND})
    worst = sorted(class_ids, key=lambda class_id: -wrong[class_id])[: MOST - 1]
    return [class_id for class_id in class_ids if class_id in worst]


def at(confusion: Confusion, place: int) -> list[list[int]]:
    """The counts at one threshold: rows are actual, columns predicted classes."""
    size = len(confusion.order)
    rows = np.zeros((size, size), dtype=np.int64)
    for (row, column), counts in confusion.cells.items():
        rows[row, column] = counts[place]
    return rows.tolist()
