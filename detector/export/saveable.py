"""A traced function as a SavedModel: the same bytes for the same function and variables."""

from pathlib import Path
from typing import Any

from detector.model.tensorflow_env import tf


class _Saveable(tf.Module):  # type: ignore[misc]
    """A traced function with only what it needs: its variables, and the label map as an asset.

    Saving the detection model itself would trace all its Keras layers again, which takes 15 s and loads slowly.
    """

    def __init__(self, function: Any, label_map: Path) -> None:
        super().__init__()
        self.captured = sorted(function.variables, key=lambda variable: variable.name)  # otherwise in any order
        self.label_map = tf.saved_model.Asset(str(label_map))


def save(function: Any, label_map: Path, folder: Path) -> None:
    """Write a concrete function into `folder` with the signature `serving_default`, the label map among its assets."""
    tf.saved_model.save(_Saveable(function, label_map), str(folder), signatures=function)
    (folder / "fingerprint.pb").unlink(missing_ok=True)  # holds a random id; nothing needs it
