"""A trained detector as TFLite models, for phones and small boards: float32, float16 and int8.

    checkpoint -> tflite_saved_model/      the graph that TFLite's converter can read, for those who quantise by hand
               -> model.tflite             float32
               -> model_float16.tflite     weights in half the bytes; computes in float32
               -> model_int8.tflite        weights and activations in integers, calibrated on training photos

In: (1, S, S, 3) RGB, resized as detector/export/resize.py does it; float32 in [-1, 1], or for int8 the pixels
themselves, uint8. Out, by place and by the name in the signature: boxes (1, M, 4) [ymin, xmin, ymax, xmax] as fractions
(output_3), classes (1, M) from 0 (output_2), scores (1, M) (output_1), their number (1,) (output_0); all float32.
Their places are those of Google's own SSD models, which Frigate, pycoral and others take for granted.
"""

import functools
import itertools
import math
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from detector.base.errors import UserError
from detector.data import records
from detector.export import saveable, tflite_metadata
from detector.model import od_api
from detector.model.tensorflow_env import quiet, tf
from detector.pictures import images
from detector.prediction import resize

GRAPH = "tflite_saved_model"  # the name of its format, and of its folder
FILES = {"tflite": "model.tflite", "tflite_float16": "model_float16.tflite", "tflite_int8": "model_int8.tflite"}
INPUTS = ("uint8", "float32")  # what an int8 model may take
PHOTOS = 100  # at most, to calibrate with

Photos = Callable[[], Iterable[resize.Floats]]  # (S, S, 3) in [-1, 1], the same ones each time


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


def convert(graph: Path, format_name: str, photos: Photos, int8_input: str) -> bytes:
    """The TFLite model of a `save_graph`, without metadata; the same bytes for the same graph and photos.

    Args:
        graph: the folder.
        format_name: one of FILES.
        photos: to calibrate tflite_int8 with, one at least.
        int8_input: of tflite_int8, one of INPUTS.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(graph))
    converter.allow_custom_ops = True  # TFLite_Detection_PostProcess, which every TFLite runtime has
    if format_name != "tflite":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if format_name == "tflite_float16":
        converter.target_spec.supported_types = [tf.float16]
    if format_name == "tflite_int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: ([photo[np.newaxis]] for photo in _of_full_range(photos()))
        converter.inference_input_type = tf.as_dtype(int8_input)
    with quiet():
        return bytes(converter.convert())


def _of_full_range(photos: Iterable[resize.Floats]) -> Iterator[resize.Floats]:
    """The photos, with a black and a white pixel in the first: a step of the int8 input is then that of a pixel.

    Otherwise the darkest and the brightest pixel of these photos would be its ends, and pixels could not go in as they
    are, which is what MediaPipe, Frigate and the Edge TPU do.
    """
    rest = iter(photos)
    first = next(rest).copy()
    first[0, 0], first[0, 1] = -1, 1
    return itertools.chain([first], rest)


def calibration_photos(record: Path, height: int, width: int) -> Iterator[resize.Floats]:
    """At most PHOTOS images of a record, evenly spread, as the model sees them: (height, width, 3) in [-1, 1]."""
    starts = records.offsets(record)
    if not starts:
        raise UserError(str(record), "holds no photos, which int8 is calibrated with", "run: dvc repro csv2record")
    for example in records.read_every(record, math.ceil(len(starts) / PHOTOS), starts):
        pixels = np.asarray(images.open_raw(example["image/filename"][0].decode(), example["image/encoded"][0]))
        yield resize.legacy_bilinear(pixels, height, width) * np.float32(2 / 255) - 1


def export(
    model: Any,
    config: Any,
    label_map: Path,
    folder: Path,
    formats: Collection[str],
    *,
    record: Path,
    int8_input: str,
    card: tflite_metadata.Card,
) -> None:
    """Write those of `formats` that are TFLite's into `folder`: GRAPH, and FILES with metadata and labels inside.

    Args:
        record: its photos calibrate tflite_int8.
        int8_input: of tflite_int8, one of INPUTS.
        card: what the metadata says of the model.
    """
    size = config.model.ssd.image_resizer.fixed_shape_resizer
    photos = functools.partial(calibration_photos, record, size.height, size.width)
    with tempfile.TemporaryDirectory() as temporary:
        graph = folder / GRAPH if GRAPH in formats else Path(temporary)
        save_graph(model, config, label_map, graph)
        for format_name in sorted(FILES.keys() & set(formats)):
            converted = convert(graph, format_name, photos, int8_input)
            (folder / FILES[format_name]).write_bytes(tflite_metadata.add(converted, label_map, card))
