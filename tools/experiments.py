"""DVC's experiments as git refs, and the git remote that keeps them."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.stores import reason

REF = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(.+)")  # others are DVC's own: its queue, its stash
GIT_SECONDS = 60


def git_remote() -> str:
    """The git remote that experiments go to: origin, or the only one; empty where there is none."""
    found = _git("remote").split()
    return "origin" if "origin" in found else found[0] if len(found) == 1 else ""


def local() -> dict[str, str]:
    """The experiments of this clone: the name by the commit."""
    return dict(_refs(_git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps/")))


def _refs(listed: str) -> Iterator[tuple[str, str]]:
    for line in listed.splitlines():
        commit, ref = line.split(maxsplit=1)
        if found := REF.fullmatch(ref):
            yield commit, found[1]


def push(remote: str) -> list[str]:
    """Send the refs of all experiments. Returns: what the git remote does not have afterwards, a line each."""
    if not (here := local()):
        return []
    said = ""
    try:
        if lost := here.keys() - there(remote).keys():
            said = _dvc("push", remote)
            lost = here.keys() - there(remote).keys()
    except ValueError as error:
        said, lost = str(error), set(here)
    fault = f"not on the git remote {remote}: {said or 'it has another one of that name: dvc exp rename yours'}"
    return [f"experiment {name}: {fault}; then: make push" for name in sorted(here[commit] for commit in lost)]


def pull(remote: str) -> str:
    """Bring the refs of the git remote's experiments. Returns: why they did not come; empty where they did."""
    try:
        return _dvc("pull", remote) if there(remote).keys() - local().keys() else ""
    except ValueError as error:
        return str(error)


def there(remote: str) -> dict[str, str]:
    """The experiments of a git remote: the name by the commit. Raises: ValueError; it cannot be reached."""
    return dict(_refs(_git("ls-remote", remote, "refs/exps/*")))


def uncommitted(*patterns: str) -> list[str]:
    """The files that fit the patterns and are not committed as they are."""
    status = _git("status", "--porcelain", "--untracked-files=all", "-z", "--", *patterns)
    return sorted(entry[3:] for entry in status.split("\0") if entry)


def _dvc(action: str, remote: str) -> str:
    """`dvc exp push` or `pull` of the refs alone. Returns: what it said of its failure; empty where it did not fail."""
    beside = Path(sys.executable).with_name("dvc")
    command = [str(beside) if beside.exists() else "dvc", "exp", action, "--all-commits", "--no-cache", remote]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    said = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.strip()]
    return " ".join(said[:1])[:200] or f"dvc exp {action} failed" if done.returncode else ""


def _git(*arguments: str) -> str:
    """What git prints. Raises: ValueError with what it says of its failure."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=GIT_SECONDS,
            env=environment,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise ValueError(" ".join(error.stderr.split())[:200]) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(reason(error)) from error
    return done.stdout
