"""A project that is a folder of a team's repository: mono/vision/passo."""

import shutil
import sys
from pathlib import Path

import pytest

from detector.data import labels, tables
from tests.support import boxes
from tests.support.dvc_project import GS, UP_TO_DATE, Project, committed, experiment, started, with_bucket
from tests.support.gcs_server import Server
from tests.support.stage import REPOSITORY

FOLDER = "vision/passo"


@pytest.fixture
def team(tmp_path: Path, gcs: Server) -> Project:
    """The pipeline, run and committed, beside the files of others."""
    root = tmp_path / "mono"
    project = with_bucket(started(root / FOLDER, inside=root), gcs)
    project = Project(project.root, {**project.environment, "DVC_SITE_CACHE_DIR": str(tmp_path / "site")})
    (root / "dvc.lock").write_text("of another team\n")
    project.must("dvc", "repro", "-q")
    project.commit()
    return project


def clone(team: Project, folder: str = "clone") -> Project:
    root = team.root.parents[1]
    team.must("git", "clone", "-q", str(root), str(root.parent / folder))
    target = root.parent / folder / FOLDER
    shutil.copy(team.root / ".dvc/config.local", target / ".dvc/config.local")
    return Project(target, team.environment)


def test_push_and_pull_there_and_back(team: Project, gcs: Server) -> None:
    experiment(team)
    (team.root.parent / "notes").write_text("of others, not committed")
    (team.root / "params.yaml").write_text("number: 1 # as it was\n")
    said = team.well("push").splitlines()
    assert said[0] == f"{GS}: 4 of 4 objects are there and right; sent 4"
    assert said[-1] == (
        "a fresh clone needs these as they are now: git add params.yaml && git commit -m 'As pushed', then: make push"
    )
    team.must("git", "checkout", "-q", ".")
    other = clone(team)
    assert other.well("pull").startswith(f"{GS}: 4 of 5 objects are here and right; fetched 4")
    assert other.must("dvc", "repro").splitlines()[-1] == UP_TO_DATE
    assert other.must("git", "status", "--porcelain") == ""


def test_a_commit_that_no_git_remote_has(team: Project, gcs: Server) -> None:
    notebook, other = clone(team, "notebook"), clone(team, "elsewhere")
    head = committed(notebook, 3)
    assert notebook.well("push").endswith(f"make pull COMMIT={head}\n")
    assert other.well("pull", f"--commit={head}").startswith(f"at commit {head}")
    assert (other.root / "out/b.txt").read_text() == "number: 3\n"
    assert not list(other.root.glob("vision")) and (other.root.parents[1] / "dvc.lock").exists()


def test_a_bucket_that_is_in_no_commit_yet(team: Project, gcs: Server) -> None:
    """The one file that may be in the way of a commit: it is the same there."""
    (team.root / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (team.root / ".dvc/config.local").unlink()
    team.commit()
    (team.root / ".dvc/config.local").touch()
    notebook, other = clone(team, "notebook"), clone(team, "elsewhere")
    notebook.remote("pull", "--bucket=bucket")
    head = committed(notebook, 3)
    notebook.well("push")
    other.well("pull", "--bucket=bucket", f"--commit={head}")
    assert other.must("git", "status", "--porcelain") == ""


PIPELINE = """stages:
  evaluate:
    cmd: mkdir -p results/evaluate dataset/data && cp made/* results/evaluate && cp made/test.csv dataset/data
    deps: [made]
    outs: [results/evaluate, dataset/data/test.csv]
"""


def test_compare_finds_the_runs(tmp_path: Path) -> None:
    root = tmp_path / "mono"
    project = started(root / FOLDER, PIPELINE, inside=root)
    (project.root / "made").mkdir()
    images = [boxes.image(f"{number}.jpg", (10, 10, 110, 110, 1)) for number in range(4)]
    found = [boxes.image(f"{number}.jpg", (10, 10, 110, 110, 1, 0.9)) for number in range(4)]
    tables.write_csv(project.root / "made/test.csv", images, {1: "cat"})
    labels.write(project.root / "made/label_map.pbtxt", ["cat"])
    for count in (0, 4):
        detections = [one if k < count else boxes.image(f"{k}.jpg") for k, one in enumerate(found)]
        tables.write_csv(project.root / "made/detections.csv", detections, {1: "cat"}, scores=True)
        project.must("dvc", "repro", "-q")
        project.commit()
    done = project.run(sys.executable, "-m", "tools.compare", "HEAD~1", "HEAD")
    assert done.returncode == 0, done.stderr
    assert "4 test images" in done.stdout and "0.000" in done.stdout and "1.000" in done.stdout


def test_make_and_doctor_ask_git_for_the_repository(team: Project) -> None:
    shutil.copy(REPOSITORY / "Makefile", team.root)
    (team.root / ".venv/bin").mkdir(parents=True)
    for name in ("python", "dvc"):
        program = team.root / ".venv/bin" / name
        program.write_text("#!/bin/sh\necho started\n")
        program.chmod(0o755)
    done = team.run("make", "train", "PYTHON=true")
    assert (done.returncode, done.stderr) == (0, "") and "started" in done.stdout
    done = team.run(sys.executable, "-m", "tools.doctor")
    assert "not a git repository" not in done.stdout


def test_the_report_is_of_this_folder_s_changes(team: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from tools.reporting import origin

    head = team.must("git", "rev-parse", "HEAD").strip()
    monkeypatch.chdir(team.root)
    (team.root.parents[1] / "dvc.lock").write_text("of another team, changed\n")
    assert origin.commit() == (head, False)
    (team.root / "params.yaml").write_text("number: 9\n")
    assert origin.commit() == (head, True)
