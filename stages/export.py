"""Export the best checkpoint for use elsewhere.

python -m stages.export

model/train -> model/export/saved_model/     signature `serving_default`: input_tensor, uint8 (N, H, W, 3)
               model/export/model.tflite     float32, (1, S, S, 3) in [-1, 1]
               model/export/label_map.pbtxt  also inside both of them
"""

from dataclasses import dataclass

from detector import errors, files, params, paths


@dataclass(frozen=True)
class ExportParams:
    """The `export` section of params.yaml: what non-maximum suppression leaves."""

    max_detections: int = params.number(1, 1000)
    iou_threshold: float = params.number(0.01, 1)


def main() -> None:
    limits = params.load("export", ExportParams)
    from detector import exporting, inference

    def set_limits(config: object) -> None:
        suppression = config.model.ssd.post_processing.batch_non_max_suppression  # type: ignore[attr-defined]
        suppression.max_detections_per_class = suppression.max_total_detections = limits.max_detections
        suppression.iou_threshold = limits.iou_threshold

    config, model = inference.load(paths.TRAIN, set_limits)
    with files.whole_folder(paths.EXPORT) as folder:
        exporting.export(model, config, paths.TRAIN / paths.LABEL_MAP, folder)
        size = (folder / "model.tflite").stat().st_size / 1e6
    print(f"exported: {paths.EXPORT / 'saved_model'}, {paths.EXPORT / 'model.tflite'} ({size:.1f} MB)")


if __name__ == "__main__":
    errors.run(main)
