"""The situations of ../shared/cases, each built once in a test run by the file that describes it."""

import contextlib
import functools
import io
import runpy
import sys
import tempfile
from pathlib import Path
from unittest import mock

import pytest

from tests.support.stage import REPOSITORY

SHARED = REPOSITORY.parent / "shared"
CASES = SHARED / "cases"


def built(number: str) -> Path:
    """The folder with the inputs of a case, which nobody may change; skips the test where ../shared is missing."""
    if not CASES.exists() or not (SHARED / "asirra/dataset.zip").exists():
        pytest.skip("../shared/cases or ../shared/asirra/dataset.zip is not here")
    return _built(number)


def real(name: str) -> Path:
    """A published dataset as a zip."""
    archive = SHARED / f"real/{name}.zip"
    if not archive.exists():
        pytest.skip(f"../shared/real/{name}.zip is not here")
    return archive


@functools.cache
def _built(number: str) -> Path:
    (script,) = CASES.glob(f"{number}_*.py")
    folder = Path(_root().name) / number
    folder.mkdir()
    path = [str(CASES), *sys.path]
    with (
        mock.patch.object(sys, "argv", [str(script), str(folder)]),
        mock.patch.object(sys, "path", path),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        runpy.run_path(str(script))
    return folder


@functools.cache
def _root() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="passo-cases.")
