"""Measure the two lists of the labelling loop, on photos that the detector has not learned from.

    python -m tools.lab.labelling

In:  dataset/data/{val,test}.csv, the photos of dataset.dir, model/export
Out: lines on the terminal:
     order          which share of the detector's errors is in the first quarter and half of the photos, the least sure
                    first; by chance 25 % and 50 %
     label errors   5 % of the labels are spoilt, in turn by each kind of error, DRAWS times: which share of the first
                    entries of make label-errors is one of them, and which share of them is there
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from detector.base import errors, params, paths
from detector.data import boxes, labels, tables
from detector.data.params import DatasetParams
from detector.data.tables import Floats, ImageBoxes, Ints
from detector.evaluation import curves
from detector.prediction import threads
from detector.prediction.detector import load as load_detector
from detector.prediction.params import PredictParams
from tools import label_errors, prelabel
from tools.labelling import order, suspicions

SHARE, DRAWS = 0.05, 20
SHIFT = (0.3, 0.5)  # of a box's sides
SAME = 0.3  # IoU from which on an entry is about a spoilt label
KINDS = ("dropped", "another class", "shifted", "added")
Pair = tuple[ImageBoxes, ImageBoxes]  # labels, detections


@dataclass(frozen=True)
class Spoilt:
    """A label that was spoilt. photo: its number. box: where an entry about it must be."""

    photo: int
    box: Floats


def main() -> None:
    settings = params.load("predict", PredictParams)
    threshold = settings.threshold(paths.EXPORT)
    pairs = read(settings.precision)
    errors.say(f"{len(pairs)} photos", order_line(pairs, threshold))
    for name, kinds in {"all kinds": KINDS, **{kind: (kind,) for kind in KINDS}}.items():
        errors.say(f"{name:<14} {suspicions_line(pairs, kinds)}")


def read(precision: str) -> list[Pair]:
    """Labels and detections of the photos of val and test."""
    dataset = Path(params.load("dataset", DatasetParams).dir)
    label_map = labels.read(dataset / paths.LABEL_MAP)
    detector = load_detector(precision=precision)

    def detect(photo: tuple[str, ImageBoxes]) -> ImageBoxes:
        split, image = photo
        path = paths.images(dataset, split) / image.filename
        return detector.detect(label_errors.opened(path, (image.width, image.height))[0], image.filename)

    labelled = [(split, image) for split in ("val", "test") for image in tables.read_csv(paths.csv(split), label_map)]
    return [(image, found) for (_, image), found in threads.in_order(detect, labelled)]


def order_line(pairs: Sequence[Pair], threshold: float) -> str:
    wrong = curves.image_errors(*zip(*pairs, strict=True), score_threshold=threshold, iou_threshold=0.5)
    counts = {one.filename: one.missed + one.false + one.wrong_class for one in wrong}
    unsure = [order.uncertainty(found.above(prelabel.LEAST_SCORE), threshold) for _, found in pairs]
    ranked = np.array([counts[pairs[number][0].filename] for number in np.argsort(-np.array(unsure), kind="stable")])
    quarter, half = (ranked[: len(ranked) // part].sum() / ranked.sum() for part in (4, 2))
    return f"order: {quarter:.0%} of {ranked.sum()} errors are in the first quarter of the photos, {half:.0%} in half"


def suspicions_line(pairs: Sequence[Pair], kinds: Sequence[str]) -> str:
    shares: dict[str, list[float]] = {"half": [], "all": [], "twice": []}
    for seed in range(DRAWS):
        images, spoilt = spoil([labelled for labelled, _ in pairs], kinds, np.random.default_rng(seed))
        is_real = real([(image, found) for image, (_, found) in zip(images, pairs, strict=True)], spoilt)
        count = len(spoilt)
        shares["half"].append(is_real[: count // 2].mean())
        shares["all"].append(is_real[:count].mean())
        shares["twice"].append(is_real[: 2 * count].sum() / count)
    half, every, twice = (np.mean(values) for values in shares.values())
    return (
        f"{count} spoilt: of the first {count // 2} entries {half:.2f} are real, of the first {count} {every:.2f}; "
        f"the first {2 * count} have {twice:.2f} of them"
    )


def spoil(
    images: Sequence[ImageBoxes], kinds: Sequence[str], chance: np.random.Generator
) -> tuple[list[ImageBoxes], list[Spoilt]]:
    """The photos with SHARE of their labels spoilt, each in one of the ways, and these labels."""
    every = [(photo, number) for photo, image in enumerate(images) for number in range(len(image.boxes))]
    chosen = chance.choice(len(every), max(1, round(SHARE * len(every))), replace=False)
    result, spoilt, dropped = [*images], [], []
    for place, (photo, number) in enumerate(every[one] for one in sorted(chosen.tolist())):
        image, kind = result[photo], kinds[place % len(kinds)]
        box, classes = image.boxes[number], image.classes.copy()
        if kind == "dropped":
            dropped.append((photo, number))
        elif kind == "another class":
            classes[number] = chance.choice([one for one in _classes(images) if one != classes[number]])
            result[photo] = replace(image, classes=classes)
        else:
            box = _moved(image, number, chance) if kind == "shifted" else _elsewhere(image, number, chance)
            if kind == "added":
                image, number = image.subset(np.append(np.arange(len(classes)), number)), len(classes)
            moved = image.boxes.copy()
            moved[number] = box
            result[photo] = replace(image, boxes=moved)
        spoilt.append(Spoilt(photo, box))
    for photo, number in reversed(dropped):  # the numbers of those before it stay
        result[photo] = result[photo].subset(np.arange(len(result[photo].boxes)) != number)
    return result, spoilt


def real(pairs: Sequence[Pair], spoilt: Sequence[Spoilt]) -> Ints:
    """1 for each entry of the list that is about a spoilt label, the first that is; else 0."""
    entries = [(one, photo) for photo, pair in enumerate(pairs) for one in suspicions.find(*pair)]
    left, result = [*spoilt], []
    for one, photo in sorted(entries, key=lambda entry: -entry[0].nats):
        labelled, found = pairs[photo]
        about = [labelled.boxes[one.label]] if one.label is not None else []
        about += [found.boxes[one.detection]] if one.detection is not None else []
        hit = next((k for k, s in enumerate(left) if s.photo == photo and boxes.iou(about, s.box).max() > SAME), None)
        if hit is not None:
            del left[hit]
        result.append(int(hit is not None))
    return np.array(result)


def _classes(images: Sequence[ImageBoxes]) -> list[int]:
    return sorted({class_id for image in images for class_id in image.classes.tolist()})


def _moved(image: ImageBoxes, number: int, chance: np.random.Generator) -> Floats:
    box = image.boxes[number]
    step = chance.choice([-1, 1], 2) * chance.uniform(*SHIFT, 2) * (box[2:] - box[:2])
    return np.asarray((box + np.tile(step, 2)).clip(0, [image.width, image.height] * 2))


def _elsewhere(image: ImageBoxes, number: int, chance: np.random.Generator) -> Floats:
    """A box of the same size where no other is, or nearly so."""
    sides = image.boxes[number, 2:] - image.boxes[number, :2]
    corners = chance.uniform(0, np.maximum([image.width, image.height] - sides, 1), (50, 2))
    places = np.concatenate([corners, corners + sides], axis=1)
    return np.asarray(places[np.argmin(boxes.iou(places, image.boxes).max(axis=1))])


if __name__ == "__main__":
    errors.run(main, __doc__)
