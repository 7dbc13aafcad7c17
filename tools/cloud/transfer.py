"""Copies between the cache of this machine and a DVC remote: DVC copies, and what it copies is decided by md5.

`dvc push` and `dvc fetch` decide by name, and would break what `make push` and `make pull` promise: they send a
damaged object of the cache, leave a damaged one on the remote, take a folder's list as proof that its files exist, and
copy the whole run-cache each time. So this calls the function beneath them, `dvc_objects.fs.generic.copy`.
"""

import tempfile
import threading
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from dvc.fs.callbacks import TqdmCallback
from dvc_objects.fs import generic
from dvc_objects.fs.local import localfs
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from detector.base.errors import UserError
from tools.cloud import lineage
from tools.cloud.cache import RUN, RUNS, Cache, is_list, md5, md5_in, mismatch, object_name
from tools.cloud.outputs import Output
from tools.cloud.reasons import reason
from tools.cloud.remote import Remote

PROBE_SECONDS = 10.0  # without a byte moved, after which the remote is asked whether it still answers
KEYS_OF_OUTPUT = {"path", "hash", "md5", "size", "nfiles", "isexec"}  # of a run; `files` would be a list of its own
WHERE_WHOLE = "run: make push, on a machine where it is whole"


def send(remote: Remote, cache: Cache, objects: Mapping[str, Output]) -> dict[str, str]:
    """Send the objects that the remote does not have, but no damaged one.

    A folder's list goes last, and only if all the files that it lists are on the remote: for DVC it is the sign of it.

    Returns: for each object that was not sent, why not, and what to do.
    """
    absent = [name for name in objects if not remote.has(name)]
    faults = {}
    for name, fault in cache.damaged(absent).items():
        remove = f"run: {cache.to_remove(name)}, then {remedy(objects[name])}"
        faults[name] = f"damaged in the cache, and not pushed: {fault}; {remove}"
    for name in absent:
        if not cache.has(name):
            faults[name] = f"neither in the cache nor on the remote; run: {remedy(objects[name])}, then make push"
    whole = [name for name in absent if name not in faults]
    files = [name for name in whole if not is_list(name)]
    faults |= send_files(remote, {name: cache.path(name) for name in files})
    sent = set(files) - faults.keys()
    lists = [name for name in whole if is_list(name)]
    complete = [name for name in lists if all(f in sent or remote.has(f) for f in cache.files(name).values())]
    return faults | send_files(remote, {name: cache.path(name) for name in complete})


def remedy(output: Output) -> str:
    """What puts an output into the cache again: where it is whole in the working tree, nothing has to make it again."""
    return output.remedy.replace("dvc repro", "dvc commit") if is_whole_here(output) else output.remedy


def is_whole_here(output: Output) -> bool:
    """Whether the working tree has an output, or a file of one, as it is recorded."""
    digest = md5_in(output.stored_as) + (".dir" if is_list(output.stored_as) else "")
    return not output.commit and lineage.is_what(Path(output.path), digest)


def absent_runs(remote: Remote, cache: Cache) -> list[str]:
    """The files of the run-cache that the remote does not have as they are here."""
    return [name for name in cache.runs() if not remote.holds(name, md5(cache.path(name)))]


def send_files(remote: Remote, paths: Mapping[str, Path]) -> dict[str, str]:
    """Send files, under the given names. Returns: for each that failed, why, and what to do."""
    failed = _copy(remote, {name: (str(path), remote.path(name)) for name, path in paths.items()}, is_upload=True)
    return {name: f"not pushed as {remote.url}/{name}: {why}; run: make push" for name, why in failed.items()}


def fetch_lists(remote: Remote, cache: Cache, outputs: Iterable[Output]) -> None:
    """Fetch the missing lists of folders; without them nobody knows the folders' files."""
    fetch(remote, cache, {output.stored_as for output in outputs if is_list(output.stored_as)})


def fetch(remote: Remote, cache: Cache, names: Collection[str]) -> dict[str, str]:
    """Fetch the objects that are missing or damaged in the cache.

    An object becomes read-only when its md5 is right, and is removed otherwise. A kill in between leaves it writable:
    DVC reads such an object before it uses it.

    Returns: for each object that is still missing or damaged, why, and what to do.
    """
    damaged = cache.damaged(names)
    wanted = [name for name in names if name in damaged or not cache.has(name)]
    faults = {name: _refusal(remote, name, damaged.get(name)) for name in wanted if not remote.has(name)}
    digests = {name: md5_in(name) for name in wanted if name not in faults}
    faults |= fetch_files(remote, cache.root, digests)
    for name in digests.keys() - faults.keys():
        cache.dvc.protect(str(cache.path(name)))
    return faults


def _refusal(remote: Remote, name: str, damage: str | None) -> str:
    """Why an object cannot come from the remote, and what to do."""
    here = f"damaged in the cache ({damage}), and " if damage else ""
    if name not in remote.digests:
        return f"{here}not on the remote as {remote.url}/{name}; run: make push, on the machine that made it"
    return f"{here}damaged on the remote: the md5 of {remote.url}/{name} is {remote.md5(name)}; {WHERE_WHOLE}"


def fetch_runs(remote: Remote, cache: Cache, outputs: Iterable[Output], commits: Iterable[str] = ()) -> list[str]:
    """Fetch what is missing in the run-cache, but only runs that dvc.lock records, here or in these commits.

    DVC puts what a run names into the working tree, under the path that the run gives; and it takes what a run says
    for the result of what is to be run, without a look at it. Anyone who may write to the remote may write a run.

    Args:
        outputs: those that are known, which a run may name.
        commits: whose dvc.lock counts, beside the one that is here.

    Returns: what failed, a line each.
    """
    names = {name for name in remote.digests if RUN.fullmatch(name)} - set(cache.runs())
    known = {(output.path, output.stored_as) for output in outputs}
    cache.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.root, prefix=RUNS, suffix=".tmp") as folder:
        faults = fetch_files(remote, Path(folder), {name: remote.md5(name) or "" for name in names})
        recorded = [_measured(stage) for stage in lineage.recorded(commits)] if names else []
        for name in names - faults.keys():
            run = _run(Path(folder, name))
            if known.issuperset(_outputs_of_run(run)) and _measured(run) in recorded:
                cache.path(name).parent.mkdir(parents=True, exist_ok=True)
                Path(folder, name).replace(cache.path(name))
    return [f"{name}: of the run-cache: {fault}" for name, fault in sorted(faults.items())]


def _run(path: Path) -> Any:
    """What a run says; None where it is none."""
    try:
        return YAML(typ="safe").load(path)
    except (OSError, ValueError, YAMLError, RecursionError):
        return None


def _outputs_of_run(run: Any) -> set[tuple[str, str]]:
    """(path, object) of each output that a run names; what is none, or names more than that, gives one that is none."""
    try:
        outs = run["outs"]
        found = {(str(out["path"]), object_name(str(out["md5"]))) for out in outs if out.keys() <= KEYS_OF_OUTPUT}
    except (KeyError, TypeError, AttributeError, UserError):
        return {("", "")}
    return found if len(found) == len(outs) else {("", "")}


def _measured(stage: Any) -> Any:
    """What a run or dvc.lock says of a stage, without the sizes, which some versions of DVC do not write."""
    if isinstance(stage, dict):
        return {key: _measured(value) for key, value in stage.items() if key not in ("size", "nfiles")}
    return [_measured(one) for one in stage] if isinstance(stage, list) else stage


def fetch_files(remote: Remote, folder: Path, digests: Mapping[str, str]) -> dict[str, str]:
    """Fetch files (name: md5; empty where it is not known) into a folder, under their names.

    Returns: for each file that did not come or was not right, why, and what to do.
    """
    new = [name for name in digests if not (folder / name).exists()]
    failed = _copy(remote, {name: (remote.path(name), str(folder / name)) for name in digests}, is_upload=False)
    for name in failed.keys() & new:  # DVC renames even a part of a file, where the file system does not remove it
        (folder / name).unlink(missing_ok=True)
    faults = {name: f"not pulled from {remote.url}/{name}: {why}; run: make pull" for name, why in failed.items()}
    for name in digests.keys() - faults.keys():
        if fault := mismatch(folder / name, digests[name]):
            (folder / name).unlink(missing_ok=True)
            faults[name] = f"damaged on the remote, {remote.url}/{name}: {fault}; {WHERE_WHOLE}"
    return faults


def _copy(remote: Remote, pairs: Mapping[str, tuple[str, str]], *, is_upload: bool) -> dict[str, str]:
    """Have DVC copy files (name: source, target), as many at a time as it does by itself.

    Returns: what failed, and why.

    Raises:
        UserError: the remote no longer answers. (gcsfs alone would ask for minutes, file by file.)
    """
    if not pairs:
        return {}
    names = {source: name for name, (source, _) in pairs.items()}
    sources, targets = zip(*pairs.values(), strict=True)
    source_fs, target_fs = (localfs, remote.fs) if is_upload else (remote.fs, localfs)
    failed: dict[str, str] = {}
    moved = threading.Event()

    def note(source: str, _: str, error: BaseException) -> None:
        failed[names[source]] = reason(error)

    def copy() -> None:
        try:
            with _Progress(
                moved, desc="Sending" if is_upload else "Fetching", unit="file", size=len(pairs)
            ) as progress:
                generic.copy(source_fs, list(sources), target_fs, list(targets), progress, on_error=note)
        except Exception as error:  # not the fault of a single file
            for name in pairs:
                failed.setdefault(name, reason(error))

    copying = threading.Thread(target=copy, daemon=True)
    copying.start()
    while copying.is_alive():
        moved.clear()
        copying.join(PROBE_SECONDS)
        if copying.is_alive() and not moved.is_set():
            remote.probe()
    if failed:
        remote.probe()
    return failed


class _Progress(TqdmCallback):  # type: ignore[misc]  # DVC has no types
    """DVC's progress bars, which also tell when something has moved."""

    def __init__(self, moved: threading.Event, **options: Any) -> None:
        super().__init__(**options)
        self.moved = moved

    def call(self, *arguments: Any, **options: Any) -> None:
        self.moved.set()
        super().call(*arguments, **options)

    def branched(self, path_1: Any, path_2: str, **_: Any) -> "_Progress":
        return _Progress(self.moved, bytes=True, desc=str(path_1))
