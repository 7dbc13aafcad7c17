"""The anchors, compared with the Object Detection API's own, and with what can be computed by hand."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from detector.data import boxes
from detector.model import pipeline_config
from tests.support.stage import REPOSITORY
from tools.inspecting import anchors

SSD = "ssd_mobilenet_v2_320x320"
FPN = "ssd_mobilenet_v2_fpnlite_320x320"
OVERRIDES = {
    SSD: "",
    FPN: "",
    "ssd_mobilenet_v2_fpnlite_640x640": "",
    "ssd_mobilenet_v2_320x320 ": "model { ssd { anchor_generator { ssd_anchor_generator { min_scale: 0.1 "
    "max_scale: 0.8 aspect_ratios: 4.0 interpolated_scale_aspect_ratio: 2.0 "
    "reduce_boxes_in_lowest_layer: false } } } }",
    "ssd_mobilenet_v2_fpnlite_320x320 ": "model { ssd { anchor_generator { multiscale_anchor_generator "
    "{ anchor_scale: 3.0 scales_per_octave: 3 aspect_ratios: 5.0 } } } }",
}


def config(model: str, override: str = "") -> Any:
    template, size = pipeline_config.TEMPLATES[model.strip()]
    text = (REPOSITORY / "detector/model/templates" / template).read_text()
    result = text_format.Parse(text, TrainEvalPipelineConfig())
    resizer = result.model.ssd.image_resizer.fixed_shape_resizer
    resizer.height = resizer.width = size
    return text_format.Merge(override, result)


def made(model: str) -> anchors.Anchors:
    result = anchors.of(config(model))
    assert result
    return result


@pytest.mark.parametrize("model", OVERRIDES)
def test_they_are_the_apis_own(model: str) -> None:
    importlib.import_module("detector.model.od_api")  # starts TensorFlow, and makes the API importable
    anchor_generator_builder = importlib.import_module("object_detection.builders.anchor_generator_builder")
    settings = config(model, OVERRIDES[model])
    ours = anchors.of(settings)
    assert ours
    generator = anchor_generator_builder.build(settings.model.ssd.anchor_generator)
    maps = [(layer.count, layer.count) for layer in ours.layers]
    theirs = generator.generate(maps, im_height=ours.size, im_width=ours.size)
    expected = np.concatenate([one.get().numpy() for one in theirs]) * ours.size
    assert ours.boxes().shape == expected.shape
    np.testing.assert_allclose(ours.boxes(), expected, atol=1e-3)


def test_as_many_as_the_published_models_have() -> None:
    """1,917 is in the published SSD MobileNetV2's tensors; 12,804 in FPNLite 320's."""
    assert len(made(SSD).boxes()) == 1917 and len(made(FPN).boxes()) == 12804
    assert [layer.count for layer in made(SSD).layers] == [19, 10, 5, 3, 2, 1]
    assert [layer.count for layer in made(FPN).layers] == [40, 20, 10, 5, 3]


def test_the_smallest_anchor() -> None:
    assert made(SSD).smallest == pytest.approx(30)  # a tenth of 300
    assert made(FPN).smallest == pytest.approx(32)  # 4 strides of 8


def test_a_box_on_an_anchor_fits_it_and_a_speck_fits_none() -> None:
    stride = 300 / 19
    square = [stride / 2 - 15, stride / 2 - 15, stride / 2 + 15, stride / 2 + 15]
    assert made(SSD).best_iou([square, [100, 100, 103, 103]]).tolist() == pytest.approx([1, 9 / 900])
    assert made(SSD).fits([[30, 30], [15, 30]]).tolist() == pytest.approx([1, 0.5])


@given(st.lists(st.tuples(*[st.floats(0, 319)] * 4), max_size=5), st.sampled_from([SSD, FPN]))
def test_the_nearest_anchor_of_each_shape_is_enough(corners: list[tuple[float, ...]], model: str) -> None:
    found = [(min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1) for a, b, c, d in corners]
    brute = boxes.iou(np.array(found).reshape(-1, 4), made(model).boxes()[:, [1, 0, 3, 2]])
    np.testing.assert_allclose(made(model).best_iou(found), brute.max(axis=1), atol=1e-9)


def test_other_generators_and_resizers_are_left_alone() -> None:
    other = "model { ssd { image_resizer { keep_aspect_ratio_resizer { min_dimension: 3 max_dimension: 4 } } } }"
    assert anchors.of(config(SSD, other)) is None
    grid = "model { ssd { anchor_generator { grid_anchor_generator { height: 3 } } } }"
    assert anchors.of(config(SSD, grid)) is None


def test_no_tensorflow(tmp_path: Path) -> None:
    from tests.support.stage import child

    code = "import sys, tools.inspecting.anchors; sys.exit('tensorflow' in sys.modules)"
    assert child("-c", code, cwd=REPOSITORY).returncode == 0
