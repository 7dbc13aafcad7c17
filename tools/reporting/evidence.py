"""What is known of the last run, out of its files, for tools/reporting/advice.py."""

import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from detector.base import params, paths
from detector.model.pipeline_config import TEMPLATES
from detector.prediction.params import PredictParams
from detector.training import speed
from tools.page.inputs import points, read_rows
from tools.reporting.advice import SURE, ClassEvidence, Evidence
from tools.reporting.counting import GRID
from tools.reporting.kinds import BACKGROUND, BOTH, CLASS, ImageKinds
from tools.reporting.measured import Measured

SMALL = 32  # pixels of the network's input, the root of the area
LEAST_PLACE = 5  # in GRID: a lower threshold is never advised


def of_run(
    dataset: str, training: Mapping[str, Any], metrics: Mapping[str, Any], measured: Measured | None
) -> Evidence:
    """The evidence. dataset: its folder. training, metrics: what train.json and metrics.json hold."""
    steps, best = training.get("steps"), training.get("best_step")
    steps = steps if isinstance(steps, int) else 0
    curve = paths.TRAIN_RESULTS / "plots/metrics/val/AP.tsv"
    model, ap50 = str(training.get("model")), metrics.get("AP50")
    return Evidence(
        dataset=Path(dataset).name,
        model=model,
        ap50=ap50 if isinstance(ap50, int | float) else None,
        classes=classes(metrics),
        validation=[one for one in points(read_rows(curve, "\t"), "step", "AP", curve) if math.isfinite(one[1])],
        steps=steps,
        best_step=best if training.get("best") and isinstance(best, int) else None,
        ended=training.get("stopped_by", "steps") == "steps",
        minutes=math.ceil(2 * steps * speed.read() / 60 - 0.5),
        **(errors(measured, model) if measured else {}),
    )


def classes(metrics: Mapping[str, Any]) -> list[ClassEvidence]:
    """Of each class that was measured or trained on: the training photos that show it, and its AP50."""
    shown: dict[str, set[str]] = defaultdict(set)
    for row in read_rows(paths.csv("train")):
        if row.get("class"):
            shown[row["class"]].add(row.get("filename", ""))
    ap50s = {name: values.get("AP50") for name, values in metrics.get("per_class", {}).items()}
    names = sorted({*ap50s, *shown}) if shown else []  # without the table, nothing is known of the photos
    known = {name: ap50 for name, ap50 in ap50s.items() if isinstance(ap50, int | float)}
    return [ClassEvidence(name, len(shown[name]), known.get(name)) for name in names]


def errors(measured: Measured, model: str) -> dict[str, Any]:
    """What the errors on the test images say: the fields of `Evidence` from `threshold` on."""
    counts, place = measured.counts, measured.place
    f1 = np.nan_to_num(counts.f1())
    greatest = np.flatnonzero(f1 == f1[LEAST_PLACE:-1].max())
    best = int(min(greatest, key=lambda at: abs(at - place)))  # of those that are as good, the one next to today's
    small, others = by_size(measured, TEMPLATES.get(model, ("", 300))[1])
    right, shown = counts.right(), counts.shown()
    return {
        "threshold": measured.threshold,
        "f1": float(f1[place]),
        "best": (float(GRID[best]), float(f1[best]), int(right[best]), int(shown[best])),
        "objects": int(counts.objects.sum()),
        "found": int(right[place]),
        "wrong": int(shown[place] - right[place]),
        "small": small,
        "others": others,
        "sure": sum(sure(image) for image in measured.images),
        "twice": sum(twice(image, measured.threshold) for image in measured.images),
        "agnostic_nms": params.load("predict", PredictParams).agnostic_nms,
    }


def by_size(measured: Measured, side: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(found, all) of the objects under `SMALL` pixels of the network's input of `side` pixels, and of the others."""
    result = np.zeros((2, 2), dtype=int)
    for image in measured.images:
        objects = image.truth.objects
        sides = (objects.boxes[:, 2:] - objects.boxes[:, :2]) / (objects.width, objects.height) * side  # (N, 2)
        large = (np.sqrt(sides.prod(axis=1)) >= SMALL).astype(int)
        np.add.at(result, (large, 0), image.found >= measured.threshold)
        np.add.at(result, (large, 1), 1)
    (small, all_small), (others, all_others) = result.tolist()
    return (small, all_small), (others, all_others)


def sure(image: ImageKinds) -> int:
    """Detections with a score from SURE that are counted as wrong, and that a label may be wrong or missing for."""
    wrong = np.isin(image.kinds, (BACKGROUND, CLASS, BOTH))
    return int((wrong & (image.detected.scores >= SURE)).sum())


def twice(image: ImageKinds, threshold: float) -> int:
    """Detections of another class on an object that is found by a higher score."""
    chosen = (image.kinds == CLASS) & (image.detected.scores >= threshold)
    found = image.found[image.about[chosen]]
    return int((found > image.detected.scores[chosen]).sum())
