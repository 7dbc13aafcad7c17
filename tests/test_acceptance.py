"""The promise of the README, kept with the parameters as they are committed: minutes of training, `make test-slow`."""

import json
from pathlib import Path

import pytest

from detector.base import paths
from tests.support.project import Project
from tests.support.stage import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def score(project: Project) -> float:
    metrics = json.loads((project.root / paths.EVALUATE / "metrics.json").read_text())
    assert metrics["images"] == 100
    return float(metrics["AP50"])


def test_the_sample_is_learned_in_the_committed_steps_and_not_in_twenty(tmp_path: Path) -> None:
    project = Project(tmp_path / "passo", {})
    assert (project.root / "params.yaml").read_text() == (REPOSITORY / "params.yaml").read_text()
    project.repro("evaluate")
    assert score(project) >= 0.90
    project.run("git", "add", ".")
    project.run("git", "commit", "-qm", "trained")
    project.run("dvc", "exp", "run", "-S", "train.steps=20", "evaluate")
    assert score(project) < 0.5
