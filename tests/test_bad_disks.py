"""Commands on a disk that is full, or can only be read: one line and an exit code, never a traceback."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import disk, faults
from tests.support.stage import REPOSITORY

COMMANDS = [
    "stages.sample",
    "stages.csv2record",
    "tools.dataset --src=photos --name=other",
    "tools.inspect_dataset",
    "tools.pipeline repro only",
    "tools.pipeline exp run only",
    "stages.xml2csv",
    "tools.convert --to=coco --dataset=pets",
]


@pytest.fixture(scope="module", params=["full", "read-only"])
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project on such a disk, which has been imported and read into tables while there was room."""
    with disk.small(tmp_path_factory.mktemp("disk") / "project", "8m") as root:
        faults.workspace(root)
        faults.dataset(root / "photos")
        (root / "dvc.yaml").write_text("stages:\n  only:\n    cmd: cp params.yaml made\n    outs: [made]\n")
        for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"], ["git", "add", "."]):
            assert run(root, *command).returncode == 0
        assert run(root, "git", "commit", "--quiet", "-m", "start").returncode == 0
        for command in ("tools.dataset --src=photos --name=pets", "stages.xml2csv"):
            assert run(root, sys.executable, "-m", *command.split()).returncode == 0
        with contextlib.suppress(OSError), (root / "more").open("ab", buffering=0) as file:
            while request.param == "full" and file.write(bytes(4096)):
                pass
        with disk.read_only(root) if request.param == "read-only" else contextlib.nullcontext():
            yield root


def run(root: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    identity = {f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    own = {"PATH": path, "PYTHONPATH": str(REPOSITORY), "DVC_NO_ANALYTICS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {**os.environ, **identity, **own, "DVC_SITE_CACHE_DIR": str(root.parent / "site")}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("command", COMMANDS)
def test_one_line_and_an_exit_code(root: Path, command: str) -> None:
    done = run(root, sys.executable, "-m", *command.split())
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 2 or ("pipeline" in command and done.returncode)  # DVC has codes of its own
    assert "No space left on device" in done.stderr or "Read-only file system" in done.stderr
    assert done.returncode != 2 or done.stderr.count("\n") == 1


def test_data_can_be_checked_there(root: Path) -> None:
    done = run(root, sys.executable, "-m", "tools.check_data")
    assert (done.returncode, done.stderr) == (0, "")
    assert " right, 0 damaged and 0 missing of " in done.stdout
