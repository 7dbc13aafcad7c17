"""A look at the validation split while training goes on; the best checkpoint is the best of these looks by AP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector import metrics
from detector.inference import Inference
from detector.tables import ImageBoxes


@dataclass(frozen=True)
class Validation:
    """The split: its record, one example per element of `images`, and the names of the classes by id."""

    record: Path
    images: Sequence[ImageBoxes]
    names: Mapping[int, str]


class Look:
    """`look()` -> the losses by name, and AP and AP50, of `model` as it is at that moment; traced once."""

    def __init__(self, model: Any, config: Any, validation: Validation) -> None:
        self._validation = validation
        self._inference = Inference(model, config, validation.record, validation.images)

    def __call__(self) -> tuple[dict[str, float], dict[str, float]]:
        losses, detections = self._inference()
        found = metrics.coco(self._validation.images, detections, self._validation.names)
        return losses, {name: found.get(name, 0.0) for name in ("AP", "AP50")}
