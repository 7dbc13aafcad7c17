"""DVC's experiments as git refs, and the git remote that keeps them."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from detector.errors import UserError
from tools import dvc_config
from tools.stores import reason

REF = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(.+)")  # others are DVC's own: its queue, its stash
GIT_SECONDS = 60
NO_QUESTIONS = {"GIT_TERMINAL_PROMPT": "0"}  # for a password: a git remote that wants one is told as such


def git_remote() -> str:
    """The git remote that experiments go to: origin, or the only one; empty where there is none."""
    found = git("remote").split()
    return "origin" if "origin" in found else found[0] if len(found) == 1 else ""


def local() -> dict[str, str]:
    """The experiments of this clone: the name by the commit."""
    return dict(_refs(git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps/")))


def _refs(listed: str) -> Iterator[tuple[str, str]]:
    for line in listed.splitlines():
        commit, ref = line.split(maxsplit=1)
        if found := REF.fullmatch(ref):
            yield commit, found[1]


def push(remote: str) -> list[str]:
    """Send the refs of all experiments.

    Returns: what the git remote does not have afterwards, and no commit has, a line each.
    """
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
    remedy = "then: make push; or: dvc exp apply it, and commit that"
    return [f"experiment {name}: {fault}; {remedy}" for name in sorted(here[commit] for commit in _unique(lost))]


def _unique(commits: Iterable[str]) -> list[str]:
    """Those experiments whose dvc.lock is not that of the last commit, nor of one before it."""
    committed = set(
        re.findall("[0-9a-f]{40}", git("log", "--format=", "--raw", "--no-abbrev", "HEAD", "--", "dvc.lock"))
    )
    return [commit for commit in commits if _named(f"{commit}:dvc.lock") not in committed]


def pull(remote: str) -> str:
    """Bring the refs of the git remote's experiments. Returns: why they did not come; empty where they did."""
    try:
        return _dvc("pull", remote) if there(remote).keys() - local().keys() else ""
    except ValueError as error:
        return str(error)


def there(remote: str) -> dict[str, str]:
    """The experiments of a git remote: the name by the commit. Raises: ValueError; it cannot be reached."""
    return dict(_refs(git("ls-remote", remote, "refs/exps/*")))


def head() -> str:
    """The last commit; empty where there is none."""
    return commit("HEAD")


def commit(text: str) -> str:
    """The whole name of a commit of this clone, from what git takes for one; empty where it takes it for none."""
    return _named(f"{text}^{{commit}}")


def _named(text: str) -> str:
    """The whole name of an object of git; empty where there is none."""
    try:
        return git("rev-parse", "--verify", "--quiet", "--end-of-options", text).strip()
    except ValueError:
        return ""


def is_on_a_remote(commit: str) -> bool:
    """Whether a git remote had this commit when this clone last heard of it."""
    return bool(git("branch", "--remotes", "--contains", commit).strip())


def switch(commit: str) -> list[str]:
    """Have the working tree be that of a commit. What was changed and not committed stays, or is a reason to refuse.

    Returns: what was done, in words.

    Raises:
        UserError: something would be lost.
    """
    before = head()
    if commit == before:
        return []
    done, config = [], dvc_config.CONFIG.as_posix()
    if before and not git("for-each-ref", "--contains", before).strip():
        git("branch", "--no-track", f"passo-{before[:10]}", before)
        done.append(f"what was here, and on no branch, is the branch passo-{before[:10]} now")
    try:
        if git("hash-object", config).strip() == _named(f"{commit}:{config}"):
            git("add", config)  # as `make bucket` left it: for git no reason to refuse
        git("checkout", "--quiet", "--detach", "--no-overwrite-ignore", commit)
    except ValueError as error:
        git("reset", "--quiet", "--", config)
        remedy = "move away what is in the way, commit what you changed, or git stash it"
        raise UserError("COMMIT", str(error), remedy) from error
    return [*done, f"at commit {commit}, on no branch; back: git switch -"]


def uncommitted(*patterns: str) -> list[str]:
    """The files that fit the patterns and are not committed as they are."""
    status = git("status", "--porcelain", "--untracked-files=all", "-z", "--", *patterns)
    return sorted(entry[3:] for entry in status.split("\0") if entry)


def _dvc(action: str, remote: str) -> str:
    """`dvc exp push` or `pull` of the refs alone. Returns: what it said of its failure; empty where it did not fail."""
    beside = Path(sys.executable).with_name("dvc")
    command = [str(beside) if beside.exists() else "dvc", "exp", action, "--all-commits", "--no-cache", remote]
    quietly = {**os.environ, **NO_QUESTIONS}
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=quietly, check=False)
    said = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.strip()]
    return " ".join(said[:1])[:200] or f"dvc exp {action} failed" if done.returncode else ""


def git(*arguments: str) -> str:
    """What git prints.

    Raises:
        ValueError: what it says of its failure.
    """
    environment = {**os.environ, **NO_QUESTIONS}
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
