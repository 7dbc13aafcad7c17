"""How long a step of the last training took, for the summary of `make train`; beside the logs, as no output of DVC.

It is of this machine, and never the same twice; an output must be.
"""

import json
from pathlib import Path

from detector.base import files

FILE = Path("logs/speed.json")


def write(seconds_per_step: float) -> None:
    """Keep what a step took, validation and all."""
    files.write_text(FILE, json.dumps({"seconds_per_step": seconds_per_step}) + "\n")


def read() -> float:
    """What was kept; 0 where nothing can be read."""
    try:
        return float(json.loads(FILE.read_text(encoding="utf-8"))["seconds_per_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
