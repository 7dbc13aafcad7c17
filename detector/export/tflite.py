"""A trained detector as TFLite models, for phones and small boards: float32, float16 and int8.

    checkpoint -> tflite_saved_model/      the graph that TFLite's converter can read, for those who quantise by hand
               -> model.tflite             float32
               -> model_float16.tflite     weights in half the bytes; computes in float32
               -> model_int8.tflite        weights and activations in integers, calibrated on training photos

In: (1, S, S, 3) RGB, resized as detector/prediction/resize.py does it; float32 in [-1, 1], or for int8 the pixels
themselves, uint8. Out, by place and by the name in the signature: boxes (1, M, 4) [ymin, xmin, ymax, xmax] as fractions
(output_3), classes (1, M) from 0 (output_2), scores (1, M) (output_1), their number (1,) (output_0); all float32.
Their places are those of Google's own SSD models, which Frigate, pycoral and others take for granted.
"""

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from flatbuffers import flexbuffers

from detector.export import int8, saveable, tflite_metadata
from detector.export.calibration import Photos
from detector.model import od_api
from detector.model.tensorflow_env import quiet, tf

GRAPH = "tflite_saved_model"  # the name of its format, and of its folder
FILES = {"tflite": "model.tflite", "tflite_float16": "model_float16.tflite", "tflite_int8": "model_int8.tflite"}
_USUAL_LIMIT = 100  # detections of a class, where a model does not say
INPUTS = ("uint8", "float32")  # what an int8 model may take


def save_graph(model: Any, config: Any, label_map: Path, folder: Path) -> None:
    """Write the SavedModel that TFLite's converter reads: one photo, and TFLite's own suppression of double boxes.

    It is no model to run: TensorFlow has no such operation, and in its place stand constants.
    """
    od_api.set_training(model, False)
    limits = config.model.ssd.post_processing.batch_non_max_suppression
    module = od_api.SSDModule(config, model, limits.max_total_detections, use_regular_nms=True)
    image = tf.TensorSpec(module.input_shape(), tf.float32, name="input")
    with quiet():
        function = module.inference_fn.get_concrete_function(image)
        saveable.save({"serving_default": function}, label_map, folder)


def convert(
    graph: Path,
    format_name: str,
    size: tuple[int, int],
    photos: Photos,
    int8_input: str,
    per_class: int = _USUAL_LIMIT,
) -> bytes:
    """The TFLite model of a `save_graph`, without metadata; the same bytes for the same graph and photos.

    Args:
        graph: the folder.
        format_name: one of FILES.
        size: (height, width) of its input.
        photos: to calibrate tflite_int8 with, one at least.
        int8_input: of tflite_int8, one of INPUTS.
        per_class: how many detections of a class it gives at most.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(graph))
    converter.allow_custom_ops = True  # TFLite_Detection_PostProcess, which every TFLite runtime has
    with quiet():
        if format_name == "tflite_int8":
            converted = int8.convert(converter, size, photos, int8_input)
        else:
            if format_name == "tflite_float16":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.target_spec.supported_types = [tf.float16]
            converted = bytes(converter.convert())
    return _with_limit(converted, per_class) if per_class > _USUAL_LIMIT else converted


def _with_limit(content: bytes, per_class: int) -> bytes:
    """The model, whose suppression keeps that many boxes of a class; the API's exporter does not say how many."""
    from tensorflow.lite.tools import flatbuffer_utils  # late, as it comes behind TensorFlow's settings

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    for operation in model.subgraphs[0].operators:
        if operation.customOptions is not None:
            options = flexbuffers.Loads(bytes(operation.customOptions)) | {"detections_per_class": per_class}
            operation.customOptions = np.frombuffer(flexbuffers.Dumps(options), np.uint8)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def export(
    model: Any,
    config: Any,
    label_map: Path,
    folder: Path,
    formats: Collection[str],
    *,
    photos: Photos,
    int8_input: str,
    card: tflite_metadata.Card,
) -> None:
    """Write those of `formats` that are TFLite's into `folder`: GRAPH, and FILES with metadata and labels inside.

    Args:
        photos: to calibrate tflite_int8 with.
        int8_input: of tflite_int8, one of INPUTS.
        card: what the metadata says of the model.
    """
    resizer = config.model.ssd.image_resizer.fixed_shape_resizer
    limits = config.model.ssd.post_processing.batch_non_max_suppression
    wanted = sorted(FILES.keys() & set(formats))
    with tempfile.TemporaryDirectory() as temporary:
        graph = folder / GRAPH if GRAPH in formats else Path(temporary)
        if wanted or GRAPH in formats:
            save_graph(model, config, label_map, graph)
        for format_name in wanted:
            size = resizer.height, resizer.width
            converted = convert(graph, format_name, size, photos, int8_input, limits.max_detections_per_class)
            (folder / FILES[format_name]).write_bytes(tflite_metadata.add(converted, label_map, card))
