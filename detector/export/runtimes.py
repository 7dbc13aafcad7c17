"""Every exported format, run on one picture as its users run it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from detector.data.boxes import detected_to_voc
from detector.data.tables import ImageBoxes
from detector.export.params import FORMATS
from detector.prediction import onnx_model

Run = Callable[[Image.Image, str], ImageBoxes]  # an RGB picture and its file name -> all its detections


def load(name: str, folder: Path) -> Run:
    """The format `name` of the export in `folder`, which runs on one picture at a time."""
    path = folder / FORMATS[name][0]
    if path.suffix == ".onnx":
        return onnx_model.load_file(path).detect
    return _tflite(path) if path.suffix == ".tflite" else _saved_model(path)


def _saved_model(folder: Path) -> Run:
    from detector.model.tensorflow_env import tf

    model = tf.saved_model.load(str(folder))
    signature = model.signatures["serving_default"]

    def run(picture: Image.Image, filename: str) -> ImageBoxes:
        found = signature(input_tensor=tf.constant(np.asarray(picture)[np.newaxis]))
        found = {key: value.numpy()[0] for key, value in found.items()}
        count = int(found["num_detections"])
        parts = (found[f"detection_{key}"][:count] for key in ("boxes", "classes", "scores"))
        return _image_boxes(picture, filename, *parts)

    run.model = model  # type: ignore[attr-defined]  # its variables live as long as it does
    return run


def _tflite(path: Path) -> Run:
    from detector.export import resize
    from detector.model.tensorflow_env import quiet, tf

    with quiet():
        interpreter = tf.lite.Interpreter(str(path))
        interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    ((name, details),) = runner.get_input_details().items()
    _, height, width, _ = details["shape"]

    def run(picture: Image.Image, filename: str) -> ImageBoxes:
        levels = resize.legacy_bilinear(np.asarray(picture), height, width)
        pixels = np.rint(levels) if details["dtype"] == np.uint8 else levels / np.float32(127.5) - np.float32(1)
        found = runner(**{name: pixels[np.newaxis].astype(details["dtype"])})
        count = int(found["output_0"][0])
        scores, classes, boxes = (found[f"output_{k}"][0, :count] for k in (1, 2, 3))
        return _image_boxes(picture, filename, boxes, classes + 1, scores)

    return run


def _image_boxes(picture: Image.Image, filename: str, boxes: Any, classes: Any, scores: Any) -> ImageBoxes:
    corners = detected_to_voc(boxes.astype(np.float64), *picture.size)
    ids = np.rint(classes).astype(np.int64)
    return ImageBoxes(filename, *picture.size, corners, ids, scores.astype(np.float64)).best_first()
