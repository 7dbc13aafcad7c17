"""Results of another commit than the one that is checked out are called so."""

import sys
from pathlib import Path

import pytest

from tests.support.dvc_project import Project, committed
from tests.support.stage import child

NOTE = (
    "note: {}: not what dvc.lock names, so of another run; run: dvc checkout, or go back to the commit that they are of"
)


def stale(project: Project, *paths: str) -> str:
    return project.run(sys.executable, "-m", "tools.cloud.lineage", *paths).stderr


def test_git_checkout_without_dvc_checkout(plain: Project) -> None:
    committed(plain, 2)
    assert stale(plain, "out", "count.txt", "nothing") == ""
    plain.must("git", "checkout", "-q", "HEAD~1")
    assert stale(plain, "out", "count.txt").startswith(NOTE.format("out")), "count.txt is the same in both"
    assert stale(plain, "out/b.txt") == stale(plain, "."), "a file in it, or a folder around it"
    assert stale(plain, "source") == ""
    plain.must("dvc", "checkout", "-q")
    assert stale(plain, "out", "count.txt") == ""


def test_one_more_file_or_one_less(plain: Project) -> None:
    (plain.root / "out/c.txt").touch()
    assert stale(plain, "out").startswith(NOTE.format("out"))
    (plain.root / "out/c.txt").unlink()
    assert stale(plain, "out") == ""
    (plain.root / "out/a.txt").unlink()
    assert stale(plain, "out").startswith(NOTE.format("out"))


def test_what_is_not_here_is_reported_elsewhere(plain: Project) -> None:
    (plain.root / "count.txt").unlink()
    assert stale(plain, "count.txt") == ""
    (plain.root / "dvc.lock").unlink()
    assert stale(plain, "out") == ""


def test_a_device_is_not_read(tmp_path: Path) -> None:
    """Which would never end."""
    (tmp_path / "out").mkdir()
    up = "/".join(".." for _ in range(20))
    (tmp_path / "dvc.lock").write_text(f"stages: {{a: {{outs: [{{path: out/{up}/dev/zero, md5: x}}]}}}}\n")
    done = child("-m", "tools.cloud.lineage", "out", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)


@pytest.mark.parametrize("content", ["<<<<<<< HEAD\n", "stages: " + "[" * 3000])
def test_a_lock_that_cannot_be_read(content: str, tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(content)
    done = child("-m", "tools.cloud.lineage", "out", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: dvc.lock: cannot be read as a list of stages; ")
