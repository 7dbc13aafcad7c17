"""DVC's cache on this machine, in whose folders files have the same names as on a remote.

    files/md5/ab/cdef...        an object: a file whose md5 is abcdef...
    files/md5/ab/cdef....dir    likewise, the list of a folder's files
    runs/...                    the run-cache

DVC takes an object that is read-only for right without reading it: one that a disk has damaged has to be found here.
And it writes the files of a list to wherever the list says: `../../.bashrc`, too.
"""

import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from detector.base.bars import counter
from detector.base.errors import UserError
from tools.cloud.reasons import reason

OBJECT = re.compile(r"files/md5/([0-9a-f]{2})/([0-9a-f]{30})(\.dir)?")
RUN = re.compile(r"runs/[0-9a-f]{2}/[0-9a-f]{64}/[0-9a-f]{64}")
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
RUNS = ".passo-runs."  # how the folder of runs that are not checked yet begins, beside `files`
# What a pull has not finished: files that DVC is copying, and that folder. In these places alone: .dvc/config may say
# that the cache is in any folder, and the `.*.tmp` of others are not ours to remove.
UNFINISHED = (
    "files/md5/[0-9a-f][0-9a-f]/.*.tmp",
    f"runs/[0-9a-f][0-9a-f]/{'[0-9a-f]' * 64}/.*.tmp",
    f"{RUNS}*.tmp",
)
LEFTOVER_SECONDS = 24 * 3600  # without a change, after which no download writes to it any more


class Cache:
    def __init__(self, repo: Any) -> None:
        self.dvc, self.root = repo.cache.local, Path(repo.cache.local_cache_dir)

    def path(self, name: str) -> Path:
        return self.root / name

    def has(self, name: str) -> bool:
        return self.path(name).is_file()

    def make_folders(self) -> None:
        """Make the folders of all objects: where DVC cannot make one, it does not record a result. Raises: OSError."""
        for number in range(256):
            self.path(f"files/md5/{number:02x}").mkdir(parents=True, exist_ok=True)

    def damaged(self, names: Iterable[str]) -> dict[str, str]:
        """Of the objects that are here, those whose md5 is not their name, and what is wrong with each."""
        sizes = {name: self.path(name).stat().st_size for name in sorted(names) if self.has(name)}
        faults = {}
        with counter("checking", sum(sizes.values()), unit="B", unit_scale=True) as shown:
            for name, size in sizes.items():
                if fault := mismatch(self.path(name), md5_in(name)):
                    faults[name] = fault
                shown.update(size)
        return faults

    def files(self, name: str) -> dict[str, str]:
        """The path and the object of each file in a folder; none where its list is missing, damaged or not a list."""
        if not is_list(name) or not self.has(name) or mismatch(self.path(name), md5_in(name)):
            return {}
        return {entry["relpath"]: object_name(entry["md5"]) for entry in json.loads(self.path(name).read_bytes())}

    def is_whole(self, name: str) -> bool:
        """Whether this object and, of a folder, all of its files are here."""
        return self.has(name) and all(map(self.has, self.files(name).values()))

    def is_complete(self, name: str, missing: Collection[str]) -> bool:
        """Whether neither this object nor, of a folder, one of its files is among the missing ones."""
        return name not in missing and not set(missing) & set(self.files(name).values())

    def runs(self) -> list[str]:
        """The files of the run-cache."""
        names = (path.relative_to(self.root).as_posix() for path in (self.root / "runs").rglob("*"))
        return sorted(name for name in names if RUN.fullmatch(name))

    def remove_leftovers(self) -> None:
        """Remove what a killed pull had not finished; not what another pull, into a shared cache, is writing."""
        for path in [path for pattern in UNFINISHED for path in self.root.glob(pattern)]:
            with contextlib.suppress(FileNotFoundError):  # the other pull has finished it
                if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def to_remove(self, name: str) -> str:
        """The command that removes an object, to be pasted: .dvc/config may call the cache's folder anything."""
        return shlex.join(["rm", "-f", os.path.relpath(self.path(name))])


def object_name(oid: str) -> str:
    """The name of an object, from DVC's id of it.

    Raises:
        UserError: it is none, and would name a file elsewhere.
    """
    if not MD5.fullmatch(oid):
        raise UserError("dvc.lock", f"{oid!r} is not an md5", "restore it, and the .dvc files: git checkout dvc.lock")
    return f"files/md5/{oid[:2]}/{oid[2:]}"


def md5_in(name: str) -> str:
    """The md5 that an object is named after."""
    match = OBJECT.fullmatch(name)
    return match[1] + match[2] if match else ""


def is_list(name: str) -> bool:
    """Whether an object is the list of a folder's files."""
    return name.endswith(".dir")


def mismatch(path: Path, digest: str) -> str:
    """What is wrong with a file whose md5 is to be `digest`, if that is known; empty where nothing is."""
    try:
        actual = md5(path)
    except OSError as error:
        return f"cannot be read: {reason(error)}"
    if digest not in ("", actual):
        return f"its md5 is {actual}, not {digest}"
    return _fault_of_list(path) if is_list(path.name) else ""


def _fault_of_list(path: Path) -> str:
    """Why DVC must not see a list of files; empty where it may."""
    try:
        entries = [(str(entry["relpath"]), str(entry["md5"])) for entry in json.loads(path.read_bytes())]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "it is not a list of files"
    outside = [relpath for relpath, digest in entries if not (is_inside(relpath) and MD5.fullmatch(digest))]
    return f"it names {outside[0]!r}, which is not a file of its folder" if outside else ""


def is_inside(path: str) -> bool:
    """Whether a path, with `/`, stays below the folder that it is relative to."""
    return not path.startswith("/") and not {"", ".", ".."} & set(path.split("/")) and "\0" not in path


def md5(path: Path) -> str:
    """The hexadecimal digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
