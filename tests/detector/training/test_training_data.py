"""What a dataset must have for a training, and what is noted of it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from detector.base import params
from detector.base.errors import UserError
from detector.data import tables
from detector.training import training_data
from detector.training.params import TrainParams
from tests.support import tiny


def crowd(count: int) -> tables.ImageBoxes:
    return tables.ImageBoxes("crowd.jpg", 9, 9, np.zeros((count, 4)), np.ones(count, int), np.ones(count))


def check(
    root: Path, patience: int, images: Sequence[tables.ImageBoxes] = (), val_images: Sequence[tables.ImageBoxes] = ()
) -> None:
    tiny.params(root, **{"train.patience": str(patience)})
    train = params.load("train", TrainParams, root / "params.yaml")
    training_data.check(train, training_data.TrainingData(Path("label_map.pbtxt"), {"cat": 1}, images, val_images))


def test_patience_needs_objects_to_judge_by(tmp_path: Path) -> None:
    check(tmp_path, 0)
    check(tmp_path, 2, val_images=[crowd(1)])
    for images in ([], [crowd(0)], [dataclasses.replace(crowd(1), is_crowd=np.ones(1, dtype=bool))]):
        with pytest.raises(UserError) as caught:
            check(tmp_path, 2, val_images=images)
        assert caught.value.line() == (
            "params.yaml: train.patience: the validation split has no objects to judge by; "
            "raise dataset.val_fraction, or set it to 0"
        )


def test_a_crowded_image_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It sets what all images are padded to, and so what memory is needed."""
    check(tmp_path, 0, [crowd(100)])
    assert capsys.readouterr().out == ""
    check(tmp_path, 0, [crowd(1), crowd(101)])
    assert capsys.readouterr().out == (
        "crowd.jpg has 101 boxes: all images are padded to as many; if memory runs out: train.config_override: "
        "'train_input_reader { max_number_of_boxes: 100 }' drops those beyond\n"
    )
