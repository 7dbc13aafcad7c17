"""Warnings on too few photos and too small objects, by numbers that can be checked by hand."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tools.checks.enough import half_width, interval, measured_interval, small_share, too_few, too_small


def few(train: Mapping[str, int], test: Mapping[str, int]) -> list[str]:
    return [str(one) for one in too_few(train, test, Path("dataset/pets"))]


def test_wilsons_interval() -> None:
    assert interval(0.5, 0) == (0, 1)
    assert interval(0.8, 10) == pytest.approx((0.4901, 0.9433), abs=1e-4)  # Wilson's formula, as in any table
    assert interval(1, 5) == pytest.approx((5 / (5 + 1.96**2), 1))
    assert [round(half_width(n), 2) for n in (0, 5, 20, 100)] == [0.5, 0.33, 0.2, 0.1]


def test_enough_photos_are_no_reason_for_a_word() -> None:
    assert few({"cat": 50}, {"cat": 20}) == []
    assert few({}, {}) == []


def test_too_few_photos() -> None:
    assert few({"cat": 19, "dog": 49, "cow": 0}, {"cat": 5, "dog": 0, "cow": 20}) == [
        "too few training photos to learn from: cow 0, cat 19; take 50 or more of each class",
        "few training photos: dog 49; with 50 or more of each class the AP is higher",
        "no test photo shows dog, so this is not measured; "
        "move some photos with their XML from dataset/pets/train to dataset/pets/test",
        "few test photos, and how far off their AP50 may be (95 %): cat 5 (+-0.33); 20 photos give +-0.20, 100 +-0.10",
    ]


def test_an_interval_that_would_say_nothing_is_none() -> None:
    ends = {"low": 0.9, "high": 1.0}
    assert measured_interval({"images": 20, "AP_interval": ends}, "AP") == ends
    assert measured_interval({"images": 20, "AP_interval": ends}, "AP50") is None
    assert measured_interval({"images": 19, "AP_interval": ends}, "AP") is None
    assert measured_interval({"images": 99, "AP_interval": {"low": 1.0, "high": 1.0}}, "AP") is None


def test_too_small_objects() -> None:
    boxes = [(0.05, 0.05), (0.1, 0.1), (0.2, 0.02)]  # sides at 300 pixels: 15, 30, 18.97
    assert small_share(boxes, 300) == pytest.approx(1 / 3)
    assert small_share(boxes, 640) == 0
    assert small_share([], 300) == 0
    assert [str(one) for one in too_small(boxes, "ssd_mobilenet_v2_320x320", 300)] == [
        "33% of the boxes are smaller than 16 pixels of the network's 300x300 input, half of its smallest anchor: "
        "it hardly sees them; go closer, or cut the photos into parts, or "
        "set train.model: ssd_mobilenet_v2_fpnlite_640x640"
    ]
    (line,) = too_small([(width / 4, height / 4) for width, height in boxes], "ssd_mobilenet_v2_fpnlite_640x640", 640)
    assert str(line).endswith("go closer, or cut the photos into parts")
    assert list(too_small(boxes[1:], "ssd_mobilenet_v2_320x320", 300)) == []
