"""The images that a training needs: those to train on, and those to validate with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.base import errors, paths
from detector.base.errors import UserError
from detector.data import labels, tables
from detector.model.pipeline_config import DatasetFacts
from detector.training.params import TrainParams

MANY = 100  # boxes of an image


@dataclass(frozen=True)
class TrainingData:
    """The label map's file, its ids by name, and the images of the splits."""

    label_map: Path
    ids: dict[str, int]
    images: Sequence[tables.ImageBoxes]
    val_images: Sequence[tables.ImageBoxes]

    @property
    def facts(self) -> DatasetFacts:
        """What the pipeline configuration needs of it."""
        return DatasetFacts(self.label_map, len(self.ids), tables.most_boxes(self.images))

    def epochs(self, steps: int, batch_size: int) -> float:
        """How often so many steps see each image, on average."""
        return round(steps * batch_size / max(1, len(self.images)), 1)  # none: refused later


def load(label_map: Path) -> TrainingData:
    """Read the label map and the CSVs. Errors as of `labels.read` and `tables.read_csv`."""
    ids = labels.read(label_map)
    images, val_images = (tables.read_csv(paths.csv(split), ids) for split in ("train", "val"))
    return TrainingData(label_map, ids, images, val_images)


def check(train: TrainParams, data: TrainingData) -> None:
    """Refuse patience without objects to judge by, and note an image that sets what memory is needed.

    Raises:
        UserError: no image of the validation split has an object.
    """
    if train.patience and not any(len(image.objects.boxes) for image in data.val_images):
        remedy = "raise dataset.val_fraction, or set it to 0"
        raise UserError("params.yaml", "the validation split has no objects to judge by", remedy, item="train.patience")
    count = data.facts.max_number_of_boxes
    if count > MANY:
        name = next(image.filename for image in data.images if len(image.boxes) == count)
        remedy = f"train.config_override: 'train_input_reader {{ max_number_of_boxes: {MANY} }}' drops those beyond"
        errors.say(f"{name} has {count} boxes: all images are padded to as many; if memory runs out: {remedy}")
