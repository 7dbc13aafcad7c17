"""Validation during training; the best checkpoint is the one with the best validation AP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.data import score_threshold
from detector.data.tables import ImageBoxes
from detector.evaluation import curves, metrics
from detector.model import od_api
from detector.model.inference import Inference
from detector.model.tensorflow_env import tf


@dataclass(frozen=True)
class ValidationSplit:
    """Its record, one example per element of `images`, and the names of the classes by id."""

    record: Path
    images: Sequence[ImageBoxes]
    names: Mapping[int, str]


class Validator:
    """`validator()` measures `model` as it is; traced once.

    It gives the losses by name, AP and AP50, the best score threshold, and each image's detections.

    It measures what would be saved: a copy in float32 on one device, where training computes in `bfloat16` or has
    several replicas, each with its own statistics. Then all workers must validate at the same time.
    """

    def __init__(self, model: Any, config: Any, split: ValidationSplit, *, bfloat16: bool = False) -> None:
        self._split, self._model = split, model
        is_distributed = any(isinstance(variable, tf.distribute.DistributedValues) for variable in model.variables)
        self._copy = od_api.build_model(config) if is_distributed or bfloat16 else None
        self._inference = Inference(self._copy or model, config, split.record, split.images)

    def __call__(self) -> tuple[dict[str, float], dict[str, float], float, list[ImageBoxes]]:
        if self._copy:
            for copy, variable in zip(self._copy.variables, self._model.variables, strict=True):
                copy.assign(variable.read_value())  # where replicas differ, it is their mean
        losses, detections = self._inference("validating")
        scores = metrics.coco(self._split.images, detections, self._split.names)
        best = curves.best_threshold(self._split.images, detections)
        threshold = score_threshold.DEFAULT if best is None else best
        return losses, {name: scores.get(name, 0.0) for name in ("AP", "AP50")}, threshold, detections
