"""Signals and a dead parent, in real processes: what is held is finished first, and the exit code is the shell's."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.stage import REPOSITORY

# Held steps of so many seconds, which write files to show how far they are; or `busy`: not held, in endless C code.
CHILD = """
import sys, time
from pathlib import Path
from detector.training import stops
kind = sys.argv[1]
with stops.Stops("to resume: dvc repro", with_parent=kind == "with_parent") as stop:
    if kind == "busy":
        Path("began").touch()
        while True:
            time.sleep(600)
    for step in range(1, 100):
        with stop.held():
            Path("began").touch()
            time.sleep(float(sys.argv[2]))
            with stop.held():
                if stop.requested:
                    Path("saved").write_text(str(step))
                    stop.saved = f"step {step} is saved"
"""


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", CHILD, *arguments]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    wait_for(tmp_path / "began")
    return process


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not appear"
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_step_is_finished_and_saved_first(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = start(tmp_path, "steps", "1")
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    step = (tmp_path / "saved").read_text()  # 1, unless the machine was so busy that the signal came in a later one
    again = "; Ctrl-C again stops immediately" if number == signal.SIGINT else ""
    assert stderr.splitlines() == [
        f"{number.name}: stopping after this step{again}",
        f"{number.name}: stopped; step {step} is saved; to resume: dvc repro",
    ]


def test_outside_of_a_step_it_ends_immediately(tmp_path: Path) -> None:
    process = start(tmp_path, "busy", "0")
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)  # it would sleep for 600
    assert process.returncode == 143
    assert stderr == "SIGTERM: stopped; nothing new was trained; to resume: dvc repro\n"


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    process = start(tmp_path, "steps", "600")
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)  # a terminal and a shell may both pass the same one on
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)  # of which a second is no hurry
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)  # the step takes 600
    assert process.returncode == 130
    assert not (tmp_path / "saved").exists()


def test_a_first_ctrl_c_after_another_request_waits_as_well(tmp_path: Path) -> None:
    """Such as one of another worker: only the second Ctrl-C gives up what is being saved."""
    process = start(tmp_path, "steps", "5")  # both signals must come in the first
    process.send_signal(signal.SIGTERM)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 143
    assert (tmp_path / "saved").read_text() == "1"
    assert stderr.splitlines()[:2] == [
        "SIGTERM: stopping after this step",
        "SIGINT: stopping after this step; Ctrl-C again stops immediately",
    ]


def test_what_the_shell_ignores_stays_ignored(tmp_path: Path) -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start(tmp_path, "busy", "0")
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    process.kill()
    process.communicate()


def test_a_closed_terminal_is_no_reason_to_lose_the_step(tmp_path: Path) -> None:
    """Nobody reads stderr any more: writing there fails."""
    process = start(tmp_path, "steps", "1")
    assert process.stderr
    process.stderr.close()
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=30) == 129
    assert (tmp_path / "saved").exists()


@pytest.mark.parametrize("shell", ["exec {}", "{}; true"], ids=["the shell makes way", "the shell stays"])
def test_a_dead_parent_counts_as_sigterm(tmp_path: Path, shell: str) -> None:
    """DVC runs a stage through `sh -c`, which may replace itself by the command or wait for it."""
    (tmp_path / "child.py").write_text(CHILD)
    command = shell.format(f"{sys.executable} child.py with_parent 0.2")
    parent = f"import subprocess; subprocess.run(['/bin/sh', '-c', {command!r}])"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with (tmp_path / "stderr").open("w") as stderr:
        process = subprocess.Popen([sys.executable, "-c", parent], cwd=tmp_path, env=environment, stderr=stderr)
    wait_for(tmp_path / "began")
    time.sleep(1.5)  # so that it polls once or twice while the parent lives
    assert not (tmp_path / "saved").exists()
    process.kill()  # and stays a zombie for a while, as nobody has asked for its end
    wait_for(tmp_path / "saved")
    process.wait()
    time.sleep(0.5)
    lines = (tmp_path / "stderr").read_text().splitlines()
    assert lines[0] == "the process that started this one has died: stopping after this step"
    assert lines[1].startswith("SIGTERM: stopped; step ")


def test_signals_are_as_they_were_afterwards() -> None:
    from detector.training import stops

    before = [signal.getsignal(number) for number in stops.SIGNALS]
    with stops.Stops(""):
        assert [signal.getsignal(number) for number in stops.SIGNALS] != before
    assert [signal.getsignal(number) for number in stops.SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_parent_that_died_before_it_was_watched(tmp_path: Path) -> None:
    """As DVC may while the trainer is still importing."""
    (tmp_path / "child.py").write_text(CHILD)
    command = f"(sleep 0.3; exec {sys.executable} child.py with_parent 0.2) &"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with (tmp_path / "stderr").open("w") as stderr:
        subprocess.run(
            ["/bin/sh", "-c", command], cwd=tmp_path, env=environment, stderr=stderr, start_new_session=True, check=True
        )
    wait_for(tmp_path / "saved")
    assert (tmp_path / "stderr").read_text().startswith("the process that started this one has died: stopping")
