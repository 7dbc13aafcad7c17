"""The checkpoints of one training on a bucket: there whole, or not at all.

step-00000100-1a2b3c4d/ckpt-1.*    the files; the end of the folder's name is a digest of them, so that one name is
best-00000100-5e6f7a8b/ckpt-1.*      the same bytes whoever uploads them, and what is there need not be sent again
step-00000100.json                 the manifest, written when all else is there, and the only way to it: each file's
                                     size, crc32c and generation, each folder's state.json, how training has ended
"""

import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from detector.base import files
from detector.checkpointing import work_dir
from detector.storage.bucket import GoneError, Object, Store, measure

TAG_DIGITS = 8
MANIFEST = re.compile(r"step-\d{8}\.json")
FOLDER = re.compile(r"(step|best)-\d{8}")
FILE = re.compile(r"\w[\w.-]*")
PRUNED = re.compile(r"(step|best)-\d{8}[-.]")  # how the names begin of what is removed when it is too much


@dataclass(frozen=True)
class Part:
    """A folder of a checkpoint: where its files are, and its state.json."""

    objects: str  # the folder's name on the bucket
    state: str
    files: dict[str, tuple[int, str, int]]  # name: size, crc32c, generation


@dataclass(frozen=True)
class Manifest:
    """A checkpoint on the bucket; `finished` is what `Work.finish` was given, where training has ended with it."""

    key: str
    step: int
    parts: dict[str, Part]  # by the name of the local folder
    finished: dict[str, Any] | None

    @property
    def name(self) -> str:
        """Of its object."""
        return f"step-{self.step:08}.json"

    @property
    def objects(self) -> set[str]:
        """The names of all that it consists of."""
        return {self.name, *(f"{part.objects}/{name}" for part in self.parts.values() for name in part.files)}

    @property
    def size(self) -> int:
        """Of all its files, in bytes."""
        return sum(size for part in self.parts.values() for size, _, _ in part.files.values())

    def text(self) -> str:
        """The content of its object, with its own digest."""
        content = asdict(self)
        return json.dumps({"content": content, "sha256": _digest(content)}) + "\n"


class DamageError(Exception):
    """A checkpoint on the bucket is not what its manifest says."""


class Checkpoints:
    """Those of the training `key`, in `store`, which holds nothing else. `keep`: how many of the newest steps stay."""

    def __init__(self, store: Store, key: str, keep: int) -> None:
        self._store, self._key, self._keep = store, key, keep
        self._known: dict[tuple[str, int], Manifest | None] = {}  # by name and generation; None: damaged

    def all(self) -> list[Manifest]:
        """The newest first; without those that are known to be damaged."""
        return self._among(self._store.list())

    def put(self, kept: work_dir.Kept, finished: dict[str, Any] | None, commit: Callable[[], object]) -> int:
        """Upload a checkpoint whose files stay as they are meanwhile, and remove those that are too many then.

        Args:
            kept: it is newer than all there, or they stay as they are.
            finished: as of `Manifest`.
            commit: called when all is there but the manifest; where it raises, there will be none.

        Returns: the newest step on the bucket.
        """
        there = self._store.list()
        others = self._among(there)
        if others and others[0].step > kept.step:
            return others[0].step
        best = (
            [work_dir.Work(kept.folder.parent, 1).best(kept.state["best_step"])] if kept.state.get("best_step") else []
        )
        parts = {folder.name: self._put_part(folder, there) for folder in (kept.folder, *best)}
        manifest = Manifest(self._key, kept.step, parts, finished)
        commit()
        written = self._put(manifest.name, manifest.text().encode(), there)
        self._known[manifest.name, written.generation] = manifest
        staying = [manifest, *(other for other in others if other.step != kept.step)][
            : 1 if finished is not None else self._keep
        ]
        needed = {name for one in staying for name in one.objects}
        self._remove({name: found for name, found in there.items() if PRUNED.match(name) and name not in needed})
        return kept.step

    def put_logs(self, folder: Path) -> None:
        """Upload the files of a session's logs as they are now."""
        there = self._store.list()
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = f"logs/{folder.name}/{path.relative_to(folder).as_posix()}"
            self._put(name, path.read_bytes(), there)  # all at once: it grows meanwhile

    def bring(self, manifest: Manifest, folder: Path) -> None:
        """Download a checkpoint into `folder`.

        Raises:
            DamageError: it is not whole; it is left out from now on.
        """
        there = self._store.list()
        try:
            with tqdm(total=manifest.size, unit="B", unit_scale=True, desc=manifest.name, disable=None) as bar:
                for name, part in manifest.parts.items():
                    (folder / name).mkdir()
                    for file, (size, crc32c, _) in part.files.items():
                        found = there.get(f"{part.objects}/{file}")
                        if not found or (found.size, found.crc32c) != (size, crc32c):
                            how = "was replaced" if found else "is missing"
                            raise DamageError(f"{part.objects}/{file} {how}")
                        self._store.download(f"{part.objects}/{file}", found.generation, folder / name / file)
                        bar.update(size)
                    files.write_text(folder / name / work_dir.STATE, part.state)
            if not work_dir.Work(folder, 1).kept(manifest.step):
                raise DamageError("its files are not those of its state")
        except (DamageError, GoneError) as error:
            if manifest.name in there:
                self._known[manifest.name, there[manifest.name].generation] = None
            raise DamageError(str(error) or "a file was removed meanwhile") from error

    def forget(self) -> None:
        """Remove all of them, and the logs."""
        self._remove({n: f for n, f in self._store.list().items() if PRUNED.match(n) or n.startswith("logs/")})

    def _among(self, there: Mapping[str, Object]) -> list[Manifest]:
        found = [self._read(name, there[name]) for name in sorted(filter(MANIFEST.fullmatch, there), reverse=True)]
        return [manifest for manifest in found if manifest]

    def _read(self, name: str, found: Object) -> Manifest | None:
        at = name, found.generation
        if at not in self._known:
            try:
                self._known[at] = _parsed(self._store.get(*at), self._key, name)
            except GoneError:
                return None
            if not self._known[at]:
                print(f"warning: {self._store.url}/{name}: is damaged; it is left out", file=sys.stderr)
        return self._known[at]

    def _put_part(self, folder: Path, there: Mapping[str, Object]) -> Part:
        state = (folder / work_dir.STATE).read_text()
        digests = json.loads(state)["files"]
        objects = f"{folder.name}-{_digest(digests)[:TAG_DIGITS]}"
        inside = {}
        for name in digests:
            found = self._put(f"{objects}/{name}", folder / name, there)
            inside[name] = (found.size, found.crc32c, found.generation)
        return Part(objects, state, inside)

    def _put(self, name: str, content: bytes | Path, there: Mapping[str, Object]) -> Object:
        """Write an object, unless it is there with this content."""
        found = there.get(name)
        if found and (found.size, found.crc32c) == measure(content):
            return found
        return self._store.put(name, content, found.generation if found else 0)

    def _remove(self, doomed: Mapping[str, Object]) -> None:
        for name in sorted(doomed, key=lambda name: ("/" in name, name)):  # the manifests first
            self._store.delete(name, doomed[name].generation)


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _parsed(text: bytes, key: str, name: str) -> Manifest | None:
    """A manifest, if it is whole, and of this training; whatever else a bucket may hold under its name is none."""
    try:
        found = json.loads(text)
        content = found["content"]
        parts = {folder: _part(folder, part) for folder, part in content["parts"].items()}
        manifest = Manifest(content["key"], content["step"], parts, content["finished"])
        is_ours = found["sha256"] == _digest(content) and (manifest.key, manifest.name) == (key, name)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest if is_ours else None


def _part(folder: str, part: Mapping[str, Any]) -> Part:
    """Its names become paths, here and on the bucket: none leads elsewhere."""
    inside = {name: (int(size), str(crc), int(generation)) for name, (size, crc, generation) in part["files"].items()}
    is_sound = FOLDER.fullmatch(folder) and re.fullmatch(rf"{folder}-\w+", part["objects"])
    if not is_sound or not all(map(FILE.fullmatch, inside)):
        raise ValueError(folder)
    return Part(part["objects"], str(part["state"]), inside)
