"""Scratch repositories with a DVC remote."""

import shutil
from pathlib import Path

import pytest

from tests.support.dvc_project import Project, started, with_bucket
from tests.support.gcs_server import Server


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The pipeline, run and committed: to be copied."""
    project = started(tmp_path_factory.mktemp("made") / "project")
    project.must("dvc", "repro", "-q")
    project.commit()
    return project


@pytest.fixture
def plain(made: Project, tmp_path: Path) -> Project:
    """A copy of it, whose remote is nowhere."""
    shutil.copytree(made.root, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", made.environment)


@pytest.fixture
def project(plain: Project, gcs: Server) -> Project:
    """One with an empty bucket."""
    return with_bucket(plain, gcs)


@pytest.fixture
def upstream(project: Project) -> Project:
    """Somebody else's repository, which can be cloned."""
    return project.clone("upstream")
