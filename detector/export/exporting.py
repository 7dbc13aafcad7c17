"""A trained detector as a SavedModel (for servers and Python) and as TFLite models (for phones and small boards)."""

from pathlib import Path
from typing import Any

from detector.base import paths
from detector.data import labels
from detector.export import saveable, tflite, tflite_metadata
from detector.model import od_api
from detector.model.od_api import DetectionResultFields as Detection
from detector.model.tensorflow_env import tf


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
    saveable.save(_serving_function(model), label_map, folder)


def export(model: Any, config: Any, label_map: Path, folder: Path) -> None:
    """Fill `folder` with saved_model/, model.tflite and label_map.pbtxt."""
    copied = folder / paths.LABEL_MAP
    labels.copy(label_map, copied)
    save_saved_model(model, copied, folder / "saved_model")
    card = tflite_metadata.Card("Passo", "Finds objects in photos.", "Apache-2.0", score_threshold=None)
    record = paths.record("train")
    tflite.export(model, config, copied, folder, ["tflite"], record=record, int8_input="uint8", card=card)
