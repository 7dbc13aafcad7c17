"""DVC's cache on this machine: objects, each a file named by its md5, and the run-cache.

The name of a folder's object ends in `.dir`; it lists the folder's files. DVC takes an object that is read-only for
right without reading it, so a file that a disk has damaged has to be found here.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from tqdm import tqdm

from detector.base.files import TEMPORARY
from tools.cloud.reasons import reason

MD5_DIGITS = 32
RUN = re.compile(r"runs/[0-9a-f]{2}/[0-9a-f]{64}/[0-9a-f]{64}")  # the name of a file of the run-cache
DOWNLOADS = "files/md5/??/.*.tmp"  # the names that DVC gives to what it is downloading
LEFTOVER_SECONDS = 24 * 3600  # without a change, after which no download writes to it any more


class Cache:
    def __init__(self, repo: Any) -> None:
        self.odb, self.root = repo.cache.local, Path(repo.cache.local_cache_dir)

    def path(self, oid: str) -> Path:
        return self.root / object_name(oid)

    def shown(self, oid: str) -> str:
        """The path of an object as a user would type it."""
        return os.path.relpath(self.path(oid))

    def has(self, oid: str) -> bool:
        return self.path(oid).is_file()

    def damaged(self, oids: Iterable[str]) -> dict[str, str]:
        """Of the objects that are here, those whose md5 is not their name, and what is wrong with each."""
        present = sorted(oid for oid in oids if self.has(oid))
        total = sum(self.path(oid).stat().st_size for oid in present)
        faults = {}
        with tqdm(total=total, unit="B", unit_scale=True, desc="checking", disable=None, leave=False) as bar:
            for oid in present:
                if fault := mismatch(self.path(oid), oid[:MD5_DIGITS]):
                    faults[oid] = fault
                bar.update(self.path(oid).stat().st_size)
        return faults

    def entries(self, oid: str) -> dict[str, str]:
        """The path and the object of each file of a folder; none where its list is missing, damaged or not a list."""
        if not is_list(oid) or not self.has(oid) or mismatch(self.path(oid), oid[:MD5_DIGITS]):
            return {}
        return {entry["relpath"]: entry["md5"] for entry in json.loads(self.path(oid).read_bytes())}

    def is_complete(self, oid: str, missing: Collection[str]) -> bool:
        """Whether neither this object nor, of a folder, one of its files is among the missing ones."""
        return oid not in missing and not set(missing) & set(self.entries(oid).values())

    def runs(self) -> list[str]:
        """The names of the run-cache's files."""
        paths = (path.relative_to(self.root).as_posix() for path in (self.root / "runs").rglob("*"))
        return sorted(path for path in paths if RUN.fullmatch(path))

    @contextmanager
    def temporary_folder(self) -> Iterator[Path]:
        """A folder on the cache's disk."""
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.root, prefix=TEMPORARY) as folder:
            yield Path(folder)

    def remove_leftovers(self) -> None:
        """Remove what a killed pull had not finished; not what another pull, into a shared cache, is writing."""
        for path in chain(self.root.glob(f"{TEMPORARY}*"), self.root.glob(DOWNLOADS)):
            if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def object_name(oid: str) -> str:
    """Where an object is, in a cache and on a remote alike."""
    return f"files/md5/{oid[:2]}/{oid[2:]}"


def is_list(oid: str) -> bool:
    """Whether an object is the list of a folder's files."""
    return oid.endswith(".dir")


def mismatch(path: Path, digest: str) -> str:
    """What is wrong with a file whose md5 is to be `digest`, if that is known; empty where nothing is."""
    try:
        actual = md5(path)
    except OSError as error:
        return f"cannot be read: {reason(error)}"
    return "" if digest in ("", actual) else f"its md5 is {actual}, not {digest}"


def md5(path: Path) -> str:
    """The hexadecimal digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
