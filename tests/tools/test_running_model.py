"""`make predict MODEL=running`: a real training, and predictions by its best weights so far."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from detector.checkpointing import work_dir
from tests.support import stage, tiny
from tools import running_model
from tools.trainings import best

SMALL = "model { ssd { image_resizer { fixed_shape_resizer { height: 96 width: 96 } } } }"
PARAMS = {
    "train.steps": "5000",
    "train.batch_size": "2",
    "train.eval_every": "10",
    "train.config_override": f"'{SMALL}'",
    "predict.score_threshold": "auto",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(stage.REPOSITORY))
    tiny.params(tmp_path)
    tiny.dataset(tmp_path, train=0, test=1)
    return tmp_path


def predict(*options: str) -> "subprocess.CompletedProcess[str]":
    return stage.child("-m", "stages.predict", "dataset/tiny/test", *options)


def test_without_a_training_it_is_one_line(project: Path) -> None:
    done = predict("--model=running")
    assert (done.returncode, done.stdout) == (2, "")
    remedy = "start one: make train; for the last model, leave out MODEL"
    assert done.stderr == f"error: .work: no training is running; {remedy}\n"
    assert not (project / "predictions").exists()


def test_a_bucket_alone_names_no_model(project: Path) -> None:
    done = stage.run("predict", project, "dataset/tiny/test", "--bucket=my-pets")
    assert done.stderr == "error: BUCKET: is for the model of a training that runs; give MODEL=running, too\n"


def test_two_at_a_time_are_one_after_the_other(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a training whose best weights are exported already."""
    monkeypatch.setattr(sys, "argv", ["running_model", "model"])
    identity = {"train": {"steps": 50}}
    with work_dir.opened(".work", identity, keep=1) as work:
        work.save_best(8, 10, lambda to: (to / "ckpt-1.index").write_text("best"))
        state = {"step": 8, "best_step": 8, "best": {"AP": 0.5}, "score_threshold": 0.25}
        work.save(state, 10, lambda to: (to / "ckpt-1.index").write_text("step"))
        logs = Path(f"logs/20261128-090000-{work.folder.name[:8]}")
        kept = running_model.KEPT / f"{work.folder.name}-00000008-{best.checked(work.best(8))[:8]}"
        for path in (logs / "pipeline.config", logs / "label_map.pbtxt", kept / "model.onnx"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(path.name)
        with (running_model.KEPT / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            second = threading.Thread(target=running_model.main)
            second.start()
            said, end = "", time.monotonic() + 30
            while "another prediction is exporting; waiting" not in (said := said + capsys.readouterr().out):
                assert time.monotonic() < end
                time.sleep(0.01)
            assert not Path("model").exists()
        second.join()
    assert Path("model/model.onnx").read_text() == "model.onnx"


def newest(root: Path) -> int:
    return max(
        (json.loads(p.read_text())["state"]["best_step"] for p in root.glob(".work/*/step-*/state.json")), default=0
    )


@pytest.mark.long
def test_the_best_weights_so_far_predict_while_the_training_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.prepared(tmp_path, **PARAMS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(stage.REPOSITORY))
    with subprocess.Popen([sys.executable, "-m", "stages.train_tpu"], stderr=subprocess.DEVNULL) as training:
        try:
            while not newest(tmp_path):
                assert training.poll() is None
                time.sleep(0.1)
            training.send_signal(signal.SIGSTOP)  # it would have better weights by the second time
            first, second = predict("--model=running"), predict("--model=running", "--output=again")
            training.send_signal(signal.SIGCONT)
            assert training.poll() is None
        finally:
            os.kill(training.pid, signal.SIGKILL)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    line, exporting, *_ = first.stdout.splitlines()
    (work,) = (path for path in (tmp_path / ".work").iterdir() if len(path.name) == work_dir.KEY_DIGITS)
    assert line.startswith(f".work/{work.name}: the best weights so far are those of step ")
    assert exporting.startswith("exporting them, once")
    assert second.stdout.splitlines()[0] == line
    assert "exporting" not in second.stdout
    assert (tmp_path / "again/detections.csv").read_bytes() == (tmp_path / "predictions/detections.csv").read_bytes()
    (kept,) = (path for path in (tmp_path / ".work/running").iterdir() if path.is_dir())
    assert sorted(path.name for path in kept.iterdir()) == ["label_map.pbtxt", "model.json", "model.onnx"]
