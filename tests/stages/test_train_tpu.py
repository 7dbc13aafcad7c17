"""train_tpu, evaluate and export on a handful of pictures: real steps of the real model, on the CPU."""

import hashlib
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detector.base import paths
from detector.data import labels, tables
from detector.data.tables import ImageBoxes
from detector.model import pipeline_config
from tests.support import board, stage, tiny

STEPS = {"train.steps": "30", "train.batch_size": "2", "train.eval_every": "15", "train.frozen_blocks": "3"}


def ran(name: str, root: Path) -> Any:
    done = stage.run(name, root)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after train_tpu, evaluate and export."""
    root = tiny.prepared(tmp_path_factory.mktemp("trained"), **STEPS)
    for name in ("train_tpu", "evaluate", "export"):
        ran(name, root)
    return root


def scalars(root: Path, name: str) -> list[tuple[int, float]]:
    lines = (root / paths.TRAIN_RESULTS / "plots" / "metrics" / f"{name}.tsv").read_text().splitlines()
    return [(int(step), float(value)) for step, value in (line.split("\t") for line in lines[1:])]


def test_training_leaves_all_that_the_next_stages_need(trained: Path) -> None:
    folder = trained / paths.TRAIN
    assert sorted(path.name for path in folder.iterdir()) == [
        *("best", "label_map.pbtxt", "last", "pipeline.config", "train.json")
    ]
    for name in ("best", "last"):
        assert sorted(path.name for path in (folder / name).iterdir()) == [
            *("checkpoint", "ckpt-1.data-00000-of-00001", "ckpt-1.index")
        ]
    summary = json.loads((folder / "train.json").read_text())
    assert (summary["model"], summary["steps"]) == ("ssd_mobilenet_v2_320x320", 30)
    assert summary["best_step"] in (15, 30)
    assert labels.read(folder / paths.LABEL_MAP) == {"cat": 1, "dog": 2}
    assert pipeline_config.read(folder / "pipeline.config").train_config.num_steps == 30
    assert summary["stopped_by"] == "steps"
    assert 0 < summary["score_threshold"] < 1
    assert summary["params"]["batch_size"] == 2 and "work_dir" not in summary["params"]
    count = len(tables.read_csv(trained / paths.csv("train"), {"cat": 1, "dog": 2}))
    assert summary["epochs"] == round(30 * 2 / count, 1)
    assert summary["start"] == {
        "source": "package",
        "asked": "package",
        "fine_tune_checkpoint_type": "classification",
        "frozen_blocks": 3,
        "backbone_learning_rate": 1.0,
    }
    assert 0 < json.loads((trained / "logs/speed.json").read_text())["seconds_per_step"] < 60
    (work,) = (trained / ".work").iterdir()
    names = {path.name for path in work.iterdir()} - {"best-00000015", "best-00000030"}
    assert names == {"finished.json", "identity.json", "lock", "step-00000030"}  # until DVC has recorded it


def test_curves_show_every_validation(trained: Path) -> None:
    assert [step for step, _ in scalars(trained, "val/AP")] == [15, 30]
    totals = scalars(trained, "loss/total_loss")
    assert [step for step, _ in totals] == [10, 20, 30]
    parts = ("localization_loss", "classification_loss", "regularization_loss")
    assert totals[0][1] == pytest.approx(sum(scalars(trained, f"loss/{name}")[0][1] for name in parts), rel=1e-5)


def test_tensorboard_shows_the_same_curves_and_the_photos_of_each_validation(trained: Path) -> None:
    """In two runs, of which one chart shows both losses."""
    found = board.found(trained / "logs")
    for tag, name in (("Loss/total_loss", "loss/total_loss"), ("learning_rate", "learning_rate")):
        assert dict(found["train", tag]) == pytest.approx(dict(scalars(trained, name)))
    assert dict(found["validation", "Loss/total_loss"]) == pytest.approx(dict(scalars(trained, "val/loss")))
    assert dict(found["validation", "DetectionBoxes_Precision/mAP"]) == pytest.approx(dict(scalars(trained, "val/AP")))
    parts = [found["validation", f"Loss/{name}_loss"] for name in ("localization", "classification", "regularization")]
    assert sum(value for ((_, value), _) in parts) == pytest.approx(scalars(trained, "val/loss")[0][1], rel=1e-5)
    count = len(tables.read_csv(trained / paths.csv("val"), {"cat": 1, "dog": 2}))
    photos = [values for (_, tag), values in found.items() if tag.startswith("eval_side_by_side/")]
    assert 0 < len(photos) == count
    assert all([step for step, _ in values] == [15, 30] for values in photos)
    ((step, (width, height, _)),) = found["train", "train_input_images"]
    assert (step, width, height) == (0, b"600", b"300")  # the two images of the first batch
    (folder,) = (trained / "logs").glob("2*-*")
    assert (folder / "pipeline.config").read_bytes() == (trained / paths.TRAIN / "pipeline.config").read_bytes()
    assert labels.read(folder / paths.LABEL_MAP) == {"cat": 1, "dog": 2}


def backbone(prefix: Path) -> dict[int, dict[str, np.ndarray]]:
    """The variables of a checkpoint's backbone: {number of the layer, from the input on: {name: value}}."""
    import tensorflow as tf

    found: dict[int, dict[str, np.ndarray]] = {}
    for name, _ in tf.train.list_variables(str(prefix)):
        if match := re.search(r"(?:^|backbone/|extractor/)layer_with_weights-(\d+)/(\w+)/.ATTRIBUTES", name):
            found.setdefault(int(match[1]), {})[match[2]] = tf.train.load_variable(str(prefix), name)
    return found


def test_the_first_blocks_keep_the_weights_that_they_came_with(trained: Path) -> None:
    """Frozen are the first convolution (2 layers with weights), the first block (4) and two more (6 each)."""
    before, after = (backbone(trained / prefix) for prefix in ("model/pretrained/ckpt-1", "model/train/last/ckpt-1"))
    for number, variables in before.items():
        same = all(np.array_equal(value, after[number][name]) for name, value in variables.items())
        assert same == (number < 2 + 4 + 6 + 6), number
    assert len(before) == 104  # 52 convolutions, each with its batch normalisation


def test_training_learns(trained: Path) -> None:
    """An untrained head's focal loss here is above 2; one that has learned where the squares are is far below."""
    losses = [value for _, value in scalars(trained, "loss/classification_loss")]
    assert losses[2] < losses[0] * 0.8  # measured: 0.14 with AVX-512, 0.16 with AVX2
    metrics = json.loads((trained / paths.EVALUATE / "metrics.json").read_text())
    assert metrics["loss"]["localization_loss"] > 0


def test_the_rate_climbs_and_has_come_down_at_the_last_step(trained: Path) -> None:
    rates = dict(scalars(trained, "learning_rate"))
    peak = pipeline_config.auto_learning_rate(2)
    # 3 steps of warm-up; then a cosine over 27 steps: after 29 it is at (1 + cos(26/27 pi)) / 2 = 0.003384 of the peak
    assert rates[30] == pytest.approx(0.003384 * peak, rel=1e-3)
    assert rates[10] > rates[20] > rates[30]


def test_the_last_checkpoint_can_be_resumed(trained: Path) -> None:
    from detector.model import checkpoints
    from detector.model.tensorflow_env import tf

    prefix = str(trained / paths.TRAIN / "last" / "ckpt-1")
    names = {name for name, _ in tf.train.list_variables(prefix)}
    assert any(name.startswith("optimizer/") for name in names)
    assert tf.train.load_variable(prefix, "step" + checkpoints.VARIABLE) == 30


def test_a_training_that_was_saved_before_the_names_changed_can_be_resumed() -> None:
    from detector.training import trainer

    old = {"step": 4800, "seconds": 9.5, "looked": 4000, "best_step": 2000, "best": {"AP": 0.25}, "stale": 2}
    state = trainer.State.of({**old, "history": [[10, {"loss": 0.5}]]})
    assert (state.step, state.validated_step, state.validations_without_gain) == (4800, 4000, 2)


def test_evaluation_counts_every_image(trained: Path) -> None:
    metrics = json.loads((trained / paths.EVALUATE / "metrics.json").read_text())
    assert (metrics["images"], metrics["groundtruth_boxes"]) == (4, 4)
    assert 0 <= metrics["AP"] <= metrics["AP50"] <= 1
    assert metrics["loss"]["total_loss"] > 0
    assert len(list((trained / paths.EVALUATE / "pictures").glob("*.jpg"))) == 4


SCORE_ROUNDING = 1e-4  # float32 through 50 layers; measured: 2e-6


def assert_same_detections(boxes: Any, classes: Any, scores: Any, expected: tables.ImageBoxes) -> None:
    """(N, 4) pixels, (N,) and (N,): the same scores, the best ones of the same classes and at the same places.

    In which order those come whose scores are equal but for rounding depends on the CPU.
    """
    np.testing.assert_allclose(scores, expected.scores, atol=SCORE_ROUNDING)
    for box, class_, score in zip(expected.boxes[:5], expected.classes[:5], expected.scores[:5], strict=True):
        alike = (abs(boxes - box).max(axis=1) < 0.01) & (classes == class_) & (abs(scores - score) < SCORE_ROUNDING)
        assert alike.any(), (box, class_, score)


@pytest.fixture(scope="module")
def expected(trained: Path) -> list[ImageBoxes]:
    """What the checkpoint finds in the test images."""
    from detector.model import inference

    images = tables.read_csv(trained / paths.csv("test"), {"cat": 1, "dog": 2})
    return inference.of(trained / paths.TRAIN, trained / paths.record("test"), images)()[1]


@pytest.fixture(scope="module")
def saved_model(trained: Path) -> Any:
    from detector.model.tensorflow_env import tf

    return tf.saved_model.load(str(trained / paths.EXPORT / "saved_model"))


def assert_expected(found: Any, expected: list[ImageBoxes]) -> None:
    assert found["detection_boxes"].shape == (len(expected), 100, 4)
    for place, image in enumerate(expected):
        count = int(found["num_detections"][place])
        assert count == len(image.scores) > 0
        ymin, xmin, ymax, xmax = (np.asarray(found["detection_boxes"][place, :count]) * [64, 96, 64, 96]).T
        classes, scores = (np.asarray(found[f"detection_{name}"][place, :count]) for name in ("classes", "scores"))
        assert_same_detections(np.stack([xmin, ymin, xmax, ymax], axis=1), classes, scores, image)
    assert set(np.unique(found["detection_classes"])) <= {1.0, 2.0}


def batch(trained: Path, expected: list[ImageBoxes]) -> np.ndarray:
    files = [trained / "dataset/tiny/test" / image.filename for image in expected]
    return np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])


def test_the_saved_model_answers_for_every_image_of_a_batch(
    trained: Path, expected: list[ImageBoxes], saved_model: Any
) -> None:
    """The API's own exporter answers for the first image only; and the checkpoint must say the same."""
    from detector.model.tensorflow_env import tf

    signature = saved_model.signatures["serving_default"]
    assert_expected(signature(input_tensor=tf.constant(batch(trained, expected))), expected)
    nothing = signature(input_tensor=tf.zeros([0, 50, 70, 3], tf.uint8))
    assert {name: tuple(values.shape) for name, values in nothing.items()} == {
        "detection_boxes": (0, 100, 4),
        "detection_scores": (0, 100),
        "detection_classes": (0, 100),
        "num_detections": (0,),
    }
    (asset,) = (trained / paths.EXPORT / "saved_model" / "assets").iterdir()
    assert labels.read(asset) == {"cat": 1, "dog": 2}


def test_the_saved_model_takes_files(trained: Path, expected: list[ImageBoxes], saved_model: Any) -> None:
    """As TF Serving's clients send them: JPEG and PNG, of different sizes."""
    from detector.model.tensorflow_env import tf

    signature = saved_model.signatures["encoded_image_string_tensor"]
    files = [(trained / "dataset/tiny/test" / image.filename) for image in expected]
    png = io.BytesIO()
    Image.open(files[1]).save(png, "PNG")
    contents = [files[0].read_bytes(), png.getvalue(), *(file.read_bytes() for file in files[2:])]
    assert_expected(signature(input_tensor=tf.constant(contents)), expected)
    small = io.BytesIO()
    Image.new("L", (17, 9)).save(small, "PNG")  # grey, and of another size
    assert signature(input_tensor=tf.constant([*contents, small.getvalue()]))["detection_boxes"].shape == (5, 100, 4)
    assert signature(input_tensor=tf.constant([], tf.string))["detection_boxes"].shape == (0, 100, 4)


def test_the_onnx_model_says_the_same(trained: Path, expected: list[ImageBoxes]) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(trained / paths.EXPORT / "model.onnx")
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, {"input_tensor": batch(trained, expected)}), strict=True))
    assert_expected(found, expected)
    nothing = session.run(names, {"input_tensor": np.zeros((0, 50, 70, 3), np.uint8)})
    assert [values.shape for values in nothing] == [(0, 100, 4), (0, 100), (0, 100), (0,)]


def test_and_so_it_does_of_a_phones_photo(trained: Path, saved_model: Any) -> None:
    """12 megapixels with noise, which any averaging would take away."""
    from detector.export import runtimes

    with Image.open(next((trained / "dataset/tiny/test").glob("*.jpg"))) as photo:
        grey = np.random.default_rng(1).normal(0, 30, (3000, 4000, 1))
        pixels = np.clip(np.asarray(photo.convert("RGB").resize((4000, 3000))) + grey, 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels)
    expected, found = (runtimes.load(name, trained / paths.EXPORT)(picture, "a") for name in ("saved_model", "onnx"))
    np.testing.assert_allclose(found.scores[:10], expected.scores[:10], atol=SCORE_ROUNDING)


def test_the_tflite_model_says_the_same(trained: Path) -> None:
    from detector.model.tensorflow_env import tf

    file = next((trained / "dataset/tiny/test").glob("*.jpg"))
    image = np.asarray(Image.open(file).convert("RGB"))[np.newaxis]
    loaded = tf.saved_model.load(str(trained / paths.EXPORT / "saved_model"))
    expected = loaded.signatures["serving_default"](input_tensor=tf.constant(image))
    lite = tf.lite.Interpreter(str(trained / paths.EXPORT / "model.tflite"))
    lite.allocate_tensors()
    (given,) = lite.get_input_details()
    assert tuple(given["shape"]) == (1, 300, 300, 3)
    resized = tf.compat.v1.image.resize(tf.constant(image, tf.float32), (300, 300))  # as the SavedModel does
    lite.set_tensor(given["index"], (resized / 127.5 - 1).numpy())
    lite.invoke()
    found = [lite.get_tensor(detail["index"]) for detail in lite.get_output_details()]
    (scores,) = [values for values in found if values.shape == (1, 100) and (values % 1).any()]  # classes are whole
    np.testing.assert_allclose(scores[0, :10], expected["detection_scores"][0, :10], atol=SCORE_ROUNDING)


def test_the_tflite_file_carries_its_labels(trained: Path) -> None:
    with zipfile.ZipFile(trained / paths.EXPORT / "model.tflite") as packed:
        assert packed.testzip() is None
        assert packed.read("labels.txt") == b"cat\ndog\n"
        assert b"dog" in packed.read("label_map.pbtxt")


def test_predict_finds_what_evaluate_found(trained: Path, expected: list[ImageBoxes]) -> None:
    """From photo to boxes through model.onnx: the same scores as the evaluation's."""
    from detector.prediction import detector

    model = detector.load(trained / paths.EXPORT)
    for image in expected:
        with Image.open(trained / "dataset/tiny/test" / image.filename) as photo:
            found = model.detect(photo.convert("RGB"), image.filename)
        assert_same_detections(found.boxes, found.classes, found.scores, image)


def head(prefix: Path) -> np.ndarray:
    """A tensor of the box predictor, which a backbone has not."""
    from detector.model import checkpoints
    from detector.model.tensorflow_env import tf

    name = min(name for name in checkpoints.variables(prefix) if name.startswith("model/_box_predictor/"))
    return np.asarray(tf.train.load_variable(str(prefix), name + checkpoints.VARIABLE))


@pytest.mark.long
def test_starting_from_the_last_model(trained: Path, tmp_path: Path) -> None:
    """`full` takes a trained model, heads and all: a step at next to no rate leaves them as they were."""
    shutil.copytree(trained / "dataset", tmp_path / "dataset")
    shutil.copytree(trained / paths.TRAIN / "best", tmp_path / "model/start/cats")
    steps = {**STEPS, "train.steps": "1", "train.learning_rate": "1e-8"}
    start = {"pretrained.source": "model/start/cats", "pretrained.start": "model/start/cats"}
    tiny.params(tmp_path, **{**steps, **start, "train.fine_tune_checkpoint_type": "full"})
    assert ran("pretrained", tmp_path).stdout == "pretrained: model/start/cats, a detection checkpoint\n"
    ran("train_tpu", tmp_path)
    before, after = (head(root / paths.TRAIN / "best" / "ckpt-1") for root in (trained, tmp_path))
    np.testing.assert_allclose(after, before, atol=1e-6)
    tiny.params(tmp_path, **{**steps, "train.fine_tune_checkpoint_type": "classification"})
    refused = stage.run("train_tpu", tmp_path)
    assert refused.returncode == 2
    assert "train.fine_tune_checkpoint_type: classification needs a backbone" in refused.stderr
    assert "set it to full or detection or none" in refused.stderr


def start(root: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(stage.REPOSITORY)}
    command = [sys.executable, "-m", "stages.train_tpu"]
    return subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for_step(root: Path, step: int, process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Wait until a checkpoint of `step` or a later one exists; returns its state."""
    deadline = time.monotonic() + 300
    while not (found := [p for p in sorted(root.glob(".work/*/step-*/state.json")) if int(p.parent.name[5:]) >= step]):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"no checkpoint of step {step}"
        time.sleep(0.05)
    return dict(json.loads(found[0].read_text())["state"])


def wait_for_curve(root: Path, step: int, process: "subprocess.Popen[str]") -> None:
    """Wait until the curves have come to `step`."""
    deadline = time.monotonic() + 300
    while not any(at >= step for at, _ in scalars(root, "loss/total_loss")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"no step {step}"
        time.sleep(0.02)


def outputs(root: Path) -> dict[str, str]:
    """The digest of every file that DVC records of the training."""
    folders = (root / paths.TRAIN, root / paths.TRAIN_RESULTS)
    found = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def copied(source: Path, root: Path, **changes: str) -> None:
    """A project that is about to train, as DVC leaves it: without what the last training made."""
    for folder in ("dataset", "model/pretrained"):
        shutil.copytree(source / folder, root / folder)
    tiny.params(root, **{**STEPS, **changes})


@pytest.mark.slow  # make test-kill does it twenty times
def test_a_killed_training_ends_in_the_same_bytes_as_one_that_was_not(trained: Path, tmp_path: Path) -> None:
    """SIGKILL, then SIGTERM, then to the end; and while one is alive, a second one is refused."""
    copied(trained, tmp_path, **{"train.checkpoint_every": "3"})
    with start(tmp_path) as process:
        first = wait_for_step(tmp_path, 3, process)
        refused = stage.run("train_tpu", tmp_path)
        process.kill()
    assert refused.returncode == 2
    assert f"this training is running already, as process {process.pid}; wait for it" in refused.stderr
    # The only checkpoints after this are that of the validation at step 15, and the one that SIGTERM makes.
    never = {"train.checkpoint_every": "0", "train.checkpoint_minutes": "0"}
    tiny.params(tmp_path, **{**STEPS, **never})
    with start(tmp_path) as process:
        second = wait_for_step(tmp_path, 15, process)
        wait_for_curve(tmp_path, 20, process)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=300)
    assert process.returncode == 143
    (line,) = [line for line in stderr.splitlines() if line.startswith("SIGTERM: stopped")]
    kept = re.fullmatch(
        r"SIGTERM: stopped; step (\d+) of 30 is saved in \.work/\w{16}; to resume, run the same command again",
        line,
    )
    assert kept
    assert 20 <= int(kept[1]) < 30
    assert second["seconds"] > first["seconds"] > 0
    assert not (tmp_path / paths.TRAIN).exists()
    third = ran("train_tpu", tmp_path)
    assert f"resumes from step {kept[1]} of 30 in .work/" in third.stdout
    assert outputs(tmp_path) == outputs(trained)
    curves = {run: board.steps(tmp_path / "logs", run) for run in ("train", "validation")}
    assert curves == {"train": [10, 20, 30], "validation": [15, 30]}

    shutil.rmtree(tmp_path / paths.TRAIN)  # it has ended, but DVC died before it recorded that, and calls again
    again = ran("train_tpu", tmp_path)
    assert "resumes from step 30 of 30" in again.stdout
    assert ", where it has ended; to train it again: PASSO_FRESH=1 dvc repro --force" in again.stdout
    assert "compiling" not in again.stderr
    assert outputs(tmp_path) == outputs(trained)


@pytest.mark.long
def test_a_record_that_is_damaged_while_training_reads_it_is_named(trained: Path, tmp_path: Path) -> None:
    copied(trained, tmp_path, **{"train.steps": "5000", "train.checkpoint_every": "3"})
    record = tmp_path / paths.record("train")
    with start(tmp_path) as process:
        wait_for_step(tmp_path, 3, process)
        with record.open("r+b") as file:
            file.write(bytes(record.stat().st_size))
        _, stderr = process.communicate(timeout=300)
    assert process.returncode == 2
    line = "error: dataset/data/train.record: record 1: cut off or damaged; make it again: dvc repro --force csv2record"
    assert stderr.splitlines()[-1] == line
    assert "Traceback" not in stderr


@pytest.mark.long
def test_it_stops_when_ap_gets_no_better(trained: Path, tmp_path: Path) -> None:
    """At a rate that changes next to nothing."""
    changes = {"train.steps": "200", "train.eval_every": "2", "train.learning_rate": "1e-8", "train.patience": "2"}
    copied(trained, tmp_path, **changes)
    done = ran("train_tpu", tmp_path)
    summary = json.loads((tmp_path / paths.TRAIN / "train.json").read_text())
    validations = scalars(tmp_path, "val/AP")
    no_gain = [
        all(ap <= max(before for _, before in validations[:place]) for _, ap in validations[place : place + 2])
        for place in range(1, len(validations) - 1)
    ]
    assert (summary["steps"], summary["stopped_by"]) == (validations[-1][0], "patience")
    assert validations[-1][0] < 200
    assert no_gain.index(True) == len(no_gain) - 1  # the last two were the first two in a row that were no better
    assert f"trained {summary['steps']} steps (AP has not improved for train.patience validations)" in done.stdout


class Clock:
    """A second passes with every call."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now


@pytest.mark.long
def test_the_rate_has_come_down_when_the_minutes_are_over(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detector.training import trainer

    monkeypatch.setattr(trainer, "time", Clock())
    changes = {"train.steps": "100000", "train.max_minutes": "0.5", "train.checkpoint_minutes": "0"}
    copied(trained, tmp_path, **{**changes, "train.eval_every": "100000", "train.checkpoint_every": "0"})
    done = ran("train_tpu", tmp_path)
    summary = json.loads((tmp_path / paths.TRAIN / "train.json").read_text())
    assert (summary["steps"], summary["stopped_by"], summary["best_step"]) == (30, "max_minutes", 30)  # a second each
    assert "trained 30 steps (train.max_minutes are over)" in done.stdout
    rates = dict(scalars(tmp_path, "learning_rate"))
    peak = pipeline_config.auto_learning_rate(2)
    for step in (10, 20, 30):  # step 10 begins after 9 of 30 s; the first 1,000 of 100,000 steps are warm-up
        progress = ((step - 1) / 30 * 100_000 - 1000) / 99_000
        assert rates[step] == pytest.approx(peak * (1 + math.cos(math.pi * progress)) / 2, rel=1e-3)
    assert rates[30] < peak / 300


def test_a_disk_without_room_is_reported_before_the_first_step(trained: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=9m", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here: that takes root")
    try:
        copied(trained, tmp_path, **{"train.work_dir": str(disk)})
        done = stage.run("train_tpu", tmp_path)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert done.returncode == 2
    assert re.search(
        r"error: .*/disk/\w{16}: the disk is full: a checkpoint needs \d+\.\d MB, 9\.\d MB are free", done.stderr
    )
    assert "compiling" not in done.stderr


def test_a_type_that_the_checkpoint_cannot_serve_is_refused(trained: Path) -> None:
    tiny.params(trained, **{**STEPS, "train.fine_tune_checkpoint_type": "detection"})
    done = stage.run("train_tpu", trained)
    tiny.params(trained, **STEPS)
    assert done.returncode == 2
    assert done.stderr == (
        "error: params.yaml: train.fine_tune_checkpoint_type: detection needs a detector, but model/pretrained/ckpt-1 "
        "is a classification checkpoint; set it to classification or none\n"
    )
    assert (trained / paths.TRAIN / "train.json").exists()


@pytest.mark.long
def test_the_weights_that_came_decide_what_suits_them_whatever_the_network_does_now(
    trained: Path, tmp_path: Path
) -> None:
    """`auto`, where ImageNet's weights had to stand in for Open Images'."""
    written = {"pretrained.source": "auto", "train.fine_tune_checkpoint_type": "detection"}
    copied(trained, tmp_path, **written, **{"train.steps": "1", "train.frozen_blocks": "6"})
    (tmp_path / paths.PRETRAINED / "source.json").write_text('{"source": "package", "asked": "auto"}')
    done = ran("train_tpu", tmp_path)
    expected = "ImageNet's weights (auto), so: train.fine_tune_checkpoint_type classification, train.frozen_blocks 0\n"
    assert done.stdout.startswith(f"{expected}starts from the backbone in model/pretrained, saves its work in .work/")
    summary = json.loads((tmp_path / paths.TRAIN / "train.json").read_text())
    assert summary["start"] == {
        "source": "package",
        "asked": "auto",
        "fine_tune_checkpoint_type": "classification",
        "frozen_blocks": 0,
        "backbone_learning_rate": 1.0,
    }
    config = pipeline_config.read(tmp_path / paths.TRAIN / "pipeline.config")
    assert not config.train_config.freeze_variables
    again = ran("train_tpu", tmp_path)
    assert "resumes from step 1 of 1" in again.stdout and "where it has ended" in again.stdout


@pytest.mark.long
def test_a_nan_stops_with_the_step_and_the_files(trained: Path, tmp_path: Path) -> None:
    from detector.model import checkpoints, inference
    from detector.model.tensorflow_env import tf

    _, model = inference.load(trained / paths.TRAIN)
    model.trainable_variables[0].assign(tf.fill(model.trainable_variables[0].shape, float("nan")))
    checkpoints.write(tf.train.Checkpoint(model=model), tmp_path / paths.PRETRAINED)
    shutil.copytree(trained / "dataset", tmp_path / "dataset")
    tiny.params(tmp_path, **{**STEPS, "train.fine_tune_checkpoint_type": "full"})
    done = stage.run("train_tpu", tmp_path)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert "params.yaml: train: step 1: " in line
    assert "total_loss nan" in line
    assert list((tmp_path / ".work").iterdir()) == []
    named = [name.strip() for name in line.partition("that batch: ")[2].split(",")]
    train = {image.filename for image in tables.read_csv(tmp_path / paths.csv("train"), {"cat": 1, "dog": 2})}
    assert len(named) == 2
    assert set(named) <= train


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"train.batch_size": "0"}, "train.batch_size: 0 is not allowed; give a whole number from 1"),
        ({"train.model": "yolo"}, "train.model: 'yolo' is not allowed; give one of ssd_mobilenet_v2_320x320,"),
        ({"train.learning_rate": "fast"}, "train.learning_rate: 'fast' is not allowed; give a number from 1e-08 to 10"),
        (
            {"train.accelerator": "tpu"},
            "train.accelerator: tpu, but TensorFlow's cpu build is installed; run: make install TF=tpu, or set",
        ),
        (
            {"train.accelerator": "gpu"},
            "train.accelerator: gpu, but TensorFlow's cpu build is installed; run: make install",
        ),
    ],
)
def test_bad_params_are_one_line(trained: Path, change: dict[str, str], line: str) -> None:
    tiny.params(trained, **{**STEPS, **change})
    done = stage.run("train_tpu", trained)
    tiny.params(trained, **STEPS)
    assert done.returncode == 2
    assert line in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_is_quick_and_an_unknown_word_is_refused(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(stage.REPOSITORY)}
    command = [sys.executable, "-m", "stages.train_tpu"]
    done = subprocess.run(
        [*command, "--help"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "--fresh" in done.stdout
    done = subprocess.run(
        [*command, "again"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "unrecognized arguments: again" in done.stderr) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["ssd_mobilenet_v2_fpnlite_320x320", "ssd_mobilenet_v2_fpnlite_640x640"])
def test_a_step_of_the_other_models(trained: Path, tmp_path: Path, model: str) -> None:
    copied(trained, tmp_path, **{"train.steps": "1", "train.model": model})
    ran("train_tpu", tmp_path)
    assert json.loads((tmp_path / paths.TRAIN / "train.json").read_text())["model"] == model
