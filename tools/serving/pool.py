"""As many workers as cores, and the short line of photos before them.

Each photo goes to one worker. Batches were tried: docs/measurements.md has what they gave.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from detector.base import bars, errors
from detector.base.errors import UserError
from tools.serving.guard import Refusal
from tools.serving.limits import Limits
from tools.serving.worker import Facts, Model, Worker

AGAIN_SECONDS = 1  # before a worker that did not start is started once more


@contextmanager
def opened(model: Model, workers: int, limits: Limits) -> Iterator["Pool"]:
    """Workers that have loaded the model, until the end. Raises: UserError: it does not load."""
    with bars.waiting("loading the model"), ThreadPoolExecutor(workers) as threads:
        pool = Pool(list(threads.map(lambda _: Worker(model, limits), range(workers))), limits)
    try:
        yield pool
    finally:
        pool.stop()


class Pool:
    """Workers that have loaded one model. waiting: photos that wait for one of them, now. restarts: of workers."""

    def __init__(self, workers: Sequence[Worker], limits: Limits) -> None:
        self._workers, self._limits = workers, limits
        self.waiting = self.restarts = 0
        self._threads = ThreadPoolExecutor(len(workers))
        self._idle: asyncio.Queue[Worker] = asyncio.Queue()
        self._revivals: set[asyncio.Task[None]] = set()  # the loop itself holds them weakly
        for worker in workers:
            self._idle.put_nowait(worker)

    @property
    def facts(self) -> Facts:
        return self._workers[0].facts

    def alive(self) -> int:
        """How many workers there are now."""
        return sum(worker.is_alive() for worker in self._workers)

    async def detect(self, job: Mapping[str, Any], photo: bytes) -> dict[str, Any]:
        """As `Worker.detect`, with the seconds that it took. Raises: Refusal: too many photos wait already, too."""
        started = time.monotonic()
        worker = await self._next()
        given = time.monotonic()
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, worker.detect, job, photo)
        finally:
            self._give_back(worker)
        seconds = {"waiting": round(given - started, 4), "detecting": round(time.monotonic() - given, 4)}
        return {**found, "seconds": seconds}

    async def _next(self) -> Worker:
        if self.waiting >= self._limits.waiting:
            raise Refusal(503, f"{self.waiting} photos are waiting already", retry=1)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._limits.wait_seconds):
                while not (worker := await self._idle.get()).is_alive():
                    self._give_back(worker)
                return worker
        except TimeoutError:
            raise Refusal(503, f"no worker was free for {self._limits.wait_seconds:g} seconds", retry=1) from None
        finally:
            self.waiting -= 1

    def _give_back(self, worker: Worker) -> None:
        if worker.is_alive():
            self._idle.put_nowait(worker)
        else:
            task = asyncio.get_running_loop().create_task(self._revive(worker))
            self._revivals.add(task)
            task.add_done_callback(self._revivals.discard)

    async def _revive(self, worker: Worker) -> None:
        while not worker.is_alive():
            self.restarts += 1
            try:
                await asyncio.get_running_loop().run_in_executor(self._threads, worker.start)
            except (UserError, OSError) as error:
                errors.say(f"error: {errors.printable(str(error))}")
                await asyncio.sleep(AGAIN_SECONDS)
        self._idle.put_nowait(worker)

    def stop(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.stop()
        self._threads.shutdown(cancel_futures=True)
