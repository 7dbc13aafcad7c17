"""A repository of its own with this one's files: for what needs git, DVC and make as a user has them."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support import tiny
from tests.support.stage import REPOSITORY


class Project:
    """A fresh git repository with the files of this one, `changes` made to params.yaml, and nothing made yet."""

    def __init__(self, root: Path, changes: Mapping[str, str]) -> None:
        self.root = root
        root.mkdir()
        binaries = Path(sys.executable).parent
        identity = {
            f"GIT_{who}_{what}": "passo@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        self.environment = {
            **os.environ,
            **identity,
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "XDG_CACHE_HOME": str(root.parent / "cache"),
        }
        listed = self.run("git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        for name in filter(None, listed.stdout.split("\0")):
            if (REPOSITORY / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(REPOSITORY / name, root / name)
        (root / "dvc.lock").unlink(missing_ok=True)
        (root / ".venv").symlink_to(sys.prefix)
        if changes:
            tiny.params(root, **changes)
        for command in ("git init -q -b main", "git add .", "git commit -qm start"):
            self.run(*command.split())

    def run(self, *command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, f"{shlex.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def changed(self) -> set[str]:
        """The stages that `dvc status` says something of."""
        return set(json.loads(self.run("dvc", "status", "--json").stdout))

    def repro(self, *arguments: str) -> list[str]:
        """The stages that `dvc repro` ran."""
        return re.findall(r"^Running stage '(\w+)'", self.run("dvc", "repro", *arguments).stdout, re.MULTILINE)
