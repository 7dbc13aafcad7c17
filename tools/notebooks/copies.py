"""Copies of a training in a folder that outlives the runtime: one of a mounted Google Drive.

<folder>/work/<key>/    the newest checkpoints, as in the work directory (detector/checkpointing/work_dir.py)
<folder>/start/         the initial weights, and what dvc.lock says of them

Training, DVC and git stay on the runtime's own disk: a mounted Drive is slow, has no locks, and may go away. Only whole
checkpoints are copied, beside their place, then renamed; each is verified by its own digests, here and there.

The initial weights are copied as well: their batch normalisation was measured on this machine, whose processor another
runtime may not have. Measured anew they might be other weights, and so another training.
"""

import contextlib
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from detector.base import errors, files, paths
from detector.base.errors import UserError
from detector.checkpointing.work_dir import FINISHED, IDENTITY, KEY_DIGITS, STATE, Work

SECONDS = 120.0  # between two copies: what a lost runtime costs
WORK, START = "work", "start"
KEEP = 2  # checkpoints of a training, the second one for the case that the first is damaged
LOCK = Path("dvc.lock")
OF_PRETRAINED = re.compile(r"^  pretrained:\n(?:   .*\n)+", re.MULTILINE)  # its part of dvc.lock


@contextlib.contextmanager
def saved(work: Path, folder: Path, seconds: float = SECONDS) -> Iterator[None]:
    """While this is open, the newest checkpoint in `work` is copied to `folder`, and once more at the end.

    A copy that fails is reported, and tried again; training goes on.
    """
    over, reported = threading.Event(), set[str]()

    def save_or_say() -> None:
        try:
            save(work, folder)
        except (OSError, UserError, ValueError) as error:
            if (why := reason(error, folder)) not in reported:
                reported.add(why)
                errors.say(f"warning: {folder}: not copied: {why}; training goes on, and it is tried again")

    def watch() -> None:
        while not over.wait(seconds):
            save_or_say()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        save_or_say()


def reason(error: Exception, folder: Path) -> str:
    """Why a copy failed; where `folder` is what is full, with what to do: what is in Drive's bin takes room, too."""
    if isinstance(error, OSError) and error.errno in errors.FULL:
        target = str(error.filename2 or error.filename)
        if Path(target).is_relative_to(folder):
            return f"{error}; make room in Drive, and empty its bin"
    return str(error)


def save(work: Path, folder: Path) -> None:
    """Copy what `folder` does not have yet.

    Raises:
        OSError: it cannot be written, or what is read there is not what was written.
        UserError: a file is where a folder should be.
    """
    if not folder.is_dir():  # nor is it made: below a mount point it would be on this very disk
        raise OSError("is gone: is Drive still mounted?")
    for training in _trainings(work):
        if Work(training, KEEP).newest(1):
            _save_start(folder / START)
            with _unless_removed(training):
                _save_training(training, folder / WORK / training.name)


def restore(folder: Path, work: Path) -> None:
    """Copy the newest whole checkpoint of each training back, where it is newer than what is in `work`."""
    _restore_start(folder / START)
    for training in _trainings(folder / WORK):
        files.remove_temporaries(training)
        _restore_training(training, work / training.name)


def _trainings(work: Path) -> list[Path]:
    is_key = re.compile(f"[0-9a-f]{{{KEY_DIGITS}}}").fullmatch
    return [folder for folder in sorted(work.iterdir()) if is_key(folder.name)] if work.is_dir() else []


@contextlib.contextmanager
def _unless_removed(training: Path) -> Iterator[None]:
    """Training may remove a checkpoint while it is copied: there are newer ones by then, for the next time."""
    try:
        yield
    except FileNotFoundError as error:
        if not Path(error.filename or "").is_relative_to(training):
            raise


def _save_training(source: Path, target: Path) -> None:
    step, *bests = Work(source, KEEP).newest(1)
    has_ended = (source / FINISHED).exists()
    if not has_ended:
        (target / FINISHED).unlink(missing_ok=True)  # it was started again
    if _content(step / STATE) != _content(target / step.name / STATE):
        for checkpoint in (*bests, step):  # the best before the step that needs it
            _copy_folder(checkpoint, target / checkpoint.name)
        if not Work(target, KEEP).kept(_number(step)):
            _remove(target / step.name)
            raise OSError(f"{step.name} is not what was written")
    for note in (IDENTITY, FINISHED):
        _copy_file(source / note, target / note)
    _prune(target, step.name, 1 if has_ended else KEEP)
    if has_ended:  # as the work directory does with those beside it
        for other in _trainings(target.parent):
            if other != target and (other / FINISHED).exists():
                _remove(other)


def _restore_training(source: Path, target: Path) -> None:
    here = max((step.name for step in target.glob("step-*")), default="")
    newer = sorted((step for step in source.glob("step-*") if step.name > here), reverse=True)
    for step in newer:
        for checkpoint in (*source.glob("best-*"), step):  # whichever best it needs
            _copy_folder(checkpoint, target / checkpoint.name)
        if Work(target, KEEP).kept(_number(step)):
            _copy_file(source / IDENTITY, target / IDENTITY)
            if step == newer[0]:
                _copy_file(source / FINISHED, target / FINISHED)
            errors.say(f"took step {_number(step)} from {source}")
            return
        errors.say(f"warning: {step} is damaged; going back to the checkpoint before it")
        files.remove_folder(target / step.name)


def _prune(target: Path, newest: str, keep: int) -> None:
    """Remove what is newer than `newest`, of a training that was started again, and all but `keep` of the others."""
    for step in target.glob("step-*"):
        if step.name > newest:
            _remove(step)
    needed = Work(target, keep).newest(keep)
    for folder in (*target.glob("step-*"), *target.glob("best-*")):
        if folder not in needed:
            _remove(folder)


def _save_start(target: Path) -> None:
    """The weights that training started from, and what dvc.lock says of them: with both, DVC takes them as made."""
    lock = OF_PRETRAINED.search(LOCK.read_text(encoding="utf-8")) if LOCK.exists() else None
    if not lock or not paths.PRETRAINED.is_dir():
        return
    text = f"schema: '2.0'\nstages:\n{lock[0]}"
    if _content(target / LOCK) != text.encode():
        _copy_folder(paths.PRETRAINED, target / paths.PRETRAINED.name)
        files.write_text(target / LOCK, text)  # last: without it nothing is restored


def _restore_start(source: Path) -> None:
    if (source / LOCK).exists() and not LOCK.exists() and not paths.PRETRAINED.exists():
        _copy_folder(source / paths.PRETRAINED.name, paths.PRETRAINED)
        _copy_file(source / LOCK, LOCK)


def _copy_folder(source: Path, target: Path) -> None:
    with files.whole_folder(target) as new:
        for path in sorted(source.iterdir()):
            shutil.copyfile(path, new / path.name)


def _copy_file(source: Path, target: Path) -> None:
    """Where it exists, and is another one."""
    if (content := _content(source)) is not None and content != _content(target):
        files.write_bytes(target, content)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _number(step: Path) -> int:
    return int(step.name.rpartition("-")[2])


def _remove(folder: Path) -> None:
    """Remove a folder, its files emptied first: what is deleted on a mounted Drive lies in its bin, and takes room."""
    doomed = folder.with_name(f"{files.TEMPORARY}{folder.name}")
    folder.rename(doomed)
    for path in doomed.rglob("*"):
        if path.is_file():
            os.truncate(path, 0)
    shutil.rmtree(doomed)
