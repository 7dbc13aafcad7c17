"""The checkpoints of one training on a bucket: each is whole, or cannot be found.

step-00000100-1a2b3c4d/ckpt-1.*    the files; the end of the folder's name is a digest of them, so that one name is
best-00000100-5e6f7a8b/ckpt-1.*      the same bytes whoever uploads them, and existing files need not be sent again
step-00000100.json                 the manifest, written after all files, and the only way to them: each folder's
                                     state.json, which holds their digests, and how training has ended

Files are written without preconditions, for their names stand for their content. A manifest is written, and all is
removed, over the generation that was listed: a machine that was asleep in between must not replace or remove what
another has written since. The lease cannot prevent that, for the machine may fall asleep after it was renewed.
"""

import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.base import errors, files
from detector.base.bars import counter
from detector.checkpointing import work_dir
from detector.storage.bucket import Store
from detector.storage.google import ConflictError, MissingError, is_same

TAG_DIGITS = 8
MOST_BYTES = 2**22  # of a manifest, which is read whole; ours have some kB
MANIFEST = re.compile(r"step-\d{8}\.json")
PATH = re.compile(r"(step|best)-\d{8}/\w[\w.-]*")  # of a file, below the work directory
LOG = re.compile(r"logs/(\w[\w.-]*(?:/\w[\w.-]*)*)")  # as above; in parentheses: below the folder of logs
PRUNED = re.compile(r"(step|best)-\d{8}[-.]")  # how the names begin of what is removed when it is too much
Listing = Mapping[str, Any]  # the bucket's objects by name


@dataclass(frozen=True)
class Manifest:
    """A checkpoint on the bucket.

    Args:
        step: its step.
        states: the content of each folder's state.json, by the folder's name in the work directory.
        finished: what `Work.finish` was given, where training has ended with this checkpoint.
    """

    step: int
    states: dict[str, str]
    finished: dict[str, Any] | None

    @property
    def name(self) -> str:
        """The name of its own object."""
        return f"step-{self.step:08}.json"

    @property
    def files(self) -> dict[str, tuple[str, int]]:
        """{name on the bucket: (path below the work directory, bytes)}; not of the states."""
        entries: dict[str, tuple[str, int]] = {}
        for folder, state in self.states.items():
            digests = json.loads(state)["files"]
            target = f"{folder}-{work_dir.digest(digests)[:TAG_DIGITS]}"
            entries |= {f"{target}/{name}": (f"{folder}/{name}", int(size)) for name, (size, _) in digests.items()}
        return entries

    @property
    def size(self) -> int:
        """The bytes of all its files."""
        return sum(size for _, size in self.files.values())


class Checkpoints:
    """Those of the training `key`, in `store`, which holds nothing else. `keep`: how many of the newest steps stay."""

    def __init__(self, store: Store, key: str, keep: int) -> None:
        self._store, self._key, self._keep = store, key, keep
        self._damaged: set[tuple[str, int]] = set()  # the names and generations of manifests

    def whole(self) -> list[Manifest]:
        """The newest first; a damaged one is reported once and left out."""
        return self._among(self._store.listing())

    def put(self, work: work_dir.Work, commit: Callable[[], object]) -> int:
        """Upload the newest checkpoint of `work`, which must not change meanwhile; then remove those beyond `keep`.

        Where the bucket has a newer one, nothing is uploaded.

        Args:
            work: the work directory, or a copy of its newest checkpoint.
            commit: called when only the manifest is missing; where it raises, none is written.

        Returns: the newest step on the bucket.
        """
        folders = work.newest(1)
        step, finished = int(folders[0].name.removeprefix("step-")), work.finished()
        listing = self._store.listing()
        others = [manifest for manifest in self._among(listing) if manifest.step != step]
        if others and others[0].step > step:
            return others[0].step
        states = {folder.name: (folder / work_dir.STATE).read_text() for folder in folders}
        manifest = Manifest(step, states, finished)
        for name, (path, _) in manifest.files.items():
            self._put(name, work.folder / path, listing)
        commit()
        self._put_manifest(manifest, listing)
        stay = [manifest, *others][: 1 if finished is not None else self._keep]
        needed = {name for one in stay for name in (one.name, *one.files)}
        self._remove(listing, (name for name in listing if PRUNED.match(name) and name not in needed))
        return step

    def put_logs(self, folder: Path) -> None:
        """Upload the files of a training's logs as they are now."""
        listing = self._store.listing()
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = f"logs/{folder.name}/{path.relative_to(folder).as_posix()}"
            if LOG.fullmatch(name):  # and not just being written
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    self._put(name, path.read_bytes(), listing)  # read whole, for it grows meanwhile

    def restore_logs(self, folder: Path) -> None:
        """Download the logs into `folder`, in the place of what has the same name there."""
        for name, blob in sorted(self._store.listing().items()):
            if match := LOG.fullmatch(name):
                with files.whole_file(folder / match[1]) as temporary:
                    self._store.download(blob, temporary)

    def restore(self, manifest: Manifest, folder: Path) -> bool:
        """Download a checkpoint into `folder`; False where it turns out to be damaged, which is reported."""
        listing = self._store.listing()
        for name, state in manifest.states.items():
            (folder / name).mkdir()
            files.write_text(folder / name / work_dir.STATE, state)
        try:
            with counter(manifest.name, manifest.size, unit="B", unit_scale=True) as shown:
                for name, (path, size) in manifest.files.items():
                    self._store.download(listing[name], folder / path)
                    shown.update(size)
            fault = "" if work_dir.Work(folder, 1).kept(manifest.step) else "its files are not those of its states"
        except (MissingError, KeyError):
            fault = "a file was removed meanwhile"
        if fault and manifest.name in listing:
            self._leave_out(manifest.name, listing, fault)
        return not fault

    def forget(self) -> None:
        """Remove all of them, and the logs."""
        listing = self._store.listing()
        self._remove(listing, (name for name in listing if PRUNED.match(name) or name.startswith("logs/")))

    def _among(self, listing: Listing) -> list[Manifest]:
        names = sorted(filter(MANIFEST.fullmatch, listing), reverse=True)
        manifests = [self._read(name, listing) for name in names]
        return [manifest for manifest in manifests if manifest]

    def _read(self, name: str, listing: Listing) -> Manifest | None:
        if (name, listing[name].generation) in self._damaged:
            return None
        if listing[name].size > MOST_BYTES:
            self._leave_out(name, listing, f"has {listing[name].size:,} bytes, and is none")
            return None
        try:
            manifest = _parsed(self._store.get(listing[name]), self._key, name)
        except MissingError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._leave_out(name, listing, "is damaged")
            return None
        for file, (_, size) in manifest.files.items():
            if file not in listing or listing[file].size != size:
                self._leave_out(name, listing, f"{file} {'was replaced' if file in listing else 'is missing'}")
                return None
        return manifest

    def _leave_out(self, name: str, listing: Listing, fault: str) -> None:
        self._damaged.add((name, listing[name].generation))
        errors.say(f"warning: {self._store.url}/{name}: {fault}; it is left out", file=sys.stderr)

    def _put(self, name: str, content: bytes | Path, listing: Listing) -> None:
        """Write an object, unless it exists with this content."""
        if name not in listing or not is_same(content, listing[name]):
            self._store.put(name, content)

    def _put_manifest(self, manifest: Manifest, listing: Listing) -> None:
        parts = {folder: {"state": state} for folder, state in manifest.states.items()}
        content = {"key": self._key, "step": manifest.step, "parts": parts, "finished": manifest.finished}
        text = json.dumps({"content": content, "sha256": work_dir.digest(content)}).encode()
        blob = listing.get(manifest.name)
        if blob and is_same(text, blob):
            return
        try:
            self._store.put(manifest.name, text, blob.generation if blob else 0)
        except ConflictError:
            blob = self._store.find(manifest.name)
            if not blob or not is_same(text, blob):  # else the answer to our own request was lost
                raise

    def _remove(self, listing: Listing, names: Iterable[str]) -> None:
        for name in sorted(names, key=lambda name: ("/" in name, name)):  # the manifests first
            self._store.delete(name, listing[name].generation)


def _parsed(text: bytes, key: str, name: str) -> Manifest:
    """A manifest of this training, whole; its names become paths, here and on the bucket: none leads elsewhere.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, RecursionError: it is something else.
    """
    sealed = json.loads(text)
    content = sealed["content"]
    states = {folder: str(part["state"]) for folder, part in content["parts"].items()}
    manifest = Manifest(content["step"], states, content["finished"])
    paths = [*(path for path, _ in manifest.files.values()), *(f"{folder}/{work_dir.STATE}" for folder in states)]
    is_ours = (content["key"], manifest.name, work_dir.digest(content)) == (key, name, sealed["sha256"])
    if not is_ours or not all(map(PATH.fullmatch, paths)):
        raise ValueError(name)
    return manifest
