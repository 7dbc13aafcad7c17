"""An environment with the packages of a runtime, and programs in it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


class Environment:
    """A new virtual environment in `folder` with the packages of `name`.txt; skips the test if they cannot be had."""

    def __init__(self, name: str, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        self.python = folder / "bin" / "python"
        install = [self.python, "-m", "pip", "install", "-q", "--only-binary=:all:", "-r", HERE / f"{name}.txt"]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{name}.txt cannot be installed here: {done.stderr.strip().splitlines()[-1]}")

    def run(self, *arguments: str | Path, cwd: Path | None = None) -> str:
        """What a program prints; it sees nothing of this process's packages."""
        outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        command = [self.python, *arguments]
        done = subprocess.run(command, cwd=cwd, env=outside, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def read(self, program: str, *arguments: str | Path) -> Any:
        """What one of the programs of this folder prints, as JSON."""
        return json.loads(self.run(HERE / f"{program}.py", *arguments))
