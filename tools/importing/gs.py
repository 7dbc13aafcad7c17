"""Objects of a bucket to a folder, and files to a bucket: verified by crc32c, and only where the two differ."""

import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm
from tqdm.utils import CallbackIOWrapper

from detector.base import files
from detector.base.errors import UserError
from detector.storage import archives, google
from detector.storage import download as web
from detector.storage.bucket import measure

THREADS = 8  # google-cloud-storage keeps ten connections open at most


def download(url: str, folder: Path) -> Path:
    """Bring the object that a gs:// URL names, or all that lie below that prefix, into `folder`; hidden ones not.

    What an earlier try has brought is kept where its checksum is still the object's; where an object broke off, it goes
    on from there.

    Returns: the path of the object; `folder`, where the URL names a prefix.

    Raises:
        UserError: no credentials, no such bucket, nothing there, no connection, a name that would leave the folder, or
            no room on the disk.
    """
    with google.user_errors(url):
        prefix, blobs = archives.objects(url, "give gs://bucket/dataset.zip or gs://bucket/folder/")
        is_one = prefix in blobs and not prefix.endswith("/")
        below = prefix.rpartition("/")[0] + "/" if is_one else prefix.rstrip("/") + "/"
        targets = _targets(url, blobs, [prefix] if is_one else blobs, below.removeprefix("/"))
        folder.mkdir(parents=True, exist_ok=True)
        missing = _missing(folder, targets)
        size, free = sum(map(_left, missing, missing.values())), shutil.disk_usage(folder).free
        if size > free:
            raise UserError(url, f"{size:,} bytes, the disk has {free:,} free", "make room")
        _download(missing)
    return folder / next(iter(targets)) if is_one else folder


def upload(path: Path, bucket: str, name: str) -> str:
    """Upload a file, unless the object is there with the same content; returns a line that says what was done.

    Raises:
        UserError: no credentials, no such bucket, not allowed, no connection, or somebody else wrote there meanwhile.
    """
    from google.api_core.exceptions import PreconditionFailed

    url, size = f"gs://{bucket}/{name}", path.stat().st_size
    with google.user_errors(url):
        place = google.client().bucket(bucket)
        there = place.get_blob(name, **archives.patience())
        if there and is_same(path, there):
            return f"{url}: already there, {size:,} bytes"
        try:
            with path.open("rb") as raw, tqdm.wrapattr(raw, "read", total=size, desc=path.name, disable=None) as file:
                generation = there.generation if there else 0
                place.blob(name).upload_from_file(
                    file, size=size, if_generation_match=generation, checksum="crc32c", **archives.patience()
                )
        except PreconditionFailed:
            raise UserError(url, "somebody else wrote it meanwhile", "look who; then run the command again") from None
    return f"{url}: {'replaced' if there else 'uploaded'}, {size:,} bytes"


def is_same(path: Path, blob: Any) -> bool:
    """Whether a file has the checksum of an object."""
    return bool(measure(path)[1] == blob.crc32c)


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
    """{path: object} of what the folder lacks; what is there and is no object, nor the beginning of one, is removed."""
    there = {path for path in folder.rglob("*") if path.is_file()}
    same = {folder / name for name, blob in targets.items() if folder / name in there and is_same(folder / name, blob)}
    missing = {folder / name: blob for name, blob in targets.items() if folder / name not in same}
    for path in there - same - set(map(_part, missing, missing.values())):
        path.unlink()
    return missing


def _part(path: Path, blob: Any) -> Path:
    """Where what has come of an object lies until it is whole; another generation of it has another place."""
    return path.with_name(f"{files.TEMPORARY}{web.key(path.name)}.{blob.generation}")


def _left(path: Path, blob: Any) -> int:
    """The bytes that are still to come."""
    part = _part(path, blob)
    return int(blob.size) - (part.stat().st_size if part.exists() else 0)


def _download(targets: Mapping[Path, Any]) -> None:
    total, is_over = sum(blob.size for blob in targets.values()), threading.Event()
    have = total - sum(map(_left, targets, targets.values()))
    with (
        tqdm(total=total, initial=have, unit="B", unit_scale=True, disable=None, leave=False) as bar,
        ThreadPoolExecutor(THREADS) as pool,
    ):

        def count(size: int) -> None:
            if is_over.is_set():
                raise RuntimeError("not needed any more")
            bar.update(size)

        try:
            for _ in pool.map(lambda path: _bring(targets[path], path, count), targets):
                pass
        finally:  # after Ctrl-C no thread is to go on to the end of its object
            is_over.set()


def _bring(blob: Any, path: Path, count: Callable[[int], None]) -> None:
    """An object to a file; what has come of it stays for the next try, until its checksum says that it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if blob.content_encoding:  # it is unpacked on its way: its size and its checksum are those of what is stored
        archives.download_object(blob, path)
        return count(blob.size)
    part = _part(path, blob)
    for _ in range(2):
        _fill(blob, part, count)
        if is_same(part, blob):
            part.replace(path)
            return None
        part.unlink()
        count(-blob.size)
    raise UserError(f"gs://{blob.bucket.name}/{blob.name}", "came damaged, twice", "run the command again")


def _fill(blob: Any, part: Path, count: Callable[[int], None]) -> None:
    """Download what `part` lacks, in as many tries as bring something new; nothing of it is verified."""
    from google.api_core.exceptions import RetryError

    with part.open("ab") as raw:
        out = CallbackIOWrapper(count, raw, "write")
        while (have := raw.tell()) < blob.size:
            try:
                blob.download_to_file(out, start=have or None, checksum=None, **archives.patience())
            except RetryError:
                if raw.tell() == have:
                    raise
