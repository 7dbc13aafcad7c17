"""Calibration and quantisation, on a detector of two convolutions; test_tflite.py has a real one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from detector.export import int8, tflite
from tests.support import little_graph, tiny
from tests.support.little_graph import FAR, SIDE

STEP = 2 / 255  # of a pixel, where the range is [-1, 1]
PHOTOS = [np.asarray(tiny.ground(number)) for number in range(4)]  # greys, none of them black or white


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return little_graph.save(tmp_path_factory.mktemp("little"))


def converted(graph: Path, input_type: str = "uint8") -> bytes:
    return tflite.convert(graph, "tflite_int8", (SIDE, SIDE), lambda: PHOTOS, input_type)


@pytest.fixture(scope="module")
def model(graph: Path) -> bytes:
    return converted(graph)


def interpreter(content: bytes) -> Any:
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # their operations hide ours
    loaded = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    loaded.allocate_tensors()
    return loaded


def operations(content: bytes) -> list[tuple[str, list[dict[str, Any]]]]:
    """The name of each operation, and its outputs."""
    loaded = interpreter(content)
    tensors = {tensor["index"]: tensor for tensor in loaded.get_tensor_details()}
    return [(each["op_name"], [tensors[place] for place in each["outputs"]]) for each in loaded._get_ops_details()]


def test_pixels_go_in_as_they_are(model: bytes) -> None:
    """A step of the input is that of a pixel, though no photo has a black or a white one."""
    (given,) = interpreter(model).get_input_details()
    assert given["dtype"] == np.uint8
    scale, zero = given["quantization"]
    assert scale == pytest.approx(STEP, rel=1e-6)
    assert abs((0 - zero) * scale + 1) <= STEP / 2 * 1.001 and abs((255 - zero) * scale - 1) <= STEP / 2 * 1.001


def test_or_floats_do(graph: Path) -> None:
    (given,) = interpreter(converted(graph, "float32")).get_input_details()
    assert given["dtype"] == np.float32


def test_all_between_input_and_suppression_is_integers(model: bytes) -> None:
    """As the Edge TPU wants it: behind the convolutions come two that turn into floats, and TFLite's suppression."""
    in_float = [name for name, outputs in operations(model) if outputs[0]["dtype"] == np.float32]
    assert in_float == ["DEQUANTIZE", "DEQUANTIZE", "TFLite_Detection_PostProcess"]
    assert {output["dtype"] for output in interpreter(model).get_output_details()} == {np.float32}


def test_an_anchor_without_an_object_does_not_make_the_boxes_coarse(graph: Path, model: bytes) -> None:
    """Its encodings end at MOST_AWAY: in 256 steps from there the others are as fine as they may be."""
    boxes, _ = [outputs[0] for name, outputs in operations(model) if name == "RESHAPE"]
    scale, zero = boxes["quantization"]
    assert FAR < -int8.MOST_AWAY
    assert (-128 - zero) * scale == pytest.approx(-int8.MOST_AWAY, abs=scale)
    assert scale < 2 * int8.MOST_AWAY / 255


def test_the_same_graph_and_photos_give_the_same_bytes(graph: Path, model: bytes) -> None:
    assert converted(graph) == model
