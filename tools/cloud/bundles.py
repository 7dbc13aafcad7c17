"""Commits that no git remote has, stored on the DVC remote as git bundles, beside the data that they name.

    <remote>/commits/<commit>-<md5>.bundle      a commit with all its history; the md5 is the file's

The clone of a notebook may read its git remote and not write to it, and its disk goes with its session: the data of a
model would be saved, and nobody would know which they are.

A commit is code that its reader runs, and whoever may write to the bucket may store one. So it is taken by its whole
name alone, which nobody can give to another commit; the first digits of one can be had in minutes. And alone: of what
else lies in its bundle nothing comes into this clone, where the first digits would do for it from then on.
"""

import re
import tempfile
from pathlib import Path

from detector.base.errors import UserError
from tools.cloud import git, transfer
from tools.cloud.cache import md5
from tools.cloud.remote import Remote

FOLDER = "commits"
WHOLE = re.compile("[0-9a-f]{40}")
QUIETLY = ("--quiet", "--no-tags", "--no-write-fetch-head")
NOT_WHOLE = "it does not hold all of the commit that it is named after"
ONLY = "refs/heads/only"
NAME = re.compile(rf"{FOLDER}/(?P<commit>[0-9a-f]{{40}})-(?P<md5>[0-9a-f]{{32}})\.bundle")


def push(remote: Remote) -> str:
    """Send the last commit, if no git remote has it.

    Returns: its whole name, if it is on the remote now; empty where it need not be.

    Raises:
        UserError: it could not be sent.
    """
    head = git.head()
    if not head or git.is_on_a_remote(head):
        return ""
    if not _is_stored(remote, head) and (fault := _send(remote, head)):
        raise UserError(f"{remote.url}/{FOLDER}", f"commit {head} was not sent: {fault}")
    return head


def _bundles(remote: Remote, commit: str) -> list["re.Match[str]"]:
    """The bundles of a commit, by its whole name."""
    matches = (NAME.fullmatch(name) for name in sorted(remote.digests))
    return [match for match in matches if match and match["commit"] == commit]


def _is_stored(remote: Remote, commit: str) -> bool:
    return any(remote.holds(bundle[0], bundle["md5"]) for bundle in _bundles(remote, commit))


def _send(remote: Remote, head: str) -> str:
    """Returns: why the commit is not on the remote, and what to do; empty where it is."""
    if git.is_shallow():
        return "this clone is shallow, and who gets the commit needs all its history; run: git fetch --unshallow"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bundle")
        try:
            git.run("bundle", "create", "--quiet", str(path), "HEAD")
        except ValueError as error:
            return f"{error}; run: make push"
        try:
            _unpacked(path, head)
        except ValueError as error:
            return f"not even a new clone could take it: {error}; run: git fsck --full, and look at .git/info/grafts"
        name = f"{FOLDER}/{head}-{md5(path)}.bundle"
        faults = transfer.send_files(remote, {name: path})
    remote.refresh()
    return "" if _is_stored(remote, head) else faults.get(name, "it did not arrive whole; run: make push")


def pull(remote: Remote, commit: str) -> str:
    """Fetch a commit, if this clone does not have it.

    Args:
        commit: what git takes for a commit here, or the 40 digits of one that was pushed.

    Returns: its whole name; this clone has it now, and all that it consists of.

    Raises:
        UserError: there is none, or it is damaged.
    """
    name = git.commit(commit) or commit.lower()
    is_name = bool(WHOLE.fullmatch(name))
    if is_name and git.is_whole(name):
        return name
    bundles = _bundles(remote, name)
    if not bundles:
        short = "" if is_name else ", where all 40 digits are needed"
        reason = f"no commit {commit} here, nor in {remote.url}/{FOLDER}{short}"
        raise UserError("COMMIT", reason, "run git fetch, or make push in the clone that has it")
    faults = [_fetch(remote, bundle) for bundle in bundles]
    if not git.is_whole(name):
        fault = next(filter(None, faults), NOT_WHOLE)
        raise UserError(f"{remote.url}/{bundles[0][0]}", fault, "run: make push, in the clone that has the commit")
    return name


def _fetch(remote: Remote, bundle: "re.Match[str]") -> str:
    """Returns: why the commit did not come; empty where it did."""
    name = bundle[0]
    with tempfile.TemporaryDirectory() as folder:
        if fault := transfer.fetch_files(remote, Path(folder), {name: bundle["md5"]}).get(name):
            return fault
        try:
            git.run("fetch", *QUIETLY, str(_unpacked(Path(folder, name), bundle["commit"])), ONLY)
        except ValueError as error:
            return str(error)
    return ""


def _unpacked(bundle: Path, commit: str) -> Path:
    """A new repository beside a bundle, whose branch `ONLY` is a commit out of it, with all its history.

    Raises:
        ValueError: why there is none.
    """
    repository = bundle.with_suffix(".git")
    git.run("init", "--quiet", "--bare", str(repository))
    here = ("-C", str(repository))
    git.run(*here, "-c", "fetch.fsckObjects=true", "fetch", *QUIETLY, str(bundle), "HEAD")
    try:
        git.run(*here, "rev-list", "--objects", "--quiet", commit)
        git.run(*here, "update-ref", ONLY, commit)
    except ValueError as error:
        raise ValueError(NOT_WHOLE) from error
    return repository
