"""What DVC needs of git, and of itself."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tools.checks.lines import Line, error, note, ok

IDENTITY = "run: git config user.name 'You' && git config user.email you@example.com"
FIRST_COMMIT = "git add . && git commit -m start"
SECONDS = 5  # that git may take, say on a network drive


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What a git command answers here."""
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, timeout=SECONDS)


def repository(is_experiment: bool) -> Iterator[Line]:
    """A repository, a commit, a name: `dvc repro` needs the first, an experiment all three."""
    if not shutil.which("git"):
        yield error("git: not found on PATH", "install it: apt install git")
        return
    inside = git("rev-parse", "--is-inside-work-tree")
    if "dubious ownership" in inside.stderr:
        yield error("git: this folder belongs to another user", 'run: git config --global --add safe.directory "$PWD"')
        return
    if inside.returncode:
        yield error("not a git repository (a downloaded zip?)", f"run: git init && {FIRST_COMMIT}")
        return
    level = error if is_experiment else note
    commit = git("rev-parse", "--quiet", "--verify", "--short", "HEAD").stdout.strip()
    if not commit:
        yield level("git: no commit, and an experiment starts from one", f"run: {FIRST_COMMIT}")
    name, email = _identity("NAME"), _identity("EMAIL")
    if not (name and email):
        yield level("git: your name is not known, and an experiment is a commit", IDENTITY)
    if commit and name and email:
        yield ok(f"git: commit {commit}, {name} <{email}>")


def _identity(part: str) -> str:
    return os.environ.get(f"GIT_COMMITTER_{part}") or git("config", f"user.{part.lower()}").stdout.strip()


def dvc() -> Iterator[Line]:
    """DVC's own files."""
    is_whole = True
    for path, remedy in ((".dvc", "run: dvc init"), ("dvc.yaml", "run: git checkout dvc.yaml")):
        if not Path(path).exists():
            is_whole = False
            yield error(f"{path}: not found, so there is no pipeline here", remedy)
    if is_whole:
        yield ok("dvc: .dvc and dvc.yaml are here")


def history() -> Iterator[Line]:
    """What comparing and pulling by revision need: all commits, and DVC's files in them."""
    inside = git("rev-parse", "--is-shallow-repository")
    if inside.returncode:
        return  # said by `repository`
    if inside.stdout.strip() == "true":
        yield note(
            "git: a shallow clone; dvc pull and compare by revision need its history", "run: git fetch --unshallow"
        )
    candidates = ["dvc.yaml", "dvc.lock", "params.yaml", ".dvc/config", *map(str, Path("dataset").glob("*.dvc"))]
    files = sorted(name for name in candidates if Path(name).is_file())
    tracked = git("ls-files", "-z", "--", *files).stdout.split("\0")
    if missing := [name for name in files if name not in tracked]:
        yield note(f"git does not track {', '.join(missing)}", f"run: git add {' '.join(missing)} && git commit")
