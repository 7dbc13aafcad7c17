"""Ctrl-C, SIGTERM, a closed terminal, a dead parent: a training stops at a moment when nothing is lost.

    with Stops(advice) as stops:
        with stops.held():            # a step, or a checkpoint being written: a signal waits for its end
            step()
            if stops.requested: save()

Outside of `held` the process ends immediately, even where it is deep in TensorFlow's C++ (compiling, say): a thread
does it, which the kernel wakes. A second Ctrl-C never waits.
"""

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import psutil

from detector.base.errors import escaped

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POLL_SECONDS = 1.0  # between two checks that the parent lives
AGAIN_SECONDS = 0.5  # a terminal and a shell may both pass on one Ctrl-C


class Stops:
    """Handles the signals while it is entered, in the main thread.

    Args:
        advice: the end of the line that is printed when the process ends: how to resume.
        with_parent: also stop, as on SIGTERM, when the process that started this one has died.
    """

    def __init__(self, advice: str, *, with_parent: bool = False) -> None:
        self.requested = 0  # the signal that waits for the end of what is held
        self.saved = "nothing new was trained"  # what is not lost, for the line that is printed at the end
        self.farewell: Callable[[], object] = lambda: None  # called before the process ends; it limits its own time
        self._is_leaving = False
        self._advice = advice
        self._chain = _chain() if with_parent else []
        self._lock = threading.RLock()
        self._depth = 0
        self._interrupted = 0.0  # when Ctrl-C came first
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "Stops":
        self._reader, writer = os.pipe()
        os.set_blocking(writer, False)
        self._writer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False), writer
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                self._handlers[number] = signal.signal(number, lambda *_: None)
        self._thread = threading.Thread(target=self._listen, name="stops", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        before, writer = self._writer
        signal.set_wakeup_fd(before)
        os.close(writer)  # which ends the thread
        self._thread.join()
        os.close(self._reader)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """A signal in here waits for the end of it (of the outermost, where they are nested), and then stops."""
        with self._lock:
            is_leaving, self._depth = self._is_leaving, self._depth + 1
        if is_leaving:
            _wait_for_the_end()
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1
        with self._lock:
            if is_leaving := bool(self.requested and not self._depth):
                self._leave(self.requested)
        if is_leaving:
            _wait_for_the_end()

    def request(self, number: int, reason: str) -> None:
        """Stop at the end of what is held, as on that signal, or on the one before it."""
        with self._lock:
            is_first_interrupt = number == signal.SIGINT and not self._interrupted
            if is_first_interrupt:
                self._interrupted = time.monotonic()
            if is_first_interrupt or not self.requested:
                again = "; Ctrl-C again stops immediately" if is_first_interrupt else ""
                _print(f"{reason}: stopping after this step{again}")
            self.requested = self.requested or number

    def _listen(self) -> None:
        while True:
            ready, _, _ = select.select([self._reader], [], [], POLL_SECONDS)
            if ready:
                numbers = os.read(self._reader, 64)
                if not numbers:
                    return
                for number in numbers:
                    self._stop(number)
            elif any(_has_died(child, parent) for child, parent in self._chain):
                self._chain = []
                self._stop(signal.SIGTERM, "the process that started this one has died")

    def _stop(self, number: int, reason: str = "") -> None:
        reason = reason or signal.Signals(number).name
        with self._lock:
            again = self._interrupted and time.monotonic() - self._interrupted > AGAIN_SECONDS
            if number == signal.SIGINT and again:
                self._end(number, reason)
            elif self._is_leaving or not self._depth:
                self._interrupted = self._interrupted or (time.monotonic() if number == signal.SIGINT else 0.0)
                self._leave(number, reason)
            else:
                self.request(number, reason)

    def _leave(self, number: int, reason: str = "") -> None:
        """End the process after the farewell, in another thread: this one may be the one that listens."""

        def leave() -> None:
            with contextlib.suppress(Exception):
                self.farewell()
            self._end(number, reason)

        if not self._is_leaving:
            self._is_leaving = True
            threading.Thread(target=leave, name="farewell", daemon=True).start()

    def _end(self, number: int, reason: str) -> None:
        """End the process as a shell reports a death by that signal; never 0, or DVC would record a finished stage."""
        _print(f"{reason or signal.Signals(number).name}: stopped; {self.saved}; {self._advice}")
        os._exit(128 + number)  # the interpreter's own way out waits for TensorFlow's threads


def _wait_for_the_end() -> None:
    threading.Event().wait()


def _print(line: str) -> None:
    """Print on stderr, past Python's buffers, which the main thread may hold; a closed terminal does not matter."""
    with contextlib.suppress(OSError):
        os.write(2, f"\n{escaped(line)}\n".encode() if os.isatty(2) else f"{escaped(line)}\n".encode())


def _parent(pid: int) -> int:
    """The parent of a process; 0 where there is none."""
    try:
        return int(psutil.Process(pid).ppid())
    except psutil.Error:
        return 0


def _has_died(child: int, parent: int) -> bool:
    """Whether the process that started `child` is gone.

    If it died before `parent` was asked for, then `parent` adopts orphans: it is of another process group, as DVC and
    the shell of its stage never are.
    """
    try:
        return _parent(child) != parent or os.getpgid(parent) != os.getpgrp()
    except OSError:
        return True


def _chain() -> list[tuple[int, int]]:
    """(child, parent) from this process to the one that started it, across the shell of a `sh -c`, if there is one."""
    pids = [os.getpid(), os.getppid()]
    with contextlib.suppress(psutil.Error):
        shell = psutil.Process(pids[-1])
        if "-c" in shell.cmdline()[1:4]:
            pids.append(shell.ppid())
    return list(pairwise(pids))
