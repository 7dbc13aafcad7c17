"""What evaluation counts as a detection, and shows: the section `evaluate` of params.yaml."""

from dataclasses import dataclass

from detector.base import params


@dataclass(frozen=True)
class EvaluateParams:
    """The thresholds are those of the confusion matrix and of the pictures; AP uses every score.

    score_threshold: `auto` is what suits the model.
    """

    score_threshold: float | str = params.number(0, 1, auto=True)
    iou_threshold: float = params.number(0.05, 1)
    pictures: int = params.whole(0)
