"""`dvc repro` and `dvc exp run`, whose results are kept, or the exit code is not 0.

    python -m tools.pipeline repro evaluate parity predict                         (make train)
    python -m tools.pipeline exp run --steps=1000 evaluate parity predict          (make train STEPS=1000)

Where its cache cannot take a result, DVC records it all the same and ends with 0, and the next run removes the only
copy. So the cache is completed before, or nothing is run; and again after (tools/cloud/keeping.py).

DVC lets go of its lock while a stage runs, so a second `make train` would change the params of the first one's next
stages: one at a time (LOCK).

DVC first restores the outputs that dvc.lock names, and warns of each one that it does not name: a page of them in the
first experiment of a clone, which is about to make them. It says more that is not for Passo's users: running/stages.py
has it in fewer words. All else is DVC's own command, with DVC's own arguments. How long a training took is kept for
`make runs`.
"""

import argparse
import contextlib
import fcntl
import logging
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detector.base import errors, files, paths
from detector.base.errors import UserError
from detector.training import speed
from tools import overrides
from tools.cloud import keeping, lineage
from tools.cloud.cache import Cache
from tools.cloud.project import project
from tools.page.inputs import read_metrics
from tools.running import notes, stages

LOCK = Path(".dvc/tmp/passo.lock")
EXPECTED = "No file hash info found for"
LOGGERS = ("dvc_data.index.checkout", "dvc_data.hashfile.checkout")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.pipeline", add_help=False, allow_abbrev=False)
    overrides.add_arguments(parser)
    arguments, command = parser.parse_known_args()
    if set(command[:1]) <= {"-h", "--help"}:
        errors.say(*(__doc__ or "").strip().splitlines())
        return
    command[2:2] = [word for override in overrides.given(arguments) for word in ("-S", override)]  # of exp run
    with one_at_a_time():
        errors.exit_with(not_kept())
        errors.say(f"> dvc {shlex.join(map(errors.redacted, command))}")
        code = run(command)
        errors.exit_with(not_kept())
    sys.exit(code)


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Holds LOCK, which names this process. Raises: UserError: another one holds it."""
    files.make_folder(LOCK.parent)
    with LOCK.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            reason = f"another make train runs here, process {lock.read(20).strip()}"
            raise UserError(str(Path.cwd()), reason, "wait for its end, or train in another clone") from None
        except OSError:  # a network folder without locks
            pass
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def run(command: list[str]) -> int:
    """DVC's command; what it makes is recorded, kept or not. Returns: its exit code."""
    from dvc.cli import main as dvc  # late: it takes half a second
    from dvc.stage.cache import StageCache

    save = StageCache.save

    def save_if_possible(*arguments: Any) -> None:
        with contextlib.suppress(OSError):  # after which DVC would not record the result
            save(*arguments)

    StageCache.save = save_if_possible
    for name in LOGGERS:
        logging.getLogger(name).addFilter(is_news)
    told = stages.tell()
    with keeping.reasons():
        code = int(dvc(command))
    if "train_tpu" in told.spent:
        keep_minutes()
    if told.experiment:
        errors.say(f"experiment: {told.experiment}")
    return code


def keep_minutes() -> None:
    """Of the training that has just ended, in all of its sessions."""
    model = dict(lineage.locked()).get(paths.TRAIN.as_posix())
    steps = read_metrics(paths.TRAIN / "train.json").get("steps")
    if model and isinstance(steps, int):
        with contextlib.suppress(OSError):
            notes.add(notes.MINUTES, model, speed.read() * steps / 60)


def not_kept() -> list[str]:
    """What DVC's cache cannot take of the working tree's outputs, a line each."""
    with project() as repo:
        Cache(repo).make_folders()
        return keeping.keep(repo)


def is_news(record: logging.LogRecord) -> bool:
    """Whether a record of DVC's says something."""
    return not str(record.msg).startswith(EXPECTED)


if __name__ == "__main__":
    errors.run(main)
