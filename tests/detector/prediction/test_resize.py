"""The legacy resize, against numbers that can be checked by hand and against TensorFlow's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.prediction.resize import legacy_bilinear

SIDES = st.integers(1, 70)


def test_places_have_no_half_pixel_centres() -> None:
    """3 pixels from 2: at 0, 2/3 and 4/3; the last lies behind the last pixel, and is that pixel."""
    row = np.array([[[0], [30]]], np.uint8)
    assert legacy_bilinear(row, 1, 3)[0, :, 0] == pytest.approx([0, 20, 30])


def test_nothing_is_averaged() -> None:
    """Half the size takes every second pixel."""
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    np.testing.assert_array_equal(legacy_bilinear(pixels, 2, 2), pixels[::2, ::2])


@settings(max_examples=60)
@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from([1, 3]), st.booleans(), st.integers(0, 2**32 - 1))
def test_it_is_tensorflows_to_the_last_bit(
    height: int, width: int, to_height: int, to_width: int, channels: int, is_float: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width, channels), dtype=np.uint8)
    assert_equals_tensorflow(
        pixels + random.random(pixels.shape, np.float32) if is_float else pixels, to_height, to_width
    )


@pytest.mark.parametrize("size", [(333, 500), (1080, 1920), (300, 300), (1, 1), (4000, 31)])
@pytest.mark.parametrize("side", [300, 320, 640])
def test_it_is_tensorflows_for_photos(size: tuple[int, int], side: int) -> None:
    assert_equals_tensorflow(np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8), side, side)


def assert_equals_tensorflow(pixels: "np.ndarray", height: int, width: int) -> None:
    from detector.model.tensorflow_env import tf

    expected = tf.compat.v1.image.resize(pixels[np.newaxis], (height, width), tf.image.ResizeMethod.BILINEAR)[0]
    resized = legacy_bilinear(pixels, height, width)
    assert resized.dtype == np.float32
    np.testing.assert_array_equal(resized, expected.numpy())
