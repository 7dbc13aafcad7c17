"""What prediction shows, and how it computes: the section `predict` of params.yaml."""

from dataclasses import dataclass

from detector.base import params
from detector.base.errors import UserError


@dataclass(frozen=True)
class PredictParams:
    """score_threshold: the lowest score that is drawn and listed; `auto` is what suits the model.

    agnostic_nms: of two boxes, of whatever classes, whose IoU is greater, only the better one is; 1: both are.
    precision: of the model's numbers.
    """

    score_threshold: float | str = params.number(0, 1, auto=True)
    agnostic_nms: float = params.number(0, 1)
    precision: str = params.one_of("float32", "bfloat16", "int8")


def given_threshold(text: str) -> float:
    """The score that was asked for on the command line. Raises: UserError: it is none between 0 and 1."""
    try:
        if 0 <= (score := float(text)) <= 1:
            return score
    except ValueError:
        pass
    raise UserError("THRESHOLD", f"{text} is not a score", "give a number from 0 to 1, such as 0.3")
