"""The exported detector on one picture, with the label map's classes. Needs no TensorFlow."""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from detector.base import files, paths
from detector.base.errors import UserError
from detector.data import labels
from detector.data.boxes import detected_to_voc
from detector.data.tables import ImageBoxes
from detector.prediction import openvino_model, selection
from detector.prediction.found import Pixels, Run

# By predict.precision: a format of export.formats, and its file.
FORMATS = {
    "float32": ("onnx", "model.onnx"),
    "int8": ("tflite_int8", "model_int8.tflite"),
}
OPENVINO = {"bfloat16": ("onnx", "model.onnx"), "int8": ("onnx_int8", "model_int8.onnx")}  # where it is installed
_STRIP_PIXELS = 2**20
_EXPORT = "run: dvc repro --force export"


@dataclass(frozen=True)
class Detector:
    """A loaded model, which several threads may use at a time.

    names: class id -> name. digest: of the model's file and of the names, in hexadecimal. most: detections of a photo
    that it gives at most, where model.json beside it says so. how: what computes it, where that is no matter of course.
    """

    names: Mapping[int, str]
    run: Run
    digest: str
    most: int | None
    how: str = ""

    def detect(self, image: Image.Image, filename: str) -> ImageBoxes:
        """The detections in an RGB picture of any size; boxes in its pixels, clipped to it, best score first."""
        found = self.run(_pixels(image))
        ids = np.rint(found.classes).astype(np.int64)
        if unknown := sorted(set(ids.tolist()) - self.names.keys()):
            raise UserError(paths.LABEL_MAP, f"the model's class ids {unknown} are missing", _EXPORT)
        boxes = detected_to_voc(found.boxes.astype(np.float64), *image.size)
        return ImageBoxes(filename, *image.size, boxes, ids, found.scores.astype(np.float64)).best_first()


def load(export_dir: str | Path = paths.EXPORT, precision: str = "float32") -> Detector:
    """Load the model and the label map of an export folder. precision: of `predict.precision`.

    Raises:
        UserError: the model or the label map is missing or unreadable, or the model has other inputs or outputs; the
            precision needs OpenVINO, which is not installed, or another processor.
    """
    folder = Path(export_dir)
    by_openvino = openvino_model.is_installed() and precision in OPENVINO
    if by_openvino and precision in FORMATS:
        by_openvino = (folder / OPENVINO[precision][1]).is_file()
    if precision not in FORMATS and not by_openvino:
        raise UserError("predict.precision", f"{precision} needs OpenVINO, which is missing", openvino_model.INSTALL)
    name, file = (OPENVINO if by_openvino else FORMATS)[precision]
    path = folder / file
    if not path.is_file():
        get = "run: make train (or make pull, for a model that was trained before)"
        add = f"put {name} into export.formats in params.yaml, and run: dvc repro export"
        if folder != paths.EXPORT:
            add = f"export it with {name} in export.formats, or set predict.precision to what it has"
        raise UserError(str(path), "no model yet", add if path.parent.is_dir() else get)
    if not by_openvino:
        return load_file(path)
    return _loaded(path, functools.partial(openvino_model.load, precision=precision), f"{precision} by OpenVINO")


def load_file(path: Path) -> Detector:
    """Load a model with the runtime of its kind, and the label map beside it; errors as in `load`."""
    return _loaded(path, _load, "")


def _loaded(path: Path, load_run: Callable[[Path], Run], how: str) -> Detector:
    names = labels.by_id(labels.read(path.parent / paths.LABEL_MAP))
    try:
        run = load_run(path)
    except UserError:
        raise
    except Exception as error:  # each runtime raises its own
        raise UserError(str(path), f"does not load: {error}", _EXPORT) from error
    digest = hashlib.sha256(json.dumps([files.sha256(path), dict(names), how]).encode()).hexdigest()
    return Detector(names, run, digest, selection.most_detections(path.parent / paths.MODEL_RECORD), how)


def _load(path: Path) -> Run:
    if path.suffix == ".onnx":
        from detector.prediction import onnx_model  # late, as its runtime takes longer than what may go wrong before

        return onnx_model.load(path)
    from detector.prediction import tflite_model

    return tflite_model.load(path)


def _pixels(image: Image.Image) -> Pixels:
    """(H, W, 3) of an RGB picture. Of a large one in strips: Pillow would take the memory twice, and twice the time."""
    width, height = image.size
    if width * height <= _STRIP_PIXELS:
        return np.asarray(image)
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        pixels[top : top + rows] = np.asarray(image.crop((0, top, width, min(top + rows, height))))
    return pixels
