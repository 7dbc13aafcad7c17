"""The anchors' shapes, as the API's own generators gave them for these models (1917, 12804 and 51150 anchors)."""

import numpy as np
import pytest

from detector.model import pipeline_config
from tools.checks import anchors


def test_ssd() -> None:
    size, shapes = anchors.of_model("ssd_mobilenet_v2_320x320")
    assert (size, shapes.shape) == (300, (33, 2))  # 3 in the lowest layer, 6 in each of 5
    root = np.sqrt(2)  # min_scale 0.2 x 300 = 60, of aspect 1/2
    np.testing.assert_allclose(shapes[:3], [[30, 30], [60 / root, 60 * root], [60 * root, 60 / root]], rtol=1e-6)
    assert anchors.smallest(shapes) == 30


@pytest.mark.parametrize("size", [320, 640])
def test_fpnlite_has_the_same_pixels_at_any_input(size: int) -> None:
    side, shapes = anchors.of_model(f"ssd_mobilenet_v2_fpnlite_{size}x{size}")
    assert (side, shapes.shape) == (size, (30, 2))  # 5 levels, 2 octaves, 3 aspects
    root = np.sqrt(2)  # level 3: 4 x 2^3 = 32
    np.testing.assert_allclose(shapes[:3], [[32 / root, 32 * root], [32, 32], [32 * root, 32 / root]])
    assert anchors.smallest(shapes) == pytest.approx(32)


def test_small_is_half_of_the_smallest_anchor_or_so() -> None:
    for model in pipeline_config.MODELS:
        assert anchors.smallest(anchors.of_model(model)[1]) / 2 == pytest.approx(16, abs=1)
