"""COCO's numbers, each small enough to be worked out by hand.

pycocotools adds 2.2e-16 to each denominator of a precision, hence `approx`.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.data.tables import ImageBoxes
from detector.evaluation import metrics
from tests.support.boxes import image, with_crowds

NAMES = {1: "cat", 2: "dog"}
CAT, DOG = 1, 2


def approx(value: float) -> object:
    return pytest.approx(value, abs=1e-12)


def test_perfect_detections() -> None:
    truth = [image("a.jpg", (0, 0, 100, 100, CAT)), image("b.jpg", (10, 10, 200, 200, DOG), (0, 0, 9.5, 9.5, DOG))]
    result = metrics.coco(truth, truth, NAMES)
    assert result.pop("per_class") == {
        name: {"AP": approx(1), "AP50": approx(1), "AR100": approx(1)} for name in ("cat", "dog")
    }
    # AR1: one detection an image finds all of cat, half of dog (two in one image): (1 + 1/2) / 2
    assert result == {
        **dict.fromkeys(("AP", "AP50", "AP75", "AR10", "AR100"), approx(1)),
        "AR1": approx(0.75),
        **dict.fromkeys(("AP_small", "AP_large", "AR_small", "AR_large"), approx(1)),  # no medium box, so no key
    }
    assert list(result) == [name for name in metrics.NAMES if "medium" not in name]


def test_one_of_two_found() -> None:
    truth = [image("a.jpg", (0, 0, 100, 100, CAT), (200, 200, 300, 300, CAT))]
    found = [image("a.jpg", (0, 0, 100, 100, CAT, 0.9))]
    # Precision is 1 up to recall 1/2, which covers the recalls 0.00, 0.01, ..., 0.50: 51 of COCO's 101
    result = metrics.coco(truth, found, NAMES)
    assert result["AP"] == result["AP50"] == result["per_class"]["cat"]["AP"] == approx(51 / 101)
    assert result["AR100"] == approx(1 / 2)


def test_box_at_iou_0_6_counts_at_three_of_ten_thresholds() -> None:
    truth = [image("a.jpg", (0, 0, 100, 100, CAT))]
    found = [image("a.jpg", (25, 0, 125, 100, CAT, 0.9))]  # intersection 75 * 100, union 125 * 100
    result = metrics.coco(truth, found, NAMES)
    assert (result["AP"], result["AP50"], result["AP75"]) == (approx(0.3), approx(1), 0)  # 0.50, 0.55, 0.60


def test_a_crowd_is_neither_a_miss_nor_a_false_alarm() -> None:
    """One cat that is found, a crowd of cats, in which two detections lie, one of them small."""
    truth = [with_crowds(image("a.jpg", (0, 0, 100, 100, CAT), (200, 200, 400, 400, CAT)), 1)]
    in_crowd = [(200, 200, 400, 400, CAT, 0.95), (210, 210, 250, 250, CAT, 0.94)]
    found = [image("a.jpg", *in_crowd, (0, 0, 100, 100, CAT, 0.9))]
    result = metrics.coco(truth, found, NAMES)
    assert (result["AP"], result["AR100"]) == (approx(1), approx(1))
    assert result["per_class"] == {"cat": {"AP": approx(1), "AP50": approx(1), "AR100": approx(1)}}
    assert metrics.coco(truth, [image("a.jpg", (0, 0, 100, 100, CAT, 0.9))], NAMES)["AP"] == approx(1)
    # of this one 60 % lie in the crowd: ignored at IoU 0.50, 0.55 and 0.60, else a false alarm above the cat
    found = [image("a.jpg", (380, 200, 413 + 1 / 3, 400, CAT, 0.95), (0, 0, 100, 100, CAT, 0.9))]
    result = metrics.coco(truth, found, NAMES)
    assert (result["AP"], result["AP50"], result["AP75"]) == (approx((3 + 7 / 2) / 10), approx(1), approx(1 / 2))


def test_of_a_class_that_has_crowds_alone_there_is_no_number() -> None:
    truth = [with_crowds(image("a.jpg", (0, 0, 100, 100, CAT), (200, 200, 400, 400, DOG)), 1)]
    assert list(metrics.coco(truth, truth, NAMES)["per_class"]) == ["cat"]


def test_wrong_class_is_a_miss() -> None:
    result = metrics.coco([image("a.jpg", (0, 0, 100, 100, CAT))], [image("a.jpg", (0, 0, 100, 100, DOG, 0.9))], NAMES)
    assert result["AP"] == 0
    assert result["per_class"] == {"cat": {"AP": 0, "AP50": 0, "AR100": 0}}  # dog has no groundtruth: no number


def test_false_positive_above_halves_and_below_is_free() -> None:
    truth = [image("a.jpg", (0, 0, 100, 100, CAT)), image("b.jpg")]  # b.jpg: an image without objects
    right, wrong = (0, 0, 100, 100, CAT, 0.5), (0, 0, 100, 100, CAT)
    above = metrics.coco(truth, [image("a.jpg", right), image("b.jpg", (*wrong, 0.9))], NAMES)
    below = metrics.coco(truth, [image("a.jpg", right), image("b.jpg", (*wrong, 0.1))], NAMES)
    assert above["AP"] == approx(1 / 2)  # the one find is the second of two detections, at every recall
    assert below["AP"] == approx(1)  # all is found before the false positive comes


def test_two_finds_around_a_false_positive() -> None:
    truth = [image("a.jpg", (0, 0, 100, 100, CAT), (200, 200, 300, 300, CAT))]
    found = [
        image("a.jpg", (0, 0, 100, 100, CAT, 0.9), (400, 0, 500, 100, CAT, 0.8), (200, 200, 300, 300, CAT, 0.7)),
    ]
    # 51 recalls at precision 1, the other 50 at precision 2/3
    assert metrics.coco(truth, found, NAMES)["AP"] == approx((51 + 50 * 2 / 3) / 101)


def test_two_boxes_on_one_object_count_once() -> None:
    truth = [image("a.jpg", (0, 0, 100, 100, CAT), (200, 200, 300, 300, CAT))]
    found = [image("a.jpg", (0, 0, 100, 100, CAT, 0.9), (0, 0, 100, 100, CAT, 0.8))]
    assert metrics.coco(truth, found, NAMES)["AR100"] == approx(1 / 2)


def test_sizes_are_pixels_of_the_original_image() -> None:
    truth = [image("a.jpg", (0, 0, 31, 31, CAT), (100, 0, 195, 95, CAT), (200, 200, 300, 300, CAT))]
    result = metrics.coco(truth, [image("a.jpg", (100, 0, 195, 95, CAT, 0.9))], NAMES)
    assert [result[f"AP_{size}"] for size in ("small", "medium", "large")] == [0, approx(1), 0]
    assert [result[f"AR_{size}"] for size in ("small", "medium", "large")] == [0, approx(1), 0]


def test_no_detections() -> None:
    result = metrics.coco([image("a.jpg", (0, 0, 100, 100, CAT))], [image("a.jpg")], NAMES)
    assert (result["AP"], result["AR100"]) == (0, 0)


@pytest.mark.parametrize("truth", [[], [image("a.jpg")]])
def test_no_groundtruth_gives_no_number(truth: list[ImageBoxes]) -> None:
    found = [image(one.filename, (0, 0, 9, 9, CAT, 0.9)) for one in truth]
    assert metrics.coco(truth, found, NAMES) == {"per_class": {}}


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.coco([image("a.jpg", (0, 0, 9, 9, CAT))], [image("a.jpg")], NAMES)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("truth", "found", "reason"),
    [
        ([image("a.jpg")], [], "a.jpg"),
        ([], [image("a.jpg")], "a.jpg"),
        ([image("a.jpg")] * 2, [image("a.jpg")], "2 images share 1 file names"),
        ([image("a.jpg")], [image("a.jpg", (0, 0, 1, 1, 3))], "unknown class id 3"),
        ([image("a.jpg")], [image("a.jpg", (0, 0, 1, 1, CAT, float("nan")))], "a.jpg: a box or score is not finite"),
        ([image("a.jpg")], [image("a.jpg", (0, 0, float("inf"), 1, CAT, 1))], "a.jpg: a box or score is not finite"),
    ],
)
def test_what_does_not_fit_is_refused(truth: list[ImageBoxes], found: list[ImageBoxes], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        metrics.coco(truth, found, NAMES)


ROW = st.tuples(
    *[st.integers(0, 60)] * 2,
    *[st.integers(61, 200)] * 2,
    st.sampled_from([CAT, DOG]),
    st.sampled_from([0.2, 0.5, 0.9]),
)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.lists(ROW, max_size=3), st.lists(ROW, max_size=3)), max_size=4), st.randoms())
def test_in_range_and_the_same_in_any_order_of_images(images: list[tuple[list, list]], random) -> None:  # type: ignore[type-arg, no-untyped-def]
    truth = [image(f"{number}.jpg", *(row[:5] for row in rows)) for number, (rows, _) in enumerate(images)]
    found = [image(f"{number}.jpg", *rows) for number, (_, rows) in enumerate(images)]
    result = metrics.coco(truth, found, NAMES)
    shuffled = metrics.coco(random.sample(truth, len(truth)), random.sample(found, len(found)), NAMES)
    assert result == shuffled
    per_class = result.pop("per_class")
    assert all(0 <= value <= 1 for row in (result, *per_class.values()) for value in row.values())
    assert set(per_class) == {NAMES[int(c)] for one in truth for c in one.classes}
