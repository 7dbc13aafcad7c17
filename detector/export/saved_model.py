"""A trained detector as a SavedModel, for servers and Python."""

from pathlib import Path
from typing import Any

from detector.export import saveable
from detector.model import od_api
from detector.model.od_api import DetectionResultFields as Detection
from detector.model.tensorflow_env import tf

ENCODED = "encoded_image_string_tensor"  # the API's name for such an input


def _detections(model: Any, images: Any, shapes: Any) -> dict[str, Any]:
    """detection_boxes (N, M, 4) [ymin, xmin, ymax, xmax] in [0, 1], detection_scores (N, M) highest first,

    detection_classes (N, M) ids of the label map, num_detections (N,); all float32, M = max_total_detections.
    """
    count = tf.shape(images)[0]
    one_more = tf.cast(count == 0, tf.int32)  # TensorFlow's convolutions fail on no image at all
    images = tf.pad(images, [[0, one_more], [0, 0], [0, 0], [0, 0]])
    shapes = tf.pad(shapes, [[0, one_more], [0, 0]], constant_values=1)
    detections = model.postprocess(model.predict(images, shapes), shapes)
    return {
        "detection_boxes": detections[Detection.detection_boxes][:count],
        "detection_scores": detections[Detection.detection_scores][:count],
        "detection_classes": detections[Detection.detection_classes][:count] + od_api.LABEL_ID_OFFSET,
        "num_detections": detections[Detection.num_detections][:count],
    }


def _serving_function(model: Any) -> Any:
    """The signature of the published detectors, with a batch that works.

    The API's own exporter fixes the input to one image; given 16 it silently answers for the first alone.

    In: `input_tensor`, RGB images of one size, (N, H, W, 3) uint8.
    """

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="input_tensor")], autograph=False)  # type: ignore[untyped-decorator]
    def serve(input_tensor: Any) -> dict[str, Any]:
        od_api.set_training(model, False)
        return _detections(model, *model.preprocess(tf.cast(input_tensor, tf.float32)))

    return serve.get_concrete_function()


def _encoded_function(model: Any) -> Any:
    """The signature for clients that send files: TF Serving's REST interface takes them as {"b64": ...}.

    In: `input_tensor`, (N,) strings: JPEG, PNG, BMP or the first frame of a GIF, each of any size. What EXIF says of
    the orientation is not applied.
    """

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="input_tensor")], autograph=False)  # type: ignore[untyped-decorator]
    def serve_encoded(input_tensor: Any) -> dict[str, Any]:
        od_api.set_training(model, False)

        def prepared(content: Any) -> tuple[Any, Any]:
            image = tf.cond(
                tf.io.is_jpeg(content),
                lambda: tf.io.decode_jpeg(content, 3, dct_method="INTEGER_ACCURATE"),  # as in training
                lambda: tf.io.decode_image(content, 3, expand_animations=False),
            )
            image.set_shape([None, None, 3])
            images, shapes = model.preprocess(tf.cast(image, tf.float32)[tf.newaxis])
            return images[0], shapes[0]

        images, shapes = tf.map_fn(prepared, input_tensor, fn_output_signature=(tf.float32, tf.int32))
        return _detections(model, images, shapes)

    return serve_encoded.get_concrete_function()


def save(model: Any, label_map: Path, folder: Path) -> None:
    """Write the SavedModel with the signatures `serving_default` and `ENCODED`, and the label map among its assets."""
    signatures = {"serving_default": _serving_function(model), ENCODED: _encoded_function(model)}
    saveable.save(signatures, label_map, folder)
