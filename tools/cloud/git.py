"""Git, asked without questions to a user: what this clone has, and going to another commit of it."""

import os
import subprocess

from detector.base.errors import UserError
from tools.cloud import dvc_config
from tools.cloud.stores import reason

SECONDS = 60
NO_QUESTIONS = {"GIT_TERMINAL_PROMPT": "0"}  # for a password: a git remote that wants one is told as such


def run(*arguments: str) -> str:
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
            timeout=SECONDS,
            env=environment,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise ValueError(" ".join(error.stderr.split())[:200]) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(reason(error)) from error
    return done.stdout


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


def is_on_a_remote(commit: str) -> bool:
    """Whether a git remote had this commit when this clone last heard of it."""
    return bool(run("branch", "--remotes", "--contains", commit).strip())


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
    if before and not run("for-each-ref", "--contains", before).strip():
        run("branch", "--no-track", f"passo-{before[:10]}", before)
        done.append(f"what was here, and on no branch, is the branch passo-{before[:10]} now")
    is_the_same = dvc_config.CONFIG.exists() and run("hash-object", config).strip() == named(f"{commit}:{config}")
    if is_the_same:
        run("add", config)  # as `make bucket` left it: for git no reason to refuse
    try:
        run("checkout", "--quiet", "--detach", "--no-overwrite-ignore", commit)
    except ValueError as error:
        if is_the_same:
            run("reset", "--quiet", "--", config)
        remedy = "move away what is in the way, commit what you changed, or git stash it"
        raise UserError("COMMIT", str(error), remedy) from error
    return [*done, f"at commit {commit}, on no branch; back: git switch -"]


def uncommitted(*patterns: str) -> list[str]:
    """The files that fit the patterns and are not committed as they are."""
    status = run("status", "--porcelain", "--untracked-files=all", "-z", "--", *patterns)
    return sorted(entry[3:] for entry in status.split("\0") if entry)
