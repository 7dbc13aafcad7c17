"""Where the run on the page came from: outputs and what they were made of, by content hash; the commit."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from detector.base import paths
from detector.base.errors import UserError
from detector.weights.params import NO_START, STARTS
from tools.cloud import git
from tools.page.inputs import read_rows

GIVEN = ("dataset/", f"{STARTS}/")  # whose folders are the user's, unless a stage makes them


def outputs(lock: Mapping[str, Any]) -> list[dict[str, str]]:
    """Each output in dvc.lock, and each dataset and model to start from that no stage made, with its content hash."""
    stages = lock.get("stages") or {}
    if not isinstance(stages, dict) or not all(isinstance(stage, dict) for stage in stages.values()):
        raise UserError("dvc.lock", "its stages are not a mapping", "restore it: git checkout dvc.lock")
    outs = [(name, out) for name, stage in sorted(stages.items()) for out in stage.get("outs") or []]
    not_given = {NO_START.as_posix(), *(out["path"] for _, out in outs)}
    deps = {dep["path"]: dep for stage in stages.values() for dep in stage.get("deps") or []}
    data = [("given", dep) for path, dep in sorted(deps.items()) if path.startswith(GIVEN) and path not in not_given]
    return [{"by": by, "path": entry["path"], "hash": str(entry.get("md5", ""))} for by, entry in data + outs]


def remarks() -> dict[str, int] | None:
    """How many lines the annotation report has, by action; None before xml2csv has run."""
    path = paths.DATA / "annotation_report.csv"
    return dict(sorted(Counter(row.get("action", "") for row in read_rows(path)).items())) if path.is_file() else None


def commit() -> tuple[str, bool]:
    """The git commit, and whether tracked files were changed since; empty outside of a repository."""
    try:
        head = git.run("rev-parse", "HEAD").strip()
        return head, bool(git.run("status", "--porcelain", "--untracked-files=no", "--", "."))
    except ValueError:
        return "", False
