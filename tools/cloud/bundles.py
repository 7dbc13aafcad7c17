"""Commits that no git remote has, kept on the DVC remote as git bundles, beside the data that they name.

    <remote>/commits/<commit>-<md5>.bundle      a commit with all its history; the md5 is the file's

The clone of a notebook may read its git remote and not write to it, and its disk goes with its session: the data of a
model would be kept, and nobody would know which they are.
"""

import re

from detector.base.errors import UserError
from tools.cloud import exchange, git
from tools.cloud.stores import Store, md5
from tools.cloud.tracked import Cache

FOLDER = "commits"
NAME = re.compile(rf"{FOLDER}/(?P<commit>[0-9a-f]{{40}})-(?P<md5>[0-9a-f]{{32}})\.bundle")


def push(store: Store, cache: Cache) -> str:
    """Send the last commit, if no git remote has it.

    Returns: its whole name, if it is on the remote now; empty where there is no need of that.

    Raises:
        UserError: it could not be sent.
    """
    head = git.head()
    if not head or git.is_on_a_remote(head):
        return ""
    if not _is_there(store, head):
        try:
            _send(store, cache, head)
        except ValueError as error:
            raise UserError(
                f"{store.url}/{FOLDER}", f"commit {head} was not sent: {error}", "run: make push"
            ) from error
    return head


def _found(store: Store, commit: str) -> list["re.Match[str]"]:
    """The bundles of the commits whose names begin so."""
    found = (NAME.fullmatch(name) for name in sorted(store.sizes))
    return [match for match in found if match and match["commit"].startswith(commit)]


def _is_there(store: Store, commit: str) -> bool:
    return any(store.holds(found[0], found["md5"]) for found in _found(store, commit))


def _send(store: Store, cache: Cache, head: str) -> None:
    """Raises: ValueError: why it is not on the remote."""
    with cache.beside() as folder:
        path = folder / "bundle"
        git.run("bundle", "create", "--quiet", str(path), "HEAD")
        name = f"{FOLDER}/{head}-{md5(path)}.bundle"
        cache.adopt(path, name)
    try:
        failed = exchange.send_files(store, cache, [name])
    finally:
        (cache.root / name).unlink()
    store.look()
    if not _is_there(store, head):
        raise ValueError(failed.get(name, "it did not arrive whole"))


def pull(store: Store, cache: Cache, commit: str) -> str:
    """Bring a commit, if it is not here.

    Args:
        commit: what git takes for a commit, or the first digits of one that was pushed.

    Returns: its whole name; it is here now.

    Raises:
        UserError: there is none, there are several, or it is damaged.
    """
    if here := git.commit(commit):
        return here
    found = _found(store, commit.lower()) if commit else []
    names = sorted({match["commit"] for match in found})
    if len(names) != 1:
        reason = f"no commit {commit} here, nor in {store.url}/{FOLDER}"
        if names:
            reason = f"{commit} may be {' or '.join(names)}"
        raise UserError("COMMIT", reason, "give all of it; run git fetch, or make push in the clone that has it")
    faults = [_bring(store, cache, match) for match in found]
    if not git.commit(names[0]):
        fault = next(filter(None, faults), "it does not hold the commit that it is named after")
        raise UserError(f"{store.url}/{found[0][0]}", fault, "run: make push, in the clone that has the commit")
    return names[0]


def _bring(store: Store, cache: Cache, found: "re.Match[str]") -> str:
    """Returns: why the commit did not come; empty where it did, if it is in there."""
    name = found[0]
    if fault := exchange.bring_files(store, cache, {name: found["md5"]}).get(name):
        return fault
    try:
        git.run("-c", "fetch.fsckObjects=true", "fetch", "--quiet", "--no-tags", str(cache.root / name), "HEAD")
    except ValueError as error:
        return str(error)
    finally:
        (cache.root / name).unlink()
    return ""
