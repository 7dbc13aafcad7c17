"""The exported detector on one picture: `model/export/saved_model`, called through its signature `serving_default`.

In: `input_tensor`, uint8 (N, H, W, 3). Out, for N images of at most M detections (post_processing in pipeline.config):
detection_boxes (N, M, 4) normalised [ymin, xmin, ymax, xmax], detection_scores (N, M), detection_classes (N, M) with
ids from 1, num_detections (N,).
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from detector.base import files, paths
from detector.base.errors import UserError
from detector.data import labels
from detector.data.boxes import detected_to_voc
from detector.data.tables import ImageBoxes

SIGNATURE = "serving_default"
_REDUCED_SIDE = 1000  # pixels: a long side of at least twice this is reduced to 1000-1999, still well above what the
# network sees (300 to 640); smaller photos go in as they are, as in the evaluation
_EXPORT = "run: dvc repro --force export"


@dataclass(frozen=True)
class Detector:
    """A loaded model. `names`: class id -> name. `model` keeps the variables alive that `call` uses.

    digest: of the model's files and of the names, in hexadecimal.
    """

    names: Mapping[int, str]
    call: Callable[..., Mapping[str, Any]]
    model: Any
    digest: str

    def detect(self, image: Image.Image, filename: str) -> ImageBoxes:
        """The detections in an RGB picture of any size; boxes in its pixels, clipped to it, best score first."""
        result = self.call(input_tensor=np.asarray(_reduced(image))[np.newaxis])
        count = int(result["num_detections"][0])
        boxes, scores, classes = (
            np.asarray(result[f"detection_{kind}"][0][:count], dtype=np.float64)
            for kind in ("boxes", "scores", "classes")
        )
        ids = np.rint(classes).astype(np.int64)
        if unknown := sorted(set(ids.tolist()) - self.names.keys()):
            raise UserError(paths.LABEL_MAP, f"the model's class ids {unknown} are missing", _EXPORT)
        return ImageBoxes(filename, *image.size, detected_to_voc(boxes, *image.size), ids, scores).best_first()


def load(export_dir: str | Path = paths.EXPORT) -> Detector:
    """Load the SavedModel and the label map of an export folder; takes seconds, because it imports TensorFlow.

    Raises:
        UserError: the model or the label map is missing or unreadable, or the model has another signature.
    """
    folder = Path(export_dir) / "saved_model"
    if not (folder / "saved_model.pb").is_file():
        remedy = "run: make train (or make pull, for a model that was trained before)"
        raise UserError(str(folder), "no model yet", remedy)
    names = labels.by_id(labels.read(Path(export_dir) / paths.LABEL_MAP))
    from detector.model.tensorflow_env import tf

    try:
        model = tf.saved_model.load(str(folder))
    except Exception as error:  # damaged files raise nearly anything: OSError, ValueError, tf.errors.*
        raise UserError(str(folder), f"does not load: {error}", _EXPORT) from error
    if SIGNATURE not in model.signatures:
        raise UserError(str(folder), f"has no signature {SIGNATURE}", _EXPORT)
    return Detector(names, model.signatures[SIGNATURE], model, _digest(folder, names))


def _digest(folder: Path, names: Mapping[int, str]) -> str:
    digest = hashlib.sha256(json.dumps(dict(names)).encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)} {files.sha256(path)}\n".encode())
    return digest.hexdigest()


def _reduced(image: Image.Image) -> Image.Image:
    """A huge photo averaged down by a whole factor; the network sees 300 to 640 pixels anyway."""
    factor = max(image.size) // _REDUCED_SIDE
    return image.reduce(factor) if factor > 1 and min(image.size) >= factor else image
