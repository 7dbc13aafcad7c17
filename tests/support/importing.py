"""`make dataset` and `make push-records` in this process, and what is shared by their tests."""

import contextlib
import shutil
import subprocess
from pathlib import Path

from tests.support import stage
from tools import dataset


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
    with contextlib.chdir(root), dataset.opened(str(source), "") as (folder, notes):
        shutil.copytree(folder, target)
    return notes
