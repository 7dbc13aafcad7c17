"""What would help most, from evidence that is made up."""

from dataclasses import replace

import pytest

from tools.page.language import ENGLISH
from tools.reporting import advice
from tools.reporting.advice import ClassEvidence, Evidence, Finding

CAT, DOG = ClassEvidence("cat", 200, 0.9), ClassEvidence("dog", 200, 0.9)
RUN = Evidence("pets", "ssd_mobilenet_v2_320x320", [CAT, DOG], objects=100, found=90, wrong=10)
STILL_RISING = replace(RUN, validation=[(100, 0.2), (200, 0.4), (300, 0.5)], steps=300, best_step=300)


def said(one: Finding) -> str:
    return f"{ENGLISH.text(one.title, **one.values)}: {ENGLISH.text(one.why, **one.values)}: {one.command}"


def test_where_no_weakness_stands_out_it_is_more_photos() -> None:
    (one,) = advice.findings(RUN)
    assert said(one).startswith("more photos: no weakness") and one.command == "make dataset SRC=folder NAME=pets ADD=1"
    assert advice.findings(replace(RUN, dataset="sample"))[0].command == "make dataset SRC=folder NAME=pets"
    assert advice.findings(Evidence("", "")) == advice.findings(replace(RUN, dataset="sample"))


def test_more_steps_where_the_validation_still_rose() -> None:
    (one,) = advice.findings(STILL_RISING)
    assert said(one) == (
        "train longer: validation AP rose by 0.200 in the second half: make train STEPS=600"  # 0.3 at step 150
    )
    assert said(advice.findings(replace(STILL_RISING, minutes=9))[0]).startswith("train longer, 9 minutes here: ")
    (two,) = advice.findings(replace(STILL_RISING, validation=[(150, 0.2), (300, 0.5)]))
    assert two.values["rise"] == pytest.approx(0.3)
    unknown = ([(300, 0.5)], [(200, 0.4), (300, 0.5)])  # at step 150
    little = [(150, 0.5), (300, 0.51)]
    curves = [{"validation": one} for one in (*unknown, little)]
    for other in ({"best_step": 200}, {"best_step": None}, {"ended": False}, *curves):
        assert advice.findings(replace(STILL_RISING, **other))[0].slug == "photos"  # type: ignore[arg-type]
    assert advice.findings(replace(STILL_RISING, validation=[(10, 0.5)]))[0].slug == "photos"  # a curve that is cut


def test_the_class_that_lags_or_has_too_few_photos() -> None:
    lagging = replace(RUN, classes=[CAT, replace(DOG, photos=60, ap50=0.5)])
    assert said(advice.findings(lagging)[0]) == (
        "more photos of dog: its AP50 is 0.500, 0.400 below the mean of the other classes; "
        "training photos that show it: 60: make dataset SRC=folder NAME=pets ADD=1"
    )
    few = replace(RUN, classes=[CAT, replace(DOG, photos=30)])
    assert said(advice.findings(few)[0]).startswith(
        "more photos of dog: training photos that show it: 30; with 50 or more"
    )
    assert advice.findings(replace(RUN, classes=[replace(CAT, photos=19, ap50=None)]))[0].values["photos"] == 19


def test_another_threshold() -> None:
    lower = replace(RUN, threshold=0.6, f1=0.7, best=(0.4, 0.8, 95, 107), found=80, wrong=3)
    assert said(advice.findings(lower)[0]) == (
        "a lower threshold: at 0.40 it finds 95 of 100 objects, and 12 of 107 boxes are wrong; at 0.60 it finds 80, "
        "and 3 are wrong: make predict IMAGES=folder THRESHOLD=0.4"
    )
    higher = replace(lower, best=(0.8, 0.8, 95, 97))
    assert advice.findings(higher)[0].title == "a higher threshold"
    assert advice.findings(replace(lower, f1=0.79))[0].slug == "photos"  # too little to say
    assert advice.findings(replace(lower, objects=19))[0].slug == "photos"  # too few to say


def test_labels_to_look_at_a_larger_input_and_one_box() -> None:
    assert said(advice.findings(replace(RUN, sure=8))[0]) == (
        "look at the labels: errors with a score of 0.8 or more: 8; some may be right, and a label wrong: "
        "make label-errors"
    )
    small = replace(RUN, small=(5, 20), others=(72, 80))
    (one,) = advice.findings(small)
    assert one.gain == pytest.approx((0.9 - 0.25) * 0.2) and "5 of 20 objects that are small" in said(one)
    assert one.command == "dvc exp run -S train.model=ssd_mobilenet_v2_fpnlite_640x640 evaluate parity predict"
    assert "closer" in advice.findings(replace(small, model=advice.LARGEST_MODEL))[0].title
    assert advice.findings(replace(small, small=(0, 9)))[0].slug == "photos"  # too few to say
    command = advice.findings(replace(RUN, twice=5))[0].command
    assert command == "dvc exp run -S predict.agnostic_nms=0.6 predict"
    assert advice.typed(command) == f"source .venv/bin/activate; {command}"
    assert advice.findings(replace(RUN, twice=5, agnostic_nms=0.6))[0].slug == "photos"  # it is so already


def test_a_model_that_finds_nothing_has_hardly_learned() -> None:
    nothing = replace(RUN, ap50=0.0, steps=20, found=0, best=(0.05, 0.0, 0, 0), sure=3)
    assert [said(one) for one in advice.findings(nothing)] == [
        "train longer: AP50 is 0.000: it has hardly learned anything yet: make train STEPS=300",
        "look at the boxes that it learns from: many may be wrong or missing: make inspect",
    ]
    assert advice.findings(replace(nothing, steps=500))[0].command == "make train STEPS=1000"
    assert advice.findings(replace(nothing, ap50=0.1))[0].slug == "photos"


def test_three_at_most_the_greatest_gain_first() -> None:
    every = replace(STILL_RISING, sure=8, small=(5, 20), others=(72, 80), twice=9, classes=[replace(CAT, photos=3)])
    found = advice.findings(every)
    assert [one.slug for one in found] == ["photos", "small", "longer"]
    assert [one.gain for one in found] == sorted((one.gain for one in found), reverse=True)
