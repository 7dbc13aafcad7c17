"""The promise of the README, kept with the parameters as they are committed: minutes of training, `make test-slow`."""

import json
from pathlib import Path

import pytest

from detector.base import paths
from tests.support.project import Project
from tests.support.stage import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


REFUSES = "http://127.0.0.1:9"
OFFLINE = {"HTTPS_PROXY": REFUSES, "https_proxy": REFUSES, "npm_config_registry": REFUSES}


def score(project: Project, name: str) -> float:
    metrics = json.loads((project.root / paths.EVALUATE / "metrics.json").read_text())
    assert metrics["images"] == 100
    return float(metrics[name])


def came(project: Project) -> str:
    return str(json.loads((project.root / paths.TRAIN / "train.json").read_text())["start"]["source"])


def test_the_sample_is_learned_in_the_committed_steps_and_not_in_twenty(tmp_path: Path) -> None:
    project = Project(tmp_path / "passo", {})
    assert (project.root / "params.yaml").read_text() == (REPOSITORY / "params.yaml").read_text()
    project.repro("evaluate")
    if came(project) != "open_images":
        pytest.skip("neither the publisher nor npm could be reached")
    assert score(project, "AP") >= 0.75 and score(project, "AP50") >= 0.95
    project.run("git", "add", ".")
    project.run("git", "commit", "-qm", "trained")
    project.run("dvc", "exp", "run", "-S", "train.steps=20", "evaluate")
    assert score(project, "AP50") < 0.9


def test_without_a_network_it_is_learned_from_imagenets_weights(tmp_path: Path) -> None:
    project = Project(tmp_path / "passo", {})
    project.environment |= OFFLINE
    project.repro("evaluate")
    assert came(project) == "package"
    assert score(project, "AP50") >= 0.90
