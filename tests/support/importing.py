"""`make dataset` and `make push-records` in this process, and what is shared by their tests."""

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest

from detector.base.errors import UserError
from tests.support import stage
from tools import dataset
from tools.importing import plan
from tools.importing.plan import Plan


def bring(root: Path, source: object, sha256: str = "", name: str = "pets") -> subprocess.CompletedProcess[str]:
    """`make dataset` in the folder `root`."""
    return stage.call(dataset.main, root, f"--src={source}", f"--name={name}", f"--sha256={sha256}")


def refused(done: subprocess.CompletedProcess[str], reason: str) -> None:
    """The command ended with one line on stderr, with this reason."""
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.count("\n") == 1, done.stderr
    assert reason in done.stderr


def unpacked(root: Path, source: object, target: Path) -> list[str]:
    """Copy the records of a source, as images and XML, to `target`; returns the notes."""
    with contextlib.chdir(root), dataset.opened(str(source), "") as (tree, notes, _):
        shutil.copytree(tree.root, target)
    return notes


def planned(root: Path, source: object, share: float = 0.1) -> Plan:
    """What `make dataset` is going to do, without a copy of anything; its sources may be gone afterwards."""
    with contextlib.chdir(root), dataset.opened(str(source), "") as (tree, _, temporary):
        return plan.make(tree, share, temporary / "whole")


def refusal(root: Path, source: object, share: float = 0.1) -> str:
    """The line of the error with which `make dataset` ends."""
    with pytest.raises(UserError) as caught:
        planned(root, source, share)
    return caught.value.line()


def targets(made: Plan, suffix: str = "") -> list[str]:
    """The files that come of a source, or those with an ending."""
    return [str(path) for path in made.targets if str(path).endswith(suffix)]


def counts(made: Plan) -> dict[str, tuple[int, int]]:
    """{split: (labelled photos, boxes in them)}; boxes as the tags of the labels have them."""
    found = {}
    for split in ("train", "test"):
        labels = [row for row in made.rows if row.split == split and row.photo and row.label]
        inside = [made.annotations[row.photo] for row in labels if row.photo]
        found[split] = len(labels), sum(len(annotation.objects) for annotation in inside if annotation)
    return found
