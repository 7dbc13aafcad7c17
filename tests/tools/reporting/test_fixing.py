"""What AP would gain without one kind of error, by hand; tidecv 1.0.1 has the same numbers on real splits."""

import pytest

from tests.support.boxes import image
from tools.reporting import fixing, kinds

CAT, DOG = 1, 2
A, B = (0, 0, 100, 100), (200, 0, 300, 100)
NONE = {"class": 0.0, "box": 0.0, "both": 0.0, "duplicate": 0.0, "background": 0.0, "missed": 0.0}


def gains(truth: list[tuple[float, ...]], found: list[tuple[float, ...]]) -> dict[str, float]:
    return fixing.gains(kinds.of_images([image("a", *truth)], [image("a", *found)], 0.5), [CAT, DOG])


def test_a_wrong_class_put_right_helps_both_classes() -> None:
    found = gains([(*A, CAT), (*B, DOG)], [(*A, CAT, 0.5), (*B, CAT, 0.9), (*B, CAT, 0.3)])
    # before: cats 1 of 2, then 1 of 3 right, AP 1 / 2; dogs 0. After: both 1; the error of 0.3 vanishes.
    assert found == pytest.approx({**NONE, "class": 1 - 0.25})


def test_other_detections_vanish_and_so_do_missed_objects() -> None:
    poor, elsewhere = (0, 0, 100, 40), (300, 300, 400, 400)
    assert gains([(*A, CAT)], [(*poor, CAT, 0.9)]) == pytest.approx({**NONE, "box": 1})
    assert gains([(*A, CAT)], [(*poor, DOG, 0.9), (*A, CAT, 0.5)]) == pytest.approx(NONE)  # no dog is measured
    assert gains([(*A, CAT)], [(*elsewhere, CAT, 0.9), (*A, CAT, 0.5)]) == pytest.approx({**NONE, "background": 0.5})
    twice = [(*A, CAT, 0.9), (*A, CAT, 0.8), (*B, CAT, 0.7)]  # AP: 51 recalls at 1, 50 at 2 / 3
    expected = {**NONE, "duplicate": 1 - (51 + 50 * 2 / 3) / 101}
    assert gains([(*A, CAT), (*B, CAT)], twice) == pytest.approx(expected)
    assert gains([(*A, CAT), (*B, CAT)], [(*A, CAT, 0.9)]) == pytest.approx({**NONE, "missed": 1 - 51 / 101})


def test_nothing_to_fix() -> None:
    assert gains([], []) == gains([], [(*A, CAT, 0.9)]) == fixing.gains([], [CAT]) == NONE
    assert gains([(*A, CAT)], [(*A, CAT, 0.9)]) == NONE
