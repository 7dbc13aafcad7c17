"""What each `fine_tune_checkpoint_type` restores, for both kinds of model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector.base.errors import UserError
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


def test_a_damaged_checkpoint_is_never_a_traceback(tmp_path: Path) -> None:
    """One index of sixty was one: TensorFlow raises IndexError then."""
    from detector.model import checkpoints
    from detector.model.tensorflow_env import tf

    variables = {f"v{number}": tf.Variable(tf.ones([3, 3])) for number in range(40)}
    checkpoint = tf.train.Checkpoint(model=tf.train.Checkpoint(**variables))
    prefix = checkpoints.write(checkpoint, tmp_path)
    index, data = (prefix.with_name(f"ckpt-1.{end}") for end in ("index", "data-00000-of-00001"))
    random = np.random.default_rng(2)
    refused = 0
    for path, count in ((index, 120), (data, 20)):
        content = path.read_bytes()
        for _ in range(count):
            damaged = bytearray(content)
            for at in random.integers(len(damaged), size=3):
                damaged[at] ^= 1 << random.integers(8)
            path.write_bytes(damaged[: random.integers(len(damaged))] if random.random() < 0.3 else damaged)
            for read in (checkpoints.variables, lambda prefix: checkpoints.restore_all(checkpoint, prefix)):
                try:
                    read(prefix)
                except UserError as error:
                    refused += 1
                    assert error.where == str(prefix)
        path.write_bytes(content)
    assert refused > 120
