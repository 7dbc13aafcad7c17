"""Export the best checkpoint for use elsewhere, in the formats of export.formats.

    python -m stages.export

    model/train -> model/export/saved_model/           two signatures: `serving_default`, uint8 (N, H, W, 3); files
                   model/export/model.onnx             the same contract; model_int8.onnx
                   model/export/model.tflite           float32, (1, S, S, 3) in [-1, 1]; model_float16.tflite
                   model/export/model_int8.tflite      uint8 or float32 (export.int8_input)
                   model/export/tflite_saved_model/    to convert to TFLite by hand
                   model/export/label_map.pbtxt        also inside the SavedModel and TFLite
                   model/export/{model.json,README.md} the model's record and card: classes, metrics, data, training

The int8 formats are calibrated on photos of dataset/data/train.record. The card also reads
results/evaluate/metrics.json and dataset/data/*.{csv,record}; params of the training are those in train.json.
"""

from pathlib import Path

from detector.base import bars, errors, files, params, paths
from detector.data import labels
from detector.data.params import DatasetParams
from detector.export.params import FORMATS, ExportParams


def main() -> None:
    settings = params.load("export", ExportParams)
    dataset = params.load("dataset", DatasetParams)

    with bars.waiting("loading the model"):
        from detector.export import exporting, model_card
        from detector.model import inference

        config, model = inference.load(paths.TRAIN)
    with files.whole_folder(paths.EXPORT) as folder, bars.waiting("exporting"):
        labels.copy(paths.TRAIN / paths.LABEL_MAP, folder / paths.LABEL_MAP)
        record = model_card.record(dataset, settings, config, labels.read(folder / paths.LABEL_MAP))
        exporting.export(model, config, folder, settings, record["score_threshold"])
        model_card.write(folder, record)
        sizes = {name: megabytes(folder / FORMATS[name][0]) for name in settings.formats}
    written = ", ".join(f"{FORMATS[name][0]} ({size:.1f} MB)" for name, size in sizes.items())
    errors.say(f"exported to {paths.EXPORT}: {written}")


def megabytes(path: Path) -> float:
    """The size of a file, or of all files in a folder."""
    every = [path, *path.rglob("*")] if path.is_dir() else [path]
    return sum(one.stat().st_size for one in every if one.is_file()) / 1e6


if __name__ == "__main__":
    errors.run(main, __doc__)
