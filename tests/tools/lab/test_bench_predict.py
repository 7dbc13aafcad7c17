"""tools.lab.bench_predict: what it measures and prints, and the whole of it on two photos."""

import json
import shutil
import sys
import time
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detector.base import paths
from tests.support import finder, stage
from tests.support.stage import REPOSITORY
from tools.lab import bench_predict, meter, predictors
from tools.lab.bench_predict import Row


def test_cpu_is_that_of_all_threads_and_waiting_costs_none() -> None:
    photos = [Path(str(number)) for number in range(10)]
    found = meter.measured(lambda _: time.sleep(0.02), lambda photo: photo, _burn, photos, 2)
    assert found["cpu_ms"] < 5 and 20 <= found["p50_ms"] <= found["p95_ms"]
    assert found["images_per_second"] < 101  # two at a time
    assert found["model"]["cpu_ms"] >= 10


def _burn(_: object) -> None:
    end = time.process_time() + 0.01
    while time.process_time() < end:
        pass


def test_ratios_are_taken_within_a_turn() -> None:
    ours, recipe = Row("onnx", "ONNX Runtime, float32", 1), Row("recipe", "the recipe's loop", 1)
    elsewhere = Row("recipe", "the recipe's loop", 2)
    turns = [
        {ours: _measured(10), recipe: _measured(20), elsewhere: _measured(1)},
        {ours: _measured(40), recipe: _measured(60), elsewhere: _measured(1)},
        {ours: _measured(20), recipe: _measured(50), elsewhere: _measured(1)},
    ]
    summary = bench_predict._summary(ours, list(turns[0]), turns)
    assert summary["over"] == {"recipe": [2.0, 1.5, 2.5]}
    assert (summary["cpu_ms"], summary["cpu_ms_range"], summary["model"]["p50_ms"]) == (20, [10, 40], 10)
    head, rule, line = bench_predict.markdown([summary])
    assert head.count("|") == rule.count("|") == line.count("|")
    assert line.startswith("| ONNX Runtime, float32 | 1 | 50 | 20.0 (10.0 to 40.0) | 2.00 (1.50 to 2.50) |  | 10.0 | ")


def _measured(cpu: float) -> bench_predict.Measured:
    model = {"cpu_ms": cpu / 2, "p50_ms": cpu / 2, "p95_ms": cpu}
    return {"cpu_ms": cpu, "images_per_second": 1000 / cpu, "memory_mb": 100, "start_cpu_s": 1.0, "model": model}


def test_the_recipe_draws_what_has_a_score() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    boxes = np.array([[0.4, 0.25, 0.8, 0.75], [0, 0, 1, 1]], np.float32)
    found = {"detection_boxes": boxes, "detection_classes": np.array([1, 2]), "detection_scores": np.array([0.9, 0.1])}
    predictors.visualize(image, found, {1: "cat", 2: "dog"})
    assert image[60, 50].tolist() == image[80, 100].tolist() == [127, 255, 0]  # chartreuse, on the left and below
    assert not image[:, :40].any()  # of the second box there is nothing


@pytest.mark.long
def test_packages_that_cannot_be_installed_are_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = tmp_path / "packages.txt"
    packages.write_text(f"{tmp_path}/not-there.whl\n")
    monkeypatch.setattr(bench_predict, "YOLO_PACKAGES", packages)
    python, note = bench_predict.yolo_environment(tmp_path / "yolo")
    assert python is None
    assert note.startswith("not installed: ") and "not-there.whl" in note


def test_without_a_model_it_says_what_to_run(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    done = stage.call(bench_predict.main, tmp_path)
    assert done.returncode == 2
    reason = "a SavedModel there and two test photos are needed; run: make train"
    assert done.stderr.splitlines()[-1] == f"error: {paths.EXPORT}: {reason}"


def test_photos_that_not_all_competitors_read_are_left_out(project: Path) -> None:
    assert bench_predict.plain_photos(9) == (
        [str(project / "dataset/sample/test" / name) for name in ("b.jpg", "d.png")],
        ["3 photos that not all can read (a.jpg, c.webp, e.png)"],
    )
    assert bench_predict.plain_photos(1) == (
        [str(project / "dataset/sample/test/b.jpg")],
        ["1 photo that not all can read (a.jpg)"],
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose test photos are of many kinds."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    test = tmp_path / "dataset/sample/test"
    test.mkdir(parents=True)
    for name in ("b.jpg", "c.webp", "d.png"):
        Image.new("RGB", (80, 40)).save(test / name)
    (test / "a.jpg").write_text("<!doctype html>")
    (test / "e.png").write_bytes((test / "d.png").read_bytes()[:60])
    return tmp_path


@pytest.mark.parametrize(
    ("capabilities", "without"), [(["FP32", "BF16"], []), (["FP32"], ["bfloat16, which this processor lacks"])]
)
def test_rows_that_the_processor_lacks_are_left_out(
    project: Path, monkeypatch: pytest.MonkeyPatch, capabilities: list[str], without: list[str]
) -> None:
    """OpenVINO itself is no part of the environment; what it says of a processor is."""
    package = types.ModuleType("openvino")
    package.__spec__ = ModuleSpec("openvino", None)
    core = types.SimpleNamespace(get_property=lambda device, name: capabilities)
    package.Core = lambda: core  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "openvino", package)
    finder.save(project / paths.EXPORT)
    keys = [row.key for row in bench_predict.rows([1], False)]
    assert ("predict_bfloat16" in keys) == ("openvino_bfloat16" in keys) == (not without)
    assert "predict_float32" in keys and "openvino" in keys and bench_predict.missing() == without


@pytest.mark.long
def test_the_command(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    _save_red(finder.save(tmp_path / paths.EXPORT) / "saved_model")
    test = tmp_path / "dataset/sample/test"
    test.mkdir(parents=True)
    for number in range(2):
        picture = Image.new("RGB", (80, 40))
        picture.paste((255, 0, 0), (10, 5 + number, 30, 25))
        picture.save(test / f"{number}.jpg")
    done = stage.child("-m", "tools.lab.bench_predict", "--pairs", "1", "--without-yolo", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads((tmp_path / bench_predict.OUTPUT / "results.json").read_text())["rows"]
    names = ["make predict, float32", "TensorFlow, float32", "ONNX Runtime, float32", "the recipe's loop"]
    assert [row["name"] for row in rows if row["cores"] == 1] == names
    assert all(row["memory_mb"] > 50 and row["start_cpu_s"] > 0.1 for row in rows)
    assert sum(line.startswith("| ") for line in done.stdout.splitlines()) == 2 + len(rows)
    assert "<svg" in (tmp_path / bench_predict.OUTPUT / "chart.svg").read_text()


def _save_red(folder: Path) -> None:
    """A SavedModel with the exporter's contract, which finds a red box everywhere."""
    from detector.model.tensorflow_env import tf

    class Red(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, "input_tensor")])
        def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
            ones = tf.ones((tf.shape(images)[0], 1))
            return {
                "detection_boxes": ones[:, :, tf.newaxis] * [0.1, 0.1, 0.6, 0.4],
                "detection_classes": ones,
                "detection_scores": ones,
                "num_detections": ones[:, 0],
            }

    model = Red()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.__call__.get_concrete_function()})
