"""What DVC needs of git, and of itself."""

import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from detector.base import files, paths
from detector.base.errors import UserError
from tools.checks import machine
from tools.checks.lines import Line, error, note, ok
from tools.cloud import dvc_config, keeping, trust
from tools.cloud.project import project

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
    if missing:
        return
    faults = list(_unusable())
    yield from faults or [ok("dvc: dvc.yaml exists, and .dvc can be used")]


def _unusable() -> Iterator[Line]:
    """Why DVC could not write its notes and its cache, or not lock them."""
    notes, cache = dvc_config.DVC_DIR / "tmp", dvc_config.cache()
    found = map(machine.existing, (dvc_config.DVC_DIR, notes, cache / "files" / "md5"))
    here = Path.cwd()
    for place in dict.fromkeys(place.relative_to(here) if place.is_relative_to(here) else place for place in found):
        if not os.access(place, os.W_OK | os.X_OK):
            where = shlex.quote(str(place))
            yield error(f"{place}: DVC cannot write there", f"check it: ls -ld {where}; findmnt --target {where}")
    if not dvc_config.has_hardlink_locks() and (fault := _lock_fault(dvc_config.DVC_DIR)):
        what = f"{dvc_config.DVC_DIR}: this disk has no file locks, as network folders may: {fault}"
        yield error(what, "run: dvc config --local core.hardlink_lock true")
    if (notes / "rwlock").is_file() and not (notes / "rwlock").stat().st_size:
        yield note(f"{notes}/rwlock: empty, and dvc refuses that (make repairs it)", f"run: rm {notes}/rwlock")


def _lock_fault(folder: Path) -> str:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    except OSError as failed:
        return str(failed.strerror)
    finally:
        os.close(handle)
    return ""


def hidden() -> Iterator[Line]:
    """An output or a dataset whose last content a kill has left in a temporary folder, between two renames."""
    outputs = (paths.SAMPLE, paths.PRETRAINED, paths.TRAIN, paths.EXPORT, paths.EVALUATE, paths.PREDICT)
    for path in (*outputs, *(file.with_suffix("") for file in sorted(Path().glob("dataset/*.dvc")))):
        for old in files.hidden(path)[:1]:
            what = f"{path}: missing, since a kill came while it was replaced; the last one is {old}"
            yield error(what, f"run: mv {old} {path} (or remove it: rm -r {old.parents[1]})")


def kept() -> Iterator[Line]:
    """What the next run of dvc may remove, though nothing else has it."""
    with contextlib.suppress(UserError), project() as repo:  # without a project, others report it
        for path in keeping.lacking(repo):
            what = f"{path}: not in DVC's cache, and dvc repro, exp run or checkout may remove it"
            yield note(what, f"make room in {dvc_config.cache()}, and run: make train, or dvc commit {path}")


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
