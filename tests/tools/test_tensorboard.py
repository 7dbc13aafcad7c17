"""`make tensorboard`: TensorBoard itself, on made-up curves, here and in a bucket."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from detector.board import events
from tests.support.gcs_server import Server
from tests.support.stage import REPOSITORY, call
from tools import tensorboard

RUN = "20261128-090000-01234567"


def curve(path: Path, *steps: int) -> None:
    events.append(path, [events.scalars(step, {"Loss/total_loss": step / 4}) for step in steps])


@contextmanager
def served(root: Path, environment: Mapping[str, str], *arguments: str) -> Iterator[str]:
    """The address that it prints; it ends with Ctrl-C, and takes TensorBoard with it."""
    command = [sys.executable, "-m", "tools.tensorboard", *arguments]
    own = {**os.environ, **environment, "PYTHONPATH": str(REPOSITORY)}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=root, env=own, start_new_session=True, **pipes) as process:
        try:
            lines = iter(process.stdout.readline, "")  # type: ignore[union-attr]
            line = next((line for line in lines if "http://" in line), "")
            yield line.split("at ")[1].split()[0]
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(30)


def answer(url: str) -> Any:
    return requests.get(url, timeout=60).json()


def points(url: str, run: str) -> list[tuple[int, float]]:
    wanted = f"data/plugin/scalars/scalars?tag=Loss%2Ftotal_loss&run={RUN}%2F{run}"
    return [(step, value) for _, step, value in answer(url + wanted)]


@pytest.mark.long
def test_the_runs_here_are_shown_to_this_machine_alone(tmp_path: Path) -> None:
    curve(tmp_path / "logs" / RUN / "train/events.out.tfevents.1", 10, 20)
    curve(tmp_path / "logs" / RUN / "validation/events.out.tfevents.0000000020", 20)
    with served(tmp_path, {}) as url:
        assert url.startswith("http://localhost:")
        assert answer(f"{url}data/runs") == [f"{RUN}/train", f"{RUN}/validation"]
        assert points(url, "train") == [(10, 2.5), (20, 5.0)]
        assert points(url, "validation") == [(20, 5.0)]


@pytest.mark.long
def test_of_a_bucket_what_is_new_follows(gcs: Server, tmp_path: Path) -> None:
    gcs.create("bkt")
    file = tmp_path / "events"
    curve(file, 10)
    name = f"work/0123456789abcdef/logs/{RUN}/train/events.out.tfevents.1"
    gcs.put("bkt", name, file.read_bytes())
    with served(tmp_path, gcs.environment(), "--bucket=bkt") as url:
        assert points(url, "train") == [(10, 2.5)]
        curve(file, 20)
        gcs.put("bkt", name, file.read_bytes())
        deadline = time.monotonic() + 120
        while points(url, "train") != [(10, 2.5), (20, 5.0)]:
            assert time.monotonic() < deadline
            time.sleep(1)


def test_a_bucket_without_curves_is_one_line(gcs: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in gcs.environment().items():
        monkeypatch.setenv(variable, value)
    gcs.create("bkt")
    done = call(tensorboard.main, tmp_path, "--bucket=bkt")
    remedy = "train.work_dir in params.yaml must name it"
    assert done.stderr == f"error: gs://bkt/work: no training has left curves there; {remedy}\n"
    assert done.returncode == 2
