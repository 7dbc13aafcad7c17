"""Which of a photo's detections are shown, and how many there can be."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detector.data.boxes import iou
from detector.data.tables import ImageBoxes


@dataclass(frozen=True)
class Selection:
    """threshold: the lowest score. agnostic_nms: of boxes whose IoU is greater, of whatever classes, the best alone."""

    threshold: float
    agnostic_nms: float

    def __call__(self, found: ImageBoxes) -> ImageBoxes:
        """Those that are shown; they come with the highest score first."""
        result = found.above(self.threshold)
        overlaps = iou(result.boxes, result.boxes) > self.agnostic_nms
        kept: list[int] = []
        for number in range(len(overlaps)):
            if not overlaps[number, kept].any():
                kept.append(number)
        return result.subset(np.array(kept, dtype=np.int64))


def most_detections(record: Path) -> int | None:
    """How many detections the model gives of a photo at most, by its model.json; None where it does not say."""
    try:
        value = json.loads(record.read_text(encoding="utf-8")).get("max_detections")
    except (OSError, ValueError, AttributeError):
        return None
    return value if isinstance(value, int) else None
