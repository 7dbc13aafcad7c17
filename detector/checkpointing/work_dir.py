"""The work directory of a training, outside DVC's outputs: what is saved while it runs, so that it can be resumed.

<train.work_dir>/<key>/     one training; the key is the beginning of the sha256 of identity.json
    identity.json           what the key stands for: the data, the initial weights, every param that shapes the weights
    lock                    held by the trainer's process, whose number is in it
    step-00000100/          a checkpoint to resume from: TensorFlow's files, and state.json, which holds their digests
    best-00000100/          the weights of the best validation so far, as a step's state names it
    finished.json           exists once the training has ended
    damaged-...             what did not fit its digests; never removed by us

The same key resumes, another one never sees it. A checkpoint is written beside its place and then renamed: it is whole,
or missing.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from detector.base import errors, files
from detector.base.errors import FULL, UserError

KEY_DIGITS = 16
STATE = "state.json"
IDENTITY = "identity.json"
LOCK = "lock"
FINISHED = "finished.json"
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)
SPARE_BYTES = 2**20  # what a file system needs beside the files themselves
RESUMES = "training resumes from the last checkpoint"
Identity = Mapping[str, object]


@dataclass(frozen=True)
class Kept:
    """A checkpoint: its folder, and the state that was given with it."""

    step: int
    folder: Path
    state: dict[str, Any]


@dataclass(frozen=True)
class Unfinished:
    """Another training that died: its folder, the newest step in it, its bytes, and where its identity differs."""

    folder: Path
    step: int
    size: int
    differs: list[str]


class Work:
    """One training's folder, which the caller has locked. `keep`: how many of its newest steps stay."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self._keep = folder, keep

    @property
    def where(self) -> str:
        """The place of the work, for people."""
        return str(self.folder)

    def latest(self) -> Kept | None:
        """The newest whole checkpoint; damaged ones are reported and renamed."""
        for folder in reversed(self._steps()):
            try:
                return self._whole(folder)
            except _DamageError as error:
                errors.say(f"warning: {error}; going back to the checkpoint before it", file=sys.stderr)
                self._set_aside(folder)
                self._set_aside(error.folder)  # a best, perhaps
        (self.folder / FINISHED).unlink(missing_ok=True)  # with nothing left of it, it has not ended
        return None

    def kept(self, step: int) -> Kept | None:
        """The checkpoint of `step`, if it exists and is whole; nothing is renamed."""
        try:
            return self._whole(self.step(step))
        except _DamageError:
            return None

    def _whole(self, folder: Path) -> Kept:
        state = _state(folder)
        if best := state.get("best_step"):
            _state(self.best(best))
        return Kept(_number(folder), folder, state)

    def step(self, step: int) -> Path:
        """The folder of the checkpoint of `step`."""
        return self.folder / f"step-{step:08}"

    def best(self, step: int) -> Path:
        """The folder of the weights of the validation at `step`."""
        return self.folder / f"best-{step:08}"

    def newest(self, count: int) -> list[Path]:
        """The folders of the newest `count` steps, then of the bests that these need; nothing is verified."""
        steps = self._steps()[-count:]
        return steps + [self.best(step) for step in sorted(filter(None, set(map(_best_step, steps))))]

    def save(self, state: Mapping[str, Any], size: int, write: Callable[[Path], object]) -> None:
        """Save a checkpoint to resume from: what `write` puts into a folder (about `size` bytes), and `state`.

        `state` names its `step`, and the `best_step` whose weights it needs. Where that step is saved already, only its
        state is replaced.

        Raises:
            UserError: it does not fit on the disk; older checkpoints are as good as they were.
        """
        folder = self.step(state["step"])
        with disk_errors(self.folder, size):
            if folder.exists():
                digests = json.loads((folder / STATE).read_text())["files"]
                files.write_text(folder / STATE, _sealed(digests, state), durable=True)
            else:
                self._put(folder, size, write, state)
            self._prune(self._keep)

    def save_best(self, step: int, size: int, write: Callable[[Path], object]) -> None:
        """Save the weights of the validation at `step`; errors as of `save`."""
        with disk_errors(self.folder, size):
            self._put(self.best(step), size, write, {})

    def check_room(self, size: int) -> None:
        """Make room for `size` bytes: of the steps only the newest stays, where need be.

        Raises:
            UserError: there is not enough all the same.
        """
        with disk_errors(self.folder, size):
            if _free(self.folder) < size + SPARE_BYTES:
                self._prune(1)
            if _free(self.folder) < size + SPARE_BYTES:
                raise _no_room(self.folder, size)

    def finish(self, result: Mapping[str, Any]) -> None:
        """The training has ended: keep its last checkpoint alone, and `result`; remove other finished trainings."""
        self._prune(1)
        files.write_text(self.folder / FINISHED, json.dumps(result, indent=2) + "\n", durable=True)
        for other in self._other_folders():
            if (other / FINISHED).exists():
                with (other / LOCK).open("a+") as lock:
                    if _locks(lock):
                        files.remove_folder(other)

    def others(self) -> list[Unfinished]:
        """The other trainings here that have not ended, and do not run."""
        own = _identity(self.folder)
        folders = [f for f in self._other_folders() if not (f / FINISHED).exists() and any(f.glob("*-*"))]
        return [_unfinished(folder, own) for folder in folders if not _is_locked(folder)]

    def finished(self) -> dict[str, Any] | None:
        """What `finish` was given, if this training has ended."""
        try:
            result = json.loads((self.folder / FINISHED).read_text())
        except (OSError, ValueError, RecursionError):
            return None
        return result if isinstance(result, dict) else None

    def forget(self) -> None:
        """Start from scratch: remove every checkpoint of this key."""
        (self.folder / FINISHED).unlink(missing_ok=True)
        for folder in (*self._steps(), *self._bests()):
            files.remove_folder(folder)

    def watch(self, logs: Path) -> None:
        """The folder of this training's logs, for a work directory that has a copy elsewhere."""

    def fetch_logs(self, folder: Path) -> None:
        """Fill the folder of all logs with those that belong to a checkpoint that came from elsewhere."""

    def leave(self) -> None:
        """The process is about to end at a signal."""

    def _put(self, folder: Path, size: int, write: Callable[[Path], object], state: Mapping[str, Any]) -> None:
        self.check_room(size)
        with files.whole_folder(folder, durable=True) as new:
            write(new)
            digests = {path.name: [path.stat().st_size, files.sha256(path)] for path in sorted(new.iterdir())}
            (new / STATE).write_text(_sealed(digests, state))

    def _steps(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"))

    def _bests(self) -> list[Path]:
        return sorted(self.folder.glob("best-*"))

    def _prune(self, keep: int) -> None:
        """Remove all steps but the `keep` newest, and then every best that none of these needs."""
        needed = self.newest(keep)
        for folder in (*self._steps(), *self._bests()):
            if folder not in needed:
                files.remove_folder(folder)

    def _set_aside(self, folder: Path) -> None:
        if folder.exists():
            ends = ("", *map("-{}".format, range(2, 1000)))
            names = (self.folder / f"damaged-{folder.name}{end}" for end in ends)
            folder.rename(next(name for name in names if not name.exists()))

    def _other_folders(self) -> list[Path]:
        """Those of the other trainings in this work directory."""
        folders = sorted(self.folder.parent.iterdir())
        is_key = re.compile(f"[0-9a-f]{{{KEY_DIGITS}}}").fullmatch
        return [folder for folder in folders if is_key(folder.name) and folder != self.folder]


class _DamageError(Exception):
    def __init__(self, folder: Path, reason: str) -> None:
        self.folder = folder
        super().__init__(f"{folder}: {reason}")


def digest(content: object) -> str:
    """The sha256 of a JSON value."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _sealed(digests: Mapping[str, list[Any]], state: Mapping[str, Any]) -> str:
    """The content of state.json: every other file's size and sha256, the state, and the digest of both."""
    content = {"files": digests, "state": state}
    return json.dumps({**content, "sha256": digest(content)}) + "\n"


def _state(folder: Path) -> dict[str, Any]:
    """The state of a whole checkpoint.

    Raises:
        _DamageError: it is not whole.
    """
    try:
        sealed = json.loads((folder / STATE).read_text())
        content = {"files": sealed["files"], "state": sealed["state"]}
        if sealed["sha256"] != digest(content):
            raise _DamageError(folder, f"{STATE} is damaged")
        for name, (size, sha256) in content["files"].items():
            path = folder / name
            if path.stat().st_size != size or files.sha256(path) != sha256:
                raise _DamageError(folder, f"{name} is damaged")
    except FileNotFoundError as error:
        raise _DamageError(folder, f"{Path(error.filename).name} is missing") from error
    except OSError as error:
        if error.errno in errors.OF_THE_MACHINE:
            raise
        raise _DamageError(folder, f"cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _DamageError(folder, f"{STATE} is damaged") from error
    return dict(content["state"])


def _number(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def _best_step(folder: Path) -> int:
    """The `best_step` of a step's state; 0 where it names none, or is damaged, which the next start reports.

    Raises:
        OSError: nobody knows which it is; that best must not be removed.
    """
    try:
        return int(json.loads((folder / STATE).read_text())["state"]["best_step"])
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        return 0


# The folder of a training.


def key(identity: Identity) -> str:
    """The name of the folder of the one training that `identity` describes."""
    return digest(identity)[:KEY_DIGITS]


@contextmanager
def opened(root: str, identity: Identity, *, keep: int) -> Iterator[Work]:
    """The folder of the training that `identity` describes, under its lock; made where it does not exist.

    Raises:
        UserError: another process is training it, or the folder cannot be written to.
    """
    if "://" in root:
        reason = f"{root} is neither a folder on this machine nor on a bucket"
        raise UserError("params.yaml", reason, "give a path, such as .work, or gs://bucket/work", item="train.work_dir")
    folder = files.expanded(root) / key(identity)
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _take(stack.enter_context((folder / LOCK).open("a+")))
            files.remove_temporaries(folder)
            files.write_text(folder / IDENTITY, json.dumps(identity, indent=2) + "\n")
        except OSError as error:
            raise _unusable(folder, error) from error
        try:
            yield Work(folder, keep)
        finally:
            is_empty = folder.is_dir() and {path.name for path in folder.iterdir()} <= {LOCK, IDENTITY}
            if is_empty:
                files.remove_folder(folder)


def _unusable(folder: Path, error: OSError) -> UserError:
    if error.errno in FULL:
        place = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
        return _no_room(place, 0, is_quota=error.errno == errno.EDQUOT)
    what = "has no file locks, as network folders may" if error.errno in NO_LOCKS else "cannot be written to"
    return UserError(str(folder), f"{what}: {error.strerror}", "choose another folder: train.work_dir in params.yaml")


def _take(lock: IO[str]) -> None:
    if not _locks(lock):
        lock.seek(0)
        pid = lock.read().strip() or "?"
        remedy = f"wait for it, or stop it: kill {pid} (it saves a checkpoint, and the next one resumes from there)"
        raise UserError(lock.name, f"this training is running already, as process {pid}", remedy)
    lock.seek(0)
    lock.truncate()
    os.write(lock.fileno(), f"{os.getpid()}\n".encode())  # past the buffer: on a full disk closing would write it again


def _locks(lock: IO[str]) -> bool:
    """Take a lock file; False where another process has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel gives it back when the process ends, however
    except BlockingIOError:
        return False
    return True


def _is_locked(folder: Path) -> bool:
    with (folder / LOCK).open("a+") as lock:
        return not _locks(lock)


def _unfinished(folder: Path, own: Mapping[str, object]) -> Unfinished:
    other = _identity(folder)
    differs = [name for name in {**own, **other} if own.get(name) != other.get(name)]
    step = max(map(_number, folder.glob("step-*")), default=0)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Unfinished(folder, step, size, differs)


def _identity(folder: Path) -> dict[str, object]:
    """What a folder's key stands for, as `flat` gives it; nothing where it cannot be read."""
    try:
        return flat(json.loads((folder / IDENTITY).read_text()), ".")
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def flat(identity: Identity, separator: str) -> dict[str, object]:
    """{"train": {"seed": 1}} -> {"train.seed": 1}, where the separator is a dot."""
    members: dict[str, object] = {}
    for name, value in identity.items():
        group = value if isinstance(value, dict) else {}
        members |= {f"{name}{separator}{member}": part for member, part in group.items()} or {name: value}
    return members


# Room on the disk.


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _no_room(folder: Path, size: int, *, is_quota: bool = False) -> UserError:
    facts = [f"a checkpoint needs {megabytes(size)}"] if size else []
    if not is_quota:  # what the disk has free says nothing then
        facts.append(f"{megabytes(_free(folder))} are free")
    what = "your quota of the disk is used up" if is_quota else "the disk is full"
    reason = f"{what}: {', '.join(facts)}" if facts else what
    return UserError(str(folder), reason, f"make room and run again: {RESUMES}")


def megabytes(count: int) -> str:
    """Bytes for people: `62.3 MB`."""
    return f"{count / 1e6:.1f} MB"


@contextmanager
def disk_errors(folder: Path, size: int = 0) -> Iterator[None]:
    """A failed write becomes an error that says what is needed, if that is known.

    Args:
        folder: what is written to.
        size: bytes of the checkpoint that is written; 0 where none is.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # TensorFlow raises errors that are not OSErrors
        number = error.errno if isinstance(error, OSError) else None
        for full in FULL:
            if number == full or os.strerror(full) in str(error):
                raise _no_room(folder, size, is_quota=full == errno.EDQUOT) from error
        # While a checkpoint is written, whatever the system reports is about the disk: it is gone, stale, or removed.
        if isinstance(error, OSError) and (size or number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)):
            refused = errors.refusal(error)  # of many, shutil.Error has no number
            what = refused.reason if refused else error.strerror
            reason = f"cannot be {'written to' if size else 'used'}: {what}"
            raise UserError(str(error.filename or folder), reason, f"fix that and run again: {RESUMES}") from error
        raise
