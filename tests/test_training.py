"""train_tpu, evaluate and export on a handful of pictures: real steps of the real model, on the CPU."""

import json
import os
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
import stage
import tiny
from PIL import Image

from detector import labels, paths, pipeline_config, tables

STEPS = {"train.steps": "30", "train.batch_size": "2", "train.eval_every": "15"}


def ran(name: str, root: Path) -> Any:
    done = stage.run(name, root)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after train_tpu, evaluate and export."""
    root = tmp_path_factory.mktemp("trained")
    tiny.dataset(root)
    tiny.params(root, **STEPS)
    for name in ("xml2csv", "csv2record", "pretrained", "train_tpu", "evaluate", "export"):
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
    assert [path.name for path in (trained / ".work").iterdir()] == ["train.lock"]


def test_curves_tell_every_look(trained: Path) -> None:
    assert [step for step, _ in scalars(trained, "val/AP")] == [15, 30]
    totals = scalars(trained, "loss/total_loss")
    assert [step for step, _ in totals] == [10, 20, 30]
    parts = ("localization_loss", "classification_loss", "regularization_loss")
    assert totals[0][1] == pytest.approx(sum(scalars(trained, f"loss/{name}")[0][1] for name in parts), rel=1e-5)
    assert list((trained / "logs").rglob("events.out.tfevents.*"))


def test_training_learns(trained: Path) -> None:
    """An untrained head's focal loss here is above 2; one that has learned where the squares are is far below."""
    losses = [value for _, value in scalars(trained, "loss/classification_loss")]
    assert losses[2] < losses[0] * 0.8
    metrics = json.loads((trained / paths.EVALUATE / "metrics.json").read_text())
    assert metrics["loss"]["localization_loss"] > 0


def test_the_rate_climbs_and_has_come_down_at_the_last_step(trained: Path) -> None:
    rates = dict(scalars(trained, "learning_rate"))
    peak = pipeline_config.auto_learning_rate(2)
    # 3 steps of warm-up; then a cosine over 27 steps: after 29 it is at (1 + cos(26/27 pi)) / 2 = 0.003384 of the peak
    assert rates[30] == pytest.approx(0.003384 * peak, rel=1e-3)
    assert rates[10] > rates[20] > rates[30]


def test_the_last_checkpoint_can_be_gone_on_from(trained: Path) -> None:
    from detector import checkpoints
    from detector.tensorflow_env import tf

    prefix = str(trained / paths.TRAIN / "last" / "ckpt-1")
    names = {name for name, _ in tf.train.list_variables(prefix)}
    assert any(name.startswith("optimizer/") for name in names)
    assert tf.train.load_variable(prefix, "step" + checkpoints.VARIABLE) == 30


def test_evaluation_counts_every_image(trained: Path) -> None:
    metrics = json.loads((trained / paths.EVALUATE / "metrics.json").read_text())
    assert (metrics["images"], metrics["groundtruth_boxes"]) == (4, 4)
    assert 0 <= metrics["AP"] <= metrics["AP50"] <= 1
    assert metrics["loss"]["total_loss"] > 0
    assert len(list((trained / paths.EVALUATE / "pictures").glob("*.jpg"))) == 4


def test_the_saved_model_answers_for_every_image_of_a_batch(trained: Path) -> None:
    """The API's own exporter answers for the first image only; and the checkpoint must say the same."""
    from detector import inference
    from detector.tensorflow_env import tf

    images = tables.read_csv(trained / paths.csv("test"), {"cat": 1, "dog": 2})
    _, expected = inference.run(trained / paths.TRAIN, trained / paths.record("test"), images)
    files = [trained / "dataset/tiny/test" / image.filename for image in images]
    batch = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    loaded = tf.saved_model.load(str(trained / paths.EXPORT / "saved_model"))
    found = loaded.signatures["serving_default"](input_tensor=tf.constant(batch))
    assert found["detection_boxes"].shape == (4, 100, 4)
    for place, image in enumerate(expected):
        count = int(found["num_detections"][place])
        assert count == len(image.scores) > 0
        np.testing.assert_allclose(found["detection_scores"][place, :count], image.scores, atol=1e-5)
        np.testing.assert_array_equal(found["detection_classes"][place, :count], image.classes)
        ymin, xmin, ymax, xmax = np.asarray(found["detection_boxes"][place, 0]) * [64, 96, 64, 96]
        np.testing.assert_allclose([xmin, ymin, xmax, ymax], image.boxes[0], atol=0.01)
    assert set(np.unique(found["detection_classes"])) <= {1.0, 2.0}
    (asset,) = (trained / paths.EXPORT / "saved_model" / "assets").iterdir()
    assert labels.read(asset) == {"cat": 1, "dog": 2}


def test_the_tflite_model_says_the_same(trained: Path) -> None:
    from detector.tensorflow_env import tf

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
    scores = next(a for a in found if a.shape == (1, 100) and (np.diff(a[0]) <= 0).all() and a.max() <= 1)
    np.testing.assert_allclose(scores[0, :10], expected["detection_scores"][0, :10], atol=1e-4)


def test_the_tflite_file_carries_its_labels(trained: Path) -> None:
    with zipfile.ZipFile(trained / paths.EXPORT / "model.tflite") as packed:
        assert packed.testzip() is None
        assert packed.read("labels.txt") == b"cat\ndog\n"
        assert b"dog" in packed.read("label_map.pbtxt")


def test_predict_finds_what_evaluate_found(trained: Path) -> None:
    """From photo to boxes through the SavedModel: the same scores as the evaluation's."""
    from detector import inference, saved_model

    images = tables.read_csv(trained / paths.csv("test"), {"cat": 1, "dog": 2})
    _, expected = inference.run(trained / paths.TRAIN, trained / paths.record("test"), images)
    model = saved_model.load(trained / paths.EXPORT)
    for image in expected:
        with Image.open(trained / "dataset/tiny/test" / image.filename) as photo:
            found = model.detect(photo.convert("RGB"), image.filename)
        np.testing.assert_allclose(found.scores, image.scores, atol=1e-5)
        np.testing.assert_allclose(found.boxes[:5], image.boxes[:5], atol=0.01)


def head(prefix: Path) -> np.ndarray:
    """A tensor of the box predictor, which a backbone has not."""
    from detector import checkpoints
    from detector.tensorflow_env import tf

    name = min(name for name in checkpoints.variables(prefix) if name.startswith("model/_box_predictor/"))
    return np.asarray(tf.train.load_variable(str(prefix), name + checkpoints.VARIABLE))


def test_going_on_from_the_last_model(trained: Path, tmp_path: Path) -> None:
    """`full` takes the model in model/train, heads and all: a step at next to no rate leaves them as they were."""
    for folder in ("dataset", "model"):
        shutil.copytree(trained / folder, tmp_path / folder)
    steps = {**STEPS, "train.steps": "1", "train.learning_rate": "1e-8"}
    tiny.params(tmp_path, **{**steps, "train.fine_tune_checkpoint_type": "full"})
    assert "the last model" in ran("pretrained", tmp_path).stdout
    ran("train_tpu", tmp_path)
    before, after = (head(root / paths.TRAIN / "best" / "ckpt-1") for root in (trained, tmp_path))
    np.testing.assert_allclose(after, before, atol=1e-6)
    tiny.params(tmp_path, **{**steps, "train.fine_tune_checkpoint_type": "classification"})
    refused = stage.run("train_tpu", tmp_path)
    assert refused.returncode == 2
    assert "train.fine_tune_checkpoint_type: classification needs a backbone" in refused.stderr
    assert "set it to full or detection or none" in refused.stderr


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.2)


def test_a_training_that_is_stopped_keeps_what_it_has(trained: Path, tmp_path: Path) -> None:
    """And a second one beside it is refused."""
    for folder in ("dataset", "model/pretrained"):
        shutil.copytree(trained / folder, tmp_path / folder)
    tiny.params(tmp_path, **{**STEPS, "train.steps": "100000", "train.eval_every": "5"})
    environment = {**os.environ, "PYTHONPATH": str(stage.REPOSITORY)}
    command = [sys.executable, "-m", "stages.train_tpu"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        wait_for(tmp_path / ".work" / "train" / "best", process)
        second = stage.run("train_tpu", tmp_path)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=120)
    assert second.returncode == 2
    assert f"another training is running here, process {process.pid}; wait for it" in second.stderr
    assert process.returncode == 143
    (died,) = (tmp_path / ".work").glob("died-*")
    assert f"its checkpoints are in .work/{died.name}" in stderr
    assert f"pretrained.source=.work/{died.name}/last/ckpt-1" in stderr
    assert not (tmp_path / paths.TRAIN).exists()
    source = {"pretrained.source": f".work/{died.name}/last/ckpt-1", "train.fine_tune_checkpoint_type": "full"}
    tiny.params(tmp_path, **{**STEPS, "train.steps": "1", **source})
    assert "a detection checkpoint" in ran("pretrained", tmp_path).stdout
    np.testing.assert_array_equal(head(tmp_path / paths.PRETRAINED / "ckpt-1"), head(died / "last" / "ckpt-1"))


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


def test_a_nan_stops_with_the_step_and_the_files(trained: Path, tmp_path: Path) -> None:
    from detector import checkpoints, inference
    from detector.tensorflow_env import tf

    _, model = inference.load(trained / paths.TRAIN)
    model.trainable_variables[0].assign(tf.fill(model.trainable_variables[0].shape, float("nan")))
    checkpoints.save(tf.train.Checkpoint(model=model), tmp_path / paths.PRETRAINED / "ckpt-1")
    shutil.copytree(trained / "dataset", tmp_path / "dataset")
    tiny.params(tmp_path, **{**STEPS, "train.fine_tune_checkpoint_type": "full"})
    done = stage.run("train_tpu", tmp_path)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert "params.yaml: train: step 1: " in line
    assert "total_loss nan" in line
    assert (tmp_path / ".work").exists()
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
            "train.accelerator: tpu: this environment has none; use auto or cpu; where there is one: make",
        ),
        ({"train.accelerator": "gpu"}, "train.accelerator: gpu: TensorFlow sees none; use auto or cpu"),
    ],
)
def test_bad_params_are_one_line(trained: Path, change: dict[str, str], line: str) -> None:
    tiny.params(trained, **{**STEPS, **change})
    done = stage.run("train_tpu", trained)
    tiny.params(trained, **STEPS)
    assert done.returncode == 2
    assert line in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("model", ["ssd_mobilenet_v2_fpnlite_320x320"])
def test_a_step_of_the_other_models(trained: Path, tmp_path: Path, model: str) -> None:
    for folder in ("dataset", "model/pretrained"):
        shutil.copytree(trained / folder, tmp_path / folder)
    tiny.params(tmp_path, **{**STEPS, "train.steps": "1", "train.model": model})
    ran("train_tpu", tmp_path)
    assert json.loads((tmp_path / paths.TRAIN / "train.json").read_text())["model"] == model


@pytest.mark.slow
def test_a_step_of_the_largest_model(trained: Path, tmp_path: Path) -> None:
    test_a_step_of_the_other_models(trained, tmp_path, "ssd_mobilenet_v2_fpnlite_640x640")
