"""All runs, a line each: what they were trained on, how good they are, and whether they beat the last commit.

    make runs      (or: python -m tools.runs)

In:  dvc.lock of HEAD and the commits before it, of the experiments, and of the working tree; of each, out of DVC's
     cache: model/train/train.json, dataset/data/test.csv, and metrics.json, detections.csv and label_map.pbtxt of
     results/evaluate
     logs/minutes.json: how long each training took on this machine
Out: a table of at most 100 columns, the newest 20 runs first; `-` where something is not known here

The verdict is that of `make compare A=HEAD B=run` on AP. It takes seconds, and is kept in logs/verdicts.json. No model
runs, and nothing is downloaded.
"""

import itertools
import shlex
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from detector.base import errors, paths
from detector.base.bars import bar
from detector.base.errors import UserError
from tools import compare
from tools.checks import enough
from tools.cloud.project import project
from tools.running import history, notes
from tools.running.history import HEAD, Run
from tools.summary import number

COLUMNS = 100
HEADER = ("run", "when", "data", "start", "steps", "AP", "95 %", "AP50", "min", "vs HEAD")
SHRINK = {"data": 6, "start": 6, "run": 12}  # to so many letters, one after the other, where a line is too long
HERE, ELSEWHERE = "* ", "  "
SAME, OTHER_DATA, UNKNOWN = "same", "other test", "-"
KNOWN = (OTHER_DATA, "better", "worse", "no evidence")  # verdicts that take time
TEST = paths.csv("test")
LEGEND = "* is in the working tree; vs HEAD: AP on the same test images, as make compare tests it"
APPLY = "dvc exp apply run, to have an experiment's files again"


def verdicts(runs: Sequence[Run]) -> dict[str, str]:
    """Of each run, by its name: whether its AP is better or worse than HEAD's, or why that is not known."""
    head = next((run for run in runs if run.name == HEAD), None)
    others = [run for run in runs if run is not head]
    if not head or len(head.files) < len(compare.FILES):
        return dict.fromkeys((run.name for run in runs), UNKNOWN)
    return {
        head.name: UNKNOWN,
        **{run.name: verdict(head, run) for run in bar(others, "comparing", len(others))},
    }


def verdict(head: Run, run: Run) -> str:
    """That of one run."""
    if len(run.files) < len(compare.FILES):
        return UNKNOWN
    if run.files == head.files:
        return SAME
    key = " ".join("".join(file.parts[-2:]) for one in (head, run) for _, file in sorted(one.files.items()))
    found = notes.read(notes.VERDICTS).get(key)
    if found not in KNOWN:
        found = compared(head, run)
        notes.add(notes.VERDICTS, key, found)
    return str(found)


def compared(head: Run, run: Run) -> str:
    """The same, computed."""
    try:
        first, second = parsed(head), parsed(run)
        compare.check_comparable(first, second)
    except UserError:
        return OTHER_DATA
    try:
        return compare.compare(first, second)["AP"].verdict
    except UserError:  # its detections are not of its test images: a run that was stopped half way
        return UNKNOWN


def parsed(run: Run) -> compare.Run:
    """What `make compare` needs of a run, out of the cache, whose files have other names."""
    with tempfile.TemporaryDirectory() as folder:
        for path, file in run.files.items():
            place = Path(folder) / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file.absolute())
        return compare.parsed(run.name, Path(folder))


def row(run: Run, against_head: str) -> tuple[str, ...]:
    """A run's cells."""
    interval = enough.measured_interval(run.metrics, "AP")
    ends = [number(interval, end) for end in ("low", "high")] if isinstance(interval, Mapping) else [UNKNOWN]
    return (
        (HERE if run.is_here else ELSEWHERE) + errors.printable(run.name),
        time.strftime("%m-%d %H:%M", time.localtime(run.when)),
        errors.printable(run.data) or UNKNOWN,
        errors.printable(run.start) or UNKNOWN,
        UNKNOWN if run.steps is None else str(run.steps),
        number(run.metrics, "AP"),
        UNKNOWN if UNKNOWN in ends else "-".join(ends),
        number(run.metrics, "AP50"),
        UNKNOWN if run.minutes is None else f"{run.minutes:.0f}",
        against_head,
    )


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows below HEADER, numbers to the right, in at most `COLUMNS` columns if names can be cut to fit."""
    every = [(ELSEWHERE + HEADER[0], *HEADER[1:]), *rows]
    widths = [max(len(one[k]) for one in every) for k in range(len(HEADER))]
    for name, least in SHRINK.items():
        k = HEADER.index(name)
        over = sum(widths) + 2 * (len(widths) - 1) - COLUMNS
        widths[k] -= max(0, min(over, widths[k] - least))
    numbers = [HEADER.index(name) for name in ("steps", "AP", "AP50", "min")]
    return [
        "  ".join(
            f"{cell:>{width}}" if k in numbers else f"{shortened(cell, width):{width}}"
            for k, (cell, width) in enumerate(zip(one, widths, strict=True))
        ).rstrip()
        for one in every
    ]


def shortened(text: str, width: int) -> str:
    """A text in at most so many letters."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def following(runs: Sequence[Run]) -> list[str]:
    """What to do next: compare with HEAD if it was measured, else two others that were, on the same test images."""
    measured = {run.name: run for run in runs if len(run.files) == len(compare.FILES)}
    others = [run for name, run in measured.items() if name not in (HEAD, history.WORKSPACE)]
    if HEAD in measured:
        return [f"Next: make compare A=HEAD B=run; {APPLY}"]
    for new, old in itertools.combinations(others, 2):
        if new.files[TEST] == old.files[TEST]:
            return [f"Next: make compare A={shlex.quote(old.name)} B={shlex.quote(new.name)}; {APPLY}"]
    return [f"Next: {APPLY}"] if others else []


def main() -> None:
    """Read, compare, print."""
    with project() as repo:
        runs = history.runs(repo)
    if not any(run.metrics for run in runs):
        raise UserError("dvc.lock", "no run was evaluated, or DVC's cache has none", "run: make train (or: make pull)")
    against_head = verdicts(runs)
    errors.say(*table([row(run, against_head[run.name]) for run in runs]), LEGEND, *following(runs))


if __name__ == "__main__":
    errors.run(main, __doc__)
