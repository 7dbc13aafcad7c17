"""A trained detector in the formats that are asked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from detector.base import paths
from detector.data import records
from detector.export import onnx_model, saved_model, tflite, tflite_metadata
from detector.export.params import ExportParams
from detector.pictures import images


def export(model: Any, config: Any, folder: Path, settings: ExportParams, score_threshold: float | None) -> None:
    """Fill `folder`, which holds the label map, with the formats of `settings`.

    score_threshold: the one that suits the model, if known.
    """
    label_map, formats = folder / paths.LABEL_MAP, set(settings.formats)
    if "saved_model" in formats:
        saved_model.save(model, label_map, folder / "saved_model")
    tflite.export(
        model,
        config,
        label_map,
        folder,
        formats,
        record=paths.record("train"),
        int8_input=settings.int8_input,
        card=tflite_metadata.Card("Passo", "Finds objects in photos.", "Apache-2.0", score_threshold),
    )
    onnx_model.export(model, config, folder, formats, calibration_photos)


def calibration_photos() -> Iterator[onnx_model.Pixels]:
    """At most CALIBRATION photos of the training split, evenly spread, (H, W, 3) RGB."""
    record = paths.record("train")
    starts = records.offsets(record)
    for example in records.read_every(record, -(-len(starts) // tflite.PHOTOS), starts):
        yield np.asarray(images.open_raw(example["image/filename"][0].decode(), example["image/encoded"][0]))
