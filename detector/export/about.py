"""A model's own record, beside it: what it was trained from and how, and what of its dataset was left out.

about.json is model/train/train.json and `left_out`: {"photos": {why: how many}, "boxes": {why: how many}}, as the
annotation report has them. Needs no TensorFlow: the summary and the report read that one, too.
"""

import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from detector.base import files, paths

FILE = "about.json"
REPORT = paths.DATA / "annotation_report.csv"
PHOTOS, BOXES = "photos", "boxes"
Counts = dict[str, dict[str, int]]


def left_out(report: Path = REPORT) -> Counts:
    """How many photos and boxes were left out, for each reason, the most frequent first; none without a report."""
    kinds: dict[str, Counter[str]] = {PHOTOS: Counter(), BOXES: Counter()}
    if report.is_file():
        with report.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row.get("action") == "skipped":
                    kinds[BOXES if row.get("object") else PHOTOS][_kind(row.get("problem") or "")] += 1
    return {things: dict(counter.most_common()) for things, counter in kinds.items()}


def _kind(problem: str) -> str:
    """A problem without what was met, and without the remedy."""
    return problem.partition(";")[0].partition(":")[0].strip()


def in_words(counts: Mapping[str, Mapping[str, int]]) -> str:
    """`3 photos (2 without a label file, 1 broken XML), 1 box (1 empty)`; empty where nothing was left out."""
    singular = {PHOTOS: "photo", BOXES: "box"}
    parts = []
    for things, kinds in counts.items():
        count, reasons = sum(kinds.values()), ", ".join(f"{number} {kind}" for kind, number in kinds.items())
        parts += [f"{count} {singular[things] if count == 1 else things} ({reasons})"] if kinds else []
    return ", ".join(parts)


def write(trained: Path, folder: Path) -> None:
    """Write FILE into `folder`, of the model in `trained`, and of the dataset that is read here."""
    record = json.loads((trained / "train.json").read_text(encoding="utf-8"))
    files.write_text(folder / FILE, json.dumps({**record, "left_out": left_out()}, indent=2) + "\n")
