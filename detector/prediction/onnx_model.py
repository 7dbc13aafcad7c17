"""The exported detector on one picture: `model/export/model.onnx`, run by ONNX Runtime. Needs no TensorFlow.

In: `input_tensor`, uint8 (N, H, W, 3). Out, for N images of at most M detections (post_processing in pipeline.config):
detection_boxes (N, M, 4) normalised [ymin, xmin, ymax, xmax], detection_scores (N, M), detection_classes (N, M) with
ids from 1, num_detections (N,). The SavedModel has the same contract.
"""

import hashlib
import json
from collections.abc import Mapping
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

FILES = {"float32": "model.onnx", "int8": "model_int8.onnx"}  # by predict.precision
OUTPUTS = ["detection_boxes", "detection_scores", "detection_classes", "num_detections"]
_REDUCED_SIDE = 1000  # pixels: a long side of at least twice this is reduced to 1000-1999, still well above what the
# network sees (300 to 640); smaller photos go in as they are, as in the evaluation
_EXPORT = "run: dvc repro --force export"


@dataclass(frozen=True)
class Detector:
    """A loaded model, which several threads may use at a time. `names`: class id -> name.

    session: the model in ONNX Runtime. digest: of the model's file and of the names, in hexadecimal.
    """

    names: Mapping[int, str]
    session: Any
    digest: str

    def detect(self, image: Image.Image, filename: str) -> ImageBoxes:
        """The detections in an RGB picture of any size; boxes in its pixels, clipped to it, best score first."""
        pixels = np.asarray(_reduced(image))[np.newaxis]
        boxes, scores, classes, counts = self.session.run(OUTPUTS, {"input_tensor": pixels})
        count = int(counts[0])
        ids = np.rint(classes[0, :count]).astype(np.int64)
        if unknown := sorted(set(ids.tolist()) - self.names.keys()):
            raise UserError(paths.LABEL_MAP, f"the model's class ids {unknown} are missing", _EXPORT)
        corners = detected_to_voc(boxes[0, :count].astype(np.float64), *image.size)
        return ImageBoxes(filename, *image.size, corners, ids, scores[0, :count].astype(np.float64)).best_first()


def load(export_dir: str | Path = paths.EXPORT, precision: str = "float32") -> Detector:
    """Load the model and the label map of an export folder.

    Raises:
        UserError: the model or the label map is missing or unreadable, or the model has other inputs or outputs.
    """
    path = Path(export_dir) / FILES[precision]
    if not path.is_file():
        raise UserError(str(path), "no model yet", _missing(Path(export_dir), precision))
    return load_file(path)


def load_file(path: Path) -> Detector:
    """Load a model, and the label map beside it; errors as in `load`."""
    names = labels.by_id(labels.read(path.parent / paths.LABEL_MAP))
    import onnxruntime  # late: it takes longer than all that may go wrong before

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # each photo has a thread of its own
    options.log_severity_level = 4  # what is wrong is an exception
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common class
        raise UserError(str(path), f"does not load: {error}", _EXPORT) from error
    missing = {"input_tensor", *OUTPUTS} - {one.name for one in (*session.get_inputs(), *session.get_outputs())}
    if missing:
        raise UserError(str(path), f"has no {' and no '.join(sorted(missing))}", _EXPORT)
    digest = hashlib.sha256(json.dumps([files.sha256(path), dict(names)]).encode()).hexdigest()
    return Detector(names, session, digest)


def _missing(folder: Path, precision: str) -> str:
    if not folder.is_dir():
        return "run: make train (or make pull, for a model that was trained before)"
    name = "onnx" if precision == "float32" else f"onnx_{precision}"
    return f"put {name} into export.formats in params.yaml, and run: dvc repro export"


def _reduced(image: Image.Image) -> Image.Image:
    """A huge photo averaged down by a whole factor; the network sees 300 to 640 pixels anyway."""
    factor = max(image.size) // _REDUCED_SIDE
    return image.reduce(factor) if factor > 1 and min(image.size) >= factor else image
