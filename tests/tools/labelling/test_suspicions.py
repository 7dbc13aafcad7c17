"""Where label and detection do not agree: by hand, and planted errors among many."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.support.boxes import image, with_crowds
from tools.labelling import suspicions
from tools.labelling.suspicions import CLASS, MISSING, PLACE, SPURIOUS

BOX, FAR, SHIFTED = (0, 0, 100, 100), (300, 200, 400, 300), (50, 0, 150, 100)  # BOX and SHIFTED: IoU 1/3
CAT, DOG = 1, 2


def first(labelled, detected):
    found = suspicions.find(image("a.jpg", *labelled), image("a.jpg", *detected))
    return found[0] if found else None


def test_an_agreement_is_no_surprise():
    assert first([(*BOX, CAT)], [(*BOX, CAT, 1.0)]).nats == 0
    assert first([], []) is None


def test_a_missing_label_surprises_by_the_detections_score():
    found = first([(*BOX, CAT)], [(*BOX, CAT, 1.0), (*FAR, DOG, 0.9)])
    assert (found.kind, found.label, found.detection) == (MISSING, None, 1)
    assert found.nats == pytest.approx(-math.log(0.1))


def test_a_spurious_label_surprises_by_the_lack_of_any_detection():
    found = first([(*FAR, DOG), (*BOX, CAT)], [(*BOX, CAT, 1.0)])
    assert (found.kind, found.label, found.detection) == (SPURIOUS, 0, None)
    assert found.nats == pytest.approx(-math.log(suspicions.LEAST))
    assert first([(*BOX, CAT)], [(*BOX, CAT, 0.2)]).nats == pytest.approx(-math.log(0.2))


def test_a_wrong_class_is_one_suspicion_with_both_surprises():
    found = suspicions.find(image("a.jpg", (*BOX, CAT)), image("a.jpg", (*BOX, DOG, 0.9)))
    assert [(one.kind, one.label, one.detection, one.iou) for one in found] == [(CLASS, 0, 0, 1.0)]
    assert found[0].nats == pytest.approx(-math.log(suspicions.LEAST) - math.log(0.1))


def test_a_box_at_a_wrong_place_is_one_suspicion():
    found = suspicions.find(image("a.jpg", (*BOX, CAT)), image("a.jpg", (*SHIFTED, CAT, 0.9)))
    assert [(one.kind, one.label, one.detection) for one in found] == [(PLACE, 0, 0)]
    assert found[0].iou == pytest.approx(1 / 3)
    share = (1 / 3 - suspicions.BAD) / (suspicions.GOOD - suspicions.BAD)
    explained = 0.9 * share * share
    assert found[0].nats == pytest.approx(-math.log(0.9 * share) - math.log(1 - 0.9 * (1 - share) * (1 - explained)))


def test_a_second_box_on_an_object_that_was_found_is_the_detectors_own_matter():
    found = suspicions.find(image("a.jpg", (*BOX, CAT)), image("a.jpg", (*BOX, CAT, 0.95), (*BOX, DOG, 0.6)))
    assert found[0].nats < 0.1


def test_a_crowd_asks_for_nothing():
    labelled = with_crowds(image("a.jpg", (*BOX, CAT), (*FAR, DOG)), 0)
    found = suspicions.find(labelled, image("a.jpg", (10, 10, 40, 40, CAT, 0.9), (*FAR, DOG, 0.9)))
    assert [one.label for one in found if one.nats > 0] == [1] and found[0].nats == pytest.approx(-math.log(0.9))
    assert suspicions.find(labelled, image("a.jpg"))[0].label == 1


def test_planted_errors_come_first():
    """400 labels that a good detector sees with noise; 5 % of them are spoilt in turn by each kind of error."""
    chance = np.random.default_rng(0)
    spoilt, ranked = set(), []
    for number in range(200):
        boxes = [(20, 20, 150, 150), (250, 150, 420, 330)]
        noisy = [(np.array(box) + chance.normal(0, 6, 4)).clip(0) for box in boxes]
        seen = [(*box, 1 + k, chance.beta(8, 2)) for k, box in enumerate(noisy)]
        labelled = image(f"{number}.jpg", *((*box, 1 + k) for k, box in enumerate(boxes)))
        if number % 10 == 0:
            spoilt.add(number)
            labelled = [drop, swap, shift, add][number // 10 % 4](labelled)
        ranked += [(one.nats, number) for one in suspicions.find(labelled, image(f"{number}.jpg", *seen))]
    worst = [number for _, number in sorted(ranked, reverse=True)]
    listed = list(dict.fromkeys(worst))[: len(spoilt)]
    assert len(spoilt & {*listed}) >= 0.9 * len(spoilt)


def drop(labelled):
    return labelled.subset(slice(1))


def swap(labelled):
    return replace(labelled, classes=labelled.classes[::-1].copy())


def shift(labelled):
    return replace(labelled, boxes=labelled.boxes + np.array([[70, 70, 70, 70], [0, 0, 0, 0]]))


def add(labelled):
    return image(labelled.filename, *((*box, 1) for box in labelled.boxes.tolist()), (200, 10, 240, 60, 2))
