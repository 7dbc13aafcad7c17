"""The lowest score of a detection that is shown: what params.yaml says, or with `auto` what suits the model.

A training records the score with the greatest F1 on its validation split (detector/evaluation/curves.py).
"""

import json
from pathlib import Path

KEY = "score_threshold"  # in train.json and model.json
DEFAULT = 0.5  # for a model without one: it had no validation split, found nothing there, or is from before


def of(setting: float | str, record: Path) -> float:
    """The threshold. record: train.json or model.json of the model."""
    if isinstance(setting, float):
        return setting
    try:
        value = json.loads(record.read_text(encoding="utf-8")).get(KEY)
    except (OSError, ValueError, AttributeError):
        return DEFAULT
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else DEFAULT
