"""A trained detector as a SavedModel (for servers and Python) and as a TFLite model (for phones and small boards)."""

import io
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detector.base import paths
from detector.data import labels
from detector.model import od_api
from detector.model.od_api import DetectionResultFields as Detection
from detector.model.tensorflow_env import quiet, tf

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed time, so that the same model gives the same bytes


class _Saveable(tf.Module):  # type: ignore[misc]
    """A traced function with only what it needs: its variables, and the label map as an asset.

    Saving the detection model itself would trace all its Keras layers again, which takes 15 s and loads slowly.
    """

    def __init__(self, function: Any, label_map: Path | None = None) -> None:
        super().__init__()
        self.captured = sorted(function.variables, key=lambda variable: variable.name)  # otherwise in any order
        if label_map:
            self.label_map = tf.saved_model.Asset(str(label_map))


def _serving_function(model: Any) -> Any:
    """The signature of the published detectors, with a batch that works.

    The API's own exporter fixes the input to one image; given 16 it silently answers for the first alone.

    In: `input_tensor`, RGB images of one size, (N, H, W, 3) uint8.
    Out: detection_boxes (N, M, 4) [ymin, xmin, ymax, xmax] in [0, 1], detection_scores (N, M) highest first,
    detection_classes (N, M) ids of the label map, num_detections (N,); all float32, M = max_detections.
    """

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="input_tensor")])  # type: ignore[untyped-decorator]
    def serve(input_tensor: Any) -> dict[str, Any]:
        od_api.set_training(model, False)
        images, shapes = model.preprocess(tf.cast(input_tensor, tf.float32))
        detections = model.postprocess(model.predict(images, shapes), shapes)
        return {
            "detection_boxes": detections[Detection.detection_boxes],
            "detection_scores": detections[Detection.detection_scores],
            "detection_classes": detections[Detection.detection_classes] + od_api.LABEL_ID_OFFSET,
            "num_detections": detections[Detection.num_detections],
        }

    return serve.get_concrete_function()


def save_saved_model(model: Any, label_map: Path, folder: Path) -> None:
    """Write the SavedModel with the signature `serving_default` and the label map among its assets."""
    function = _serving_function(model)
    tf.saved_model.save(_Saveable(function, label_map), str(folder), signatures=function)
    (folder / "fingerprint.pb").unlink(missing_ok=True)  # holds a random id; nothing needs it


def tflite_model(model: Any, config: Any) -> bytes:
    """The float32 TFLite model.

    Input: (1, S, S, 3) float32 in [-1, 1] (pixel / 127.5 - 1). Outputs of its signature: output_0 count (1,),
    output_1 scores (1, M), output_2 classes (1, M) from 0, output_3 boxes (1, M, 4) [ymin, xmin, ymax, xmax].
    """
    od_api.set_training(model, False)
    limits = config.model.ssd.post_processing.batch_non_max_suppression
    module = od_api.SSDModule(config, model, limits.max_total_detections, use_regular_nms=True)
    image = tf.TensorSpec(module.input_shape(), tf.float32, name="input")
    with tempfile.TemporaryDirectory() as folder, quiet():
        function = module.inference_fn.get_concrete_function(image)
        tf.saved_model.save(_Saveable(function), folder, signatures=function)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.allow_custom_ops = True  # TFLite_Detection_PostProcess, which every TFLite runtime has
        return bytes(converter.convert())


def with_label_map(tflite: bytes, label_map: Path) -> bytes:
    """The model with label_map.pbtxt and labels.txt (line n names class n) inside, as TFLite's metadata packs files:

    a TFLite file may end in a zip archive, which `unzip model.tflite labels.txt` or Python's zipfile reads.
    """
    names: Mapping[str, int] = labels.read(label_map)
    file = io.BytesIO(tflite)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as packed:
        for name, content in (
            (paths.LABEL_MAP, label_map.read_text(encoding="utf-8")),
            ("labels.txt", "".join(f"{name}\n" for name in names)),
        ):
            packed.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content)
    return file.getvalue()


def export(model: Any, config: Any, label_map: Path, folder: Path) -> None:
    """Fill `folder` with saved_model/, model.tflite and label_map.pbtxt."""
    copied = folder / paths.LABEL_MAP
    labels.copy(label_map, copied)
    save_saved_model(model, copied, folder / "saved_model")
    (folder / "model.tflite").write_bytes(with_label_map(tflite_model(model, config), copied))
