"""The order of photos to label: by hand."""

import numpy as np
import pytest

from tests.support.boxes import image
from tools.labelling import order


def test_a_box_at_the_threshold_counts_one_and_a_sure_one_nothing():
    scores = np.array([0.0, 0.2, 0.4, 0.7, 1.0])
    assert order.doubts(scores, 0.4).tolist() == pytest.approx([0, 0.25, 1, 0.25, 0])


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_any_threshold_gives_numbers(threshold):
    assert np.isfinite(order.doubts(np.array([0.0, 0.5, 1.0]), threshold)).all()


def test_a_photo_has_the_doubts_of_all_its_boxes():
    found = image("a.jpg", (0, 0, 9, 9, 1, 0.4), (0, 0, 9, 9, 2, 0.7), (0, 0, 9, 9, 1, 1.0))
    assert order.uncertainty(found, 0.4) == pytest.approx(1.25)
    assert order.uncertainty(image("empty.jpg"), 0.4) == 0


def bits(*ones):
    return np.packbits([number in ones for number in range(64)]).tobytes()


def test_a_photo_that_looks_like_a_chosen_one_comes_later():
    """A and B differ in 1 bit of 64, A and C in 32: then 0.8 x 1/64 is less than 0.1 x 1/2."""
    a, b, c = bits(), bits(0), bits(*range(32))
    assert order.least_sure_first([0.9, 0.8, 0.1], [a, b, c]) == [0, 2, 1]
    assert order.least_sure_first([0.1, 0.8, 0.9], [c, b, a]) == [2, 0, 1]


def test_equal_photos_go_by_uncertainty_and_then_keep_their_order():
    assert order.least_sure_first([0.5, 0.5, 0.7, 0.0, 0.0], [bits()] * 5) == [2, 0, 1, 3, 4]
    assert order.least_sure_first([], []) == []
