"""What DVC tracks: the outputs that dvc.lock and the .dvc files name, and the objects that they consist of.

An object is a file under its md5, `abcdef...`; that of a folder ends in `.dir` and lists the files inside.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from detector.base.files import TEMPORARY
from tools.cloud.stores import md5, reason

DIGITS = 32  # of an md5
LEFT_SECONDS = 24 * 3600  # without a change, after which a folder of unfinished files is nobody's


class Origin(NamedTuple):
    """A commit that is looked at beside the working tree."""

    name: str
    remedy: str  # the commands that make its outputs anew


@dataclass(frozen=True)
class Output:
    """A file or a folder, in the working tree or in a commit."""

    path: str  # from the project's root
    oid: str  # of its object
    remedy: str  # the command that makes it anew
    origin: str = ""  # the name of the commit; empty for the working tree

    @property
    def label(self) -> str:
        return f"{self.origin}: {self.path}" if self.origin else self.path


@dataclass(frozen=True)
class Part:
    """What one object stands for."""

    label: str
    remedy: str
    origin: str


def outputs(repo: Any, origins: dict[str, Origin]) -> list[Output]:
    """What belongs on the default remote, of the working tree and of commits."""
    found, config = [], repo.config
    for revision in repo.brancher(revs=sorted(origins), sha_only=True):
        repo.config = config  # that of an older commit may not know the remote which config.local is about: DVC fails
        origin = origins.get(revision)
        found += [_output(repo, out, origin) for out in repo.index.outs if _belongs_there(out)]
    return found


def left_to_dvc(repo: Any) -> list[str]:
    """The paths in the working tree that DVC keeps elsewhere: on a remote of their own, or as DVC 2 did."""
    kept = [out for out in repo.index.outs if _is_kept(out) and not _belongs_there(out)]
    return sorted(repo.fs.relpath(out.fs_path, repo.root_dir) for out in kept)


def _is_kept(out: Any) -> bool:
    return bool(out.is_in_repo and out.use_cache and out.can_push and not out.stage.is_repo_import and out.hash_info)


def _belongs_there(out: Any) -> bool:
    return _is_kept(out) and not out.remote and out.hash_info.name == "md5"


def _output(repo: Any, out: Any, origin: Origin | None) -> Output:
    path = repo.fs.relpath(out.fs_path, repo.root_dir)
    if origin:
        return Output(path, out.hash_info.value, origin.remedy, origin.name)
    remedy = f"dvc add {path}" if out.stage.is_data_source else f"dvc repro {out.stage.addressing}"
    return Output(path, out.hash_info.value, remedy)


class Cache:
    """The objects that are on this machine."""

    def __init__(self, repo: Any) -> None:
        self.fs, self.root = repo.cache.local.fs, Path(repo.cache.local_cache_dir)

    def path(self, oid: str) -> Path:
        return self.root / name(oid)

    def has(self, oid: str) -> bool:
        return self.path(oid).is_file()

    @contextmanager
    def beside(self) -> Iterator[Path]:
        """A folder for what is to become a part of the cache, and then gone."""
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.root, prefix=TEMPORARY) as folder:
            yield Path(folder)

    def tidy(self) -> None:
        """Remove what a killed pull has left `beside`; not what another one, of a cache that is shared, is at."""
        for folder in self.root.glob(f"{TEMPORARY}*"):
            if time.time() - folder.stat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)

    def adopt(self, path: Path, name: str) -> None:
        """Give a whole file its place; DVC knows its objects to be whole by their mode."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.chmod(0o644 if name.startswith("runs/") else 0o444)
        path.replace(target)

    def runs(self) -> list[str]:
        """The names of the run-cache's files."""
        found = (path for path in (self.root / "runs").rglob("*") if path.is_file())
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    def damaged(self, oids: Iterable[str]) -> dict[str, str]:
        """Of the objects that are here, those whose bytes are not what their names say, and what is wrong."""
        present = sorted(oid for oid in oids if self.has(oid))
        total = sum(self.path(oid).stat().st_size for oid in present)
        wrong = {}
        with tqdm(total=total, unit="B", unit_scale=True, desc="checking", disable=None, leave=False) as bar:
            for oid in present:
                if fault := mismatch(self.path(oid), oid):
                    wrong[oid] = fault
                bar.update(self.path(oid).stat().st_size)
        return wrong

    def entries(self, oid: str) -> dict[str, str]:
        """The paths and the objects of a folder's files; none where its list is not here, is damaged, or is no list."""
        if not is_list(oid) or not self.has(oid) or mismatch(self.path(oid), oid):
            return {}
        return {entry["relpath"]: entry["md5"] for entry in json.loads(self.path(oid).read_bytes())}

    def is_whole(self, oid: str, lost: Collection[str]) -> bool:
        """Whether an output has none of its objects among the lost ones."""
        return oid not in lost and not set(lost) & set(self.entries(oid).values())


def parts(cache: Cache, named: Sequence[Output]) -> dict[str, Part]:
    """Every object of some outputs and what it stands for; where several outputs name it, the first of them."""
    found: dict[str, Part] = {}
    for output in named:
        found.setdefault(output.oid, Part(output.label, output.remedy, output.origin))
        for path, oid in cache.entries(output.oid).items():
            found.setdefault(oid, Part(f"{output.label}/{path}", output.remedy, output.origin))
    return found


def mismatch(path: Path, oid: str) -> str:
    """What is wrong with the bytes of an object; empty where nothing is."""
    try:
        digest = md5(path)
    except OSError as error:
        return f"cannot be read: {reason(error)}"
    return "" if oid[:DIGITS] in ("", digest) else f"its md5 is {digest}, not {oid[:DIGITS]}"


def is_list(oid: str) -> bool:
    """Whether an object is the list of a folder's files."""
    return oid.endswith(".dir")


def name(oid: str) -> str:
    """Where an object lies, in a cache and in a remote alike."""
    return f"files/md5/{oid[:2]}/{oid[2:]}"
