"""The trainer's one progress line: redrawn on a terminal, a new line now and then elsewhere."""

import contextlib
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

SECONDS_BETWEEN_LINES = 20  # where the line cannot be redrawn, as in a log file


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


@dataclass
class Progress:
    """Counts steps and tells loss, rate, images/s and ETA. Time spent in `pause()`d work is left out of images/s."""

    steps: int
    batch_size: int
    _step: int = 0
    _start: float = field(default_factory=time.monotonic)
    _training: float = 0.0
    _shown: float = 0.0
    _resumed: float = field(default_factory=time.monotonic)
    _first: float = 0.0

    def update(
        self, step: int, losses: Mapping[str, float], learning_rate: float, seconds_left: float = math.inf
    ) -> None:
        """Show the state after `step`; training ends in `seconds_left`, if not before."""
        now = time.monotonic()
        self._training += now - self._resumed
        self._resumed = now
        if not self._step:  # the first step is mostly tracing: not a measure of speed
            self._training = 0.0
            self._start = now
            self._first = step
        self._step = step
        last = step == self.steps or seconds_left <= 0
        line = self._line(losses, learning_rate, seconds_left)
        if sys.stderr.isatty():
            self._show(f"\r\x1b[K{line}" + ("\n" if last else ""))
        elif last or now - self._shown >= SECONDS_BETWEEN_LINES:
            self._shown = now
            self._show(f"{line}\n")

    def images_per_second(self) -> float:
        """Of training alone, since the first step."""
        return self.batch_size * (self._step - self._first) / self._training if self._training else 0.0

    def resume(self) -> None:
        """Training goes on: what passed since the last update was something else."""
        self._resumed = time.monotonic()

    def note(self, text: str) -> None:
        """A line of its own, that stays."""
        self._show(f"\r\x1b[K{text}\n" if sys.stderr.isatty() else f"{text}\n")

    def _line(self, losses: Mapping[str, float], learning_rate: float, seconds_left: float) -> str:
        line = f"step {self._step}/{self.steps}  loss {losses['total_loss']:.3f}  rate {learning_rate:.1e}"
        done = self._step - self._first
        if not done:
            return line
        eta = (time.monotonic() - self._start) / done * (self.steps - self._step)
        return f"{line}  {self.images_per_second():.1f} images/s  ETA {clock(min(eta, max(seconds_left, 0)))}"

    def _show(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a terminal that was closed is no reason to lose the step
            sys.stderr.write(text)
            sys.stderr.flush()
