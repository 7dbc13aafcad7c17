"""What each `fine_tune_checkpoint_type` restores, for both kinds of model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import tiny


def predicted(model: Any) -> dict[str, np.ndarray]:
    from detector.model import od_api
    from detector.model.tensorflow_env import tf

    od_api.set_training(model, False)
    image = np.random.default_rng(1).uniform(-1, 1, (1, tiny.SIDE, tiny.SIDE, 3)).astype(np.float32)
    found = model.predict(tf.constant(image), tf.constant([[tiny.SIDE, tiny.SIDE, 3]]))
    return {name: found[name].numpy() for name in ("box_encodings", "class_predictions_with_background")}


@pytest.mark.parametrize("name", ["ssd_mobilenet_v2_320x320", "ssd_mobilenet_v2_fpnlite_320x320"])
def test_detection_restores_features_and_boxes_and_no_classes(name: str, tmp_path: Path) -> None:
    from detector.model import checkpoints
    from detector.model.tensorflow_env import tf

    old, new = tiny.built(name), tiny.built(name)
    for variable in old.trainable_variables:
        variable.assign(variable * 3 + 0.01)  # fresh weights of 0.03 and less let a signal die out on its way
    before = predicted(new)
    checkpoints.write(tf.train.Checkpoint(model=old), tmp_path / "old")
    checkpoints.restore(new, tmp_path / "old" / "ckpt-1", "detection")
    expected, after = predicted(old), predicted(new)
    assert not np.array_equal(before["box_encodings"], expected["box_encodings"])
    assert np.abs(expected["box_encodings"]).max() > 1e-3
    np.testing.assert_array_equal(after["box_encodings"], expected["box_encodings"])
    assert not np.array_equal(*(found["class_predictions_with_background"] for found in (after, expected)))
