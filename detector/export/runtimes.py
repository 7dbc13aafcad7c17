"""Every exported format, run on one picture as its users run it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from detector.base import paths
from detector.base.errors import UserError
from detector.data import labels
from detector.data.tables import ImageBoxes
from detector.export.params import FORMATS
from detector.prediction import detector
from detector.prediction.detector import Detector
from detector.prediction.found import Found, Pixels, Run

Detect = Callable[[Image.Image, str], ImageBoxes]  # an RGB picture and its file name -> all its detections


def load(name: str, folder: Path) -> Detect:
    """The format `name` of the export in `folder`."""
    path = folder / FORMATS[name][0]
    if not path.exists():
        raise UserError(str(path), "not exported yet", "run: dvc repro export")
    if path.is_file():
        return detector.load_file(path).detect
    names = labels.by_id(labels.read(folder / paths.LABEL_MAP))
    return Detector(names, _saved_model(path), digest="", most=None).detect


def _saved_model(folder: Path) -> Run:
    from detector.model.tensorflow_env import tf

    model = tf.saved_model.load(str(folder))

    def run(pixels: Pixels) -> Found:
        found = model.signatures["serving_default"](input_tensor=tf.constant(pixels[np.newaxis]))
        count = int(found["num_detections"][0])
        return Found(*(found[f"detection_{key}"][0, :count].numpy() for key in ("boxes", "classes", "scores")))

    return run
