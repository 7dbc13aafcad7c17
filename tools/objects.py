"""Objects of a bucket to a folder, and files to a bucket: verified by crc32c, and only where the two differ."""

import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from detector import fetch, gcs
from detector.bucket_store import measure
from detector.errors import UserError

THREADS = 8  # google-cloud-storage keeps ten connections open at most


def download(url: str, folder: Path) -> Path:
    """Bring the object that a gs:// URL names, or all that lie below that prefix, into `folder`; hidden ones not.

    What an earlier try has brought is kept where its checksum is still the object's.

    Returns: the path of the object; `folder`, where the URL names a prefix.

    Raises:
        UserError: no credentials, no such bucket, nothing there, no connection, a name that would leave the folder, or
            no room on the disk.
    """
    with gcs.told(url):
        prefix, blobs = fetch.objects(url, "give gs://bucket/dataset.zip or gs://bucket/folder/")
        is_one = prefix in blobs and not prefix.endswith("/")
        below = prefix.rpartition("/")[0] + "/" if is_one else prefix.rstrip("/") + "/"
        targets = _targets(url, blobs, [prefix] if is_one else blobs, below.removeprefix("/"))
        folder.mkdir(parents=True, exist_ok=True)
        missing = _missing(folder, targets)
        size, free = sum(blob.size or 0 for blob in missing.values()), shutil.disk_usage(folder).free
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
    with gcs.told(url):
        place = gcs.client().bucket(bucket)
        there = place.get_blob(name, **fetch.patience())
        if there and is_same(path, there):
            return f"{url}: already there, {size:,} bytes"
        try:
            with path.open("rb") as raw, tqdm.wrapattr(raw, "read", total=size, desc=path.name, disable=None) as file:
                generation = there.generation if there else 0
                place.blob(name).upload_from_file(
                    file, size=size, if_generation_match=generation, checksum="crc32c", **fetch.patience()
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
        if fault := fetch.path_fault(path, seen):
            raise UserError(url, fault, "nothing was downloaded; rename that object", item=repr(name))
        if not fetch.is_hidden(path):
            targets[path] = blobs[name]
    if not targets:
        raise UserError(url, "nothing there", "check the address: gcloud storage ls gs://...")
    return targets


def _missing(folder: Path, targets: Mapping[str, Any]) -> dict[Path, Any]:
    """{path: object} of what the folder lacks; what is there and is none of the objects is removed."""
    there = {path for path in folder.rglob("*") if path.is_file()}
    same = {folder / name for name, blob in targets.items() if folder / name in there and is_same(folder / name, blob)}
    for path in there - same:
        path.unlink()
    return {folder / name: blob for name, blob in targets.items() if folder / name not in same}


def _download(targets: Mapping[Path, Any]) -> None:
    def bring(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        fetch.download_object(targets[path], path)

    with (
        ThreadPoolExecutor(THREADS) as pool,
        tqdm(pool.map(bring, targets), total=len(targets), unit="file", disable=None, leave=False) as progress,
    ):
        for _ in progress:
            pass
