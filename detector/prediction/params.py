"""What prediction shows, and how it computes: the section `predict` of params.yaml."""

from dataclasses import dataclass
from pathlib import Path

from detector.base import params, paths
from detector.base.errors import UserError
from detector.data import score_threshold


@dataclass(frozen=True)
class PredictParams:
    """score_threshold: the lowest score that is drawn and listed; `auto` is what suits the model.

    agnostic_nms: of two boxes, of whatever classes, whose IoU is greater, only the better one is; 1: both are.
    precision: of the model's numbers.
    """

    score_threshold: float | str = params.number(0, 1, auto=True)
    agnostic_nms: float = params.number(0, 1)
    precision: str = params.one_of("float32", "bfloat16", "int8")

    def threshold(self, export_dir: Path, asked: float | None = None) -> float:
        """The lowest score that is shown: the one asked for, or params.yaml's, or what suits the model."""
        return score_threshold.of(self.score_threshold, export_dir / paths.MODEL_RECORD) if asked is None else asked


def given_threshold(text: str) -> float | None:
    """The score that was asked for on the command line, if any. Raises: UserError: it is none between 0 and 1."""
    if not text:
        return None
    try:
        if 0 <= (score := float(text)) <= 1:
            return score
    except ValueError:
        pass
    raise UserError("THRESHOLD", f"{text} is not a score", "give a number from 0 to 1, such as 0.3")
