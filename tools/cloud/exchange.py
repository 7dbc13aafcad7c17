"""Copies between the cache of this machine and a DVC remote: an object counts when its md5 is its name."""

import re
from collections.abc import Collection, Sequence

from tools.cloud import tracked
from tools.cloud.stores import Store, md5
from tools.cloud.tracked import Cache, Output

RUN = re.compile(r"runs/[0-9a-f]{2}/[0-9a-f]{64}/[0-9a-f]{64}")  # what the run-cache's files are named


def is_right(store: Store, oid: str) -> bool:
    """Whether a remote holds an object with the md5 that its name says, as far as it tells."""
    return store.holds(tracked.name(oid), oid[: tracked.DIGITS])


def send(store: Store, cache: Cache, oids: Collection[str]) -> dict[str, str]:
    """Copy objects of the cache to a remote. Returns: what failed, and why.

    A folder's list goes last, and only if all that it lists is there: for DVC it is the sign that it is.
    """
    lists = {oid for oid in oids if tracked.is_list(oid)}
    failed = send_files(store, cache, [tracked.name(oid) for oid in oids if oid not in lists])
    sent = set(oids) - {oid for oid in oids if tracked.name(oid) in failed}
    whole = [oid for oid in lists if all(file in sent or is_right(store, file) for file in cache.entries(oid).values())]
    return failed | send_files(store, cache, [tracked.name(oid) for oid in whole])


def send_files(store: Store, cache: Cache, names: Collection[str]) -> dict[str, str]:
    """Copy files of the cache to a remote. Returns: what failed, and why."""
    failed: dict[str, str] = {}
    sizes = {name: (cache.root / name).stat().st_size for name in names}
    for batch, progress in store.batches(sizes, "sending"):
        failed |= store.send(cache.fs, {name: cache.root / name for name in batch}, progress)
    return failed


def bring_lists(store: Store, cache: Cache, named: Sequence[Output]) -> None:
    """Bring the lists of folders that are not here; without them nobody knows the folders' files."""
    bring(store, cache, {output.oid for output in named if tracked.is_list(output.oid)})


def bring(store: Store, cache: Cache, oids: Collection[str]) -> dict[str, str]:
    """Copy to the cache what it lacks or holds damaged. Returns: what is still not right there, and why."""
    damaged = cache.damaged(oids)
    wanted = {tracked.name(oid): oid for oid in oids if oid in damaged or not cache.has(oid)}
    faults = {name: refusal(store, name, damaged.get(oid)) for name, oid in wanted.items() if not is_right(store, oid)}
    faults |= bring_files(store, cache, {name: oid for name, oid in wanted.items() if name not in faults})
    return {wanted[name]: fault for name, fault in faults.items()}


def refusal(store: Store, name: str, damage: str | None) -> str:
    """Why an object cannot come from the remote, and what to do."""
    here = f"damaged in the cache ({damage}), and " if damage else ""
    if name not in store.sizes:
        return f"{here}not on the remote as {store.url}/{name}; run: make push, on the machine that made it"
    return f"{here}damaged on the remote: the md5 of {store.url}/{name} is {store.md5(name)}; {WHERE_WHOLE}"


WHERE_WHOLE = "run: make push, on a machine where it is whole"


def bring_files(store: Store, cache: Cache, wanted: dict[str, str]) -> dict[str, str]:
    """Copy files (name: md5) to the cache, each under its name only when it is right. Returns: what failed, and why."""
    faults = {}
    for batch, progress in store.batches({name: store.sizes[name] for name in wanted}, "bringing"):
        with cache.beside() as folder:
            arrived = {name: folder / str(number) for number, name in enumerate(batch)}
            failed = store.bring(cache.fs, arrived, progress)
            for name in batch:
                if name in failed:
                    faults[name] = f"not brought from {store.url}/{name}: {failed[name]}; run: make pull"
                elif fault := tracked.mismatch(arrived[name], wanted[name]):
                    faults[name] = f"damaged on the remote, {store.url}/{name}: {fault}; {WHERE_WHOLE}"
                else:
                    cache.adopt(arrived[name], name)
    return faults


def absent_runs(store: Store, cache: Cache) -> list[str]:
    """The files of the run-cache that the remote does not hold as they are here."""
    here = ((name, md5(cache.root / name)) for name in cache.runs() if RUN.fullmatch(name))
    return [name for name, digest in here if not store.holds(name, digest)]


def bring_runs(store: Store, cache: Cache) -> list[str]:
    """Bring what the run-cache lacks. Returns: what failed, a line each."""
    known = set(cache.runs())
    wanted = {name: store.md5(name) or "" for name in store.sizes if RUN.fullmatch(name) and name not in known}
    faults = bring_files(store, cache, wanted)
    return [f"{name}: of the run-cache: {fault}" for name, fault in faults.items()]
