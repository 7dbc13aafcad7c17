"""The trainings on a bucket, as another machine sees them: made-up checkpoints, against a real HTTP server."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detector.base.errors import UserError
from detector.checkpointing import mirror, work_dir
from detector.checkpointing.uploader import Timing
from tests.support.gcs_server import Server
from tools.trainings import best, elsewhere
from tools.trainings.best import Best

IDENTITY = {"train": {"steps": 50}}
KEY = work_dir.key(IDENTITY)
URL = "gs://bkt/work"
EVENTS = f"work/{KEY}/logs/now/train/events.out.tfevents.1"


@pytest.fixture(autouse=True)
def server(gcs: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    for name, value in gcs.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PASSO_GCS_SECONDS", "2")
    monkeypatch.setattr(best, "PAUSE", 0.01)
    monkeypatch.chdir(tmp_path)
    gcs.create("bkt")
    return gcs


@pytest.fixture
def work() -> Iterator[work_dir.Work]:
    """Of a training that runs elsewhere."""
    timing = Timing(request=2, pause=0.05, renewal=0.1)
    with mirror.opened(URL, IDENTITY, keep=1, timing=timing, local="elsewhere") as opened:
        logs = Path("elsewhere/logs/now")
        logs.mkdir(parents=True)
        (logs / "pipeline.config").write_text("config")
        (logs / "label_map.pbtxt").write_text("labels")
        opened.watch(logs)
        yield opened


def save(work: work_dir.Work, server: Server, step: int, best_step: int = 0) -> None:
    """Save a checkpoint, and wait until it is in the bucket."""
    if step == best_step:
        work.save_best(step, 10, lambda to: (to / "ckpt-1.index").write_text(f"best {step}"))
    state: dict[str, Any] = {"step": step, "best_step": best_step, "best": {"AP": best_step / 64, "AP50": 0.5}}
    work.save({**state, "score_threshold": 0.25}, 10, lambda to: (to / "ckpt-1.index").write_text(f"step {step}"))
    for _ in range(2000):
        names = server.read("bkt")
        if f"work/{KEY}/step-{step:08}.json" in names and any("/label_map.pbtxt" in name for name in names):
            return
        time.sleep(0.01)
    raise AssertionError("it is not uploaded")


def refusal(target: Path) -> str:
    with pytest.raises(UserError) as caught:
        elsewhere.fetch(URL, target)
    return caught.value.line()


def test_the_best_weights_come_with_what_their_export_needs(
    work: work_dir.Work, server: Server, tmp_path: Path
) -> None:
    save(work, server, 16, 16)
    save(work, server, 24, 16)
    found = elsewhere.fetch(URL, tmp_path)
    assert found == Best(f"{URL}/{KEY}", KEY, step=16, ap=0.25, newest=24, score_threshold=0.25)
    assert (tmp_path / "best/ckpt-1.index").read_text() == "best 16"
    assert (tmp_path / "pipeline.config").read_text() == "config"
    assert (tmp_path / "label_map.pbtxt").read_text() == "labels"
    assert not any("step-" in path and "ckpt" in path for method, path, *_ in server.log if method == "GET")
    save(work, server, 32, 32)
    assert elsewhere.fetch(URL, tmp_path).step == 32
    assert (tmp_path / "best/ckpt-1.index").read_text() == "best 32"


def test_nothing_runs_in_an_empty_bucket_nor_after_the_end(server: Server, tmp_path: Path) -> None:
    line = (
        f"{URL}: no training is running; start one, whose train.work_dir is {URL}; for the last model, leave out MODEL"
    )
    assert refusal(tmp_path) == line
    with mirror.opened(URL, IDENTITY, keep=1, local="elsewhere") as work:
        save_quickly(work)
    assert f"work/{KEY}/step-00000008.json" in server.read("bkt")
    assert refusal(tmp_path) == line


def save_quickly(work: work_dir.Work) -> None:
    work.save({"step": 8, "best_step": 0}, 10, lambda to: (to / "ckpt-1.index").touch())


def test_before_the_first_validation_there_is_nothing_to_take(
    work: work_dir.Work, server: Server, tmp_path: Path
) -> None:
    assert refusal(tmp_path) == f"{URL}/{KEY}: no checkpoint yet; wait for the first validation"
    save(work, server, 8)
    assert refusal(tmp_path).startswith(f"{URL}/{KEY}: no validation yet, at step 8; ")


def test_a_bucket_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        elsewhere.fetch("gs://nowhere/work", tmp_path)
    assert caught.value.line().startswith("gs://nowhere/work: not found: ")
