"""Objects of a bucket to a folder, and files to a bucket: verified by crc32c, and only where the two differ."""

import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from detector.base import files
from detector.base.bars import counter
from detector.base.errors import UserError
from detector.storage import archives, google
from detector.storage import download as web

THREADS = 8  # google-cloud-storage keeps ten connections open at most


def download(url: str, folder: Path, is_wanted: Callable[[str], bool] = bool, *, may_be_all: bool = False) -> Path:
    """Download the object of a gs:// URL, or all objects below that prefix, into `folder`; hidden ones are left out.

    Files of an earlier try stay where their checksum is still the object's; a broken download is resumed.

    Args:
        is_wanted: whether an object below a prefix is to be downloaded, by its name.
        may_be_all: whether a bucket alone may be meant.

    Returns: the path of the object; `folder`, where the URL names a prefix.

    Raises:
        UserError: no credentials, no such bucket, nothing there, no connection, a name that would leave the folder, or
            no room on the disk.
    """
    with google.user_errors(url):
        prefix, blobs = google.listed(url, "give gs://bucket/dataset.zip or gs://bucket/folder/", may_be_all=may_be_all)
        is_one = prefix in blobs and not prefix.endswith("/")
        below = prefix.rpartition("/")[0] + "/" if is_one else prefix.rstrip("/") + "/"
        names = [prefix] if is_one else [name for name in blobs if is_wanted(name)]
        targets = _targets(url, blobs, names, below.removeprefix("/"))
        folder.mkdir(parents=True, exist_ok=True)
        missing = _missing(folder, targets)
        size, free = sum(map(_left, missing, missing.values())), shutil.disk_usage(folder).free
        if size > free:
            raise UserError(url, f"{size:,} bytes, the disk has {free:,} free", "make room")
        _download(missing)
    return folder / next(iter(targets)) if is_one else folder


def upload(path: Path, bucket: str, name: str) -> str:
    """Upload a file, unless the object exists with the same content; returns a line that says what happened.

    Raises:
        UserError: no credentials, no such bucket, not allowed, no connection, or somebody else wrote it meanwhile.
    """
    url, size, options = f"gs://{bucket}/{name}", path.stat().st_size, google.transfer_options()
    with google.user_errors(url):
        place = google.make().bucket(bucket)
        existing = place.get_blob(name, **options)
        if existing and google.is_same(path, existing):
            return f"{url}: exists already, {size:,} bytes"
        with path.open("rb") as raw, tqdm.wrapattr(raw, "read", total=size, desc=path.name, disable=None) as file:
            options |= {"if_generation_match": existing.generation if existing else 0, "checksum": "crc32c"}
            place.blob(name).upload_from_file(file, size=size, **options)
    return f"{url}: {'replaced' if existing else 'uploaded'}, {size:,} bytes"


def _targets(url: str, blobs: Mapping[str, Any], names: Iterable[str], below: str) -> dict[str, Any]:
    """{path in the folder: object} of the objects below a prefix."""
    targets: dict[str, Any] = {}
    seen: dict[str, str] = {}
    for name in sorted(names):
        path = name.removeprefix(below)
        if not name.startswith(below) or name.endswith("/"):
            continue  # a sibling with a longer name, or the marker of a folder
        if fault := archives.path_fault(path, seen):
            raise UserError(url, fault, "nothing was downloaded; rename that object", item=repr(name))
        if not archives.is_hidden(path):
            targets[path] = blobs[name]
    if not targets:
        raise UserError(url, "nothing there", "check the address: gcloud storage ls gs://...")
    return targets


def _missing(folder: Path, targets: Mapping[str, Any]) -> dict[Path, Any]:
    """{path: object} of what the folder is missing; a file that is no object, nor the beginning of one, is removed."""
    present = {path for path in folder.rglob("*") if path.is_file()}
    wanted = {folder / name: blob for name, blob in targets.items()}
    same = {path for path, blob in wanted.items() if path in present and google.is_same(path, blob)}
    missing = {path: blob for path, blob in wanted.items() if path not in same}
    for path in present - same - set(map(_part, missing, missing.values())):
        path.unlink()
    return missing


def _part(path: Path, blob: Any) -> Path:
    """The file of an object until it is whole; another generation of it has another one."""
    return path.with_name(f"{files.TEMPORARY}{web.key(path.name)}.{blob.generation}")


def _left(path: Path, blob: Any) -> int:
    """The bytes that are still to come."""
    part = _part(path, blob)
    return int(blob.size) - (part.stat().st_size if part.exists() else 0)


def _download(targets: Mapping[Path, Any]) -> None:
    total, is_over = sum(blob.size for blob in targets.values()), threading.Event()
    have = total - sum(map(_left, targets, targets.values()))
    with (
        counter("downloading", total, initial=have, unit="B", unit_scale=True) as shown,
        ThreadPoolExecutor(THREADS) as pool,
    ):

        def count(size: int) -> None:
            if is_over.is_set():
                raise RuntimeError("not needed any more")
            shown.update(size)

        try:
            for _ in pool.map(lambda path: _save(targets[path], path, count), targets):
                pass
        finally:  # after Ctrl-C no thread continues to the end of its object
            is_over.set()


def _save(blob: Any, path: Path, count: Callable[[int], None]) -> None:
    """An object to a file; what has come of it stays for the next try."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part(path, blob)
    google.download(blob, part, google.transfer_options(), count)
    part.replace(path)
