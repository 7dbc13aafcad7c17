"""The work directory of a training, outside DVC's outputs: one trainer at a time, and nothing lost when one dies.

.work/train             while a training runs: `last` and `best`
.work/train.lock        held by the trainer's process
.work/died-<time>       what a training that died had kept; nothing here is ever deleted by us
"""

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from detector.errors import UserError

ROOT = Path(".work")
TRAIN = ROOT / "train"


@contextmanager
def work_dir() -> Iterator[Path]:
    """Yields `.work/train`, empty and ours alone; on any error what it holds is kept under another name, and said so.

    Raises:
        UserError: another training is running in this project.
    """
    ROOT.mkdir(exist_ok=True)
    with (ROOT / "train.lock").open("a+") as lock:
        _take(lock)
        _keep("an earlier training did not end")  # it was killed, or the machine went away
        TRAIN.mkdir()
        try:
            yield TRAIN
        except BaseException:
            _keep("this training did not end")
            raise


def _take(lock: IO[str]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel gives it back when the process ends, however
    except BlockingIOError:
        lock.seek(0)
        pid = lock.read().strip() or "?"
        remedy = f"wait for it, or stop it: kill {pid}"
        raise UserError(lock.name, f"another training is running here, process {pid}", remedy) from None
    lock.seek(0)
    lock.truncate()
    lock.write(f"{os.getpid()}\n")
    lock.flush()


def _keep(reason: str) -> None:
    if not TRAIN.exists():
        return
    if not (TRAIN / "last").exists():  # it died before it had kept anything
        TRAIN.rmdir() if not any(TRAIN.iterdir()) else TRAIN.rename(_free())
        return
    kept = _free()
    TRAIN.rename(kept)
    print(f"{reason}; its checkpoints are in {kept}. To go on from the last one:", file=sys.stderr)
    prefix = kept / "last" / "ckpt-1"
    print(
        f"  dvc exp run -S pretrained.source={prefix} -S train.fine_tune_checkpoint_type=full"
        "    (the model before it: dvc checkout)",
        file=sys.stderr,
    )


def _free() -> Path:
    """A name that is not taken yet."""
    stem = f"died-{time.strftime('%Y%m%d-%H%M%S')}"
    names = [ROOT / stem, *(ROOT / f"{stem}-{number}" for number in range(2, 100))]
    return next(name for name in names if not name.exists())
