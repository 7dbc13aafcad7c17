"""Pixels to fractions and back, and intersection over union, in numbers that a reader can check."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.data import boxes


def test_pixels_to_fractions():
    """64/256 = 0.25 and 128/256 = 0.5 across; 64/512 = 0.125 and 512/512 = 1 down."""
    normalized = boxes.voc_to_normalized([[64, 64, 128, 512]], width=256, height=512)
    assert normalized.tolist() == [[0.125, 0.25, 1.0, 0.5]]
    assert boxes.detected_to_voc(normalized, width=256, height=512).tolist() == [[64, 64, 128, 512]]


def test_no_boxes_keep_their_shape():
    assert boxes.voc_to_normalized([], 8, 8).shape == (0, 4)
    assert boxes.detected_to_voc(np.zeros((0, 4)), 8, 8).shape == (0, 4)
    assert boxes.iou([], [[0, 0, 1, 1]]).shape == (0, 1)


@pytest.mark.parametrize(
    "box",
    [[4, 1, 4, 3], [5, 1, 4, 3], [0, 3, 4, 3], [-1, 0, 4, 3], [0, 0, 9, 3], [0, 0, float("nan"), 3], [0, 0, 1, 99]],
)
def test_degenerate_boxes_are_refused(box):
    with pytest.raises(ValueError, match="is empty, inverted or outside"):
        boxes.voc_to_normalized([[0, 0, 1, 1], box], width=8, height=8)


def test_an_image_without_area_is_refused():
    with pytest.raises(ValueError, match="0x8 has no area"):
        boxes.voc_to_normalized([], width=0, height=8)


@given(
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.lists(st.tuples(*[st.floats(0, 1, allow_subnormal=False)] * 4), max_size=5),
)
def test_pixels_round_trip(width, height, corners):
    pixels = [[min(x) * width, min(y) * height, max(x) * width, max(y) * height] for x, y in _sides(corners)]
    normalized = boxes.voc_to_normalized(pixels, width, height)
    assert ((normalized >= 0) & (normalized <= 1)).all()
    assert np.allclose(boxes.detected_to_voc(normalized, width, height), np.reshape(pixels, (-1, 4)))


def _sides(corners):
    pairs = [((a, b), (c, d)) for a, b, c, d in corners]
    return [(x, y) for x, y in pairs if abs(x[0] - x[1]) > 1e-6 and abs(y[0] - y[1]) > 1e-6]


def test_iou():
    """Two 2x2 squares that share a 1x1 corner: 1 / (4 + 4 - 1)."""
    square = [0, 0, 2, 2]
    others = [square, [1, 1, 3, 3], [2, 0, 4, 2], [5, 5, 6, 6], [1, 1, 1, 1]]
    assert boxes.iou([square], others).tolist() == [[1.0, 1 / 7, 0.0, 0.0, 0.0]]
    assert boxes.iou([[1, 1, 1, 1]], [[1, 1, 1, 1]]).tolist() == [[0.0]]
    assert boxes.iou(others, [square]).shape == (5, 1)


def test_ioa_is_the_share_of_the_first():
    """A 2x2 square and a 1x1 one that lie in a 4x2 one by a half and whole: 2 of 4, 1 of 1."""
    wide = [0, 0, 4, 2]
    assert boxes.ioa([[3, 0, 5, 2], [1, 1, 2, 2], [5, 5, 6, 6], [1, 1, 1, 1]], [wide]).tolist() == [
        [0.5],
        [1],
        [0],
        [0],
    ]
    assert boxes.ioa([wide], [[0, 0, 1, 1]]).tolist() == [[1 / 8]]
    assert boxes.ioa([wide], []).shape == (1, 0) and boxes.ioa([], [wide]).shape == (0, 1)
