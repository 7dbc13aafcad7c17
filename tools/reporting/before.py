"""This run beside the last commit's, as `make compare A=HEAD` has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from detector.base import paths
from detector.base.errors import UserError
from tools import compare
from tools.cloud import git, lineage

HEAD = "HEAD"


@dataclass(frozen=True)
class Before:
    """commit: the last one. comparisons: AP and AP50, see detector/evaluation/significance.py. why_not: or why there
    are none: a message of the catalogue, or an error's line.
    """

    commit: str
    comparisons: Mapping[str, Any]
    why_not: str = ""


def last_commit() -> Before | None:
    """None where there is nothing to compare with: no commit, none with results, or one with these results."""
    commit = git.head()
    committed = _evaluated(_show()) if commit else None
    if not committed or not (paths.EVALUATE / "detections.csv").is_file():
        return None
    if lineage.is_what(paths.EVALUATE, committed):
        return None
    try:
        first, second = compare.read(HEAD), compare.read(None)
        if reason := compare.difference(first, second):
            return Before(commit, {}, reason.partition(": ")[0])
        return Before(commit, compare.compare(first, second))
    except UserError as error:
        return Before(commit, {}, error.line())


def _show() -> str:
    try:
        return git.run("show", f"{HEAD}:./{lineage.LOCK}")
    except ValueError:  # it has none
        return ""


def _evaluated(lock: str) -> str:
    """DVC's id of results/evaluate in the text of a dvc.lock; empty where it has none."""
    try:
        outs = YAML(typ="safe", pure=True).load(lock)["stages"]["evaluate"]["outs"]
        return next((str(out["md5"]) for out in outs if out["path"] == paths.EVALUATE.as_posix()), "")
    except (YAMLError, KeyError, TypeError, ValueError):
        return ""
