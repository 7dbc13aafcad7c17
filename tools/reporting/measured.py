"""What `evaluate` has measured on the test images, with the kind of each error: the base of the report's numbers."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from detector.base import params, paths
from detector.data import labels, score_threshold, tables
from detector.evaluation.params import EvaluateParams
from tools.page.inputs import read_rows
from tools.reporting import counting, kinds
from tools.reporting.counting import GRID, Counts
from tools.reporting.kinds import ImageKinds

DETECTIONS = paths.EVALUATE / "detections.csv"
LABEL_MAP = paths.EVALUATE / paths.LABEL_MAP
REMEDY = "run: dvc repro evaluate"


@dataclass(frozen=True)
class Measured:
    """images: sorted by file name. names: class id -> name. place: of the score threshold in `GRID`. iou: the least of
    a right box.
    """

    images: list[ImageKinds]
    names: Mapping[int, str]
    place: int
    iou: float

    @cached_property
    def counts(self) -> Counts:
        """By threshold; classes in the order of `names`."""
        return counting.count(self.images, list(self.names))

    @property
    def threshold(self) -> float:
        return float(GRID[self.place])


def _classes_of(csv: Path) -> set[str]:
    return {unicodedata.normalize("NFC", row["class"]) for row in read_rows(csv) if row.get("class")}


def read() -> Measured | None:
    """What is in results/evaluate; None where nothing is, or where it is of other test images.

    Raises:
        UserError: a file is damaged.
    """
    if not (DETECTIONS.is_file() and LABEL_MAP.is_file() and paths.csv("test").is_file()):
        return None
    settings = params.load("evaluate", EvaluateParams)
    label_map = labels.read(LABEL_MAP)
    if not _classes_of(paths.csv("test")) <= {unicodedata.normalize("NFC", name) for name in label_map}:
        return None  # another dataset's
    groundtruth = tables.read_csv(paths.csv("test"), label_map, remedy=REMEDY)
    detections = tables.read_csv(DETECTIONS, label_map, scores=True, remedy=REMEDY)
    try:
        images = kinds.of_images(groundtruth, detections, settings.iou_threshold)
    except ValueError:  # of other images
        return None
    threshold = score_threshold.of(settings.score_threshold, paths.TRAIN / "train.json")
    return Measured(images, labels.by_id(label_map), int(np.rint(100 * threshold)), settings.iou_threshold)
