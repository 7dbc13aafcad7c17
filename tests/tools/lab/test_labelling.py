"""The measurement of the labelling loop's lists: what it spoils, and what counts as found."""

import numpy as np
import pytest

from tests.support.boxes import image
from tools.lab import labelling
from tools.lab.labelling import KINDS

IMAGES = [image(f"{n}.jpg", (20, 20, 150, 150, 1), (250, 150, 420, 330, 2)) for n in range(40)]  # 80 labels


@pytest.mark.parametrize("kind", KINDS)
def test_five_in_a_hundred_labels_are_spoilt_in_that_way(kind):
    images, spoilt = labelling.spoil(IMAGES, [kind], np.random.default_rng(0))
    assert len(spoilt) == 4
    change = {"dropped": -4, "added": 4}.get(kind, 0)
    assert sum(len(one.boxes) for one in images) == 80 + change
    touched = {one.photo for one in spoilt}
    same = [
        one.boxes.tolist() == before.boxes.tolist() and one.classes.tolist() == before.classes.tolist()
        for one, before in zip(images, IMAGES, strict=True)
    ]
    assert [number for number, is_same in enumerate(same) if not is_same] == sorted(touched)
    assert all(((one.boxes >= 0) & (one.boxes <= [500, 400] * 2)).all() for one in images)


def test_a_perfect_detector_lists_what_was_spoilt_first():
    images, spoilt = labelling.spoil(IMAGES, KINDS, np.random.default_rng(1))
    found = labelling.real([*zip(images, IMAGES, strict=True)], spoilt)
    assert found[:4].tolist() == [1, 1, 1, 1] and found.sum() == 4
