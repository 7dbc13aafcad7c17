"""The runs of this project: each other content of dvc.lock, in HEAD's history, experiments and the working tree.

What a run has made is read out of DVC's cache, where an output is found by its md5 in dvc.lock. Nothing is fetched.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detector.base import paths
from detector.weights import recipe
from tools.cloud import experiments, git, lineage
from tools.cloud.cache import MD5, Cache, object_name
from tools.running import notes

HEAD, WORKSPACE = "HEAD", "workspace"
MOST = 20  # runs, the newest ones
SHORT_STARTS = {recipe.OPEN_IMAGES: "Open Images", recipe.PACKAGE: "ImageNet"}


@dataclass(frozen=True)
class Version:
    """A dvc.lock, and who has it. when: seconds since 1970."""

    name: str
    when: int
    lock: str
    is_here: bool = False


@dataclass(frozen=True)
class Run:
    """What is known of a run; empty where it is not.

    name: for `make compare`. is_here: whether the working tree has it. minutes: of the training, on this machine.
    metrics: results/evaluate/metrics.json. files: where in the cache each file of DETECTED is, by its path.
    """

    name: str
    when: int
    is_here: bool
    data: str = ""
    start: str = ""
    steps: int | None = None
    minutes: float | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[Path, Path] = field(default_factory=dict)


def runs(repo: Any) -> list[Run]:
    """The newest runs, and those of HEAD and of the working tree, the newest first."""
    cache, spent = Cache(repo), notes.read(notes.MINUTES)
    return [_run(version, cache, spent) for version in _newest(list(_versions()))]


def _newest(versions: list[Version]) -> list[Version]:
    """Of two with the same content the one that is named first, and which of them the working tree has."""
    named: dict[str, Version] = {}
    for version in versions:
        named.setdefault(version.lock, version)
    here = {version.lock for version in versions if version.is_here}
    one_each = [Version(one.name, one.when, one.lock, one.lock in here) for one in named.values()]
    ordered = sorted(one_each, key=lambda one: (-one.when, one.name))
    return [one for k, one in enumerate(ordered) if k < MOST or one.name == HEAD or one.is_here]


def _versions() -> Iterator[Version]:
    """Those that stay come first: the working tree's is another's after each experiment and each commit."""
    with suppress(ValueError):  # no commit yet
        changed = git.run("log", "--format=%H %ct", HEAD, "--", str(lineage.LOCK)).splitlines()
        for k, (commit, when) in enumerate(map(str.split, changed)):
            yield from _committed(commit if k else HEAD, commit[:10] if k else HEAD, when)
    if named := experiments.local():
        for line in git.run("log", "--no-walk=unsorted", "--format=%H %ct", *named).splitlines():
            commit, when = line.split()
            yield from _committed(commit, named[commit], when)
    if lineage.LOCK.is_file():
        text = lineage.LOCK.read_text(encoding="utf-8", errors="replace")
        yield Version(WORKSPACE, int(lineage.LOCK.stat().st_mtime), text, is_here=True)


def _committed(commit: str, name: str, when: str) -> Iterator[Version]:
    with suppress(ValueError):  # it has removed dvc.lock
        yield Version(name, int(when), git.run("show", f"{commit}:./{lineage.LOCK}"))


def _run(version: Version, cache: Cache, spent: Mapping[str, Any]) -> Run:
    stages = lineage.stages(version.lock)
    model = _digest(stages, "train_tpu", paths.TRAIN)
    training = _json(cache, _within(cache, model).get("train.json"))
    results = _within(cache, _digest(stages, "evaluate", paths.EVALUATE))
    objects = {paths.EVALUATE / name: results.get(name) for name in ("detections.csv", paths.LABEL_MAP)}
    if MD5.fullmatch(test := _digest(stages, "evaluate", paths.csv("test"), "deps")):
        objects[paths.csv("test")] = object_name(test)
    steps, minutes = training.get("steps"), spent.get(model)
    return Run(
        version.name,
        version.when,
        version.is_here,
        data=_data(stages),
        start=_start(training.get("start")),
        steps=steps if isinstance(steps, int) else None,
        minutes=minutes if isinstance(minutes, float) and math.isfinite(minutes) else None,
        metrics=_json(cache, results.get("metrics.json")),
        files={path: cache.path(name) for path, name in objects.items() if name and cache.has(name)},
    )


def _digest(stages: Mapping[str, Any], stage: str, path: Path, kind: str = "outs") -> str:
    """DVC's md5 of an output of a stage, or of one of its `deps`; empty where dvc.lock does not know it."""
    with suppress(AttributeError, KeyError, TypeError):
        return next((str(one["md5"]) for one in stages[stage][kind] if one["path"] == path.as_posix()), "")
    return ""


def _within(cache: Cache, digest: str) -> dict[str, str]:
    """The object of each file in a folder."""
    return cache.files(object_name(digest)) if MD5.fullmatch(digest) else {}


def _json(cache: Cache, name: str | None) -> dict[str, Any]:
    """What a JSON file holds; nothing where it is not here, or damaged."""
    with suppress(OSError, ValueError, RecursionError):
        content = json.loads(cache.path(name).read_bytes()) if name else {}
        return content if isinstance(content, dict) else {}
    return {}


def _data(stages: Mapping[str, Any]) -> str:
    """The name of the dataset's folder."""
    with suppress(AttributeError, KeyError, TypeError):
        return Path(str(stages["evaluate"]["params"]["params.yaml"]["dataset.dir"])).name
    return ""


def _start(start: object) -> str:
    """What a training started from, in a word or two."""
    if not isinstance(start, Mapping):
        return ""
    if start.get("fine_tune_checkpoint_type") == "none":
        return "random"
    source = str(start.get("source") or "")
    return SHORT_STARTS.get(source, Path(source).name)
