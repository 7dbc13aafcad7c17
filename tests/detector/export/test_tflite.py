"""The TFLite models: of a little graph what goes in and what comes out, and all of them of a real detector."""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from detector.data import labels
from detector.export import tflite, tflite_metadata
from detector.prediction.resize import legacy_bilinear
from tests.support import little_graph, tiny
from tests.test_readme import blocks

PHOTOS = [np.asarray(tiny.ground(number)) for number in range(4)]
CARD = tflite_metadata.Card("Cats", "Finds cats and dogs.", "Apache-2.0", 0.3)


def interpreter(path: Path) -> Any:
    loaded = Interpreter(str(path))
    loaded.allocate_tensors()
    return loaded


def found(path: Path, photo: Image.Image | None = None) -> list[np.ndarray]:
    """What a model answers to a photo, in the order of its outputs."""
    model = interpreter(path)
    (given,) = model.get_input_details()
    side = given["shape"][1]
    pixels = np.rint(legacy_bilinear(np.asarray(photo or tiny.ground(9)), side, side))[np.newaxis]
    is_float = given["dtype"] == np.float32
    model.set_tensor(given["index"], np.float32(pixels / 127.5 - 1) if is_float else pixels.astype(np.uint8))
    model.invoke()
    return [model.get_tensor(output["index"]) for output in model.get_output_details()]


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of a little graph, with metadata."""
    folder = tmp_path_factory.mktemp("little")
    graph = little_graph.save(folder)
    size = (little_graph.SIDE, little_graph.SIDE)
    for name, file in tflite.FILES.items():
        converted = tflite.convert(graph, name, size, lambda: PHOTOS, "uint8")
        (folder / file).write_bytes(tflite_metadata.add(converted, folder / "label_map.pbtxt", CARD))
    return folder


@pytest.mark.parametrize("name", tflite.FILES)
def test_a_photo_goes_in_and_boxes_classes_scores_and_their_number_come_out(little: Path, name: str) -> None:
    """In this order, on which programs for SSDs rely; the names of the signature are what they have always been."""
    model = interpreter(little / tflite.FILES[name])
    (given,) = model.get_input_details()
    assert tuple(given["shape"]) == (1, 8, 8, 3)
    assert given["dtype"] == (np.uint8 if name == "tflite_int8" else np.float32)
    assert_detections(found(little / tflite.FILES[name]), little_graph.MOST)
    called = model.get_signature_runner()(input=np.zeros(given["shape"], given["dtype"]))
    assert [called[f"output_{place}"].shape for place in (3, 2, 1, 0)] == [(1, 10, 4), (1, 10), (1, 10), (1,)]


def assert_detections(outputs: list[np.ndarray], most: int) -> None:
    assert {output.dtype for output in outputs} == {np.dtype(np.float32)}
    assert [output.shape for output in outputs] == [(1, most, 4), (1, most), (1, most), (1,)]
    boxes, classes, scores, number = outputs
    assert (boxes[..., 2:] >= boxes[..., :2]).all()
    assert set(np.unique(classes)) <= {0, 1}
    assert (np.diff(scores) <= 0).all() and 0 < scores.max() <= 1
    assert 0 < number <= most


@pytest.mark.parametrize("file", tflite.FILES.values())
def test_the_example_of_the_docs_prints_what_is_found(little: Path, tmp_path: Path, file: str) -> None:
    """In an environment without TensorFlow it runs in test_mediapipe.py."""
    (example,) = [block for block in blocks("docs/exports.md", "python") if "ai_edge_litert" in block]
    (tmp_path / "dataset/sample/test").mkdir(parents=True)
    tiny.ground(9).resize((8, 8)).save(tmp_path / "dataset/sample/test/test_00000.jpg", "PNG")  # needs no other resize
    (tmp_path / "model").mkdir()
    (tmp_path / "model/export").symlink_to(little)
    script = example.replace("model_int8.tflite", file).replace("score >= 0.5", "score > 0")
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    boxes, classes, scores, number = found(little / file, tiny.ground(9).resize((8, 8)))
    lines = [line.rstrip("]").split(" [") for line in done.stdout.splitlines()]
    assert len(lines) == number[0]
    named = [f"{('cat', 'dog')[int(place)]} {score:.3f}" for place, score in zip(classes[0], scores[0], strict=True)]
    assert [words for words, _ in lines] == named[: len(lines)]
    np.testing.assert_allclose(
        [[float(end) for end in box.split()] for _, box in lines], boxes[0, : len(lines)], atol=1e-5
    )


def test_the_graph_is_kept_for_those_who_quantise_by_hand(
    little: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the docs show it. Every conversion of the other SavedModel ends at tf.TensorListReserve."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/export").symlink_to(little)
    assert_quantisable()
    (asset,) = (little / "tflite_saved_model" / "assets").iterdir()
    assert labels.read(asset) == {"cat": 1, "dog": 2}


def assert_quantisable() -> None:
    (example,) = [block for block in blocks("docs/exports.md", "python") if "import tensorflow" in block]
    Path("by_hand.py").write_text(example)
    runpy.run_path("by_hand.py")
    assert len(interpreter(Path("model_dynamic.tflite")).get_output_details()) == 4


@pytest.mark.long
def test_a_detector_in_all_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With random weights, and an input of 96 x 96 pixels; the small models answer as the float32 model does."""
    label_map = tmp_path / "label_map.pbtxt"
    labels.write(label_map, ["cat", "dog"])
    name = "ssd_mobilenet_v2_320x320"
    model, config = tiny.built(name), tiny.small_config(name)
    formats = ["saved_model", *tflite.FILES, tflite.GRAPH]
    tflite.export(model, config, label_map, tmp_path, formats, photos=lambda: PHOTOS, int8_input="uint8", card=CARD)
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {*tflite.FILES.values(), "tflite_saved_model", "label_map.pbtxt"}
    outputs = {name: found(tmp_path / file) for name, file in tflite.FILES.items()}
    for each in outputs.values():
        assert_detections(each, 100)
    np.testing.assert_allclose(outputs["tflite_float16"][2], outputs["tflite"][2], atol=0.01)
    np.testing.assert_allclose(outputs["tflite_int8"][2], outputs["tflite"][2], atol=0.1)
    sizes = {name: (tmp_path / file).stat().st_size for name, file in tflite.FILES.items()}
    assert sizes["tflite_float16"] < 0.55 * sizes["tflite"] and sizes["tflite_int8"] < 0.35 * sizes["tflite"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/export").symlink_to(tmp_path)
    assert_quantisable()
