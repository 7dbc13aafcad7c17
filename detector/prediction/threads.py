"""A thread a core: decoding, the model and drawing let go of the interpreter's lock."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    work: Callable[[Item], Result], items: Iterable[Item], stopped: Callable[[], bool] = lambda: False
) -> Generator[tuple[Item, Result], None, None]:
    """Each item with the result of `work`, in order; a thread a core works on the next ones.

    stopped: whether to end with those that are being worked on.
    """
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        for item in itertools.takewhile(lambda _: not stopped(), items):
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > threads:
                first, result = waiting.popleft()
                yield first, result.result()
        for item, result in waiting:
            if not (stopped() and result.cancel()):
                yield item, result.result()
