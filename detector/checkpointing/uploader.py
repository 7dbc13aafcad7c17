"""The two threads beside a training whose work directory is on a bucket: one uploads, one renews the lease.

Training hands over a copy of its newest checkpoint and continues. The upload thread brings it to the bucket
(manifest.py); where uploads are slower than checkpoints come, those in between are left out. The lease is renewed by a
thread of its own, for the upload of one large file may take longer than a lease lasts.

While the bucket cannot be used, training continues, and the newest checkpoint is uploaded when it can be again.
"""

import contextlib
import json
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from detector.base.errors import UserError, escaped
from detector.checkpointing import work_dir
from detector.checkpointing.lease import Lease, LostError
from detector.checkpointing.manifest import Checkpoints
from detector.storage.bucket import Store
from detector.storage.google import StoreError

QUIET_SECONDS = 1  # that training waits for the last upload without a word
RELEASE_SECONDS = 2  # for the lease, at the end


@dataclass(frozen=True)
class Timing:
    """How long to try, and how often; in seconds."""

    request: float = 15  # that a request is repeated for
    pause: float = 0.5  # before the first repetition; each further one is twice as long, by chance up to that
    next_upload: float = 20  # after one that failed
    renewal: float = 30  # between two of the lease
    expiry: float = 150  # after which another trainer may take a lease that is not renewed
    farewell: float = 20  # for the last upload, on SIGTERM: clouds and Colab give 30 s


class Uploader:
    """What the bucket holds of one training, and the threads.

    Args:
        url: gs://bucket/work/<key>.
        folder: the local one, `.work/<key>`.
        identity: what the key stands for.
        keep: how many checkpoints stay on the bucket.
        timing: how long to try, and how often.
    """

    def __init__(self, url: str, folder: Path, identity: work_dir.Identity, *, keep: int, timing: Timing) -> None:
        self.url, self.timing, self._folder = url, timing, folder
        self.logs: Path | None = None  # to be uploaded with every checkpoint
        self.newest = 0  # the newest step on the bucket, as far as is known
        self.trouble = ""  # why the bucket cannot be used, as it was reported
        store = Store(url, timing.request, timing.pause)
        self.checkpoints = Checkpoints(store, folder.name, keep)
        self._lease = Lease(store, (json.dumps(identity, indent=2) + "\n").encode(), timing.expiry, folder)
        self._uploading = threading.Thread(target=self._upload_all, name="upload", daemon=True)
        self._renewing = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._changed = threading.Condition()  # of what follows
        self._next: Path | None = None  # the copy of a checkpoint that waits
        self._is_busy = self._is_closing = self._is_over = False
        self._lost: LostError | None = None

    def open(self) -> None:
        """Take the lease, and start the threads.

        Raises:
            UserError: another trainer has it; or the bucket can never be used, and there is nothing here to resume.
        """
        try:
            self._lease.hold()
        except StoreError as error:
            if error.is_final and not any(self._folder.glob("step-*")):
                remedy = f"{error.remedy}; or give a folder: train.work_dir in params.yaml"
                raise UserError(self.url, error.reason, remedy) from error
            self.report(error)
        self._uploading.start()
        self._renewing.start()

    def submit(self, copy: Path) -> None:
        """Upload the checkpoint in this folder, and remove the folder; returns immediately.

        Raises:
            LostError: another trainer has taken this training over.
        """
        self._set_next(copy)
        if self._lost:
            raise self._lost

    def close(self, limit: float | None = None) -> None:
        """Wait until all is uploaded, an upload that begins from now on fails, or `limit` seconds are over; then leave.

        Two threads may call it at the same time.
        """
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._uploading.join(QUIET_SECONDS)
        if self._uploading.is_alive():
            at_most = "" if limit is None else f", for {limit:.0f} s at most"
            print_line(f"uploading the last checkpoint to {self.url}{at_most}")
            self._uploading.join(None if limit is None else max(0.0, limit - QUIET_SECONDS - RELEASE_SECONDS))
        with self._changed:
            was_over, self._is_over = self._is_over, True
            self._changed.notify_all()
        if (self._next or self._uploading.is_alive()) and not was_over and not self._lost:
            self._report_missing(limit)
        self._set_next(None)
        self._renewing.join(RELEASE_SECONDS)

    def _set_next(self, copy: Path | None) -> None:
        """Have this wait for its upload, in place of what waited."""
        with self._changed:
            if self._next:
                shutil.rmtree(self._next, ignore_errors=True)
            self._next = copy
            self._changed.notify_all()

    # The threads.

    def _renew(self) -> None:
        while not self._wait_for(lambda: self._is_over or self._lost, self.timing.renewal):
            if self._succeeds(self._lease.hold):
                self._report_recovery()
        with contextlib.suppress(StoreError):  # then it expires
            self._lease.release()

    def _upload_all(self) -> None:
        is_last = False
        while not is_last:
            with self._changed:
                self._changed.wait_for(lambda: self._next or self._is_closing or self._lost)
                if self._lost:  # else a lease that the other trainer has released meanwhile would be taken again
                    return
                is_last, copy, self._next = self._is_closing, self._next, None
                self._is_busy = bool(copy)
            if not copy:
                continue
            is_uploaded = self._succeeds(self._upload, copy)
            with self._changed:
                self._is_busy = False
                if is_uploaded or self._next:
                    shutil.rmtree(copy, ignore_errors=True)
                else:
                    self._next = copy
            if is_uploaded:
                self._report_recovery()
            elif not is_last:
                self._wait_for(lambda: self._is_closing or self._lost, self.timing.next_upload)

    def _wait_for(self, condition: Callable[[], object], seconds: float) -> bool:
        with self._changed:
            return bool(self._changed.wait_for(condition, seconds))

    def _upload(self, copy: Path) -> None:
        self._lease.hold()  # or the files would be in another trainer's way before its lease is noticed
        work = work_dir.Work(copy, 1)
        step = int(work.newest(1)[0].name.removeprefix("step-"))
        if not work.kept(step):
            raise OSError(f"{self._folder}: the checkpoint of step {step} is damaged")
        newest = self.checkpoints.put(work, self._lease.hold)
        if newest > max(step, self.newest):
            what = f"holds step {newest} already: start again to resume from it; until then nothing is uploaded"
            print_line(f"warning: {self.url}: {what}")
        self.newest = newest
        if self.logs:
            self.checkpoints.put_logs(self.logs)

    def _succeeds(self, action: Callable[..., object], *arguments: object) -> bool:
        """Whether it does; whatever else comes of it, training continues."""
        try:
            action(*arguments)
        except LostError as error:
            with self._changed:
                was_lost, self._lost = self._lost, error
                self._changed.notify_all()
            if not was_lost:
                print_line(f"{error.where}: {error.reason}; nothing more is uploaded from here")
        except Exception as error:
            self.report(error)
        else:
            return True
        return False

    # What is printed, each once.

    def report(self, error: Exception) -> None:
        """Why the bucket cannot be used, where that is news."""
        with self._changed:
            if self.trouble or self._is_over:
                return
            self.trouble = error.reason if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
        print_line(f"warning: {self.url}: {self.trouble}; training continues in {self._folder}, and uploads follow")

    def _report_recovery(self) -> None:
        with self._changed:
            if not self.trouble or self._next or self._is_busy:
                return
            self.trouble = ""
        print_line(f"{self.url}: can be used again" + (f": it has step {self.newest}" if self.newest else ""))

    def _report_missing(self, limit: float | None) -> None:
        why = self.trouble or f"{limit:.0f} s are over"
        newest = f"its newest is step {self.newest}" if self.newest else "it has none"
        if work_dir.Work(self._folder, 1).finished() is not None:
            remedy = "training has ended, and its model is here: make push keeps it"
        else:
            remedy = f"it is saved in {self._folder}: the next run uploads it"
        print_line(f"warning: {self.url}: the last checkpoint was not uploaded ({why}), {newest}; {remedy}")


def print_line(line: str) -> None:
    """On stderr, past the progress line of the trainer, and no matter if the terminal is gone."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"\r\x1b[K{escaped(line)}\n" if sys.stderr.isatty() else f"{escaped(line)}\n")
        sys.stderr.flush()
