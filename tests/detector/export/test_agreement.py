"""Which detections of two detectors are the same, counted by hand."""

import numpy as np
import pytest

from detector.data.tables import ImageBoxes
from detector.export.agreement import agreement
from tests.support.boxes import image

SQUARE, MOVED, ELSEWHERE = (10, 10, 30, 30), (11, 10, 31, 32), (60, 60, 80, 80)


def detections(*found: tuple[tuple[int, ...], int, float], name: str = "a.jpg") -> ImageBoxes:
    return image(name, *((*box, class_id, score) for box, class_id, score in found))


def test_the_same_detections_agree() -> None:
    found = agreement([detections((SQUARE, 1, 0.9))], [detections((MOVED, 1, 0.8))], 0.5)
    assert (found.kept, found.lost, found.added, dict(found.by_image)) == (1, 0, 0, {})
    assert (found.box.tolist(), found.score.tolist()) == ([2], [pytest.approx(0.1)])


def test_what_one_of_them_has_alone() -> None:
    first = detections((SQUARE, 1, 0.9), (ELSEWHERE, 2, 0.6), (ELSEWHERE, 1, 0.4))
    second = detections((SQUARE, 2, 0.9), (ELSEWHERE, 2, 0.49))
    found = agreement([first], [second], 0.5)
    assert (found.kept, found.lost, found.added, dict(found.by_image)) == (0, 2, 1, {"a.jpg": 3})


def test_each_box_is_used_once_and_the_nearest_first() -> None:
    first = detections((SQUARE, 1, 0.9), (MOVED, 1, 0.8))
    found = agreement([first], [detections((MOVED, 1, 0.7))], 0.5)
    assert (found.kept, found.lost, found.added) == (1, 1, 0)
    assert found.box.tolist() == [0]


def test_the_worst_image_comes_first_and_nothing_at_all_is_agreement() -> None:
    first = [detections((SQUARE, 1, 0.9), name="a"), detections((SQUARE, 1, 0.9), (ELSEWHERE, 1, 0.9), name="b")]
    empty = [detections(name=one) for one in "ab"]
    assert list(agreement(first, empty, 0.5).by_image.items()) == [("b", 2), ("a", 1)]
    nothing = agreement(empty, empty, 0.5)
    assert (nothing.kept, nothing.lost, nothing.added) == (0, 0, 0)
    assert np.array_equal(nothing.box, [])
