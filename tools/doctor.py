"""Find everything that would end a training, or waste it, and the command that fixes it.

    make doctor [STEPS=... BATCH=... DATASET=... WORK_DIR=...]
    python -m tools.doctor [--fast] [-S train.steps=1000 ...]

It prints a line for each check: `ok`; `note:` where training would run all the same; `error:` where training would
fail, where its results would not reach the bucket, or where anyone could read them. Exit code 1 with any error, else 0;
2 for a wrong command line. It changes nothing, but that a bucket which -S names counts as the user's (cloud/trust.py).
It does not start TensorFlow, which takes seconds: device files, nvidia-smi and the packages' own records tell enough.
The network gets five seconds, or two more than PASSO_GCS_SECONDS.

--fast runs only what needs no network and half a second, and prints only errors; `make train` begins with it.
-S is that of `dvc exp run`: a value to check in place of the one in params.yaml.
"""

import argparse
import shlex
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from detector.base import errors
from tools import overrides
from tools.checks import data, lines, machine, remote, repository, settings, training
from tools.checks.lines import Check, Line
from tools.cloud import trust

KEPT = ("dataset.dir=", "train.steps=", "train.batch_size=")  # of `make train` DATASET=, STEPS=, BATCH=
LEAST_SECONDS = 2.0  # for answers of the network, after all else has been printed
# What would end a training, and is known in half a second; `main` adds one for git.
FAST = (
    Check("python", machine.python),
    Check("disk", machine.disk, ("train", "dataset", "sample")),
    Check("accelerator", machine.hardware, ("train",)),
    Check("dvc", repository.dvc),
    Check("dvc", repository.readable),
    Check("outputs", repository.hidden),
    Check("label map", data.label_map, ("dataset",)),
    Check("schedule", training.schedule, ("train",)),
    Check("batch", training.batch, ("train",)),
    Check("weights", training.weights, ("train", "pretrained", "dataset")),
    Check("work_dir", training.work_dir, ("train",)),
)
# What takes longer, or does not keep a training from running.
REST = (
    Check("memory", machine.memory, ("train",)),
    Check("accelerator", machine.unused_hardware),
    Check("packages", machine.packages),
    Check("git", repository.history),
    Check("cache", repository.kept),
    Check("annotations", data.annotations, ("dataset", "train")),
    Check("schedule", training.wasted_steps, ("train",)),
    Check("batch", data.large_batch, ("train", "dataset", "sample")),
    Check("remote", remote.configuration),
)


class Background(threading.Thread):
    """A check of the network, which gets so many seconds; it dies with the process, whatever it is waiting for."""

    def __init__(self, check: Check, seconds: float) -> None:
        super().__init__(name=check.name, daemon=True)
        silence = lines.error(f"{check.name}: no answer within {seconds:g} s", "is the network up? run: make doctor")
        self._check, self._lines, self._end = check, [silence], time.monotonic() + seconds

    def run(self) -> None:
        self._lines = self._check.lines({})

    def lines(self) -> list[Line]:
        """What it reports; where the time is over, that."""
        self.join(max(LEAST_SECONDS, self._end - time.monotonic()))
        return self._lines


def main() -> None:
    arguments = _arguments()
    params, faults = settings.read(arguments.set)
    for key, _, value in (override.partition("=") for override in arguments.set):
        if key == "train.work_dir" and trust.is_in_bucket(place := value.strip("'\"")):  # Hydra's quotes
            trust.remember(place)
    fast = [Check("git", partial(repository.repository, bool(arguments.set))), *FAST]
    if arguments.fast:
        sys.exit(1 if _show_errors(_for_this_run([*faults, *_lines(fast, params)], arguments.set)) else 0)
    sys.exit(1 if _show(_for_this_run(_all(params, faults, [*fast, *REST]), arguments.set)) else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.doctor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fast", action="store_true", help="errors only, without the network")
    parser.add_argument("-S", dest="set", action="append", default=[], metavar="KEY=VALUE", help="as of dvc exp run")
    overrides.add_arguments(parser)
    arguments = parser.parse_args()
    arguments.set = [*overrides.given(arguments), *arguments.set]
    return arguments


def _for_this_run(reported: Iterable[Line], changes: Sequence[str]) -> Iterator[Line]:
    """The lines; a `dvc exp run` that fixes one keeps DATASET, STEPS and BATCH of the `make train` that is checked."""
    for line in reported:
        kept = [one for one in changes if one.startswith(KEPT) and f"-S {one.partition('=')[0]}=" not in line.remedy]
        options = "".join(f"-S {shlex.quote(one)} " for one in kept)
        yield replace(line, remedy=line.remedy.replace("dvc exp run -S", f"dvc exp run {options}-S"))


def _lines(checks: Iterable[Check], params: Mapping[str, Any]) -> Iterator[Line]:
    for check in checks:
        yield from check.lines(params)


def _all(params: Mapping[str, Any], faults: Sequence[Line], checks: Iterable[Check]) -> Iterator[Line]:
    threads = [Background(check, remote.seconds()) for check in remote.online(params.get("train"))]
    for thread in threads:
        thread.start()
    yield from faults or [lines.ok("params.yaml: every value is allowed")]
    yield from _lines(checks, params)
    for thread in threads:
        yield from thread.lines()


def _show_errors(reported: Iterable[Line]) -> int:
    """Print each error once, on stderr; returns how many there are."""
    mistakes = [line for line in dict.fromkeys(reported) if line.level == lines.ERROR]
    for line in mistakes:
        errors.say(str(line), file=sys.stderr)
    return len(mistakes)


def _show(reported: Iterable[Line]) -> int:
    """Print each line once, as it comes, and a last one that counts; returns how many errors there are."""
    shown: set[Line] = set()
    for line in reported:
        if line not in shown:
            errors.say(str(line))
            shown.add(line)
    levels = [line.level for line in shown]
    error_count, note_count = levels.count(lines.ERROR), levels.count(lines.NOTE)
    errors.say(f"errors: {error_count}, notes: {note_count}" if error_count or note_count else "in order")
    return error_count


if __name__ == "__main__":
    errors.run(main)
