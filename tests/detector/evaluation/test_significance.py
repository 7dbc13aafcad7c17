"""Intervals and comparisons: exactly pycocotools' numbers on any draw of images, and small cases worked out by hand."""

import contextlib
import dataclasses
import io
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.cocoeval import COCOeval

from detector.data.tables import ImageBoxes
from detector.evaluation import metrics, significance
from tests.support.boxes import image, with_crowds

NAMES = {1: "cat", 2: "dog"}
CAT, DOG = 1, 2
BOX, OTHER = (0, 0, 100, 100), (200, 200, 300, 300)


def approx(value: float) -> object:
    return pytest.approx(value, abs=1e-12)


def copies(images: Sequence[ImageBoxes], counts: Sequence[int]) -> list[ImageBoxes]:
    """Every image as often as counted, under names that keep their order."""
    return [
        dataclasses.replace(one, filename=f"{one.filename}.{k:03}")
        for one, count in zip(images, counts, strict=True)
        for k in range(count)
    ]


def cocos_precision(truth: Sequence[ImageBoxes], found: Sequence[ImageBoxes]) -> np.ndarray:
    """(10 IoUs, 101 recalls, classes) by pycocotools' own `accumulate`; -1 for a class without groundtruth."""
    evaluation: COCOeval = metrics.matched(truth, found, NAMES)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    return evaluation.eval["precision"][..., 0, -1]


def our_precision(ranked: Sequence[significance.Ranking], counts: Sequence[int]) -> np.ndarray:
    curves = [ranking.precision(np.array(counts, dtype=np.int64)) for ranking in ranked]
    return np.stack([np.full((10, 101), -1.0) if curve is None else curve for curve in curves], axis=-1)


def assert_exactly_cocos(truth: Sequence[ImageBoxes], found: Sequence[ImageBoxes], counts: Sequence[int]) -> None:
    ranked = significance.rankings(truth, found, NAMES)
    ours, theirs = our_precision(ranked, counts), -np.ones((10, 101, 2))
    if any(counts):
        theirs = cocos_precision(copies(truth, counts), copies(found, counts))
    np.testing.assert_array_equal(ours, theirs)
    present = theirs[theirs > -1]
    values = significance.measure(ranked, np.array(counts, dtype=np.int64))
    np.testing.assert_allclose(values[0], present.mean() if present.size else np.nan, rtol=0, atol=1e-12)


# Few scores, so that many are equal; boxes near each other, so that several hit one object.
ROW = st.tuples(
    *[st.integers(0, 40)] * 2,
    *[st.integers(60, 110)] * 2,
    st.sampled_from([CAT, DOG]),
    st.sampled_from([0.2, 0.5, 0.9]),
)
IMAGES = st.lists(
    st.tuples(st.lists(ROW, max_size=3), st.lists(ROW, max_size=6), st.integers(0, 3)), min_size=1, max_size=5
)


@settings(max_examples=100)
@given(IMAGES)
def test_every_draw_is_exactly_what_pycocotools_accumulates(images: list[tuple[list, list, int]]) -> None:  # type: ignore[type-arg]
    crowds = [[k for k, row in enumerate(rows) if row[5] < 0.4] for rows, _, _ in images]
    labelled = [image(f"{k}.jpg", *(row[:5] for row in rows)) for k, (rows, _, _) in enumerate(images)]
    truth = [with_crowds(one, *marked) for one, marked in zip(labelled, crowds, strict=True)]
    found = [image(f"{k}.jpg", *rows) for k, (_, rows, _) in enumerate(images)]
    assert_exactly_cocos(truth, found, [1] * len(images))
    assert_exactly_cocos(labelled, found, [1] * len(images))
    assert_exactly_cocos(truth, found, [count for _, _, count in images])


def test_a_box_without_area_is_left_out_as_coco_does() -> None:
    truth = [image("a.jpg", (*BOX, CAT)), image("b.jpg", (*OTHER, CAT))]
    inverted = (90, 10, 10, 90, CAT, 0.95)  # its area is -80 * 80
    found = [image("a.jpg", inverted, (*BOX, CAT, 0.9)), image("b.jpg", inverted, (*OTHER, CAT, 0.8))]
    for counts in ([1, 1], [2, 1], [0, 3]):
        assert_exactly_cocos(truth, found, counts)
    assert significance.measure(significance.rankings(truth, found, NAMES), np.array([1, 1])).tolist() == approx_list(
        1, 1
    )


def approx_list(*values: float) -> object:
    return pytest.approx(list(values), abs=1e-12)


def test_more_than_a_hundred_detections_of_an_image_do_not_count() -> None:
    truth = [image("a.jpg", (*BOX, CAT)), image("b.jpg", (*BOX, CAT))]
    wrong = [(*OTHER, CAT, 0.9 - k / 1000) for k in range(100)]
    found = [image("a.jpg", *wrong, (*BOX, CAT, 0.5)), image("b.jpg", *wrong[:99], (*BOX, CAT, 0.5))]
    for counts in ([1, 1], [3, 1], [1, 2]):
        assert_exactly_cocos(truth, found, counts)


def test_crowds_count_at_some_thresholds() -> None:
    """Of the false cat 60 % lie in the crowd: it is ignored up to IoU 0.60, and is a false alarm from 0.65 on."""
    truth = [with_crowds(image("a.jpg", (*BOX, CAT), (200, 0, 400, 100, CAT)), 1), image("b.jpg", (*BOX, CAT))]
    found = [image("a.jpg", (*BOX, CAT, 0.9), (340, 0, 440, 100, CAT, 0.95)), image("b.jpg", (*BOX, CAT, 0.8))]
    for counts in ([1, 1], [2, 1], [0, 3], [3, 0]):
        assert_exactly_cocos(truth, found, counts)
    (cats, _) = significance.rankings(truth, found, NAMES)
    assert [len(part.hits) for part in cats.parts] == [3, 7]


def test_images_with_crowds_alone_have_no_interval() -> None:
    truth = [with_crowds(image(f"{k}.jpg", (*BOX, CAT)), *marked) for k, marked in enumerate(([], [0], [0]))]
    found = [image(f"{k}.jpg", (*BOX, CAT, 0.9)) for k in range(3)]
    assert significance.intervals(truth, found, NAMES) == {}


# Intervals.


def test_interval_is_of_all_draws_that_there_are() -> None:
    """Of three images there are 27 equally likely draws: measured one by one, by pycocotools."""
    truth = [image("a.jpg", (*BOX, CAT), (*OTHER, CAT)), image("b.jpg", (*BOX, CAT)), image("c.jpg", (*BOX, DOG))]
    found = [
        image("a.jpg", (*BOX, CAT, 0.9), (*OTHER, DOG, 0.8)),
        image("b.jpg", (25, 0, 125, 100, CAT, 0.7)),  # IoU 0.6
        image("c.jpg", (*BOX, DOG, 0.6), (*OTHER, CAT, 0.95)),
    ]
    draws = [np.bincount(draw, minlength=3).tolist() for draw in np.ndindex(3, 3, 3)]
    every = [metrics.coco(copies(truth, counts), copies(found, counts), NAMES) for counts in draws]
    result = significance.intervals(truth, found, NAMES)
    assert list(result) == ["AP_interval", "AP50_interval"]
    for name in ("AP", "AP50"):
        low, high = np.quantile([one[name] for one in every], [0.025, 0.975], method="inverted_cdf")
        assert result[f"{name}_interval"] == {"low": approx(low), "high": approx(high)}
        assert low < metrics.coco(truth, found, NAMES)[name] < high


def cats(found: Sequence[bool], score: float = 0.9) -> tuple[list[ImageBoxes], list[ImageBoxes]]:
    """One cat an image, and whether it is found: `(groundtruth, detections)`."""
    truth = [image(f"{k:03}.jpg", (*BOX, CAT)) for k in range(len(found))]
    return truth, [image(f"{k:03}.jpg", *([(*BOX, CAT, score)] if one else [])) for k, one in enumerate(found)]


@pytest.mark.parametrize(("found", "value"), [(True, 1), (False, 0)])
def test_where_all_images_are_alike_there_is_no_doubt(found: bool, value: float) -> None:
    truth, detections = cats([found] * 4)
    ends = {"low": approx(value), "high": approx(value)}
    assert significance.intervals(truth, detections, NAMES) == {"AP_interval": ends, "AP50_interval": ends}


def test_interval_narrows_with_the_root_of_the_images() -> None:
    """Half of n cats found: AP is about the share that is found, whose deviation is sqrt(1/4 / n)."""
    for images in (16, 100, 400):
        ends = significance.intervals(*cats([True, False] * (images // 2)), NAMES)["AP_interval"]
        assert ends["high"] - ends["low"] == pytest.approx(2 * 1.96 * 0.5 / images**0.5, rel=0.1)


@pytest.mark.parametrize(
    "truth", [[], [image("a.jpg")], [image("a.jpg", (*BOX, CAT))], [image("a.jpg", (*BOX, CAT)), image("b.jpg")]]
)
def test_no_interval_with_less_than_two_images_that_hold_objects(truth: list[ImageBoxes]) -> None:
    assert significance.intervals(truth, truth, NAMES) == {}


def test_draws_without_groundtruth_and_classes_that_vanish() -> None:
    """Two of ten images hold objects, one of each class: a tenth of the draws (0.8 ** 10) hold neither."""
    truth = [image(f"{k}.jpg") for k in range(8)] + [image("8.jpg", (*BOX, CAT)), image("9.jpg", (*BOX, DOG))]
    found = [image(f"{k}.jpg") for k in range(8)] + [image("8.jpg", (*BOX, CAT, 0.9)), image("9.jpg")]
    values = [
        significance.measure(significance.rankings(truth, found, NAMES), counts)[0] for counts in significance.draws(10)
    ]
    assert np.isnan(values).mean() == pytest.approx(0.8**10, abs=0.02)
    assert {round(value, 6) for value in values if not np.isnan(value)} == {0, 0.5, 1}  # dog alone, both, cat alone
    assert significance.intervals(truth, found, NAMES)["AP_interval"] == {"low": 0, "high": approx(1)}


def test_the_same_numbers_twice_and_in_any_order_of_images() -> None:
    truth, found = cats([True, False, True, True, False, True])
    assert significance.intervals(truth, found, NAMES) == significance.intervals(truth[::-1], found[::-1], NAMES)


# Comparisons.


def compare(first: Sequence[bool], second: Sequence[bool]) -> significance.Comparison:
    truth, found = cats(first)
    return significance.compare(truth, found, cats(second, score=0.6)[1], NAMES)["AP"]


@pytest.mark.parametrize(("images", "verdict"), [(4, "no evidence"), (5, "no evidence"), (6, "better"), (7, "better")])
def test_p_is_that_of_tossed_coins(images: int, verdict: str) -> None:
    """The second finds every cat, the first none: only if all coins fall alike is the difference as large again."""
    result = compare([False] * images, [True] * images)
    assert (result.first, result.second, result.low, result.high) == (0, approx(1), approx(1), approx(1))
    assert result.p == pytest.approx(2 / 2**images, abs=0.012)
    assert result.verdict == verdict
    assert compare([True] * images, [False] * images).verdict == verdict.replace("better", "worse")


def test_one_image_is_never_evidence() -> None:
    result = compare([False], [True])
    assert (result.difference, result.p, result.verdict) == (approx(1), 1, "no evidence")
    assert np.isnan([result.low, result.high]).all()


def test_a_difference_in_one_image_of_many_is_no_evidence() -> None:
    result = compare([True] * 30 + [False] * 30, [True] * 31 + [False] * 29)
    # 31 of 60 found: 52 of COCO's 101 recalls; 30 of 60: 51. Its one image may fall to either
    assert (result.difference, result.p, result.verdict) == (approx(1 / 101), 1, "no evidence")


@contextlib.contextmanager
def few_resamples() -> Iterator[None]:
    """For what holds with any number of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(significance, "RESAMPLES", 60)
        yield


@settings(max_examples=30)
@given(IMAGES)
def test_a_run_does_not_differ_from_itself(images: list[tuple[list, list, int]]) -> None:  # type: ignore[type-arg]
    truth = [image(f"{k}.jpg", (*BOX, CAT), *(row[:5] for row in rows)) for k, (rows, _, _) in enumerate(images)]
    found = [image(f"{k}.jpg", *rows) for k, (_, rows, _) in enumerate(images)]
    with few_resamples():
        results = significance.compare(truth, found, found, NAMES)
    for result in results.values():
        assert (result.difference, result.p, result.verdict) == (0, 1, "no evidence")
        assert np.isnan(result.low) if len(images) == 1 else (result.low, result.high) == (0, 0)


@settings(max_examples=30)
@given(IMAGES, st.randoms())
def test_swapping_the_two_turns_the_sign(images: list[tuple[list, list, int]], random) -> None:  # type: ignore[type-arg, no-untyped-def]
    truth = [image(f"{k}.jpg", (*BOX, CAT), *(row[:5] for row in rows)) for k, (rows, _, _) in enumerate(images)]
    first = [image(f"{k}.jpg", *rows) for k, (_, rows, _) in enumerate(images)]
    second = [
        image(one.filename, *random.sample(rows, len(rows) // 2))
        for one, (_, rows, _) in zip(first, images, strict=True)
    ]
    with few_resamples():
        there, back = (significance.compare(truth, *pair, NAMES) for pair in ((first, second), (second, first)))
    for name in ("AP", "AP50"):
        one, other = there[name], back[name]
        assert (one.first, one.second, one.p) == (other.second, other.first, other.p)
        np.testing.assert_allclose([one.low, one.high], [-other.high, -other.low], rtol=0, atol=1e-12)
        verdicts = {"better": "worse", "worse": "better", "no evidence": "no evidence"}
        assert one.verdict == verdicts[other.verdict]


def test_compare_gives_cocos_numbers() -> None:
    truth = [image("b.jpg", (*BOX, CAT), (*OTHER, DOG)), image("a.jpg", (*BOX, DOG))]
    first = [image("a.jpg", (*BOX, DOG, 0.3)), image("b.jpg", (25, 0, 125, 100, CAT, 0.9))]
    second = [image("b.jpg", (*OTHER, DOG, 0.9), (*OTHER, CAT, 0.8)), image("a.jpg")]
    result = significance.compare(truth, first, second, NAMES)
    for name in ("AP", "AP50"):
        assert result[name].first == approx(metrics.coco(truth, first, NAMES)[name])
        assert result[name].second == approx(metrics.coco(truth, second, NAMES)[name])


def test_detections_of_other_images_are_refused() -> None:
    truth, found = cats([True, True])
    with pytest.raises(ValueError, match=r"001\.jpg"):
        significance.compare(truth, found, found[:1], NAMES)


@pytest.mark.parametrize("better", [[True, True, False, True], [True, False, False, True]])
def test_the_interval_of_a_difference_is_that_of_a_comparison(better: list[bool]) -> None:
    """Where the two rank alike, with other scores, it is 0 to 0."""
    truth, first = cats([True, False, False, True])
    second = cats(better, score=0.6)[1]
    compared = significance.compare(truth, first, second, NAMES)
    intervals = significance.difference_intervals(truth, first, second, NAMES)
    assert intervals == {f"{name}_interval": {"low": one.low, "high": one.high} for name, one in compared.items()}
    assert (intervals["AP_interval"]["high"] > 0) == (better[1])


def test_the_difference_of_one_image_has_no_interval() -> None:
    truth, found = cats([True])
    assert significance.difference_intervals(truth, found, found, NAMES) == {}
