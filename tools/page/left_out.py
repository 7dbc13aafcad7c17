"""What was left out of a dataset, by its annotation report: for the summary and the page."""

from collections import Counter
from pathlib import Path

from detector.base import paths
from tools.page.inputs import read_rows

REPORT = paths.DATA / "annotation_report.csv"


def in_words(report: Path = REPORT) -> str:
    """`3 photos (2 without a label file, 1 broken XML), 1 box (1 empty)`; empty where nothing was left out."""
    skipped = [row for row in read_rows(report) if row.get("action") == "skipped"]
    photos = Counter(_kind(row) for row in skipped if not row.get("object"))
    boxes = Counter(_kind(row) for row in skipped if row.get("object"))
    return ", ".join(filter(None, (_counted(photos, "photo", "photos"), _counted(boxes, "box", "boxes"))))


def _kind(row: dict[str, str]) -> str:
    """A problem without what was met, and without the remedy."""
    return row.get("problem", "").partition(";")[0].partition(":")[0].strip()


def _counted(kinds: Counter[str], one: str, many: str) -> str:
    reasons = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return f"{kinds.total()} {one if kinds.total() == 1 else many} ({reasons})" if kinds else ""
