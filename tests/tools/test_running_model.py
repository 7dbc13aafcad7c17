"""`make predict MODEL=running`: a real training, and predictions by its best weights so far."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detector.checkpointing import work_dir
from tests.support import stage, tiny

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
    (kept,) = (tmp_path / ".work/running").iterdir()
    assert sorted(path.name for path in kept.iterdir()) == ["label_map.pbtxt", "model.json", "model.onnx"]
