"""A trained detector in the formats that are asked for."""

import functools
from pathlib import Path
from typing import Any

from detector.base import paths
from detector.export import calibration, onnx_model, saved_model, tflite, tflite_metadata
from detector.export.params import ExportParams

LICENCE = "of the code and the initial weights: README.md beside the model; of the photos: theirs"


def export(model: Any, config: Any, folder: Path, settings: ExportParams, score_threshold: float | None) -> None:
    """Fill `folder`, which holds the label map, with the formats of `settings`.

    score_threshold: the one that suits the model, if known.
    """
    label_map, formats = folder / paths.LABEL_MAP, set(settings.formats)
    photos = functools.partial(calibration.photos, paths.record("train"))
    if "saved_model" in formats:
        saved_model.save(model, label_map, folder / "saved_model")
    tflite.export(
        model,
        config,
        label_map,
        folder,
        formats,
        photos=photos,
        int8_input=settings.int8_input,
        card=tflite_metadata.Card("Passo", "Finds objects in photos.", LICENCE, score_threshold),
    )
    onnx_model.export(model, config, folder, formats, photos)
