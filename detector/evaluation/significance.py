"""How far AP and AP50 can be trusted, and whether two detectors differ: other test images would give other numbers.

Intervals: the percentile bootstrap (Efron 1979). As many images as the test split has are drawn from it, with
replacement, `RESAMPLES` times; the interval holds the middle 95 % of what the draws measure. Percentile intervals
are slightly too narrow for few images.

Difference: a randomisation test (Fisher 1935; for AP in retrieval: Smucker, Allan and Carterette 2007). If it did not
matter which detector saw an image, their results on it could be swapped; p is the share of `RESAMPLES` random swaps
that make a difference as large as the true one. That is exact for any number of images, which a paired bootstrap's p is
not. The interval beside p is the bootstrap's, with the same images drawn for both.

Detections are matched to groundtruth once, by pycocotools. A draw only counts each image as often as it was drawn, and
gives exactly what `COCOeval.accumulate` gives where the split holds copies of the image. As there, no mean
counts a class without groundtruth. With fewer than two images that hold objects there is no interval.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.base.bars import bar
from detector.data.tables import Floats, ImageBoxes, Ints
from detector.evaluation import metrics

Bools = npt.NDArray[np.bool_]

METRICS = ("AP", "AP50")
CONFIDENCE = 0.95
RESAMPLES = 2000
SEED = 1
ROUNDING = 1e-9  # differences that are nearer to each other count as equal

IOU_THRESHOLDS = 10  # COCO's 0.50, 0.55, ..., 0.95
RECALLS = np.linspace(0, 1, 101)  # COCO's
EPSILON = np.spacing(1)  # which pycocotools adds to the denominator of a precision


@dataclass(frozen=True)
class _Hits:
    """The detections of one class in all images, the highest score first, cut down to what its AP depends on.

    They are those that count at T of the IoU thresholds; without crowds that is all of them at all thresholds.

    Between two hits only the number of detections matters, so those that hit nothing at any IoU threshold are only
    counted. Detections of equal score in one image are "ties": a copy of the image repeats them together.

    images: (D,) the image of each detection, up to the last hit's ties.
    hits: (T, H) whether a detection hits an object, by IoU threshold; for each: hit_images (H,) its image, start (H,)
    the place in the ranking where its ties start, ties (H,) how many they are, offset (H,) its place among them.
    """

    images: Ints
    hits: Bools
    hit_images: Ints
    start: Ints
    ties: Ints
    offset: Ints

    def precision(self, counts: Ints, total: int) -> Floats:
        """(T, 101) COCO's precision at `RECALLS` where image k occurs `counts[k]` times; `total` objects in all."""
        copies = counts[self.hit_images]
        hit = np.repeat(np.arange(len(copies)), copies)  # (E,) every copy of every hit
        copy = np.arange(len(hit)) - np.repeat(np.cumsum(copies) - copies, copies)
        above = np.append(0, np.cumsum(counts[self.images]))[self.start]  # detections before the ties
        rank = above[hit] + copy * self.ties[hit] + self.offset[hit] + 1
        order = np.argsort(rank)
        hits = self.hits[:, hit[order]]  # (T, E)
        true = np.cumsum(hits, axis=1)  # the count of true detections
        falling = np.maximum.accumulate((true / (rank[order] + EPSILON))[:, ::-1], axis=1)[:, ::-1]
        best = np.zeros((len(hits), total + 1))  # the greatest precision with at least that many objects found
        best[:, 1:][np.nonzero(hits)[0], true[hits] - 1] = falling[hits]
        best[:, 0] = best[:, 1]
        return np.asarray(best[:, np.searchsorted(np.arange(total + 1) / total, RECALLS)])


@dataclass(frozen=True)
class Ranking:
    """The detections of one class, by IoU threshold. objects: (I,) groundtruth boxes of each image."""

    objects: Ints
    parts: Sequence[_Hits]

    def precision(self, counts: Ints) -> Floats | None:
        """(10, 101) COCO's precision at `RECALLS` where image k occurs `counts[k]` times; None without groundtruth."""
        total = int(counts @ self.objects)
        return np.concatenate([part.precision(counts, total) for part in self.parts]) if total else None


def rankings(
    groundtruth: Sequence[ImageBoxes], detections: Sequence[ImageBoxes], names: Mapping[int, str]
) -> list[Ranking]:
    """The ranking of each class, images sorted by file name; arguments and errors as of `metrics.coco`."""
    matched = metrics.matched(groundtruth, detections, names, sizes=False).evalImgs  # class by class, image by image
    images = len(groundtruth)
    return [_ranking(matched[k * images : (k + 1) * images]) for k in range(len(names))]


def _ranking(matched: Sequence[Any]) -> Ranking:
    """From pycocotools' result for one class in each image: None if it has neither groundtruth nor detections."""
    seen = [(k, one) for k, one in enumerate(matched) if one is not None]
    objects = np.zeros(len(matched), dtype=np.int64)
    for k, one in seen:
        objects[k] = np.count_nonzero(np.equal(one["gtIgnore"], 0))
    images = np.array([k for k, one in seen for _ in one["dtScores"]], dtype=np.int64)
    scores = np.concatenate([np.zeros(0), *(one["dtScores"] for _, one in seen)])
    none = np.zeros((IOU_THRESHOLDS, 0))
    hits = np.concatenate([none, *(one["dtMatches"] for _, one in seen)], axis=1) > 0
    ignored = np.concatenate([none, *(one["dtIgnore"] for _, one in seen)], axis=1)
    order = np.argsort(-scores, kind="stable")
    parts = []
    for alike in np.split(np.arange(IOU_THRESHOLDS), np.flatnonzero(np.diff(ignored, axis=0).any(axis=1)) + 1):
        counted = order[ignored[alike[0], order] == 0]  # neither in a crowd nor, as in COCO, of an area of less than 0
        parts.append(_cut(images[counted], scores[counted], hits[alike][:, counted]))
    return Ranking(objects, parts)


def _cut(images: Ints, scores: Floats, hits: Bools) -> _Hits:
    number = len(scores)
    new = np.flatnonzero((np.diff(scores) != 0) | (np.diff(images) != 0)) + 1
    start = np.zeros(number, dtype=np.int64)
    start[new] = new
    start = np.maximum.accumulate(start)
    ties = np.bincount(start, minlength=number)[start]
    hit = np.flatnonzero(hits.any(axis=0))
    start = start[hit]
    return _Hits(images[: start.max(initial=0)], hits[:, hit], images[hit], start, ties[hit], offset=hit - start)


def measure(ranked: Sequence[Ranking], counts: Ints) -> Floats:
    """(2,) AP and AP50 where image k occurs `counts[k]` times; NaN without any groundtruth."""
    curves = [curve for ranking in ranked if (curve := ranking.precision(counts)) is not None]
    if not curves:
        return np.full(2, np.nan)
    return np.array([np.mean(curves), np.mean([curve[0] for curve in curves])])


def intervals(
    groundtruth: Sequence[ImageBoxes], detections: Sequence[ImageBoxes], names: Mapping[int, str]
) -> dict[str, dict[str, float]]:
    """`{AP_interval: {low, high}, AP50_interval: {low, high}}`; empty with fewer than two images that hold objects."""
    if not _has_intervals(groundtruth):
        return {}
    ranked = rankings(groundtruth, detections, names)
    low, high = _middle(np.array([measure(ranked, counts) for counts in draws(len(groundtruth))]))
    return {f"{name}_interval": {"low": low[k], "high": high[k]} for k, name in enumerate(METRICS)}


def draws(images: int) -> Iterator[Ints]:
    """(images,) how often each image is drawn, `RESAMPLES` times; for the same number always the same."""
    generator = np.random.default_rng(SEED)
    for _ in bar(range(RESAMPLES), "resampling", RESAMPLES):
        yield np.bincount(generator.integers(images, size=images), minlength=images)


def _has_intervals(groundtruth: Sequence[ImageBoxes]) -> bool:
    return sum(len(image.objects.boxes) > 0 for image in groundtruth) > 1


def _middle(values: Floats) -> list[list[float]]:
    """(R, 2) -> the ends, (2,) each, of the middle 95 % of the draws that have groundtruth."""
    outside = (1 - CONFIDENCE) / 2
    ends: list[list[float]] = np.nanquantile(values, [outside, 1 - outside], axis=0).tolist()
    return ends


@dataclass(frozen=True)
class Comparison:
    """A metric of two detectors on the same images.

    low, high: of the difference, second - first; NaN without an interval. p: how often chance alone gives as much.
    """

    first: float
    second: float
    low: float
    high: float
    p: float

    @property
    def difference(self) -> float:
        """How much higher the second is."""
        return self.second - self.first

    @property
    def verdict(self) -> str:
        """Of the second: better, worse or no evidence."""
        if self.p >= 1 - CONFIDENCE:
            return "no evidence"
        return "better" if self.difference > 0 else "worse"


def compare(
    groundtruth: Sequence[ImageBoxes],
    first: Sequence[ImageBoxes],
    second: Sequence[ImageBoxes],
    names: Mapping[int, str],
) -> dict[str, Comparison]:
    """AP and AP50 of two detectors; the same images in all three, matched by file name.

    Raises:
        ValueError: as `metrics.coco`.
    """
    both = _Both(groundtruth, first, second, names)
    images = len(groundtruth)
    once, never = np.ones(images, dtype=np.int64), np.zeros(images, dtype=np.int64)
    values = both.measure(once, never)  # (2, 2)
    by_chance = np.array([both.difference(once, swap) for swap in swaps(images)])
    extreme = np.abs(by_chance) >= np.abs(values[1] - values[0]) - ROUNDING
    p = (1 + extreme.sum(axis=0)) / (1 + RESAMPLES)
    low, high = both.interval()
    return {
        name: Comparison(*(float(v) for v in (*values[:, k], low[k], high[k], p[k]))) for k, name in enumerate(METRICS)
    }


def difference_intervals(
    groundtruth: Sequence[ImageBoxes],
    first: Sequence[ImageBoxes],
    second: Sequence[ImageBoxes],
    names: Mapping[int, str],
) -> dict[str, dict[str, float]]:
    """`{AP_interval: {low, high}, AP50_interval: ...}` of how much higher the second is; arguments as of `compare`.

    Empty with fewer than two images that hold objects.
    """
    if not _has_intervals(groundtruth):
        return {}
    low, high = _Both(groundtruth, first, second, names).interval()
    return {f"{name}_interval": {"low": low[k], "high": high[k]} for k, name in enumerate(METRICS)}


def swaps(images: int) -> Iterator[Ints]:
    """(images,) 1 where the two detectors' results on an image are swapped, else 0, at random; `RESAMPLES` times."""
    generator = np.random.default_rng(SEED)
    for _ in bar(range(RESAMPLES), "swapping", RESAMPLES):
        yield generator.integers(2, size=images)


class _Both:
    """Two detectors as one whose images 2k and 2k + 1 are the first's and the second's image k."""

    def __init__(
        self,
        groundtruth: Sequence[ImageBoxes],
        first: Sequence[ImageBoxes],
        second: Sequence[ImageBoxes],
        names: Mapping[int, str],
    ) -> None:
        pairs = zip(metrics.paired(groundtruth, first), metrics.paired(groundtruth, second), strict=True)
        every = [pair for both in pairs for pair in both]
        truth, detected = ([replace(one[k], filename=f"{n:09}") for n, one in enumerate(every)] for k in (0, 1))
        self._ranked = rankings(truth, detected, names)
        self._groundtruth = groundtruth

    def measure(self, counts: Ints, swap: Ints) -> Floats:
        """(2, 2) AP and AP50 of the first, of the second; image k `counts[k]` times, swapped where `swap[k]` is 1."""
        taken = np.stack([1 - swap, swap], axis=1) * counts[:, np.newaxis]  # (I, 2)
        return np.array([measure(self._ranked, taken.ravel()), measure(self._ranked, taken[:, ::-1].ravel())])

    def difference(self, counts: Ints, swap: Ints) -> Floats:
        """(2,) second - first of what `measure` gives."""
        values = self.measure(counts, swap)
        return np.asarray(values[1] - values[0])

    def interval(self) -> list[list[float]]:
        """The ends of the interval of `difference`, (2,) each; NaN without one. The same images are drawn for both."""
        if not _has_intervals(self._groundtruth):
            return [[math.nan] * 2] * 2
        never = np.zeros(len(self._groundtruth), dtype=np.int64)
        return _middle(np.array([self.difference(counts, never) for counts in draws(len(never))]))
