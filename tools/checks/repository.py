"""What DVC needs of git, and of itself."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tools.checks.lines import Line, error, note, ok
from tools.cloud import trust

IDENTITY = "run: git config user.name 'You' && git config user.email you@example.com"
FIRST_COMMIT = "git add . && git commit -m start"
SECONDS = 5  # that git may take, say on a network drive


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What a git command prints here."""
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
        yield level("git: your name is not set, and an experiment is a commit", IDENTITY)
    if commit and name and email:
        yield ok(f"git: commit {commit}, {name} <{email}>")


def _identity(part: str) -> str:
    return os.environ.get(f"GIT_COMMITTER_{part}") or git("config", f"user.{part.lower()}").stdout.strip()


def dvc() -> Iterator[Line]:
    """DVC's own files."""
    remedies = {".dvc": "run: dvc init", "dvc.yaml": "run: git checkout dvc.yaml"}
    missing = [path for path in remedies if not Path(path).exists()]
    for path in missing:
        yield error(f"{path}: not found, so this is not a pipeline", remedies[path])
    if not missing:
        yield ok("dvc: .dvc and dvc.yaml exist")


def readable() -> Iterator[Line]:
    """DVC's files hold no conflict of a merge, and its configuration nothing that is for each user: cloud/trust.py."""
    trust.check_shared()
    for path in _dvc_files():
        if any(line.startswith(b"<<<<<<< ") for line in path.read_bytes().splitlines()):
            side = f"git checkout --ours {path} (or --theirs: the other side's results)"
            yield error(f"{path}: git's conflict markers", f"run: {side}, then git add {path} && dvc checkout")


def _dvc_files() -> list[Path]:
    names = ("dvc.yaml", "dvc.lock", "params.yaml", ".dvc/config", "dataset/*.dvc", "model/start/*.dvc")
    return [path for name in names for path in sorted(Path().glob(name))]


def history() -> Iterator[Line]:
    """What `make pull` and `make compare` of a revision need: all commits, with DVC's files in them."""
    inside = git("rev-parse", "--is-shallow-repository")
    if inside.returncode:
        return  # reported by `repository`
    if inside.stdout.strip() == "true":
        what = "git: a shallow clone, and make push and make compare need the history"
        yield note(what, "run: git fetch --unshallow")
    files = _dvc_files()
    listed = git("ls-files", "-z", "--", *map(str, files)).stdout.split("\0")
    if missing := [str(path) for path in files if str(path) not in listed]:
        yield note(f"git does not track {', '.join(missing)}", f"run: git add {shlex.join(missing)} && git commit")
