"""The work directory of a training, outside DVC's outputs: what is kept while it runs, so that one that died goes on.

<train.work_dir>/<key>/     one training; the key is the beginning of the sha256 of identity.json
    identity.json           what the key stands for: the data, the initial weights, every param that shapes the weights
    lock                    held by the trainer's process, whose number is in it
    step-00000100/          a checkpoint to go on from: TensorFlow's files, and state.json, which holds their digests
    best-00000100/          the weights of the best look at the validation split, as a step's state names it
    finished.json           there once the training has ended
    damaged-...             what did not fit its digests; never removed by us

The same key goes on, another one never sees it. Every checkpoint is whole or not there at all.
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

from detector.base import files
from detector.base.errors import UserError

KEY_DIGITS = 16
STATE = "state.json"
IDENTITY = "identity.json"
LOCK = "lock"
FINISHED = "finished.json"
FULL = (errno.ENOSPC, errno.EDQUOT)  # the disk, or a user's share of it
SPARE_BYTES = 2**20  # what a file system needs beside the files themselves
Identity = Mapping[str, object]


@dataclass(frozen=True)
class Kept:
    """A checkpoint: its folder, and the state that was given with it."""

    step: int
    folder: Path
    state: dict[str, Any]


@dataclass(frozen=True)
class Unfinished:
    """Another training that died: its folder, the newest step in it, its bytes, and what its identity has otherwise."""

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
        """Where the work is kept, for people."""
        return str(self.folder)

    def latest(self) -> Kept | None:
        """The newest whole checkpoint; damaged ones are said so and put aside."""
        for folder in reversed(self._steps()):
            try:
                return self._whole(folder)
            except _DamageError as damaged:
                print(f"warning: {damaged}; going back to the checkpoint before it", file=sys.stderr)
                self._put_aside(folder, damaged.folder)
        (self.folder / FINISHED).unlink(missing_ok=True)  # with nothing left of it, it has not ended
        return None

    def kept(self, step: int) -> Kept | None:
        """The checkpoint of `step`, if it is there and whole; nothing is put aside."""
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
        """Where the checkpoint of `step` is kept."""
        return self.folder / f"step-{step:08}"

    def best(self, step: int) -> Path:
        """Where the weights of the look at `step` are kept."""
        return self.folder / f"best-{step:08}"

    def save(self, state: Mapping[str, Any], size: int, write: Callable[[Path], object]) -> None:
        """Keep a checkpoint to go on from: what `write` puts into a folder (about `size` bytes), and `state`.

        `state` names its `step`, and the `best_step` whose weights it needs. Where that step is kept already, only its
        state is replaced.

        Raises:
            UserError: it does not fit on the disk; what was kept before is as good as it was.
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
        """Keep the weights of the look at `step`; errors as of `save`."""
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
        """The training has ended: keep its last checkpoint alone, and `result`; drop what other finished ones kept."""
        self._prune(1)
        files.write_text(self.folder / FINISHED, json.dumps(result, indent=2) + "\n", durable=True)
        for other in _keys(self.folder.parent):
            if other != self.folder and (other / FINISHED).exists():
                _remove_unless_locked(other)

    def others(self) -> list[Unfinished]:
        """The other trainings here that have not ended, and do not run."""
        folders = [folder for folder in _keys(self.folder.parent) if folder != self.folder]
        unfinished = [folder for folder in folders if not (folder / FINISHED).exists() and any(folder.glob("*-*"))]
        own = _identity(self.folder)
        return [_unfinished(folder, own) for folder in unfinished if not _is_locked(folder)]

    def finished(self) -> dict[str, Any] | None:
        """What `finish` was given, if this training has ended."""
        try:
            found = json.loads((self.folder / FINISHED).read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def forget(self) -> None:
        """Start anew: remove every checkpoint of this key."""
        (self.folder / FINISHED).unlink(missing_ok=True)
        for folder in (*self._steps(), *self._bests()):
            files.remove_folder(folder)

    def watch(self, logs: Path) -> None:
        """Where the logs of this session lie: of interest to who keeps the work elsewhere, too."""

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
        """Remove all steps but the `keep` newest, and every best that none of these needs."""
        steps = self._steps()
        for folder in steps[:-keep]:
            files.remove_folder(folder)
        needed = {_needed_best(folder) for folder in steps[-keep:]}
        for folder in self._bests():
            if _number(folder) not in needed:
                files.remove_folder(folder)

    def _put_aside(self, *folders: Path) -> None:
        for folder in set(folders):
            if folder.exists():
                names = [
                    self.folder / f"damaged-{folder.name}{end}" for end in ("", *map("-{}".format, range(2, 1000)))
                ]
                folder.rename(next(name for name in names if not name.exists()))


class _DamageError(Exception):
    def __init__(self, folder: Path, reason: str) -> None:
        self.folder = folder
        super().__init__(f"{folder}: {reason}")


def _sealed(digests: Mapping[str, list[Any]], state: Mapping[str, Any]) -> str:
    """The content of state.json: every other file's size and sha256, the state, and the digest of both."""
    content = {"files": digests, "state": state}
    return json.dumps({**content, "sha256": _digest(content)}) + "\n"


def _digest(content: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _state(folder: Path) -> dict[str, Any]:
    """The state of a whole checkpoint.

    Raises:
        _DamageError: it is not whole.
    """
    try:
        found = json.loads((folder / STATE).read_text())
        content = {"files": found["files"], "state": found["state"]}
        if found["sha256"] != _digest(content):
            raise _DamageError(folder, f"{STATE} is damaged")
        for name, (size, digest) in content["files"].items():
            path = folder / name
            if path.stat().st_size != size or files.sha256(path) != digest:
                raise _DamageError(folder, f"{name} is damaged")
    except FileNotFoundError as error:
        raise _DamageError(folder, f"{Path(error.filename).name} is missing") from error
    except OSError as error:
        raise _DamageError(folder, f"cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise _DamageError(folder, f"{STATE} is damaged") from error
    return dict(content["state"])


def _number(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def _needed_best(folder: Path) -> int | None:
    try:
        return int(json.loads((folder / STATE).read_text())["state"]["best_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # damaged: the next start says so


# Which folder, and whose.


def key(identity: Identity) -> str:
    """The name of the folder of the one training that `identity` describes."""
    return _digest(identity)[:KEY_DIGITS]


@contextmanager
def opened(root: str, identity: Identity, *, keep: int) -> Iterator[Work]:
    """The folder of the training that `identity` describes, under its lock; made where there is none.

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
            came_to_nothing = folder.is_dir() and {path.name for path in folder.iterdir()} <= {LOCK, IDENTITY}
            if came_to_nothing:
                files.remove_folder(folder)


def _unusable(folder: Path, error: OSError) -> UserError:
    if error.errno in FULL:
        place = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
        return _no_room(place, 0, is_quota=error.errno == errno.EDQUOT)
    reason = f"cannot be written to: {error.strerror}"
    return UserError(str(folder), reason, "choose another folder: train.work_dir in params.yaml")


def _take(lock: IO[str]) -> None:
    if not _takes(lock):
        lock.seek(0)
        pid = lock.read().strip() or "?"
        remedy = f"wait for it, or stop it: kill {pid} (it keeps what it has, and the next one goes on from there)"
        raise UserError(lock.name, f"this training is running already, as process {pid}", remedy)
    lock.seek(0)
    lock.truncate()
    os.write(lock.fileno(), f"{os.getpid()}\n".encode())  # past the buffer: on a full disk closing would write it again


def _takes(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel gives it back when the process ends, however
    except BlockingIOError:
        return False
    return True


def _keys(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if re.fullmatch(f"[0-9a-f]{{{KEY_DIGITS}}}", path.name))


def _unfinished(folder: Path, own: Mapping[str, object]) -> Unfinished:
    found = _identity(folder)
    differs = [name for name in {**own, **found} if own.get(name) != found.get(name)]
    step = max(map(_number, folder.glob("step-*")), default=0)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Unfinished(folder, step, size, differs)


def _identity(folder: Path) -> dict[str, object]:
    """What a folder's key stands for, a group's members by name: {"train.seed": 1}; nothing where it cannot be read."""
    try:
        groups = dict(json.loads((folder / IDENTITY).read_text()))
    except (OSError, ValueError, TypeError):
        return {}
    flat = {name: value for name, value in groups.items() if not isinstance(value, dict)}
    nested = {name: value for name, value in groups.items() if isinstance(value, dict)}
    return {f"{group}.{name}": value for group, members in nested.items() for name, value in members.items()} | flat


def _is_locked(folder: Path) -> bool:
    with (folder / LOCK).open("a+") as lock:
        return not _takes(lock)


def _remove_unless_locked(folder: Path) -> None:
    with (folder / LOCK).open("a+") as lock:
        if _takes(lock):
            files.remove_folder(folder)


# Room on the disk.


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _no_room(folder: Path, size: int, *, is_quota: bool = False) -> UserError:
    facts = [f"a checkpoint needs {megabytes(size)}"] if size else []
    if not is_quota:  # what the disk has free says nothing then
        facts.append(f"{megabytes(_free(folder))} are free")
    what = "your quota of the disk is used up" if is_quota else "the disk is full"
    reason = f"{what}: {', '.join(facts)}" if facts else what
    return UserError(str(folder), reason, "make room and run again: it goes on from the last checkpoint")


def megabytes(count: int) -> str:
    """Bytes for people: `62.3 MB`."""
    return f"{count / 1e6:.1f} MB"


@contextmanager
def disk_errors(folder: Path, size: int = 0) -> Iterator[None]:
    """A failed write becomes an error that says what is needed, if that is known; TensorFlow has a kind of its own."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        for full in FULL:
            if number == full or os.strerror(full) in str(error):
                raise _no_room(folder, size, is_quota=full == errno.EDQUOT) from error
        # While a checkpoint is written, whatever the system says is about the disk: it is gone, or stale, or removed.
        if isinstance(error, OSError) and (size or number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)):
            reason = f"cannot be {'written to' if size else 'used'}: {error.strerror}"
            where = str(error.filename or folder)
            raise UserError(where, reason, "mend it and run again: it goes on from the last checkpoint") from error
        raise
