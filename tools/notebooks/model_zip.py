"""The trained model as one zip, to download, and to predict with: make predict MODEL=model-1a2b3c4d.zip

model/          the export, all of its formats
photos/         three of its test photos, to try it on
report.html     how good it is
params.yaml, dvc.lock    what it was made from

The name holds the first digits of a digest of model/: the same model has the same name.
"""

import csv
import hashlib
import re
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from detector.base import files, paths
from tools.notebooks.terminal import Stopped

KEPT = Path("kept")  # ignored by git
PHOTOS = 3
OF_TEST = re.compile(r"^ +- path: (\S+/test)$", re.MULTILINE)  # the folder of the test photos, in dvc.lock
TAG_DIGITS = 8
NO_TIME = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold


def pack() -> Path:
    """Returns: the zip, in `KEPT`.

    Raises:
        Stopped: there is no model.
    """
    if not paths.EXPORT.is_dir():
        raise Stopped(f"{paths.EXPORT}: not found; train first")
    exported = {f"model/{path.relative_to(paths.EXPORT)}": path for path in paths.EXPORT.rglob("*") if path.is_file()}
    reports = paths.REPORT.parent.glob(f"{paths.REPORT.stem}*.html")  # in each language
    notes = {path.name: path for path in (*reports, Path("params.yaml"), Path("dvc.lock")) if path.exists()}
    photos = {f"photos/{path.name}": path for path in test_photos()}
    digest = hashlib.sha256("".join(files.sha256(exported[name]) for name in sorted(exported)).encode()).hexdigest()
    result = KEPT / f"model-{digest[:TAG_DIGITS]}.zip"
    with files.whole_file(result) as new:
        _write(new, {**exported, **notes, **photos})
    return result


def _write(path: Path, entries: Mapping[str, Path]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:  # weights and photos do not get smaller
        for name in sorted(entries):
            with entries[name].open("rb") as source, archive.open(zipfile.ZipInfo(name, NO_TIME), "w") as target:
                shutil.copyfileobj(source, target)


def copy(source: Path, folder: Path) -> Path:
    """A copy in another folder, whose checksums are right.

    Raises:
        Stopped: they are not.
    """
    result = folder / source.name
    with files.whole_file(result) as new:
        shutil.copyfile(source, new)
        if not _is_whole(new):
            raise Stopped(f"{source}: is damaged, or what was copied is; run this cell again, or remove it")
    return result


def _is_whole(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except zipfile.BadZipFile:
        return False


def holds_photos(path: Path) -> bool:
    """Whether the zip of a model holds its test photos; True of what is no zip, which `make predict` refuses."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.startswith("photos/") for name in archive.namelist())
    except zipfile.BadZipFile:
        return True


def test_photos() -> list[Path]:
    """Three photos of the test split, of its beginning, middle and end: as a rule of several classes. None of none."""
    if not paths.csv("test").exists():
        return []
    with paths.csv("test").open(encoding="utf-8", newline="") as rows:
        names = list(dict.fromkeys(row["filename"] for row in csv.DictReader(rows)))
    chosen = dict.fromkeys(names[(len(names) - 1) * part // (PHOTOS - 1)] for part in range(PHOTOS) if names)
    lock = Path("dvc.lock")
    own = OF_TEST.findall(lock.read_text(encoding="utf-8")) if lock.exists() else []
    folders = [*map(Path, own), *sorted(Path("dataset").glob("*/test"))]  # others may have photos of these names
    return next((found for folder in folders if all(map(Path.exists, found := [folder / name for name in chosen]))), [])
