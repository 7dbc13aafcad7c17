"""The training that runs on this machine. Its lock is not taken, and its files are only read."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from detector.base import errors, paths
from detector.base.errors import UserError
from detector.board import board
from detector.checkpointing import work_dir
from tools.trainings import best
from tools.trainings.best import Best, ChangedError

KEY = re.compile(f"[0-9a-f]{{{work_dir.KEY_DIGITS}}}")


def running(root: Path) -> Path | None:
    """The folder of the training that runs in the work directory `root`; of several, the one that saved last."""
    return max(filter(_is_running, _folders(root)), key=_saved, default=None)


def fetch(training: Path, folder: Path) -> Best:
    """Copy the best weights so far of the training in that folder into `folder`, with all that their export needs.

    Raises:
        UserError: it has not validated yet, its pipeline.config is not in logs/, or the system refuses to copy it.
    """
    return best.tried(str(training), lambda: _fetched(training, folder))


def _fetched(training: Path, folder: Path) -> Best:
    work = work_dir.Work(training, keep=1)
    try:
        folders = work.newest(1)
        if not folders:
            raise UserError(str(training), "no checkpoint yet", "wait for the first validation")
        found = best.parsed(str(training), training.name, (folders[0] / work_dir.STATE).read_bytes())
        shutil.rmtree(folder / best.CHECKPOINT, ignore_errors=True)
        shutil.copytree(work.best(found.step), folder / best.CHECKPOINT)
    except (OSError, shutil.Error) as error:
        raise errors.refusal(error) or ChangedError(f"cannot be read: {error}") from error
    best.checked(folder / best.CHECKPOINT)
    logs = board.folder_of(training.name)
    for name in (best.CONFIG, paths.LABEL_MAP):
        if logs is None or not (logs / name).is_file():
            remedy = "stop that training, and run make train again: it resumes, and writes it there"
            raise UserError(str(training), f"its {name} is not in {board.LOGS}", remedy)
        shutil.copyfile(logs / name, folder / name)
    return found


def _folders(root: Path) -> Iterator[Path]:
    return (folder for folder in sorted(root.glob("*")) if KEY.fullmatch(folder.name))


def _is_running(folder: Path) -> bool:
    """Whether the process that the lock names has it open: to try to take it might keep a training from starting."""
    lock = folder / work_dir.LOCK
    try:
        opened = psutil.Process(int(lock.read_text())).open_files()
    except psutil.AccessDenied:  # another user's
        return True
    except (OSError, ValueError, psutil.Error):
        return False
    return any(Path(file.path) == lock.resolve() for file in opened)


def _saved(folder: Path) -> float:
    """When its newest checkpoint was saved; 0 where there is none."""
    return max((path.stat().st_mtime for path in folder.glob("step-*")), default=0.0)
