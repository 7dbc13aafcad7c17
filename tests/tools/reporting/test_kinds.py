"""Kinds of errors by TIDE's definitions, on boxes whose overlaps can be checked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.data.tables import ImageBoxes
from detector.evaluation import curves
from tests.support.boxes import image, with_crowds
from tools.reporting import kinds
from tools.reporting.kinds import BACKGROUND, BOTH, BOX, CLASS, DUPLICATE, IGNORED, NEVER, NONE, RIGHT

CAT, DOG = 1, 2
OBJECT = (0, 0, 100, 100, CAT)


def of(*detections: tuple[float, ...], truth: ImageBoxes | None = None, iou: float = 0.5) -> kinds.ImageKinds:
    """The kinds of detections where one cat is at [0, 100] x [0, 100]."""
    return kinds.of_image(truth or image("a", OBJECT), image("a", *detections), iou)


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((0, 0, 100, 50, CAT), RIGHT),  # IoU 5000 / 10000: just enough
        ((0, 0, 100, 49, CAT), BOX),  # 0.49
        ((0, 0, 100, 10, CAT), BOX),  # 0.1
        ((0, 0, 100, 9, CAT), BACKGROUND),  # 0.09
        ((0, 0, 100, 50, DOG), CLASS),
        ((0, 0, 100, 49, DOG), BOTH),
        ((0, 0, 100, 11, DOG), BOTH),
        ((0, 0, 100, 10, DOG), BACKGROUND),  # at most 0.1
        ((200, 200, 300, 300, CAT), BACKGROUND),
    ],
)
def test_one_detection_beside_one_object(box: tuple[float, ...], kind: int) -> None:
    found = of((*box, 0.8))
    assert found.kinds.tolist() == [kind]
    assert found.about.tolist() == [0 if kind in (RIGHT, BOX, CLASS) else NONE]
    assert found.found.tolist() == [0.8 if kind == RIGHT else NEVER]
    assert found.covered.tolist() == [0.8 if kind in (BOX, CLASS) else NEVER]


def test_the_second_box_on_an_object_is_a_duplicate_though_it_fits_better() -> None:
    found = of((0, 0, 100, 100, CAT, 0.5), (0, 0, 100, 80, CAT, 0.9))
    assert found.detected.scores.tolist() == [0.9, 0.5]
    assert found.kinds.tolist() == [RIGHT, DUPLICATE] and found.found.tolist() == [0.9]


def test_the_order_of_the_tests_is_that_of_tide() -> None:
    two = image("a", OBJECT, (0, 0, 100, 60, DOG))
    poor_and_another = of((0, 0, 100, 45, CAT, 0.9), truth=two)  # IoU 0.45 with the cat, 45 / 60 = 0.75 with the dog
    assert poor_and_another.kinds.tolist() == [BOX]
    second_and_another = of((0, 0, 100, 100, CAT, 0.9), (0, 0, 100, 90, CAT, 0.8), truth=two)  # 60 / 90 with the dog
    assert second_and_another.kinds.tolist() == [RIGHT, CLASS] and second_and_another.covered.tolist() == [NEVER, 0.8]


def test_each_takes_the_free_object_of_the_greatest_overlap() -> None:
    two = image("a", (0, 0, 100, 100, CAT), (0, 40, 100, 140, CAT))
    found = of((0, 30, 100, 130, CAT, 0.9), (0, 20, 100, 120, CAT, 0.8), truth=two)  # 0.82 with the second; 0.67 both
    assert found.kinds.tolist() == [RIGHT, RIGHT] and found.about.tolist() == [1, 0]


def test_nothing_to_find_and_nothing_found() -> None:
    assert of((0, 0, 9, 9, CAT, 0.9), truth=image("a")).kinds.tolist() == [BACKGROUND]
    none = of()
    assert none.kinds.tolist() == [] and none.found.tolist() == [NEVER] and none.covered.tolist() == [NEVER]
    assert kinds.of_images([], [], 0.5) == []
    with pytest.raises(ValueError, match="without"):
        kinds.of_images([image("a")], [image("b")], 0.5)


def test_what_lies_in_a_crowd_of_its_class_is_not_counted() -> None:
    truth = with_crowds(image("a", (0, 0, 400, 400, CAT), (0, 0, 50, 50, CAT)), 0)
    found = of((0, 0, 50, 50, CAT, 0.9), (100, 100, 150, 150, CAT, 0.8), (200, 200, 250, 250, DOG, 0.7), truth=truth)
    assert found.kinds.tolist() == [RIGHT, IGNORED, BACKGROUND]
    assert found.truth.is_crowd.tolist() == [False, True] and len(found.found) == 1
    assert found.crowded.tolist() == [True, True, True]  # in the confusion matrix the class does not matter


corners = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 40), st.integers(1, 40))
rows = st.lists(st.tuples(corners, st.integers(1, 3), st.integers(1, 99)), max_size=8)


def made(name: str, some: list[tuple[tuple[int, int, int, int], int, int]]) -> ImageBoxes:
    return image(name, *((x, y, x + w, y + h, number, score / 100) for (x, y, w, h), number, score in some))


@settings(max_examples=40)
@given(rows, rows, st.integers(0, 8), st.integers(1, 99))
def test_a_threshold_only_leaves_out_what_is_below_it(truth: list, found: list, crowds: int, at: int) -> None:  # type: ignore[type-arg]
    labelled, detected = with_crowds(made("a", truth), *range(min(crowds, len(truth) // 2))), made("a", found)
    whole, above = kinds.of_image(labelled, detected, 0.5), kinds.of_image(labelled, detected.above(at / 100), 0.5)
    shown = whole.detected.scores >= at / 100
    assert whole.kinds[shown].tolist() == above.kinds.tolist() and whole.whose[shown].tolist() == above.whose.tolist()
    assert np.where(whole.found >= at / 100, whole.found, NEVER).tolist() == above.found.tolist()
    assert np.where(whole.covered >= at / 100, whole.covered, NEVER).tolist() == above.covered.tolist()


@settings(max_examples=40)
@given(rows, rows)
def test_what_is_right_is_what_the_evaluation_calls_so(truth: list, found: list) -> None:  # type: ignore[type-arg]
    labelled, detected = made("a", truth), made("a", found)
    for number in (1, 2, 3):
        hits = curves.hits([labelled], [detected], number, 0.5)
        of_class = kinds.of_image(labelled, detected, 0.5)
        right = of_class.kinds[of_class.detected.classes == number] == RIGHT
        assert right.tolist() == hits.hits.tolist()
