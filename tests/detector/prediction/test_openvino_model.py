"""OpenVINO on a model that begins with the exports' resize; where it is installed (make openvino)."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from detector.export import onnx_resize
from detector.prediction import openvino_model
from detector.prediction.resize import legacy_bilinear

# Its only detection has the mean of the resized photo as its score.
_MEAN = """
<ir_version: 9, opset_import: ["" : 18]>
mean (float[N, 3, S, T] resized) => (
    float[N, 1, 4] detection_boxes, float[N, 1] detection_scores, float[N, 1] detection_classes, float[N] num_detections
) {
    sides = Constant <value_ints = [1, 2, 3]> ()
    num = ReduceMean <keepdims = 0> (resized, sides)
    unit = Constant <value_float = 1.0> ()
    num_detections = Clip (num, unit, unit)
    last = Constant <value_ints = [1]> ()
    detection_scores = Unsqueeze (num, last)
    detection_classes = Clip (detection_scores, unit, unit)
    row = Concat <axis = 1> (detection_classes, detection_classes, detection_classes, detection_classes)
    detection_boxes = Unsqueeze (row, last)
}
"""


@pytest.mark.skipif(not openvino_model.is_installed(), reason="OpenVINO is not installed")
@pytest.mark.parametrize("size", [(50, 70), (1500, 2000)])
def test_it_sees_the_photo_as_the_others_do(tmp_path: Path, size: tuple[int, int]) -> None:
    model = onnx.compose.merge_models(
        onnx_resize.model(30, 40), onnx.parser.parse_model(_MEAN), io_map=[("resized", "resized")]
    )
    onnx.save(model, tmp_path / "model.onnx")
    photo = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    found = openvino_model.load(tmp_path / "model.onnx", precision="float32")(photo)
    assert found.scores == pytest.approx([legacy_bilinear(photo, 30, 40).mean()], abs=0.01)
