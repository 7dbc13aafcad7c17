"""Is one run better than another, or is it chance?

    make compare A=first B=second      (or: python -m tools.compare FIRST [SECOND])

A and B are experiments, branches, tags or commits; without B the workspace is compared with A.

In:  of each, out of DVC: results/evaluate/{detections.csv,label_map.pbtxt} and dataset/data/test.csv; no model runs
Out: AP and AP50 of both, how much higher B's are with the 95 % interval, p, and whether B is better, worse, or neither
     is shown ("no evidence": p of 0.05 or more); the exit code is 0 for each of them

A randomisation test over the test images (evaluation/significance.py explains it). It measures the chance in the choice
of test images only: another training seed moves AP too, so compare several runs of each before you decide.
"""

import argparse
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.base import errors, paths
from detector.base.errors import UserError

if TYPE_CHECKING:
    from detector.data.tables import ImageBoxes
    from detector.evaluation.significance import Comparison

WORKSPACE = "workspace"
DETECTIONS = paths.EVALUATE / "detections.csv"
EVALUATE = "run: dvc repro evaluate"
OTHER = "choose a run that was committed (git add dvc.lock params.yaml dataset model results) after its training"
LABEL_MAP = paths.EVALUATE / paths.LABEL_MAP
FILES = (DETECTIONS, LABEL_MAP, paths.csv("test"))
REMEDY = "choose two runs with the same test split; if the files here are out of date: dvc repro evaluate"


@dataclass(frozen=True)
class Run:
    """A run's detections in the test images, and the groundtruth. label_map: class name -> id."""

    name: str
    label_map: dict[str, int]
    groundtruth: "Sequence[ImageBoxes]"
    detections: "Sequence[ImageBoxes]"


def read(revision: str | None) -> Run:
    """A run out of DVC; None is the workspace.

    Raises:
        UserError: the revision is unknown, was not evaluated, or its data is not available.
    """
    name = revision or WORKSPACE
    with opened(revision) as (source, refused), tempfile.TemporaryDirectory() as folder:
        for file in FILES:
            target = Path(folder) / file
            target.parent.mkdir(parents=True, exist_ok=True)
            fetch(source, revision, file, target, refused)
        return parsed(name, Path(folder))


def parsed(name: str, root: Path) -> Run:
    """A run whose FILES are below `root`. Raises: UserError: they cannot be used."""
    from detector.data import labels, tables

    try:
        label_map = labels.read(root / LABEL_MAP)
        groundtruth = tables.read_csv(root / paths.csv("test"), label_map)
        detections = tables.read_csv(root / DETECTIONS, label_map, scores=True, remedy=EVALUATE)
    except UserError as error:
        where = f"{name}: {Path(error.where).relative_to(root)}"
        raise UserError(where, error.reason, error.remedy, error.item) from error
    return Run(name, label_map, groundtruth, detections)


def fetch(source: Any, revision: str | None, file: Path, target: Path, refused: UserError | None) -> None:
    """Copy a file of a revision from the workspace or DVC's cache, else from its remote, unless that was refused."""
    where, path = f"{revision or WORKSPACE}: {file}", f"/{file.as_posix()}"
    listed = False
    try:
        source.info(path)
        listed = True
        source.get_file(path, str(target))
    except Exception as error:  # DVC, its index and each kind of remote raise their own
        if isinstance(error, FileNotFoundError) and not listed:
            raise UserError(
                where, "missing: no training was evaluated there", OTHER if revision else EVALUATE
            ) from error
        if refused:
            reason = f"not in DVC's cache, and {refused.where} was not asked: {refused.reason}"
            raise UserError(where, reason, refused.remedy) from error
        get = f"dvc fetch --all-commits (of an experiment: dvc exp pull origin {revision})" if revision else "make pull"
        raise UserError(where, f"neither in DVC's cache nor in its remote: {error}", f"run: {get}") from error


@contextmanager
def opened(revision: str | None) -> Iterator[tuple[Any, UserError | None]]:
    """The files of a revision as DVC's file system, and why it does not ask the default remote, if so.

    The revision's own .dvc/config does not count: it may be anyone's.
    """
    from dvc.api import DVCFileSystem
    from dvc.repo.brancher import switch

    from tools.cloud import trust
    from tools.cloud.project import project

    with project() as repo, ExitStack() as stack:
        config, refused = trust.without_strangers(repo.config, "pull")
        try:
            stack.enter_context(switch(repo, revision or WORKSPACE))
        except Exception as error:  # DVC's own; scmrepo's without any commit; pygit2's for the name of a file
            reason = "not the name of one experiment, branch, tag or commit"
            raise UserError(revision or WORKSPACE, reason, "make runs and git log list them") from error
        repo.config = config
        yield DVCFileSystem(repo), refused


def check_comparable(first: Run, second: Run) -> None:
    """Refuse to compare runs that were not measured on the same boxes in the same images.

    Raises:
        UserError: with what differs.
    """
    if reason := difference(first, second):
        raise UserError(f"{first.name}, {second.name}", reason, REMEDY)


def difference(first: Run, second: Run) -> str:
    """What differs in that on which two runs were measured, as `kind: what`; empty where nothing does."""
    if first.label_map != second.label_map:
        ids = " and ".join(", ".join(f"{name} {k}" for name, k in run.label_map.items()) for run in (first, second))
        return f"their label maps differ: {ids}"
    boxes = [{image.filename: _identity(image) for image in run.groundtruth} for run in (first, second)]
    if other := sorted(boxes[0].keys() ^ boxes[1].keys()):
        return f"measured on other test images: {errors.few(other)} in one of the two only"
    if other := sorted(name for name in boxes[0] if boxes[0][name] != boxes[1][name]):
        return f"measured on other boxes: in {errors.few(other)}"
    return ""


def _identity(image: "ImageBoxes") -> tuple[object, ...]:
    return image.width, image.height, image.classes.tolist(), image.boxes.tolist(), image.is_crowd.tolist()


def compare(first: Run, second: Run) -> "dict[str, Comparison]":
    """AP and AP50 of two comparable runs.

    Raises:
        UserError: there are no objects, or detections do not belong to the images.
    """
    from detector.data import labels
    from detector.evaluation import significance

    if not any(len(image.objects.boxes) for image in first.groundtruth):
        raise UserError(f"{first.name}: {paths.csv('test')}", "no objects in the test split", REMEDY)
    names = labels.by_id(first.label_map)
    try:
        return significance.compare(first.groundtruth, first.detections, second.detections, names)
    except ValueError as error:
        where = f"{first.name}, {second.name}: {DETECTIONS}"
        raise UserError(where, str(error), "run dvc repro evaluate where it was made") from error


def lines(first: Run, second: Run, comparisons: "Mapping[str, Comparison]") -> list[str]:
    """The output: a row per metric, and the meaning of the words."""
    from detector.evaluation import significance

    rows = [
        (
            metric,
            f"{one.first:.3f}",
            f"{one.second:.3f}",
            f"{one.difference:+.3f}",
            f"{one.low:+.3f} to {one.high:+.3f}" if math.isfinite(one.low) else "-",
            f"{one.p:.4f}",
            one.verdict,
        )
        for metric, one in comparisons.items()
    ]
    table = [("", "A", "B", "B - A", "95 % interval", "p", "B is"), *rows]
    widths = [max(len(row[k]) for row in table) for k in range(len(rows[0]))]
    chance = f"p: how often chance alone makes as large a difference, by {significance.RESAMPLES:,} random exchanges"
    return [
        f"A: {first.name}",
        f"B: {second.name}",
        *("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in table),
        f"{errors.counted(len(first.groundtruth), 'test image')}. {chance}.",
        "Another training seed moves AP too; p does not measure that.",
    ]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    manual = (__doc__ or "").partition("\n")
    result = argparse.ArgumentParser(
        "python -m tools.compare",
        description=manual[0],
        epilog=manual[2].strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("first", metavar="A", help="an experiment, branch, tag or commit")
    result.add_argument("second", metavar="B", nargs="?", help="another one (default: the workspace)")
    return result


def main() -> None:
    """Read both, check, compare, print."""
    arguments = parser().parse_args()
    first, second = read(arguments.first), read(arguments.second)
    check_comparable(first, second)
    compared = compare(first, second)
    if not arguments.second:
        from tools.cloud import lineage  # late, as all that --help does not need

        lineage.warn(lineage.stale(paths.EVALUATE, paths.csv("test")))
    errors.say(*lines(first, second, compared))


if __name__ == "__main__":
    errors.run(main)
