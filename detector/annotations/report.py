"""What was left out, repaired or refused in a dataset: a line each, on the console and in annotation_report.csv.

    split,filename,object,problem,action      action: error, skipped, repaired or warning

left_out.py has its rules, and counts it.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from detector.annotations import left_out
from detector.annotations.left_out import Counts
from detector.annotations.voc import ERROR, SKIPPED, Problem
from detector.base import errors, files, naming
from detector.base.errors import UserError

PATH = left_out.REPORT
COLUMNS = ["split", "filename", "object", "problem", "action"]


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
        return [naming.cell(errors.printable(text)) for text in texts]


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
            kinds[one.problem.action, left_out.subject(one.path.name, one.problem.item), kind].append(one)
    for (action, things, kind), same in sorted(kinds.items()):
        names = list(dict.fromkeys(f"{one.path.parent.name}/{one.path.name}" for one in same))
        count = errors.counted(len(same), left_out.SINGULAR[things])
        words = f"{count}: {kind}: {errors.few(names)}" if len(same) > 1 else same[0].line()
        yield errors.printable(f"{action}: {words}")


def count(problems: Iterable[FileProblem]) -> Counts:
    """What was left out, of problems."""
    skipped = (one for one in problems if one.problem.action == SKIPPED)
    return left_out.count((one.path.name, one.problem.item, one.problem.kind) for one in skipped)
