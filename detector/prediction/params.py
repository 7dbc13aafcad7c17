"""What prediction shows: the section `predict` of params.yaml."""

from dataclasses import dataclass

from detector.base import params


@dataclass(frozen=True)
class PredictParams:
    """score_threshold: the lowest score that is drawn and listed."""

    score_threshold: float = params.number(0, 1)
