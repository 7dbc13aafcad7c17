"""What prediction shows: the section `predict` of params.yaml."""

from dataclasses import dataclass

from detector.base import params


@dataclass(frozen=True)
class PredictParams:
    """score_threshold: the lowest score that is drawn and listed; `auto` is what suits the model."""

    score_threshold: float | str = params.number(0, 1, auto=True)
