"""Where a prediction's model is.

    model/export  model/export/model.onnx  model    an export, a file of one, a folder with one below it
    model.zip  model.tar.gz                         an archive with one in it
    https://host/model.zip                          such an archive on the web
    gs://bucket/export  gs://bucket/model.zip       the same in a bucket
    running                                         the best weights so far of a training that runs

Only a SavedModel could do harm (docs/security.md), and a prediction reads none: what it runs is ONNX or TFLite.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detector.base import errors, files, paths
from detector.base.errors import UserError
from detector.prediction.sources import is_archive

RUNNING = "running"
GIVE = "give a folder that `export` made, such as model/export, or a zip, https://... or gs://..."
_MODELS = (".onnx", ".tflite")
_READ = (*_MODELS, ".pbtxt", ".json")  # of an export: what a prediction reads
_BELOW = ("", "*", "*/*", "*/*/*")  # where in a folder an export may be: Passo/model/export


@contextmanager
def opened(where: str | None, bucket: str | None = None) -> Iterator[Path]:
    """The folder with the exported model; what comes from elsewhere is removed afterwards.

    Args:
        where: as above; None for model/export.
        bucket: that the training saves its work in; None for this machine, or params.yaml's train.work_dir.

    Raises:
        UserError: there is nothing, no exported model or several in it, or an address that is not https://; or as of
            `download.get`, `gs.download`, `zip_archive.unpack`.
        SystemExit: there are no such weights, and why has been printed.
    """
    if not where:
        yield paths.EXPORT
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        if where == RUNNING:
            yield _of_training(folder, bucket)
        elif scheme := re.match("[A-Za-z][A-Za-z0-9+.-]+://", where):
            yield _export_in(_fetched(where, scheme[0].lower(), folder), errors.redacted(where))
        else:
            yield _export_in(_local(where, folder), where)


def _of_training(folder: Path, bucket: str | None) -> Path:
    # In a process of its own: it needs TensorFlow, which predictions do not.
    command = [sys.executable, "-m", "tools.running_model", *([f"--bucket={bucket}"] if bucket else [])]
    if code := subprocess.run([*command, str(folder)], check=False).returncode:
        sys.exit(code)
    return folder


def _fetched(url: str, scheme: str, folder: Path) -> Path:
    """What is at an address, in `folder`; what is imported for it takes a second."""
    if scheme == "gs://":
        from detector.storage import gs

        place = url.rpartition("/")[0] if url.endswith(_READ) else url
        found = gs.download(place, folder / "objects", is_wanted=lambda name: name.endswith(_READ), may_be_all=True)
        return _unpacked(found, folder / "archive", url) if found.is_file() else found
    shown = errors.redacted(url)
    if scheme != "https://":
        fault = "anybody on the way could change it" if scheme == "http://" else f"{scheme} is not supported"
        raise UserError(shown, fault, "give https://... or gs://...")
    if shown.lower().endswith(_READ):
        raise UserError(shown, "is one file; the classes are in another", "give a zip of its folder")
    from detector.storage import download

    archive = download.get(url)
    try:
        return _unpacked(archive, folder, shown)
    finally:
        archive.unlink(missing_ok=True)  # another prediction may have had the same one


def _local(where: str, folder: Path) -> Path:
    path = files.expanded(where)
    if path.is_file() and is_archive(path.name):
        return _unpacked(path, folder, where)
    if path.is_file() and path.suffix.lower() in _READ:
        return path.parent
    if path.exists() and not path.is_dir():
        raise UserError(where, "is neither a folder nor an archive", GIVE)
    if not path.exists():
        raise UserError(errors.redacted(where), "no such folder", GIVE)
    return path


def _unpacked(archive: Path, folder: Path, shown: str) -> Path:
    from detector.storage import zip_archive

    folder.parent.mkdir(exist_ok=True)
    return zip_archive.unpack(archive, folder, shown)


def _export_in(folder: Path, where: str) -> Path:
    """The folder, or the only one below it, that holds an export. where: what the user calls the folder."""
    from detector.storage.archives import is_hidden

    for pattern in _BELOW:
        places = sorted(folder.glob(pattern)) if pattern else [folder]
        found = [place for place in places if _is_export(place) and not is_hidden(str(place.relative_to(folder)))]
        if len(found) > 1:
            several = errors.few([str(place.relative_to(folder)) for place in found])
            raise UserError(where, f"holds {len(found)} exported models: {several}", "give one of them")
        if found:
            return found[0]
    raise UserError(where, "holds no exported model", GIVE)


def _is_export(folder: Path) -> bool:
    return (folder / paths.MODEL_RECORD).is_file() or any(any(folder.glob(f"*{suffix}")) for suffix in _MODELS)
