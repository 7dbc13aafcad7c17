"""A work directory on a bucket, `train.work_dir: gs://bucket/work`: a mirror of the local one, filled beside training.

Training writes to `.work/<key>`, and reads from there, as ever (work_dir.py). A thread uploads the newest
checkpoint, and training waits for it at its very end alone; where uploads are slower than checkpoints come, those in
between are left out. At the start, the newest whole one of both places is taken.

gs://bucket/work/<key>/
    identity.json               what the key stands for
    lease.json                  who trains it (detector/checkpointing/lease.py)
    step-*, best-*              the checkpoints (detector/checkpointing/manifest.py)
    logs/<session>/             TensorBoard's; nothing is gone on from them

No other key's objects are ever looked at, written or removed. While the bucket cannot be used, training goes on here,
and the newest checkpoint is uploaded when it can be.
"""

import contextlib
import json
import math
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from detector.base import files
from detector.base.errors import UserError
from detector.checkpointing import work_dir
from detector.checkpointing.lease import Lease, LostError
from detector.checkpointing.manifest import Checkpoints, DamageError, Manifest
from detector.storage.bucket import Pace, Store, StoreError

SCHEME = "gs://"
LOCAL = ".work"  # where training itself writes to and reads from
PACE = Pace()
QUIET_SECONDS = 1  # that training waits without a word
RELEASE_SECONDS = 2  # for the lease, at the end
ATTEMPTS = 10  # to take hold of a checkpoint while training removes old ones


def local_root(root: str) -> str:
    """The folder that training itself uses, for a `train.work_dir` that may be on a bucket."""
    return LOCAL if root.startswith(SCHEME) else root


@contextlib.contextmanager
def opened(
    root: str, identity: work_dir.Identity, *, keep: int, pace: Pace = PACE, local: str = LOCAL
) -> Iterator[work_dir.Work]:
    """`work_dir.opened`; where `root` is on a bucket, of the folder `local`, with `root` as its mirror.

    Raises:
        UserError: as of `work_dir.opened`; another machine trains this; the bucket's answer is that it does not exist,
            or is not for us, and there is nothing here to go on from.
    """
    if not root.startswith(SCHEME):
        with work_dir.opened(root, identity, keep=keep) as task:
            yield task
        return
    url = f"{checked(root)}/{work_dir.key(identity)}"
    with work_dir.opened(local, identity, keep=keep) as task:
        mirror = Mirror(url, task.folder, identity, keep=keep, pace=pace)
        mirror.open()
        try:
            yield Mirrored(task.folder, keep, mirror)
        except BaseException:
            mirror.close(pace.last)
            raise
        mirror.close()


def checked(root: str) -> str:
    """The address of the work directory, without a slash at its end.

    Raises:
        UserError: it is none.
    """
    if not re.fullmatch(r"gs://[a-z0-9][\w.-]+[a-z0-9](/[^/\s]+)*/?", root):
        raise UserError("params.yaml", f"{root} is no address", "give gs://bucket/work", item="train.work_dir")
    return root.rstrip("/")


class Mirrored(work_dir.Work):
    """A training's folder, which the caller has locked, and its mirror, which is open."""

    def __init__(self, folder: Path, keep: int, mirror: "Mirror") -> None:
        super().__init__(folder, keep)
        self._mirror, self._is_fetched = mirror, False

    @property
    def where(self) -> str:
        """Both places."""
        return f"{self.folder} and {self._mirror.url}"

    def latest(self) -> work_dir.Kept | None:
        """The newest whole checkpoint of both places, which is in the folder then."""
        self._fetch()
        if found := super().latest():
            self._mirror.want()
        return found

    def finished(self) -> dict[str, Any] | None:
        """What `finish` was given, if this training has ended, here or where its newest checkpoint comes from."""
        self._fetch()
        return super().finished()

    def save(self, state: Mapping[str, Any], size: int, write: Callable[[Path], object]) -> None:
        """`Work.save`; the upload follows by itself.

        Raises:
            UserError: as of `Work.save`; another trainer has taken this training over, which is noticed after it.
        """
        super().save(state, size, write)
        self._mirror.want()

    def finish(self, result: Mapping[str, Any]) -> None:
        """`Work.finish`, in both places."""
        super().finish(result)
        with contextlib.suppress(LostError):  # it has ended, whoever trains it as well
            self._mirror.want()

    def forget(self) -> None:
        """`Work.forget`, in both places."""
        self._is_fetched = True
        super().forget()
        self._mirror.forget()

    def watch(self, logs: Path) -> None:
        """Upload these logs with every checkpoint."""
        self._mirror.logs = logs

    def leave(self) -> None:
        """Upload what is not there yet, as far as that goes in a few seconds."""
        self._mirror.leave()

    def _fetch(self) -> None:
        if not self._is_fetched:
            self._is_fetched = True
            kept = super().latest()
            self._mirror.fetch(self, above=kept.step if kept else 0)


class Mirror:
    """What the bucket holds of one training, and the threads that bring it there.

    Args:
        url: gs://bucket/work/<key>.
        folder: the local one, `.work/<key>`.
        identity: what the key stands for.
        keep: how many checkpoints stay on the bucket.
        pace: how long to try, and how often.
    """

    def __init__(self, url: str, folder: Path, identity: work_dir.Identity, *, keep: int, pace: Pace) -> None:
        self.logs: Path | None = None
        self.url, self._folder, self._pace = url, folder, pace
        store = Store(url, pace)
        self._checkpoints = Checkpoints(store, folder.name, keep)
        self._lease = Lease(store, (json.dumps(identity, indent=2) + "\n").encode(), pace, folder)
        self._uploading = threading.Lock()
        # What the threads and training tell each other, under `_changed`.
        self._changed = threading.Condition()
        self._wanted = self._done = 0  # how often an upload was asked for, and how many of these are done with
        self._is_ending = self._is_over = False
        self._failed = -math.inf  # when the last attempt that failed began
        self._trouble = ""  # why the bucket cannot be used, as it was told
        self._lost: LostError | None = None
        self._there = 0  # the newest step on the bucket, as far as is known

    def open(self) -> None:
        """Take the lease, and start the threads.

        Raises:
            UserError: another trainer has it; the bucket's answer is final, and there is nothing here to go on from.
        """
        try:
            self._lease.hold()
        except StoreError as error:
            if error.is_final and not any(self._folder.glob("step-*")):
                remedy = f"{error.remedy}; or give a folder: train.work_dir in params.yaml"
                raise UserError(self.url, error.reason, remedy) from error
            self._tell(error)
        for name, target in (("upload", self._upload_when_wanted), ("lease", self._renew)):
            threading.Thread(target=target, name=name, daemon=True).start()

    def want(self) -> None:
        """The newest checkpoint shall be uploaded; returns at once.

        Raises:
            LostError: another trainer has taken this training over.
        """
        with self._changed:
            if self._lost:
                raise self._lost
            self._wanted += 1
            self._changed.notify_all()

    def fetch(self, local: work_dir.Work, above: int) -> None:
        """Put the newest whole checkpoint in the place of what `local` has, if its step is above `above`.

        Raises:
            UserError: there is one, but it cannot be brought here: to train it once more would be in vain.
        """
        if self._trouble:
            return
        try:
            found = self._checkpoints.all()
        except StoreError as error:
            self._tell(error)
            return
        self._there = found[0].step if found else 0
        for manifest in found:
            if manifest.step <= above or self._is_brought(manifest, local):
                return

    def _is_brought(self, manifest: Manifest, local: work_dir.Work) -> bool:
        where = f"{self.url}/{manifest.name}"
        local.check_room(manifest.size)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=files.TEMPORARY) as new:
            try:
                self._checkpoints.bring(manifest, Path(new))
            except DamageError as error:
                _say(f"warning: {where}: {error}; going back to the checkpoint before it")
                return False
            except StoreError as error:
                remedy = "run again when it can be (or start anew: make train FRESH=1)"
                raise UserError(where, f"is there, but cannot be brought here: {error.reason}", remedy) from error
            work_dir.Work.forget(local)
            for folder in sorted(Path(new).iterdir()):  # the best before the step that needs it
                folder.rename(self._folder / folder.name)
        if manifest.finished is not None:
            files.write_text(self._folder / work_dir.FINISHED, json.dumps(manifest.finished, indent=2) + "\n")
        _say(f"took step {manifest.step} from {self.url}: {work_dir.megabytes(manifest.size)}")
        return True

    def forget(self) -> None:
        """Remove what can be gone on from, if the bucket can be used; else it is told that it stays."""
        try:
            if self._trouble:
                raise StoreError(self._trouble)
            with self._uploading:
                self._checkpoints.forget()
        except StoreError as error:
            self._tell(error)
            _say(f"warning: {self.url}: not forgotten there; give FRESH=1 again when it can be used")

    def leave(self) -> None:
        """`close` in the last seconds of the process."""
        self.close(self._pace.last)

    def close(self, limit: float = math.inf) -> None:
        """Wait until all is uploaded, or an attempt from here on has failed, or for `limit` seconds; then let go."""
        with self._changed:
            if self._is_ending:
                self._changed.wait_for(lambda: self._is_over, limit if limit < math.inf else None)
                return
            self._is_ending, began = True, time.monotonic()
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._is_settled(began), QUIET_SECONDS):
                at_most = f", for {limit:.0f} s at most" if limit < math.inf else ""
                _say(f"uploading the last checkpoint to {self.url}{at_most}")
                rest = limit - QUIET_SECONDS - RELEASE_SECONDS
                self._changed.wait_for(lambda: self._is_settled(began), rest if rest < math.inf else None)
            self._is_over, is_whole = True, self._done == self._wanted
            self._changed.notify_all()
        if not self._lost:
            if not is_whole:
                self._say_what_is_missing(limit)
            self._release()

    def _is_settled(self, began: float) -> bool:
        return self._done == self._wanted or self._failed >= began or self._lost is not None

    def _release(self) -> None:
        def released() -> None:
            with contextlib.suppress(StoreError):  # then it goes stale
                self._lease.release()

        thread = threading.Thread(target=released, daemon=True)
        thread.start()
        thread.join(RELEASE_SECONDS)

    # The threads.

    def _upload_when_wanted(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted > self._done or self._is_ending)
                if self._wanted == self._done or self._is_over or self._lost:
                    return
                number, began, was_ending = self._wanted, time.monotonic(), self._is_ending
            is_done = self._tried(self._upload)
            with self._changed:
                self._done, self._failed = (number, self._failed) if is_done else (self._done, began)
                self._changed.notify_all()
                if not is_done:
                    waited_for = self._is_over_or_ending if not was_ending else lambda: self._is_over
                    self._changed.wait_for(waited_for, self._pace.again)
            self._tell_well()

    def _is_over_or_ending(self) -> bool:
        return self._is_over or self._is_ending

    def _renew(self) -> None:
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._is_over or self._lost, self._pace.renew):
                    return
            if self._tried(self._lease.hold):
                self._tell_well()

    def _tried(self, action: Callable[[], object]) -> bool:
        """Whether it succeeded; whatever else comes of it, training goes on."""
        try:
            action()
        except LostError as error:
            with self._changed:
                self._lost = error
                self._changed.notify_all()
            _say(f"{error.where}: {error.reason}; nothing more is uploaded from here")
        except Exception as error:
            self._tell(error)
        else:
            return True
        return False

    def _upload(self) -> None:
        if not self._lease.is_held:
            self._lease.hold()
        with self._uploading, tempfile.TemporaryDirectory(dir=self._folder, prefix=files.TEMPORARY) as new:
            if kept := self._linked(Path(new)):
                finished = work_dir.Work(self._folder, 1).finished()
                there = self._checkpoints.put(kept, finished, self._lease.hold)
                if there > max(kept.step, self._there):
                    what = f"holds step {there} already: start again to go on from it; until then nothing is uploaded"
                    _say(f"warning: {self.url}: {what}")
                self._there = there
            if self.logs:
                self._checkpoints.put_logs(self.logs)

    def _linked(self, to: Path) -> work_dir.Kept | None:
        """The newest checkpoint in hard links, which stay when training has no more need of it."""
        for _ in range(ATTEMPTS):
            steps = sorted(self._folder.glob("step-*"))
            if not steps:
                return None
            shutil.rmtree(to)
            with contextlib.suppress(FileNotFoundError):  # there is a newer one
                state = _link(steps[-1], to / steps[-1].name)
                if best := state["state"].get("best_step"):
                    folder = work_dir.Work(self._folder, 1).best(best)
                    _link(folder, to / folder.name)
                kept = work_dir.Work(to, 1).kept(state["state"]["step"])
                if kept:
                    return kept
        raise OSError(f"{self._folder}: no whole checkpoint")

    # What is said, each once.

    def _tell(self, error: Exception) -> None:
        with self._changed:
            if self._trouble:
                return
            self._trouble = error.reason if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
        _say(f"warning: {self.url}: {self._trouble}; training goes on in {self._folder}, and uploads follow")

    def _tell_well(self) -> None:
        with self._changed:
            if not self._trouble or self._done < self._wanted:
                return
            self._trouble = ""
        _say(f"{self.url}: can be used again" + (f": step {self._there} is there" if self._there else ""))

    def _say_what_is_missing(self, limit: float) -> None:
        why = self._trouble or f"{limit:.0f} s are over"
        there = f"the newest there is step {self._there}" if self._there else "none is there"
        if work_dir.Work(self._folder, 1).finished() is not None:
            remedy = "training has ended, and its model is here: make push keeps it"
        else:
            remedy = f"it is kept in {self._folder}: the next run uploads it"
        _say(f"warning: {self.url}: the last checkpoint was not uploaded ({why}), {there}; {remedy}")


def _link(source: Path, target: Path) -> dict[str, Any]:
    """The files of a checkpoint's folder as hard links, copied where there are none; returns its state.json."""
    target.mkdir(parents=True)
    _link_file(source / work_dir.STATE, target / work_dir.STATE)
    state: dict[str, Any] = json.loads((target / work_dir.STATE).read_text())
    for name in state["files"]:
        _link_file(source / name, target / name)
    return state


def _link_file(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def _say(line: str) -> None:
    """A line of its own, past the progress line of the trainer."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"\r\x1b[K{line}\n" if sys.stderr.isatty() else f"{line}\n")
        sys.stderr.flush()
