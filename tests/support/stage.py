"""Run a command in this process, so that TensorFlow is imported once for all tests, or in another one."""

import contextlib
import importlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from detector.base import errors

REPOSITORY = Path(__file__).resolve().parents[2]


def run(name: str, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m stages.NAME ARGUMENTS` in the folder `root`, but in this process."""
    return call(importlib.import_module(f"stages.{name}").main, root, *arguments)


def call(main: Callable[[], None], root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command's `main` in the folder `root`, in this process: its exit code, stdout and stderr."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.chdir(root), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            with mock.patch.object(sys, "argv", ["command", *arguments]):
                errors.run(main)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def child(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python ARGUMENTS` with this repository's modules, in another process: its exit code, stdout and stderr."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
