"""Curves, confusion and the ranking of images, each small enough to be worked out by hand."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.data.tables import ImageBoxes
from detector.evaluation import curves, metrics
from tests.support.boxes import image, with_crowds

NAMES = {1: "cat", 2: "dog"}
CAT, DOG = 1, 2
LEFT, MIDDLE, RIGHT = (0, 0, 100, 100), (200, 0, 300, 100), (400, 0, 500, 100)


def one_image(truth: Sequence[Sequence[float]], found: Sequence[Sequence[float]], score: float = 0.5) -> object:
    (errors,) = curves.image_errors(
        [image("a.jpg", *truth)], [image("a.jpg", *found)], score_threshold=score, iou_threshold=0.5
    )
    return errors


def test_precision_recall_of_three_detections() -> None:
    truth = [image("a.jpg", (*LEFT, CAT), (*MIDDLE, CAT))]
    found = [image("a.jpg", (*LEFT, CAT, 0.9), (*RIGHT, CAT, 0.8), (*MIDDLE, CAT, 0.7))]
    curve = curves.precision_recall(truth, found, CAT, 0.5)
    assert curve is not None
    assert curve.recall.tolist() == [1 / 2, 1 / 2, 1]
    assert curve.precision.tolist() == [1, 1 / 2, 2 / 3]
    assert curve.scores.tolist() == [0.9, 0.8, 0.7]
    # the recalls 0.00 to 0.50 are reached by the first detection, the other 50 by the third
    assert curve.interpolated.tolist() == [1] * 51 + [2 / 3] * 50
    assert curve.thresholds.tolist() == [0.9] * 51 + [0.7] * 50


def test_recall_that_is_never_reached_is_zero() -> None:
    truth = [image("a.jpg", (*LEFT, CAT), (*MIDDLE, CAT))]
    curve = curves.precision_recall(truth, [image("a.jpg", (*LEFT, CAT, 0.9))], CAT, 0.5)
    assert curve is not None
    assert curve.interpolated.tolist() == [1] * 51 + [0] * 50
    assert curve.thresholds.tolist() == [0.9] * 51 + [0] * 50


def test_curve_without_detections_and_without_groundtruth() -> None:
    curve = curves.precision_recall([image("a.jpg", (*LEFT, CAT))], [image("a.jpg", (*LEFT, DOG, 0.9))], CAT, 0.5)
    assert curve is not None
    assert (len(curve.recall), curve.interpolated.tolist()) == (0, [0] * 101)
    assert curves.precision_recall([image("a.jpg")], [image("a.jpg", (*LEFT, CAT, 0.9))], CAT, 0.5) is None


def test_curve_without_what_lies_in_a_crowd_of_the_class() -> None:
    truth = [with_crowds(image("a.jpg", (*LEFT, CAT), (*MIDDLE, CAT), (*RIGHT, DOG)), 1, 2)]
    found = [image("a.jpg", (*MIDDLE, CAT, 0.9), (210, 0, 240, 30, CAT, 0.8), (*RIGHT, CAT, 0.7), (*LEFT, CAT, 0.6))]
    curve = curves.precision_recall(truth, found, CAT, 0.5)
    assert curve is not None
    assert curve.scores.tolist() == [0.7, 0.6]  # the first two lie in the crowd of cats; a crowd of dogs is another
    assert curve.recall.tolist() == [0, 1]
    assert curve.precision.tolist() == [0, 1 / 2]
    assert curves.precision_recall(truth, found, DOG, 0.5) is None


SHIFTED = st.tuples(
    st.integers(0, 12), st.integers(0, 12), st.integers(13, 30), st.integers(13, 30), st.sampled_from([CAT, DOG])
)
LABELLED = st.tuples(SHIFTED, st.booleans()).map(lambda pair: (*pair[0], pair[1]))
FOUND = st.tuples(SHIFTED, st.sampled_from([0.2, 0.5, 0.9])).map(lambda pair: (*pair[0], pair[1]))
IMAGES = st.lists(st.tuples(st.lists(LABELLED, max_size=4), st.lists(FOUND, max_size=6)), min_size=1, max_size=4)


def made(drawn: Sequence[tuple[Sequence[Sequence[float]], Sequence[Sequence[float]]]]) -> tuple[list[ImageBoxes], ...]:
    truth = [
        with_crowds(image(f"{number}.jpg", *(row[:5] for row in rows)), *(k for k, row in enumerate(rows) if row[5]))
        for number, (rows, _) in enumerate(drawn)
    ]
    found = [image(f"{number}.jpg", *rows) for number, (_, rows) in enumerate(drawn)]
    return truth, found[::-1]  # images are matched by name, not by place


@settings(max_examples=150)
@given(IMAGES)
def test_mean_of_the_interpolated_precision_is_cocos_ap50(drawn) -> None:  # type: ignore[no-untyped-def]
    truth, found = made(drawn)
    expected = metrics.coco(truth, found, NAMES)["per_class"]
    for class_id, name in NAMES.items():
        curve = curves.precision_recall(truth, found, class_id, 0.5)
        assert (curve is None) == (name not in expected)
        if curve is not None:
            assert curve.interpolated.mean() == pytest.approx(expected[name]["AP50"], abs=1e-12)


def test_one_error_of_each_kind() -> None:
    truth = [(*LEFT, CAT), (*MIDDLE, CAT), (*RIGHT, DOG)]
    found = [
        (*LEFT, CAT, 0.9),  # right
        (*MIDDLE, DOG, 0.8),  # a cat taken for a dog: one error, neither a miss nor a false detection
        (0, 200, 100, 300, DOG, 0.7),  # nothing there
        (*RIGHT, DOG, 0.4),  # right, yet under the threshold: a miss
    ]
    errors = one_image(truth, found)
    assert errors == curves.ImageErrors("a.jpg", ((CAT, CAT), (CAT, DOG), (DOG, 0), (0, DOG)), 0.0, 0.8)
    assert (errors.missed, errors.false, errors.wrong_class) == (1, 1, 1)  # type: ignore[attr-defined]
    matrix = curves.confusion_matrix([errors], [CAT, DOG])  # type: ignore[list-item]
    assert matrix.tolist() == [[1, 1, 0], [0, 0, 1], [0, 1, 0]]  # rows and columns: cat, dog, background


def test_a_crowd_is_no_object_and_what_lies_in_it_is_not_counted() -> None:
    """Neither the crowd itself, nor two detections in it, of whatever class; one that leaves it by 60 % is false."""
    truth = with_crowds(image("a.jpg", (*LEFT, CAT), (*MIDDLE, CAT)), 1)
    found = [(*LEFT, CAT, 0.9), (*MIDDLE, CAT, 0.8), (210, 0, 240, 30, DOG, 0.7), (260, 0, 360, 100, CAT, 0.6)]
    ((errors),) = curves.image_errors([truth], [image("a.jpg", *found)], score_threshold=0.5, iou_threshold=0.5)
    assert errors == curves.ImageErrors("a.jpg", ((CAT, CAT), (0, CAT)), 1.0, 0.9)
    assert curves.confusion_matrix([errors], [CAT, DOG]).tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 0]]
    ((errors),) = curves.image_errors([truth], [image("a.jpg")], score_threshold=0.5, iou_threshold=0.5)
    assert errors.pairs == ((CAT, 0),)


def test_an_object_in_a_crowd_is_found_first() -> None:
    truth = with_crowds(image("a.jpg", (0, 0, 300, 100, DOG), (*LEFT, CAT)), 0)
    found = image("a.jpg", (*LEFT, CAT, 0.9), (*LEFT, DOG, 0.8))
    ((errors),) = curves.image_errors([truth], [found], score_threshold=0.5, iou_threshold=0.5)
    assert errors.pairs == ((CAT, CAT),)


def test_second_box_on_an_object_is_false_and_the_higher_score_wins() -> None:
    errors = one_image([(*LEFT, DOG)], [(*LEFT, CAT, 0.6), (*LEFT, DOG, 0.9)])
    assert errors.pairs == ((DOG, DOG), (0, CAT))  # type: ignore[attr-defined]


def test_thresholds_are_inclusive() -> None:
    half = (0, 0, 50, 100, CAT)  # IoU with LEFT is 5000 / 10000
    assert one_image([(*LEFT, CAT)], [(*half, 0.5)]) == curves.ImageErrors("a.jpg", ((CAT, CAT),), 0.5, 0.5)
    assert one_image([(*LEFT, CAT)], [(0, 0, 49, 100, CAT, 0.5)]).pairs == ((CAT, 0), (0, CAT))  # type: ignore[attr-defined]


def test_worst_image_first() -> None:
    truth = {
        "two.jpg": [(*LEFT, CAT), (*MIDDLE, CAT)],  # both missed
        "missed.jpg": [(*LEFT, CAT), (*MIDDLE, CAT)],  # one missed
        "false.jpg": [],  # one false detection
        "wrong.jpg": [(*LEFT, CAT)],  # one of the wrong class
        "loose.jpg": [(*LEFT, CAT)],  # right, IoU 0.5
        "tight.jpg": [(*LEFT, CAT)],  # right, IoU 1
        "unsure.jpg": [(*LEFT, CAT)],  # right, IoU 1, lower score
        "empty.jpg": [],  # nothing there, nothing found
        "another_empty.jpg": [],
    }
    found = {
        "missed.jpg": [(*LEFT, CAT, 0.9)],
        "false.jpg": [(*LEFT, CAT, 0.9)],
        "wrong.jpg": [(*LEFT, DOG, 0.9)],
        "loose.jpg": [(0, 0, 50, 100, CAT, 0.9)],
        "tight.jpg": [(*LEFT, CAT, 0.9)],
        "unsure.jpg": [(*LEFT, CAT, 0.8)],
    }
    ranked = curves.image_errors(
        [image(name, *rows) for name, rows in truth.items()],
        [image(name, *found.get(name, [])) for name in sorted(truth)],
        score_threshold=0.5,
        iou_threshold=0.5,
    )
    # wrong: score 0.9 and false: nothing matched, both one error and no IoU under 1
    expected = "two missed wrong false loose unsure tight another_empty empty"
    assert [one.filename.removesuffix(".jpg") for one in ranked] == expected.split()


@settings(max_examples=150)
@given(IMAGES, st.sampled_from([0.0, 0.5, 0.6, 1.0]), st.sampled_from([0.1, 0.5, 0.9]))
def test_every_object_and_every_detection_is_accounted_for(drawn, score: float, iou: float) -> None:  # type: ignore[no-untyped-def]
    truth, found = made(drawn)
    errors = curves.image_errors(truth, found, score_threshold=score, iou_threshold=iou)
    matrix = curves.confusion_matrix(errors, list(NAMES))
    crowds = any(one.is_crowd.any() for one in truth)
    for k, class_id in enumerate(NAMES):
        assert matrix[k].sum() == sum(int((one.objects.classes == class_id).sum()) for one in truth)
        kept = sum(int(((one.classes == class_id) & (one.scores >= score)).sum()) for one in found)
        assert matrix[:, k].sum() <= kept if crowds else matrix[:, k].sum() == kept
    assert matrix[-1, -1] == 0
    counted = sum(one.missed + one.false + one.wrong_class for one in errors)
    assert counted == matrix.sum() - np.trace(matrix)
    assert {one.filename for one in errors} == {one.filename for one in truth}


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"b\.jpg"):
        curves.image_errors([image("a.jpg")], [image("b.jpg")], score_threshold=0.5, iou_threshold=0.5)
    with pytest.raises(ValueError, match=r"b\.jpg"):
        curves.precision_recall([image("a.jpg")], [image("b.jpg")], CAT, 0.5)


# The score with the best F1.

HERE, THERE, NOWHERE = (0, 0, 10, 10), (20, 0, 30, 10), (50, 50, 60, 60)


def labelled(*boxes):
    return [image("a.jpg", *((*box, class_id) for box, class_id in boxes))]


def detected(*boxes):
    return [image("a.jpg", *((*box, class_id, score) for box, class_id, score in boxes))]


def test_the_middle_between_the_last_right_and_the_first_wrong_score():
    """After one detection F1 is 2/3, after two 4/4, after three 4/5."""
    objects = labelled((HERE, 1), (THERE, 2))
    detections = detected((HERE, 1, 0.9), (THERE, 2, 0.6), (NOWHERE, 1, 0.2))
    assert curves.best_threshold(objects, detections) == 0.4


def test_a_wrong_class_is_wrong():
    """After one F1 is 2/3; the second, a cat taken for a dog, makes it 2/4."""
    assert curves.best_threshold(labelled((HERE, 1), (THERE, 1)), detected((HERE, 1, 0.9), (THERE, 2, 0.5))) == 0.7


def test_wrong_ones_above_count():
    """1/2 of two, 2/3 of three: 0 of 1, 2/4, 4/5; nothing below, so half of 0.5."""
    objects = labelled((HERE, 1), (THERE, 1))
    detections = detected((NOWHERE, 3, 0.9), (HERE, 1, 0.8), (THERE, 1, 0.5))
    assert curves.best_threshold(objects, detections) == 0.25


def test_equal_scores_are_kept_or_left_out_together():
    """2/3 after the first is no choice: both have 0.8. Then 2/4, and 4/5 with the third."""
    objects = labelled((HERE, 1), (THERE, 1))
    detections = detected((HERE, 1, 0.8), (NOWHERE, 1, 0.8), (THERE, 1, 0.4))
    assert curves.best_threshold(objects, detections) == 0.2


@pytest.mark.parametrize("detections", [[], [(NOWHERE, 1, 0.9)]])
def test_nothing_right(detections):
    assert curves.best_threshold(labelled((HERE, 1)), detected(*detections)) is None
    assert curves.best_threshold([image("a.jpg")], detected(*detections)) is None
