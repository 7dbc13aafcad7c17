"""Look for everything that would end a training, or waste it, and name the command that mends it.

    make doctor [STEPS=... BATCH=... DATASET=...]
    python -m tools.doctor [--fast] [-S train.steps=1000 ...]

A line for each finding, all at once: `ok`, `note:` where training would run all the same, `error:` where it would fail,
or where its results would not reach the bucket, or anyone could. Exit code 1 with any error, else 0; 2 for a wrong
command line. It changes nothing. TensorFlow, which takes seconds to start, is not asked: device files, nvidia-smi and
the packages' own records tell enough. The network gets five seconds, or two more than PASSO_GCS_SECONDS.

--fast is the part that needs no network and half a second; it prints errors alone, and `make train` begins with it.
-S is that of `dvc exp run`: a value to look at in place of the one in params.yaml.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from detector.base import errors
from tools.checks import data, lines, machine, remote, repository, settings, training
from tools.checks.lines import Check, Line

LEAST_SECONDS = 2.0  # for answers, after all else is done
Named = tuple[str, Check]


class Background(threading.Thread):
    """A check that waits for others, for so many seconds; it dies with the process, whatever it is waiting for."""

    def __init__(self, name: str, check: Check, seconds: float) -> None:
        super().__init__(name=name, daemon=True)
        silence = lines.error(f"{name}: no answer within {seconds:g} s", "is the network up? run: make doctor")
        self._check, self._found, self._until = check, [silence], time.monotonic() + seconds

    def run(self) -> None:
        self._found = lines.answers(self.name, self._check)

    def answer(self) -> list[Line]:
        """What it has found by then."""
        self.join(max(LEAST_SECONDS, self._until - time.monotonic()))
        return self._found


def main() -> None:
    arguments = _arguments()
    given, faults = settings.read(arguments.set)
    vital = _vital(given, is_experiment=bool(arguments.set))
    if arguments.fast:
        found = [*faults, *(line for name, check in vital for line in lines.answers(name, check))]
        errors_found = [line for line in dict.fromkeys(found) if line.level == lines.ERROR]
        for line in errors_found:
            print(line, file=sys.stderr)
        sys.exit(1 if errors_found else 0)
    sys.exit(1 if _show(_all(given, faults, vital)) else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.doctor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fast", action="store_true", help="errors alone, without the network")
    parser.add_argument("-S", dest="set", action="append", default=[], metavar="KEY=VALUE", help="as of dvc exp run")
    return parser.parse_args()


def _vital(given: settings.Settings, *, is_experiment: bool) -> list[Named]:
    """What can be known at once, and would end a training."""
    train, dataset, sample, pretrained = given.train, given.dataset, given.sample, given.pretrained
    return [
        ("python", machine.python),
        ("disk", _of(machine.disk, train, dataset, sample)),
        ("accelerator", _of(machine.hardware, train)),
        ("git", partial(repository.repository, is_experiment)),
        ("dvc", repository.dvc),
        ("label map", _of(data.label_map, dataset)),
        ("schedule", _of(training.schedule, train)),
        ("batch", _of(training.batch, train)),
        ("weights", _of(training.weights, train, pretrained, dataset)),
        ("work_dir", _of(training.work_dir, train)),
    ]


def _rest(given: settings.Settings) -> list[Named]:
    """What takes longer, or is no reason not to train."""
    train, dataset, sample = given.train, given.dataset, given.sample
    return [
        ("memory", _of(machine.memory, train)),
        ("accelerator", machine.unused_hardware),
        ("packages", machine.packages),
        ("git", repository.history),
        ("annotations", _of(data.annotations, dataset)),
        ("schedule", _of(training.wasted_steps, train)),
        ("batch", _of(data.large_batch, train, dataset, sample)),
        ("remote", remote.configuration),
    ]


def _of(check: Callable[..., Iterable[Line]], *sections: object) -> Check:
    """The check of these sections; nothing where one of them has a fault, which is said already."""
    return partial(check, *sections) if all(sections) else tuple


def _all(given: settings.Settings, faults: Sequence[Line], vital: Sequence[Named]) -> Iterator[Line]:
    waiting = [Background(*check, remote.seconds()) for check in remote.online(given.train)]
    for thread in waiting:
        thread.start()
    yield from faults or [lines.ok("params.yaml: every value is allowed")]
    for name, check in (*vital, *_rest(given)):
        yield from lines.answers(name, check)
    for thread in waiting:
        yield from thread.answer()


def _show(found: Iterable[Line]) -> int:
    """Print each line once, as it comes, and a last one that counts; returns how many errors there are."""
    shown: dict[Line, None] = {}
    for line in found:
        if line not in shown:
            print(line, flush=True)
        shown[line] = None
    counts = [sum(line.level == level for line in shown) for level in (lines.ERROR, lines.NOTE)]
    print("in order" if not any(counts) else f"errors: {counts[0]}, notes: {counts[1]}")
    return counts[0]


if __name__ == "__main__":
    errors.run(main)
