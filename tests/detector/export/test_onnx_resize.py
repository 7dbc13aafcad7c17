"""The resize of the ONNX models, against resize.py, which gives TensorFlow's floats (tests/detector/prediction)."""

from typing import Any

import numpy as np
import onnxruntime
import pytest

from detector.export import onnx_resize
from detector.prediction.onnx_outputs import INPUT
from detector.prediction.resize import legacy_bilinear

SIDES = 40, 48
LARGE = [(1025, 1024), (1201, 1600), (30, 40_001), (60_001, 20), (1, 1_048_577), (1_048_577, 1)]


@pytest.fixture(scope="module")
def session() -> Any:
    return onnxruntime.InferenceSession(onnx_resize.model(*SIDES).SerializeToString())


def resized(session: Any, photos: "np.ndarray") -> "np.ndarray":
    """(N, H, W, 3) in the networks' size."""
    (found,) = session.run(None, {INPUT: photos})
    return np.asarray(found.transpose(0, 2, 3, 1))


def photos(height: int, width: int, count: int = 1) -> "np.ndarray":
    return np.random.default_rng(height).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", LARGE)
def test_of_large_photos_it_is_tensorflows_to_the_last_bit(session: Any, size: tuple[int, int]) -> None:
    assert size[0] * size[1] > onnx_resize.LARGE
    (photo,) = photos(*size)
    np.testing.assert_array_equal(resized(session, photo[np.newaxis])[0], legacy_bilinear(photo, *SIDES))


@pytest.mark.parametrize("size", [(1024, 1024), (375, 500), SIDES, (7, 3), (1, 1)])
def test_of_small_ones_it_is_a_tenth_of_a_level_away_at_most(session: Any, size: tuple[int, int]) -> None:
    (photo,) = photos(*size)
    np.testing.assert_allclose(resized(session, photo[np.newaxis])[0], legacy_bilinear(photo, *SIDES), atol=0.1)


@pytest.mark.parametrize("size", [(60, 50), (1100, 1000)])
def test_any_number_of_photos(session: Any, size: tuple[int, int]) -> None:
    both = photos(*size, count=2)
    np.testing.assert_array_equal(
        resized(session, both), np.concatenate([resized(session, one[np.newaxis]) for one in both])
    )
    assert resized(session, both[:0]).shape == (0, *SIDES, 3)
