"""Signs of progress, on a terminal and in a log; time is short here."""

import io
import os
import pty
import subprocess
import sys
import time

import pytest

from detector.base import bars


def test_a_log_has_a_line_now_and_then_and_none_of_what_is_quick(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(bars.bar(range(3), "quick", 3)) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(bars, "SECONDS_BETWEEN_LINES", 0.02)
    for _ in bars.bar(range(5), "slow", 5):
        time.sleep(0.03)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "slow: 1/5 00:00" and lines[2] == "slow: 3/5 00:00, 00:00 left" and 3 <= len(lines) <= 5
    assert all("\r" not in line and line == line.strip() for line in lines)


def test_a_title_of_others_steers_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(bars, "SECONDS_BETWEEN_LINES", 0)
    with bars.counter("a\x1b[2J", 2, log) as shown:
        shown.update()
    assert "\x1b" not in log.getvalue() and "a\\x1b[2J: 1/2" in log.getvalue()


def test_waiting_is_seen_even_where_libraries_are_made_quiet(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from detector.base.stderr import quiet

    monkeypatch.setattr(bars, "SECONDS_BETWEEN_LINES", 0.02)
    with bars.waiting("exporting"), quiet():
        os.write(2, b"a library's noise\n")
        time.sleep(0.1)
    lines = capfd.readouterr().err.splitlines()
    assert set(lines) == {"exporting: 00:00"}
    with pytest.raises(KeyError), bars.waiting("failing"):
        raise KeyError


def test_a_terminal_has_a_clock_that_is_gone_at_the_end() -> None:
    code = "import time; from detector.base import bars\nwith bars.waiting('loading'): time.sleep(1.1)\nprint('done')"
    terminal, side = pty.openpty()
    subprocess.run([sys.executable, "-c", code], stdout=side, stderr=side, check=True)
    os.close(side)
    shown = os.read(terminal, 1000).decode()
    os.close(terminal)
    assert "\rloading: 00:00" in shown and "\rloading: 00:01" in shown
    assert shown.rpartition("loading: 00:01")[2].strip(" \r\n") == "done"
