"""Signs of progress: a bar on a terminal; elsewhere, as in a log or a notebook, a line every 10 seconds.

detecting: 120/500 00:10, 00:31 left
"""

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Never, TextIO, TypeVar

from tqdm import tqdm

from detector.base import errors

LINE = "{desc}: {n_fmt}/{total_fmt} {elapsed}, {remaining} left"
ENOUGH = 3  # done, to say when the rest will be: the first of them warms up what it runs on
SECONDS_BETWEEN_LINES = 10  # where no line can be drawn over: nothing is silent for longer
T = TypeVar("T")


class _Lines:
    """A stream on which what tqdm draws over and over becomes a line each time."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        if line := text.strip():
            errors.say(line, file=self._stream)

    def flush(self) -> None:
        """Each line has been."""


class _Bar(tqdm):  # type: ignore[type-arg]
    """One whose first lines tell no time to go."""

    @property
    def format_dict(self) -> dict[str, Any]:
        is_early = self.bar_format == LINE and self.n < ENOUGH
        return {**super().format_dict, **({"bar_format": LINE.partition(",")[0]} if is_early else {})}


def bar(steps: Iterable[T], title: str, total: float | None = None) -> "tqdm[T]":
    """The steps, as they are taken; it is gone at its end."""
    return _Bar(steps, errors.printable(title), total, **_settings(sys.stderr))


def counter(title: str, total: float | None = None, stream: TextIO | None = None, **options: Any) -> "tqdm[Never]":
    """The same for what says itself how far it is, by `update`; `options` are tqdm's own."""
    return _Bar(None, errors.printable(title), total, **_settings(stream or sys.stderr) | options)


def _settings(stream: TextIO) -> dict[str, Any]:
    if stream.isatty():
        return {"leave": False, "file": stream}
    return {
        "leave": False,
        "file": _Lines(stream),
        "delay": SECONDS_BETWEEN_LINES,
        "mininterval": SECONDS_BETWEEN_LINES,
        "miniters": 1,
        "bar_format": LINE,
    }


@contextmanager
def waiting(title: str) -> Iterator[None]:
    """Show how long something takes that has no steps to count: `loading the model: 00:12`.

    On a copy of stderr: libraries are made quiet meanwhile (stderr.py).
    """
    ended = threading.Event()
    with os.fdopen(os.dup(2), "w") as console:
        seconds = 1 if console.isatty() else SECONDS_BETWEEN_LINES
        with counter(title, stream=console, bar_format="{desc}: {elapsed}") as shown:

            def show() -> None:
                while not ended.wait(seconds):
                    shown.refresh()

            thread = threading.Thread(target=show, name=title, daemon=True)
            thread.start()
            try:
                yield
            finally:
                ended.set()
                thread.join()
