"""Ctrl-C, SIGTERM or a closed terminal: a prediction ends after the photo at hand; on a second signal at once."""

import signal
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stops:
    """Handles the signals while it is entered, in the main thread. requested: the signal that came, or 0."""

    def __init__(self) -> None:
        self.requested = 0
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "Stops":
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                self._handlers[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _request(self, number: int, _: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = number
