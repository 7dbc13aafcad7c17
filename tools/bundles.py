"""Commits and experiments that no git remote has, kept on the DVC remote as git bundles, beside the data they name.

    <remote>/commits/<commit>-<digest>.bundle      a commit with all its history, and the experiments of its clone

The clone of a notebook may read its git remote and not write to it, and its disk goes with its session: the data of a
model would be kept, and nobody would know which they are. The digest is of the refs inside: a bundle never changes.
"""

import hashlib
import re
from collections.abc import Collection, Mapping

from detector.errors import UserError
from tools import exchange, experiments
from tools.stores import Store, md5
from tools.tracked import Cache

FOLDER = "commits"
NAME = re.compile(rf"{FOLDER}/([0-9a-f]{{40}})-[0-9a-f]{{16}}\.bundle")


def push(store: Store, cache: Cache, elsewhere: Collection[str]) -> str:
    """Send the last commit and all experiments, where there is any that no git remote has.

    Args:
        elsewhere: the commits of the experiments that a git remote has.

    Returns: the name of their bundle on the remote; empty where there is no need of one.

    Raises:
        UserError: it could not be sent.
    """
    head, refs = experiments.head(), experiments.refs()
    if not head or (experiments.is_on_a_remote(head) and refs.keys() <= set(elsewhere)):
        return ""
    name = _name(head, refs)
    if name in store.sizes:
        return name
    path = cache.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        experiments.git("bundle", "create", "--quiet", str(path), "HEAD", *sorted(refs.values()))
        failed = exchange.send_files(store, cache, [name])
        store.look()
        if name not in store.sizes or store.md5(name) not in (None, md5(path)):
            raise ValueError(failed.get(name, "it did not arrive whole"))
    except ValueError as error:
        raise UserError(f"{store.url}/{name}", f"not sent: {error}", "run: make push") from error
    finally:
        path.unlink(missing_ok=True)
    return name


def _name(head: str, refs: Mapping[str, str]) -> str:
    """That of the bundle with a commit and these refs of experiments."""
    listed = "\n".join(sorted(f"{commit} {ref}" for commit, ref in refs.items()))
    return f"{FOLDER}/{head}-{hashlib.sha256(listed.encode()).hexdigest()[:16]}.bundle"


def pull(store: Store, cache: Cache, commit: str) -> str:
    """Bring a commit that is not here, and the experiments that are kept with it.

    Args:
        commit: what git takes for a commit, or the first digits of one that was pushed.

    Returns: the whole name of the commit, which is here now.

    Raises:
        UserError: there is none, there are several, or its bundle is not whole.
    """
    here = experiments.commit(commit)
    found = {name for name in map(NAME.fullmatch, store.sizes) if name and name[1].startswith(here or commit.lower())}
    commits = {match[1] for match in found}
    if not here and len(commits) != 1:
        known = ", ".join(sorted(name[:10] for name in commits))
        reason = f"{commit} is {known}" if known else f"no commit {commit} here, nor in {store.url}/{FOLDER}"
        raise UserError("COMMIT", reason, "give more of it, or run make push in the clone that has it")
    for match in sorted(found, key=lambda match: match[0]):
        if not here or match[0] != _name(here, experiments.refs()):  # else all of it is here
            _fetch(store, cache, match[0])
    return here or experiments.commit(commits.pop())


def _fetch(store: Store, cache: Cache, name: str) -> None:
    if fault := exchange.bring_files(store, cache, [name]).get(name):
        raise UserError(f"{store.url}/{name}", fault, "or: git fetch, if a git remote has the commit")
    path = cache.root / name
    try:
        experiments.git("-c", "fetch.fsckObjects=true", "fetch", "--quiet", "--no-tags", str(path), "HEAD")
        experiments.git("fetch", "--quiet", "--no-tags", str(path), "refs/exps/*:refs/exps/*")
    except ValueError as error:
        raise UserError(f"{store.url}/{name}", str(error), "run make push again in the clone that has it") from error
    finally:
        path.unlink(missing_ok=True)
