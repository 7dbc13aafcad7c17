"""What an export loses against the checkpoint: its AP, and its detections one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detector.data.tables import ImageBoxes
from detector.evaluation import metrics, significance
from detector.export.agreement import Agreement, agreement

P95 = 0.95


@dataclass(frozen=True)
class Parity:
    """A format beside the checkpoint, over the same images.

    numbers: AP, AP50; AP_drop, AP50_drop, how much lower they are than the checkpoint's, and their 95 % intervals;
    lost, added and kept detections; box_p95, box_max in pixels, score_p95, score_max, of those that were kept.
    """

    numbers: Mapping[str, Any]
    agreement: Agreement


def measure(
    groundtruth: Sequence[ImageBoxes],
    reference: Sequence[ImageBoxes],
    exported: Sequence[ImageBoxes],
    names: Mapping[int, str],
    threshold: float,
) -> Parity:
    """Compare the detections of an export with those of the checkpoint.

    Args:
        names: class id -> name.
        threshold: the lowest score of the detections that are compared one by one; AP uses every score.

    Raises:
        ValueError: the images are not the same.
    """
    ap = [metrics.coco(groundtruth, detections, names) for detections in (reference, exported)]
    numbers: dict[str, Any] = {name: ap[1][name] for name in significance.METRICS}
    numbers |= {f"{name}_drop": ap[0][name] - ap[1][name] for name in significance.METRICS}
    intervals = significance.difference_intervals(groundtruth, exported, reference, names)
    numbers |= {name.replace("_interval", "_drop_interval"): ends for name, ends in intervals.items()}
    found = agreement(reference, exported, threshold)
    numbers |= {"kept": found.kept, "lost": found.lost, "added": found.added}
    for name, values in (("box", found.box), ("score", found.score)):
        numbers |= {f"{name}_p95": _quantile(values), f"{name}_max": float(values.max(initial=0))}
    return Parity(numbers, found)


def _quantile(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
    return float(np.quantile(values, P95)) if len(values) else 0.0
