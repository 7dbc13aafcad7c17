"""What this machine remembers from one command to the next, beside the logs; each file may be deleted.

It is no output of DVC: a time is never the same twice, and an output must be.
"""

import json
from pathlib import Path
from typing import Any

from detector.base import files

MINUTES = Path("logs/minutes.json")  # of a training, by DVC's md5 of model/train
VERDICTS = Path("logs/verdicts.json")  # of one run against another, by the names of their objects in DVC's cache


def read(file: Path) -> dict[str, Any]:
    """What was noted; nothing where it cannot be read."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def add(file: Path, key: str, value: str | float) -> None:
    """Note one more."""
    file.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(file, json.dumps({**read(file), key: value}, indent=2) + "\n")
