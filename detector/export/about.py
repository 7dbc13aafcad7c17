"""A model's own record, beside it: what it was trained from and how, and what of its dataset was left out.

about.json is model/train/train.json and `left_out`: {"photos": {why: how many}, "boxes": {why: how many}}, as the
annotation report has them.
"""

import json
from pathlib import Path

from detector.annotations import left_out
from detector.base import files

FILE = "about.json"


def write(trained: Path, folder: Path) -> None:
    """Write FILE into `folder`, of the model in `trained`, and of the dataset that is read here."""
    record = json.loads((trained / "train.json").read_text(encoding="utf-8"))
    files.write_text(folder / FILE, json.dumps({**record, "left_out": left_out.of_report()}, indent=2) + "\n")
