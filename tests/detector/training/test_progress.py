"""The progress line of a training."""

import io
import os
import threading
import time

import pytest

from detector.base import bars
from detector.training import progress


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3600, "1:00:00"), (7325, "2:02:05")]
)
def test_clock(seconds: float, text: str) -> None:
    assert progress.clock(seconds) == text


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def test_the_line_tells_step_loss_rate_speed_and_eta(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    monkeypatch.setattr("sys.stderr", err)
    shown = progress.Progress(steps=101, batch_size=16)
    clock.now = 30  # the first step is mostly tracing: it counts for nothing
    shown.update(1, {"total_loss": 4.5}, 0.0007)
    for step in range(2, 52):
        clock.now += 1
        shown.update(step, {"total_loss": 2.25}, 0.0005)
    # 50 steps of 16 in 50 s: 16 images/s; 50 steps to go: 50 s. A line every 10 s: at steps 1, 11, 21, 31, 41 and 51
    assert shown.images_per_second() == 16
    assert err.getvalue().splitlines() == [
        "step 1/101  loss 4.500  rate 7.0e-04",
        "step 11/101  loss 2.250  rate 5.0e-04  16.0 images/s  ETA 1:30",
        "step 21/101  loss 2.250  rate 5.0e-04  16.0 images/s  ETA 1:20",
        "step 31/101  loss 2.250  rate 5.0e-04  16.0 images/s  ETA 1:10",
        "step 41/101  loss 2.250  rate 5.0e-04  16.0 images/s  ETA 1:00",
        "step 51/101  loss 2.250  rate 5.0e-04  16.0 images/s  ETA 0:50",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("columns", "bar"), [(120, f"[{'#' * 15}{' ' * 15}] "), (78, f"[{'#' * 8}{' ' * 8}] "), (66, "")]
)
def test_a_terminal_has_a_bar_as_wide_as_fits(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, columns: int, bar: str
) -> None:
    err = Terminal()
    monkeypatch.setattr("sys.stderr", err)
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = progress.Progress(steps=4, batch_size=16)
    shown.update(1, {"total_loss": 4.5}, 0.0007)
    shown.update(2, {"total_loss": 4.5}, 0.0007)
    line = err.getvalue().rpartition("\r\x1b[K")[2]
    assert line.startswith(f"{bar}step 2/4  loss 4.500") and len(line) < columns


def test_a_limit_of_time_ends_the_training_before_its_steps_do(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    monkeypatch.setattr("sys.stderr", err)
    shown = progress.Progress(steps=100, batch_size=16)
    for step, left in ((1, 70.0), (2, 50.0), (3, 25.0), (4, -5.0)):
        clock.now += 25
        shown.update(step, {"total_loss": 1}, 0.1, left)
    assert [line.partition("ETA ")[2] for line in err.getvalue().splitlines()] == ["", "0:50", "0:25", "0:00"]


def test_a_closed_terminal_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError), os.fdopen(writer, "w") as err:
        monkeypatch.setattr("sys.stderr", err)
        progress.Progress(steps=1, batch_size=1).update(1, {"total_loss": 1}, 0.1)
        err.write("and still it is closed")  # flushed at the end of `with`


def test_time_spent_on_validation_is_not_training(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    shown = progress.Progress(steps=4, batch_size=8)
    shown.update(1, {"total_loss": 1}, 0.1)
    clock.now += 2
    shown.update(2, {"total_loss": 1}, 0.1)
    clock.now += 100
    shown.resume()
    clock.now += 2
    shown.update(3, {"total_loss": 1}, 0.1)
    assert shown.images_per_second() == 4  # 2 steps of 8 in 4 s


def test_the_wait_for_the_first_step_ends_with_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bars, "SECONDS_BETWEEN_LINES", 0.02)
    shown = progress.Progress(steps=2, batch_size=1)
    shown.wait("compiling the training step")
    time.sleep(0.1)
    for step in (1, 2):
        shown.update(step, {"total_loss": 1}, 0.1)
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "compiling the training step: 00:00" and lines[-1].startswith("step 2/2  loss 1.000")
    assert not [thread for thread in threading.enumerate() if thread.name == "compiling the training step"]
