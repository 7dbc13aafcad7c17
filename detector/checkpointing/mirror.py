"""A work directory on a bucket, `train.work_dir: gs://bucket/work`: a copy of the local one, filled beside training.

Training writes to `.work/<key>`, and reads from there, as ever (work_dir.py); a thread uploads the newest checkpoint
(uploader.py), and training waits for it at its very end alone. At the start, the newest whole one of both places is
taken.

gs://bucket/work/<key>/
    identity.json               what the key stands for
    lease.json                  who trains it (lease.py)
    step-*, best-*              the checkpoints (manifest.py)
    logs/<training>/            TensorBoard's, which follow the checkpoint to another machine

No other key's objects are ever read, written or removed.
"""

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from detector.base import files
from detector.base.errors import UserError
from detector.checkpointing import work_dir
from detector.checkpointing.lease import LostError
from detector.checkpointing.manifest import Manifest
from detector.checkpointing.uploader import Timing, Uploader, print_line
from detector.storage.google import StoreError

SCHEME = "gs://"
LOCAL = ".work"  # where training itself writes to and reads from
TIMING = Timing()


def local_root(root: str) -> str:
    """The folder that training itself uses, for a `train.work_dir` that may be on a bucket."""
    return LOCAL if root.startswith(SCHEME) else str(files.expanded(root))


@contextlib.contextmanager
def opened(
    root: str, identity: work_dir.Identity, *, keep: int, timing: Timing = TIMING, local: str = LOCAL
) -> Iterator[work_dir.Work]:
    """`work_dir.opened`; where `root` is on a bucket, of the folder `local`, which `root` gets a copy of.

    Raises:
        UserError: as of `work_dir.opened`; another machine trains this; or the bucket does not exist or is not for us,
            and there is nothing here to resume.
    """
    if not root.startswith(SCHEME):
        with work_dir.opened(root, identity, keep=keep) as task:
            yield task
        return
    url = f"{checked(root)}/{work_dir.key(identity)}"
    with work_dir.opened(local, identity, keep=keep) as task:
        uploader = Uploader(url, task.folder, identity, keep=keep, timing=timing)
        uploader.open()
        try:
            yield Mirrored(task.folder, keep, uploader)
        except BaseException:
            uploader.close(timing.farewell)
            raise
        uploader.close()


def checked(root: str) -> str:
    """The address of the work directory, without a slash at its end.

    Raises:
        UserError: it is not an address.
    """
    if not re.fullmatch(r"gs://[a-z0-9][\w.-]+[a-z0-9](/[^/\s]+)*/?", root):
        raise UserError("params.yaml", f"{root} is not an address", "give gs://bucket/work", item="train.work_dir")
    return root.rstrip("/")


class Mirrored(work_dir.Work):
    """`Work`, of a training's folder, which the caller has locked; and the bucket gets a copy of all that it does.

    `save` also raises `LostError`, where another trainer has taken this training over; it has saved by then.
    """

    def __init__(self, folder: Path, keep: int, uploader: Uploader) -> None:
        super().__init__(folder, keep)
        self._uploader, self._is_fetched = uploader, False
        self._is_taken = False  # whether the newest checkpoint came from the bucket, in this session

    @property
    def where(self) -> str:
        return f"{self.folder} and {self._uploader.url}"

    def latest(self) -> work_dir.Kept | None:
        self._fetch()
        kept = super().latest()
        if kept:
            self._upload()
        return kept

    def finished(self) -> dict[str, Any] | None:
        self._fetch()
        return super().finished()

    def save(self, state: Mapping[str, Any], size: int, write: Callable[[Path], object]) -> None:
        super().save(state, size, write)
        self._upload()

    def finish(self, result: Mapping[str, Any]) -> None:
        super().finish(result)
        with contextlib.suppress(LostError):  # it has ended, whoever trains it as well
            self._upload()

    def forget(self) -> None:
        """To be called before anything is saved, or an upload may follow."""
        self._is_fetched = True
        super().forget()
        try:
            if self._uploader.trouble:
                raise StoreError(self._uploader.trouble, "")
            self._uploader.checkpoints.forget()
        except StoreError as error:
            self._uploader.report(error)
            print_line(f"warning: {self._uploader.url}: not forgotten there; give FRESH=1 again when it can be used")

    def watch(self, logs: Path) -> None:
        self._uploader.logs = logs

    def fetch_logs(self, folder: Path) -> None:
        if self._is_taken:
            try:
                self._uploader.checkpoints.restore_logs(folder)
            except (StoreError, OSError) as error:  # training needs none of them
                self._uploader.report(error)

    def leave(self) -> None:
        self._uploader.close(self._uploader.timing.farewell)

    def _upload(self) -> None:
        """Hand over a copy of the newest checkpoint."""
        try:
            copy = self._copy()
        except OSError as error:  # whatever becomes of the copy, training continues
            self._uploader.report(error)
        else:
            self._uploader.submit(copy)

    def _copy(self) -> Path:
        """The newest checkpoint in a new folder: hard links, which stay when training removes its own files."""
        copy = Path(tempfile.mkdtemp(dir=self.folder, prefix=files.TEMPORARY))
        try:
            for source in self.newest(1):
                (copy / source.name).mkdir()
                for path in source.iterdir():
                    _link(path, copy / source.name / path.name)
            if (self.folder / work_dir.FINISHED).exists():
                _link(self.folder / work_dir.FINISHED, copy / work_dir.FINISHED)
        except OSError:  # a part of it would take room on the disk until the end
            shutil.rmtree(copy, ignore_errors=True)
            raise
        return copy

    def _fetch(self) -> None:
        """Put the bucket's newest whole checkpoint in the place of those here, if it is newer; once.

        Raises:
            UserError: there is one, but it cannot be downloaded: to train it once more would be in vain.
        """
        if self._is_fetched:
            return
        self._is_fetched = True
        kept = super().latest()
        try:
            manifests = [] if self._uploader.trouble else self._uploader.checkpoints.whole()
        except StoreError as error:
            self._uploader.report(error)
            return
        self._uploader.newest = manifests[0].step if manifests else 0
        for manifest in manifests:
            if manifest.step <= (kept.step if kept else 0) or self._is_restored(manifest):
                return

    def _is_restored(self, manifest: Manifest) -> bool:
        self.check_room(manifest.size)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=files.TEMPORARY) as new:
            try:
                if not self._uploader.checkpoints.restore(manifest, Path(new)):
                    return False
            except StoreError as error:
                reason = f"exists, but cannot be downloaded: {error.reason}"
                remedy = "run again when it can be (or start from scratch: make train FRESH=1)"
                raise UserError(f"{self._uploader.url}/{manifest.name}", reason, remedy) from error
            super().forget()
            for folder in sorted(Path(new).iterdir()):  # the best before the step that needs it
                folder.rename(self.folder / folder.name)
        if manifest.finished is not None:
            files.write_text(self.folder / work_dir.FINISHED, json.dumps(manifest.finished, indent=2) + "\n")
        self._is_taken = True
        print_line(f"took step {manifest.step} from {self._uploader.url}: {work_dir.megabytes(manifest.size)}")
        return True


def _link(source: Path, target: Path) -> None:
    """A hard link, or a copy on a file system that has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
