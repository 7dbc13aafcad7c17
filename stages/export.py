"""Export the best checkpoint for use elsewhere.

python -m stages.export

model/train -> model/export/saved_model/     signature `serving_default`: input_tensor, uint8 (N, H, W, 3)
               model/export/model.tflite     float32, (1, S, S, 3) in [-1, 1]
               model/export/label_map.pbtxt  also inside both of them
               model/export/about.json       train.json, and what of the dataset was left out (annotation_report.csv)
"""

from detector.base import errors, files, paths


def main() -> None:
    from detector.export import about, exporting
    from detector.model import inference

    config, model = inference.load(paths.TRAIN)
    with files.whole_folder(paths.EXPORT) as folder:
        exporting.export(model, config, paths.TRAIN / paths.LABEL_MAP, folder)
        about.write(paths.TRAIN, folder)
        size = (folder / "model.tflite").stat().st_size / 1e6
    errors.say(f"exported: {paths.EXPORT / 'saved_model'}, {paths.EXPORT / 'model.tflite'} ({size:.1f} MB)")


if __name__ == "__main__":
    errors.run(main, __doc__)
