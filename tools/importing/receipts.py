"""receipts.csv of an imported dataset: for each photo where it came from, what became of it, and what was left out.

What is added later goes on behind it.

target,label_target                 in the dataset's folder; empty for a file that was left out
source,label                        in the source
sha256,label_sha256                 of what was written
split,why                           which split, and what decided: a folder, a list, the hash of the name; or why it was
                                    left out
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from detector.base import errors, files, naming
from detector.base.errors import UserError
from tools.importing import left_out
from tools.importing.plan import Plan, Row

NAME = "receipts.csv"
COLUMNS = ("target", "label_target", "source", "label", "sha256", "label_sha256", "split", "why")


def write(plan: Plan, folder: Path) -> None:
    """Write the receipts of what was copied to `folder`, and into it."""
    _write(folder, [list(COLUMNS), *_lines(plan, folder)])


def go_on(plan: Plan, labels: Mapping[Path, Row], folder: Path) -> None:
    """Write those of what was added to `folder` behind those that are there.

    Args:
        labels: {XML below the folder that has a new content: where that is from}.
    """
    lines = [list(COLUMNS)]
    if (folder / NAME).exists():
        try:
            with (folder / NAME).open(encoding="utf-8", newline="") as file:
                lines = list(csv.reader(file))
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(NAME, f"cannot be read: {error}", "save it as UTF-8, or move it away") from error
    new = {
        _text(target.with_suffix("")): (_text(target), _text(row.label), files.sha256(folder / target))
        for target, row in labels.items()
    }
    for line in lines[1:]:
        if len(line) == len(COLUMNS) and (found := new.get(line[0].rpartition(".")[0])):
            line[1], line[3], line[5] = found
    _write(folder, [*lines, *_lines(plan, folder)])


def _lines(plan: Plan, folder: Path) -> Iterator[list[str]]:
    yield from (_line(row, folder) for row in plan.rows)
    left = {path: reason for path, reason in plan.left_out.items() if reason != left_out.KNOWN}
    for path, reason in sorted(left.items()):
        yield ["", "", _text(path), "", "", "", "", f"left out: {reason}"]


def _write(folder: Path, lines: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    files.write_text(folder / NAME, text.getvalue())


def _line(row: Row, folder: Path) -> list[str]:
    targets = row.photo_target, row.label_target
    digests = [files.sha256(folder / target) if target else "" for target in targets]
    return [*map(_text, (*targets, row.photo, row.label)), *digests, row.split, row.why]


def _text(path: object) -> str:
    """A path as a CSV can hold it."""
    name = str(path or "")
    return naming.cell(errors.escaped(name) if naming.unfit(name) else name)
