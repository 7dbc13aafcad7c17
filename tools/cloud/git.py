"""Git, which asks the user nothing: what this clone has, and how it switches to another commit.

The repository may be one around the project. Paths are relative to the working directory, the project's root: `git`
takes them so, but for `commit:path`, and prints them from the repository's root where it prints for programs.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

from detector.base.errors import UserError

SECONDS = 60
NO_QUESTIONS = {"GIT_TERMINAL_PROMPT": "0"}  # for a password: a git remote that wants one is a failure


def run(*arguments: str) -> str:
    """What git prints.

    Raises:
        ValueError: why it failed.
    """
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "timeout": SECONDS, "env": {**os.environ, **NO_QUESTIONS}}
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, **options)
    except subprocess.CalledProcessError as error:
        raise ValueError(" ".join(error.stderr.split())[:200]) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(str(error)) from error
    return str(result.stdout)


def is_here() -> bool:
    """Whether this is in a git repository."""
    try:
        return bool(run("rev-parse", "--git-dir"))
    except ValueError:
        return False


def head() -> str:
    """The last commit; empty where there is none."""
    return commit("HEAD")


def commit(text: str) -> str:
    """The whole name of a commit of this clone, from what git takes for one; empty where it takes it for none."""
    return named(f"{text}^{{commit}}")


def named(text: str) -> str:
    """The whole name of an object of git; empty where there is none."""
    try:
        return run("rev-parse", "--verify", "--quiet", "--end-of-options", text).strip()
    except ValueError:
        return ""


def is_shallow() -> bool:
    """Whether a part of the history is not in this clone."""
    return run("rev-parse", "--is-shallow-repository").strip() == "true"


def is_whole(commit: str) -> bool:
    """Whether a commit, by its whole name, is in this clone with all of its history that no branch or tag has."""
    try:
        run("rev-list", "--objects", "--quiet", f"{commit}^{{commit}}", "--not", "--all")
    except ValueError:
        return False
    return True


def is_on_a_remote(commit: str) -> bool:
    """Whether a git remote had this commit when this clone last heard of it."""
    return bool(run("branch", "--remotes", "--contains", commit).strip())


def switch(commit: str, as_is: Path) -> list[str]:
    """Have the working tree be that of a commit. What was changed and not committed stays, or is a reason to refuse.

    Args:
        commit: its whole name.
        as_is: a file that is no reason to refuse if the commit has it as it is here, committed or not.

    Returns: what has changed, in words.

    Raises:
        UserError: something would be lost.
    """
    before = head()
    if commit == before:
        return []
    changes = []
    if before and not run("for-each-ref", "--contains", before).strip():
        run("branch", "--no-track", f"passo-{before[:10]}", before)
        changes.append(f"what was here, and on no branch, is the branch passo-{before[:10]} now")
    file = as_is.as_posix()
    is_the_same = as_is.exists() and run("hash-object", file).strip() == named(f"{commit}:./{file}")
    if is_the_same:
        run("add", file)  # for git no reason to refuse
    try:
        run("checkout", "--quiet", "--detach", "--no-overwrite-ignore", commit)
    except ValueError as error:
        if is_the_same:
            run("reset", "--quiet", "--", file)
        remedy = "move away what is in the way, commit what you changed, or git stash it"
        raise UserError("COMMIT", str(error), remedy) from error
    return [*changes, f"at commit {commit}, on no branch; back: git switch -"]


def uncommitted(*patterns: str) -> list[str]:
    """The files that fit the patterns and are not committed as they are."""
    status = run("status", "--porcelain", "--untracked-files=all", "--no-renames", "-z", "--", *patterns)
    prefix = run("rev-parse", "--show-prefix").rstrip("\n")
    return sorted(entry[3:].removeprefix(prefix) for entry in status.split("\0") if entry)
