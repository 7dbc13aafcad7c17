"""DVC's experiments, which are git refs, and the git remote that stores them."""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator

from tools.cloud import dvc_config, git

REF = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(.+)")  # others are DVC's own: its queue, its stash


def git_remote() -> str:
    """The git remote that experiments go to: origin, or the only one; empty where there is none."""
    remotes = git.run("remote").split()
    return "origin" if "origin" in remotes else remotes[0] if len(remotes) == 1 else ""


def local() -> dict[str, str]:
    """The experiments of this clone: the name by the commit."""
    return dict(_refs(git.run("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps/")))


def _refs(listed: str) -> Iterator[tuple[str, str]]:
    for line in listed.splitlines():
        commit, ref = line.split(maxsplit=1)
        if match := REF.fullmatch(ref):
            yield commit, match[1]


def push(remote: str) -> list[str]:
    """Send the refs of all experiments.

    Returns: what the git remote does not have afterwards, and no commit has, a line each.
    """
    if not (here := local()):
        return []
    failure = ""
    try:
        if missing := here.keys() - pushed(remote).keys():
            failure = _dvc("push", remote)
            missing = here.keys() - pushed(remote).keys()
    except ValueError as error:
        failure, missing = str(error), set(here)
    fault = f"not on the git remote {remote}: {failure or 'it has another one of that name: dvc exp rename yours'}"
    remedy = "then: make push; or: dvc exp apply it, and commit that"
    return [f"experiment {name}: {fault}; {remedy}" for name in sorted(here[commit] for commit in _unique(missing))]


def _unique(commits: Iterable[str]) -> list[str]:
    """Those experiments whose dvc.lock is not that of the last commit, nor of one before it."""
    committed = set(
        re.findall("[0-9a-f]{40}", git.run("log", "--format=", "--raw", "--no-abbrev", "HEAD", "--", "dvc.lock"))
    )
    return [commit for commit in commits if git.named(f"{commit}:./dvc.lock") not in committed]


def pull(remote: str) -> str:
    """Fetch the refs of the git remote's experiments. Returns: why they did not come; empty where they did."""
    try:
        return _dvc("pull", remote) if pushed(remote).keys() - local().keys() else ""
    except ValueError as error:
        return str(error)


def pushed(remote: str) -> dict[str, str]:
    """The experiments of a git remote: the name by the commit. Raises: ValueError; it cannot be reached."""
    return dict(_refs(git.run("ls-remote", remote, "refs/exps/*")))


def _dvc(action: str, remote: str) -> str:
    """`dvc exp push` or `pull` of the refs alone. Returns: why it failed; empty where it did not."""
    command = [dvc_config.program(), "exp", action, "--all-commits", "--no-cache", remote]
    environment = {**os.environ, **git.NO_QUESTIONS}
    result = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment, check=False
    )
    messages = [line.removeprefix("ERROR: ") for line in result.stderr.splitlines() if line.strip()]
    return " ".join(messages[:1])[:200] or f"dvc exp {action} failed" if result.returncode else ""
