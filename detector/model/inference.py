"""The losses and detections of a detector on a split's record, by the Object Detection API.

Training's validation and the `evaluate` stage both use it, so they measure the same thing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from detector.base.bars import bar
from detector.base.errors import UserError
from detector.data import records
from detector.data.boxes import detected_to_voc
from detector.data.tables import ImageBoxes, most_boxes
from detector.model import checkpoints, od_api, pipeline_config
from detector.model.od_api import DetectionResultFields, InputDataFields
from detector.model.tensorflow_env import tf


class Inference:
    """`inference()` -> losses and detections of `model` as it is at that moment; traced once.

    Args:
        model: the API's DetectionModel.
        config: its TrainEvalPipelineConfig.
        record: a TFRecord, one example per element of `images`, in the same order.
        images: the record's images; of their boxes only the number matters here.
    """

    def __init__(self, model: Any, config: Any, record: Path, images: Sequence[ImageBoxes]) -> None:
        self._model, self._record, self._images = model, record, images
        reader = config.eval_input_reader[0].__class__()
        reader.CopyFrom(config.eval_input_reader[0])
        reader.tf_record_input_reader.input_path[:] = [record.as_posix()]
        reader.ClearField("label_map_path")  # the record holds the ids
        reader.max_number_of_boxes = most_boxes(images)  # the API drops what is beyond
        self._dataset = od_api.inputs.eval_input(config.eval_config, reader, config.model, model=model)
        self._step = tf.function(self._traced_step)

    def _traced_step(self, features: Any, labels: Any) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        od_api.set_training(self._model, False)
        losses, predictions = od_api.losses(self._model, features, labels)
        return losses, self._model.postprocess(predictions, features[InputDataFields.true_image_shape])

    def __call__(self, progress: str | None = None) -> tuple[dict[str, float], list[ImageBoxes]]:
        """The losses, averaged over the images, and each image's detections in the order of `images`.

        Boxes are in pixels of the original image, highest score first, at most as many as the model gives.
        `progress`: a title for a progress bar, or None for silence.
        """
        sums: dict[str, float] = {}
        detected: list[ImageBoxes] = []
        hashes = od_api.hashes([image.filename for image in self._images])
        examples = bar(self._dataset, progress, len(self._images)) if progress else self._dataset
        with records.named_damage(self._record):
            for features, labels in examples:
                if len(detected) == len(hashes) or int(features[od_api.HASH_KEY][0]) != hashes[len(detected)]:
                    self._refuse(f"example {len(detected) + 1} is not of the same image as in the CSV")
                image = self._images[len(detected)]
                losses, detections = self._step(features, labels)
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + float(value)
                detected.append(_to_image_boxes(detections, image))
        if len(detected) != len(self._images):
            self._refuse(f"{len(detected)} examples, but {len(self._images)} images in the CSV")
        return {name: value / len(detected) for name, value in sums.items()}, detected

    def _refuse(self, reason: str) -> NoReturn:
        raise UserError(str(self._record), reason, "run: dvc repro --force csv2record")


def _to_image_boxes(detections: dict[str, tf.Tensor], image: ImageBoxes) -> ImageBoxes:
    count = int(detections[DetectionResultFields.num_detections][0])
    boxes = detections[DetectionResultFields.detection_boxes][0, :count].numpy().astype(np.float64)  # normalised
    scores = detections[DetectionResultFields.detection_scores][0, :count].numpy().astype(np.float64)
    classes = detections[DetectionResultFields.detection_classes][0, :count].numpy().astype(np.int64)
    return ImageBoxes(
        filename=image.filename,
        width=image.width,
        height=image.height,
        boxes=detected_to_voc(boxes, image.width, image.height),
        classes=classes + od_api.LABEL_ID_OFFSET,
        scores=scores,
    )


def of(train_dir: Path, record: Path, images: Sequence[ImageBoxes]) -> Inference:
    """The best checkpoint of `train_dir` on a record.

    Raises:
        UserError: there is no trained model; when it is called, the record does not hold the same images.
    """
    config, model = load(train_dir)
    return Inference(model, config, record, images)


def load(train_dir: Path) -> tuple[Any, Any]:
    """The pipeline configuration and the best model in `train_dir`, the output of `train_tpu`."""
    path = train_dir / "pipeline.config"
    if not path.exists():
        raise UserError(str(train_dir), "holds no trained model", "run: make train (or: make pull)")
    config = pipeline_config.read(path)
    model = od_api.build_model(config)
    checkpoints.restore(model, train_dir / "best" / "ckpt-1", "full")
    return config, model
