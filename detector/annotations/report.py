"""What was left out, repaired or refused in a dataset: a line each, on the console and in annotation_report.csv.

    split,filename,object,problem,action      action: error, skipped, repaired or warning

A photo that was left out has one line with its own name and an empty object. A problem begins with its kind, up to the
first colon or semicolon: problems of one kind are counted together.
"""

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from detector.annotations.voc import ERROR, SKIPPED, Problem
from detector.base import errors, files, paths
from detector.base.errors import UserError

PATH = paths.DATA / "annotation_report.csv"
COLUMNS = ["split", "filename", "object", "problem", "action"]
PHOTOS, BOXES, FILES = "photos", "boxes", "files"
_SINGULAR = {PHOTOS: "photo", BOXES: "box", FILES: "file"}
_KIND_ENDS = re.compile(r": |; ")


@dataclass(frozen=True)
class FileProblem:
    """One line of the report: a problem and the file that has it."""

    split: str
    path: Path
    problem: Problem

    def line(self) -> str:
        """An error, as the user reads it on the console."""
        return UserError(str(self.path), self.problem.reason, self.problem.remedy, self.problem.item).line()

    def row(self) -> list[str]:
        words = f"{self.problem.reason}; {self.problem.remedy}"
        texts = (self.split, self.path.name, self.problem.item, words, self.problem.action)
        return [errors.printable(text) for text in texts]


def in_order(problems: Iterable[FileProblem]) -> list[FileProblem]:
    """By split and file; those of one file as they were met."""
    return sorted(problems, key=lambda one: (one.split, one.path.name))


def write(path: Path, problems: Iterable[FileProblem]) -> None:
    """The problems as CSV; without any, its header alone."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(problem.row() for problem in problems)
    files.write_text(path, text.getvalue())


def summary(problems: Iterable[FileProblem]) -> Iterator[str]:
    """A line for each kind of problem, errors apart: how many photos, boxes or files have it, and the first names."""
    kinds = defaultdict(list)
    for one in problems:
        if one.problem.action != ERROR:
            kind = one.problem.kind if one.split else one.problem.reason  # of the whole dataset: each is another
            kinds[one.problem.action, _things(one.path.name, one.problem.item), kind].append(one)
    for (action, things, kind), same in sorted(kinds.items()):
        names = list(dict.fromkeys(f"{one.path.parent.name}/{one.path.name}" for one in same))
        words = f"{counted(len(same), things)}: {kind}: {errors.few(names)}" if len(same) > 1 else same[0].line()
        yield errors.printable(f"{action}: {words}")


def counts(path: Path) -> dict[str, dict[str, int]]:
    """{"photos": {kind: how many were left out}, "boxes": {...}} of a report, the most frequent kind first.

    Both are empty where the report is missing.
    """
    if not path.is_file():
        return _counted(())
    with path.open(encoding="utf-8", newline="") as file:
        skipped = [row for row in csv.DictReader(file) if row.get("action") == SKIPPED]
    return _counted((row["filename"], row["object"], _KIND_ENDS.split(row["problem"])[0]) for row in skipped)


def left_out(problems: Iterable[FileProblem]) -> dict[str, dict[str, int]]:
    """`counts`, of problems."""
    skipped = (one for one in problems if one.problem.action == SKIPPED)
    return _counted((one.path.name, one.problem.item, one.problem.kind) for one in skipped)


def _counted(lines: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, int]]:
    kinds: dict[str, Counter[str]] = {PHOTOS: Counter(), BOXES: Counter()}
    for filename, item, kind in lines:
        things = _things(filename, item)
        if things in kinds:
            kinds[things][kind] += 1
    return {things: dict(counter.most_common()) for things, counter in kinds.items()}


def in_words(left: Mapping[str, Mapping[str, int]]) -> str:
    """`3 photos (has no XML beside it 2, is an empty file 1), 1 box (empty 1)`; empty where nothing was left out."""
    parts = []
    for things, kinds in left.items():
        reasons = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
        parts += [f"{counted(sum(kinds.values()), things)} ({reasons})"] if kinds else []
    return ", ".join(parts)


def counted(number: int, things: str) -> str:
    """`1 box`, `2 boxes`, of a plural."""
    return f"{number} {_SINGULAR[things] if number == 1 else things}"


def _things(filename: str, item: str) -> str:
    """What a line is about."""
    if item:
        return BOXES
    return FILES if filename.lower().endswith((".xml", ".pbtxt")) else PHOTOS
