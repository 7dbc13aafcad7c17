"""The trainer's progress line: a bar on a terminal, elsewhere a new line now and then.

Not tqdm, which has no place for what a training needs: a time limit that ends it before its steps do, time that does
not count (validation, the tracing of the first step), few lines in a log file, and a closed terminal.
"""

import contextlib
import math
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from detector.base import bars

WIDEST_BAR, NARROWEST_BAR = 30, 5


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


@dataclass
class Progress:
    """Counts steps and shows loss, rate, images/s and ETA. Time before a `resume()` does not count in images/s."""

    steps: int
    batch_size: int
    _step: int = 0
    _start: float = field(default_factory=time.monotonic)
    _training: float = 0.0
    _shown: float = 0.0
    _resumed: float = field(default_factory=time.monotonic)
    _first: float = 0.0
    _waiting: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def wait(self, title: str) -> None:
        """Show how long the first step takes."""
        self._waiting.enter_context(bars.waiting(title))

    def update(
        self, step: int, losses: Mapping[str, float], learning_rate: float, seconds_left: float = math.inf
    ) -> None:
        """Show the state after `step`; training ends in `seconds_left` at the latest."""
        self._waiting.close()
        now = time.monotonic()
        self._training += now - self._resumed
        self._resumed = now
        if not self._step:  # the first step is mostly tracing, which says nothing of the speed
            self._training = 0.0
            self._start = now
            self._first = step
        self._step = step
        last = step == self.steps or seconds_left <= 0
        line = self._line(losses, learning_rate, seconds_left)
        if sys.stderr.isatty():
            self._show(f"\r\x1b[K{self._bar(len(line))}{line}" + ("\n" if last else ""))
        elif last or now - self._shown >= bars.SECONDS_BETWEEN_LINES:
            self._shown = now
            self._show(f"{line}\n")

    def images_per_second(self) -> float:
        """Of training alone, since the first step."""
        return self.batch_size * (self._step - self._first) / self._training if self._training else 0.0

    def resume(self) -> None:
        """Training continues: the time since the last update was spent on something else."""
        self._resumed = time.monotonic()

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self._show(f"\r\x1b[K{text}\n" if sys.stderr.isatty() else f"{text}\n")

    def _line(self, losses: Mapping[str, float], learning_rate: float, seconds_left: float) -> str:
        line = f"step {self._step}/{self.steps}  loss {losses['total_loss']:.3f}  rate {learning_rate:.1e}"
        steps = self._step - self._first
        if not steps:
            return line
        eta = (time.monotonic() - self._start) / steps * (self.steps - self._step)
        return f"{line}  {self.images_per_second():.1f} images/s  ETA {clock(min(eta, max(seconds_left, 0)))}"

    def _bar(self, letters: int) -> str:
        """As wide as fits beside so many letters; none where that is too narrow."""
        width = min(WIDEST_BAR, shutil.get_terminal_size().columns - letters - 4)  # of brackets, blank, cursor
        return f"[{'#' * (width * self._step // self.steps):{width}}] " if width >= NARROWEST_BAR else ""

    def _show(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a closed terminal is no reason to lose the step
            sys.stderr.write(text)
            sys.stderr.flush()
