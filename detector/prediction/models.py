"""Where a prediction's model is: model/export, another folder, or a folder in a bucket."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detector.base import files, paths
from detector.base.errors import UserError

_READ = (".onnx", ".tflite", ".pbtxt", ".json")  # of an export: what a prediction reads


@contextmanager
def opened(where: str | None) -> Iterator[Path]:
    """The folder with the exported model; what comes from a bucket is removed afterwards.

    Args:
        where: a folder, or gs://bucket/folder; None for model/export.

    Raises:
        UserError: there is no such folder, or it holds no model; or as of `gs.download`.
    """
    if where and where.startswith("gs://"):
        from detector.storage import gs  # late, as it takes a second

        with tempfile.TemporaryDirectory() as temporary:
            url = where.rstrip("/") + "/"
            yield gs.download(url, Path(temporary) / "model", is_wanted=lambda name: name.endswith(_READ))
        return
    folder = files.expanded(where) if where else paths.EXPORT
    if where and not folder.is_dir():
        raise UserError(where, "no such folder", "give the folder that `export` made, such as model/export")
    yield folder
