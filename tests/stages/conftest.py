"""What the tests of prediction share: a project with a model that finds red and white rectangles, and its command."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stages import predict
from tests.support import finder
from tests.support.stage import REPOSITORY


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finder.save(tmp_path_factory.mktemp("model") / "export")


@pytest.fixture
def project(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a model, as the current folder."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/export").symlink_to(model)
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def call(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["predict", *arguments])
        predict.main()

    return call
