"""The kind of a checkpoint, with and without TensorFlow."""

from pathlib import Path

from detector.model import checkpoints, fine_tune
from detector.model.tensorflow_env import tf
from detector.weights import imagenet
from tests.support import tiny


def test_both_kinds_of_checkpoints_are_told_apart(tmp_path: Path) -> None:
    model = imagenet.build()
    imagenet.load_package(model, imagenet.package_file())
    saved = {
        "classification": tf.train.Checkpoint(feature_extractor=model),
        "detection": tf.train.Checkpoint(model=tiny.built("ssd_mobilenet_v2_fpnlite_320x320")),
    }
    for kind, checkpoint in saved.items():
        prefix = checkpoints.write(checkpoint, tmp_path / kind)
        assert (fine_tune.kind_by_index(prefix), checkpoints.kind(prefix)) == (kind, kind)
