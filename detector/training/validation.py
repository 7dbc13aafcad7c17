"""A look at the validation split while training goes on; the best checkpoint is the best of these looks by AP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.data.tables import ImageBoxes
from detector.evaluation import metrics
from detector.model import od_api
from detector.model.inference import Inference
from detector.model.tensorflow_env import tf


@dataclass(frozen=True)
class Validation:
    """The split: its record, one example per element of `images`, and the names of the classes by id."""

    record: Path
    images: Sequence[ImageBoxes]
    names: Mapping[int, str]


class Look:
    """`look()` -> the losses by name, and AP and AP50, of `model` as it is at that moment; traced once.

    What is looked at is what would be saved: a copy, in float32 and on one device, where training is in bfloat16 or has
    several replicas, each with statistics of its own. Then every worker must look at the same time.
    """

    def __init__(self, model: Any, config: Any, validation: Validation) -> None:
        self._validation, self._model = validation, model
        shared = any(isinstance(variable, tf.distribute.DistributedValues) for variable in model.variables)
        self._seen = od_api.build_model(config) if shared or config.train_config.use_bfloat16 else model
        self._inference = Inference(self._seen, config, validation.record, validation.images)

    def __call__(self) -> tuple[dict[str, float], dict[str, float]]:
        if self._seen is not self._model:
            for seen, variable in zip(self._seen.variables, self._model.variables, strict=True):
                seen.assign(variable.read_value())  # where replicas differ, it is their mean
        losses, detections = self._inference()
        found = metrics.coco(self._validation.images, detections, self._validation.names)
        return losses, {name: found.get(name, 0.0) for name in ("AP", "AP50")}
