"""Where a prediction's model is: model/export, another folder, a zip, one in a bucket, or a training that runs."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detector.base import files, paths
from detector.base.errors import UserError

RUNNING = "running"
_READ = (".onnx", ".tflite", ".pbtxt", ".json")  # of an export: what a prediction reads


@contextmanager
def opened(where: str | None, bucket: str | None = None) -> Iterator[Path]:
    """The folder with the exported model; what comes from elsewhere is removed afterwards.

    Args:
        where: a folder, a zip with one somewhere in it, or gs://bucket/folder; RUNNING for the best weights so far of a
            training that runs; None for model/export.
        bucket: that the training saves its work in; None for this machine, or params.yaml's train.work_dir.

    Raises:
        UserError: there is no such folder, or it holds no model; or as of `gs.download`, or of `zip_archive.unpack`.
        SystemExit: there are no such weights, and why has been printed.
    """
    if where == RUNNING:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            # In a process of its own: it needs TensorFlow, which predictions do not.
            command = [sys.executable, "-m", "tools.running_model", *([f"--bucket={bucket}"] if bucket else [])]
            if code := subprocess.run([*command, str(folder)], check=False).returncode:
                sys.exit(code)
            yield folder
        return
    if where and where.startswith("gs://"):
        from detector.storage import gs  # late, as it takes a second

        with tempfile.TemporaryDirectory() as temporary:
            url = where.rstrip("/") + "/"
            yield gs.download(url, Path(temporary) / "model", is_wanted=lambda name: name.endswith(_READ))
        return
    folder = files.expanded(where) if where else paths.EXPORT
    if folder.suffix.lower() == ".zip" and folder.is_file():
        from detector.storage import zip_archive

        with tempfile.TemporaryDirectory() as temporary:
            yield _exported(zip_archive.unpack(folder, Path(temporary) / "model", str(where)), str(where))
        return
    if where and not folder.is_dir():
        raise UserError(where, "no such folder", "give the folder that `export` made, such as model/export")
    yield folder


def _exported(unpacked: Path, where: str) -> Path:
    """The first folder in an unpacked zip that holds an export."""
    records = sorted(unpacked.rglob(paths.MODEL_RECORD))
    if not records:
        raise UserError(where, f"holds no {paths.MODEL_RECORD}, so no exported model", "zip the folder model/export")
    return records[0].parent
