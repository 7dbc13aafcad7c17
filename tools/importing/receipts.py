"""receipts.csv of an imported dataset: for each photo where it came from, what became of it, and what was left out.

target,label_target                 in the dataset's folder; empty for a file that was left out
source,label                        in the source
sha256,label_sha256                 of what was written
split,why                           which split, and what decided: a folder, a list, the hash of the name; or why it was
                                    left out
"""

import csv
import io
from pathlib import Path

from detector.base import errors, files, naming
from tools.importing.plan import Plan, Row

NAME = "receipts.csv"
COLUMNS = ("target", "label_target", "source", "label", "sha256", "label_sha256", "split", "why")


def write(plan: Plan, folder: Path) -> None:
    """Write the receipts of what was copied to `folder`, and into it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in plan.rows:
        writer.writerow(_line(row, folder))
    for path, reason in sorted(plan.left_out.items()):
        writer.writerow(["", "", _text(path), "", "", "", "", f"left out: {reason}"])
    files.write_text(folder / NAME, text.getvalue())


def _line(row: Row, folder: Path) -> list[str]:
    targets = row.photo_target, row.label_target
    digests = [files.sha256(folder / target) if target else "" for target in targets]
    return [*map(_text, (*targets, row.photo, row.label)), *digests, row.split, row.why]


def _text(path: object) -> str:
    """A path as a CSV can hold it."""
    name = str(path or "")
    return naming.cell(errors.escaped(name) if naming.unfit(name) else name)
