"""Where a notebook keeps a training: nowhere, in Drive, or in a bucket; and what is lost with the runtime."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from detector.base import errors, files
from detector.base.errors import UserError
from tools.notebooks import copies, model_zip
from tools.notebooks.browser import upload
from tools.notebooks.terminal import Stopped, commit, last_commit, run

LOCAL = Path(".work")  # train.work_dir
MOUNT = "/content/drive"
MY_DRIVE = Path(MOUNT, "MyDrive")


class Nowhere:
    """The runtime's own disk."""

    work_dir = ""  # what make's WORK_DIR is; empty for the runtime's own disk

    def prepare(self, project: str, tf: str) -> None:
        """Make it ready, take back what a lost runtime has left there, and print what would be lost.

        Args:
            project: of Google Cloud, for a bucket.
            tf: TF of make.
        """
        errors.say(
            "kept nowhere: if Colab ends this runtime, the training is lost, and all that you have not downloaded;",
            "to be able to resume, choose USE_DRIVE or give a BUCKET",
        )

    def saving(self) -> AbstractContextManager[None]:
        """To be open while it trains."""
        return contextlib.nullcontext()

    def keep(self, tf: str) -> None:
        """Store the results, which are committed."""
        errors.say("kept nowhere: what you have not downloaded above is lost with this runtime")

    def running(self) -> list[str]:
        """The arguments of `make predict` that name the best checkpoint so far of a training that runs.

        Raises:
            Stopped: this place knows none.
        """
        raise Stopped("RUNNING: give the BUCKET in which TPU_Train.ipynb keeps its training; nothing else is seen here")

    def model(self, commit: str, tf: str) -> list[str]:
        """Fetch a model. Returns: the arguments of `make predict` that name it.

        Args:
            commit: whose model it is, where the place knows several; empty for the last one.
            tf: TF of make.

        Raises:
            Stopped: there is none.
        """
        (chosen, *_) = upload(model_zip.KEPT, "the model-....zip that TPU_Train.ipynb offers for download")
        return [f"MODEL={chosen}"]


@dataclass(frozen=True)
class Drive(Nowhere):
    """A folder of Google Drive, for one dataset. It is mounted again and again, as `keep` ends by letting it go."""

    folder: Path

    def prepare(self, project: str, tf: str) -> None:
        with self._mounted():
            files.make_folder(self.folder)
            copies.restore(self.folder, LOCAL)
        errors.say(
            f"kept in {self.folder}: a copy of the newest checkpoint, every {copies.SECONDS / 60:.0f} minutes; "
            "the model with its report",
            "lost with this runtime: the commits, DVC's cache, TensorBoard's logs",
        )

    def saving(self) -> AbstractContextManager[None]:
        mount()
        return copies.saved(LOCAL, self.folder)

    def keep(self, tf: str) -> None:
        from google.colab import drive

        with self._mounted():
            kept = model_zip.copy(model_zip.pack(), self.folder)
        drive.flush_and_unmount()  # which waits until Google has all that was written
        errors.say(f"kept: {kept}")

    def model(self, commit: str, tf: str) -> list[str]:
        with self._mounted():
            found = sorted(self.folder.glob("model-*.zip"), key=lambda path: path.stat().st_mtime)
            if not found:
                raise Stopped(f"{self.folder}: holds no model; TPU_Train.ipynb puts it there, with the same form")
            errors.say(f"the newest of {errors.counted(len(found), 'model')}: {found[-1]}")
            return [f"MODEL={model_zip.copy(found[-1], model_zip.KEPT)}"]

    @contextlib.contextmanager
    def _mounted(self) -> Iterator[None]:
        mount()
        try:
            yield
        except (OSError, UserError) as error:
            raise Stopped(f"{self.folder}: {copies.reason(error, self.folder)}; run this cell again") from error


def in_drive(folder: str, dataset: str) -> Drive:
    """The folder of a dataset in a folder of Drive.

    Raises:
        Stopped: it is elsewhere, on the runtime's own disk.
    """
    path = Path(os.path.normpath(Path(folder, dataset)))  # what a link in Drive leads to may be elsewhere
    if not path.is_relative_to(MY_DRIVE):
        raise Stopped(f"DRIVE_FOLDER: {folder} is not in your Drive; begin it with {MY_DRIVE}/")
    return Drive(path)


def mount() -> None:
    """Mount Google Drive, unless it is."""
    from google.colab import drive

    drive.mount(MOUNT)


@dataclass(frozen=True)
class Bucket(Nowhere):
    """A bucket of Google Cloud Storage: everything, with its history."""

    name: str

    @property
    def work_dir(self) -> str:  # type: ignore[override]
        return f"gs://{self.name}/work"

    def prepare(self, project: str, tf: str) -> None:
        sign_in()
        run("make", "bucket", f"PROJECT={project}", f"BUCKET={self.name}", f"TF={tf}")
        commit("DVC remote")

    def keep(self, tf: str) -> None:
        run("make", "push", f"TF={tf}")
        errors.say(f"for GPU_Predict.ipynb: BUCKET {self.name}, COMMIT {last_commit()}")

    def running(self) -> list[str]:
        sign_in()
        return ["MODEL=running", f"BUCKET={self.name}"]

    def model(self, commit: str, tf: str) -> list[str]:
        sign_in()
        run("make", "pull", f"BUCKET={self.name}", f"COMMIT={commit}", f"TF={tf}")
        run("make", "summary", f"TF={tf}")
        return []  # it is model/export


def sign_in() -> None:
    """Sign in to Google, so that `make` may use your buckets.

    Colab writes the login to this machine, where Google's libraries find it; it is gone with the session.
    """
    from google.colab import auth

    auth.authenticate_user()
