"""Work on one item after the other, a thread a core, with the results in the order of the items."""

import itertools
import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    stopped: Callable[[], bool] = lambda: False,
    most: int = sys.maxsize,
) -> Generator[tuple[Item, Result], None, None]:
    """Each item with the result of `work`; only as many as there are threads, and one, are taken ahead.

    Args:
        stopped: whether to end with those that are being worked on; none is left out between them.
        most: threads, of which there is one at least.
    """
    threads = max(1, min(cores(), most))
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        for item in itertools.takewhile(lambda _: not stopped(), items):
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > threads:
                first, result = waiting.popleft()
                yield first, result.result()
        for item, result in waiting:
            if stopped() and result.cancel():
                break
            yield item, result.result()
        pool.shutdown(cancel_futures=True)
