"""Run a stage's `main` as its command would, but in this process: TensorFlow is imported once for all tests."""

import contextlib
import importlib
import io
import subprocess
import sys
from pathlib import Path
from unittest import mock

from detector.base import errors

REPOSITORY = Path(__file__).resolve().parents[2]


def run(name: str, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m stages.NAME ARGUMENTS` in the folder `root`: its exit code, stdout and stderr."""
    main = importlib.import_module(f"stages.{name}").main
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.chdir(root), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            with mock.patch.object(sys, "argv", [name, *arguments]):
                errors.run(main)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    return subprocess.CompletedProcess([name], code, out.getvalue(), err.getvalue())
