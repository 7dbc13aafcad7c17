"""How much of a dataset was left out, and why: counted from annotation_report.csv, and in words.

    split,filename,object,problem,action      action: error, skipped, repaired or warning

A photo that was left out has one line with its own name and an empty object. A problem begins with its kind, up to the
first colon or semicolon: problems of one kind are counted together.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from detector.base import paths
from detector.base.errors import counted

REPORT = paths.DATA / "annotation_report.csv"
SKIPPED = "skipped"  # the action
PHOTOS, BOXES, FILES = "photos", "boxes", "files"
Counts = dict[str, dict[str, int]]  # {"photos": {kind: how many}, "boxes": {...}}, the most frequent kind first
SINGULAR = {PHOTOS: "photo", BOXES: "box", FILES: "file"}
_KIND_ENDS = re.compile(r": |; ")


def of_report(path: Path = REPORT) -> Counts:
    """What a report says was left out; both are empty where the report is missing."""
    if not path.is_file():
        return count(())
    with path.open(encoding="utf-8", newline="") as file:
        skipped = [row for row in csv.DictReader(file) if row.get("action") == SKIPPED]
    return count((row["filename"], row["object"], _KIND_ENDS.split(row["problem"])[0]) for row in skipped)


def count(lines: Iterable[tuple[str, str, str]]) -> Counts:
    """Of (file name, object, kind) of each line about something that was left out; label files are not counted."""
    kinds: dict[str, Counter[str]] = {PHOTOS: Counter(), BOXES: Counter()}
    for filename, item, kind in lines:
        if (things := subject(filename, item)) in kinds:
            kinds[things][kind] += 1
    return {things: dict(counter.most_common()) for things, counter in kinds.items()}


def subject(filename: str, item: str) -> str:
    """What a line of the report is about: photos, boxes or files."""
    if item:
        return BOXES
    return FILES if filename.lower().endswith((".xml", ".pbtxt")) else PHOTOS


def in_words(counts: Mapping[str, Mapping[str, int]]) -> str:
    """`3 photos (has no label 2, is an empty file 1), 1 box (empty 1)`; empty where nothing was left out."""
    parts = []
    for things, kinds in counts.items():
        reasons = ", ".join(f"{kind} {number}" for kind, number in kinds.items())
        parts += [f"{counted(sum(kinds.values()), SINGULAR[things])} ({reasons})"] if kinds else []
    return ", ".join(parts)
