"""Outputs that only the working tree has, because DVC's cache could not take them.

Of an object that does not fit on the cache's disk, `dvc add`, `dvc repro` and `dvc exp run` print a line at most: they
record its output, and end with 0. The next run, or `dvc checkout`, then removes the only copy.
"""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from detector.base import errors
from tools.cloud import outputs
from tools.cloud.cache import Cache, object_name
from tools.cloud.reasons import reason

TRANSFERS, NOT_STORED = "dvc_data.hashfile.transfer", "failed to transfer"  # DVC's logger, and its words


def lacking(repo: Any) -> dict[str, Any]:
    """The outputs, by path, that are in the working tree as they are recorded, but in the cache not, or in part."""
    cache = Cache(repo)
    stored = [out for out in repo.index.outs if outputs.is_stored(out) and out.hash_info.name == "md5"]
    partly = [out for out in stored if not cache.is_whole(_name(out))]
    return {outputs.path_of(repo, out): out for out in partly if out.exists and not out.changed_checksum()}


def keep(repo: Any, only: Collection[str] = ()) -> list[str]:
    """Store in the cache what only the working tree has.

    Args:
        only: the paths of the outputs that are meant; all of them where it is empty.

    Returns: what the cache could not take, a line each.
    """
    faults = {path: _store(repo, out) for path, out in lacking(repo).items() if not only or path in only}
    remedy = "make room there, and run the command again: until then only the working tree has it"
    where = Cache(repo).root
    return [f"{path}: not in DVC's cache, {where}: {fault}; {remedy}" for path, fault in faults.items() if fault]


def _store(repo: Any, out: Any) -> str:
    """Returns: why the cache does not have the output whole; empty where it does."""
    with reasons() as found, repo.lock:
        try:
            out.commit(relink=False)
        except OSError as error:
            found.append(_in_words(error))
    return "" if Cache(repo).is_whole(_name(out)) else next(iter(found), "some of its objects are missing")


def _in_words(error: BaseException) -> str:
    refused = errors.refusal(error)
    return refused.reason if refused else reason(error)


def _name(out: Any) -> str:
    return object_name(out.hash_info.value)


@contextmanager
def reasons() -> Iterator[list[str]]:
    """Why objects are not stored, in place of DVC's line for each of them."""
    found: list[str] = []

    def note(record: logging.LogRecord) -> bool:
        is_one = str(record.msg).startswith(NOT_STORED)
        if is_one and record.exc_info and record.exc_info[1]:
            found.append(_in_words(record.exc_info[1]))
        return not is_one

    logger = logging.getLogger(TRANSFERS)
    logger.addFilter(note)
    try:
        yield found
    finally:
        logger.removeFilter(note)
