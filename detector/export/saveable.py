"""Traced functions as a SavedModel: the same bytes for the same functions and variables."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from detector.model.tensorflow_env import tf


class _Saveable(tf.Module):  # type: ignore[misc]
    """Traced functions with only what they need: their variables, and the label map as an asset.

    Saving the detection model itself would trace all its Keras layers again, which takes 15 s and loads slowly.
    """

    def __init__(self, functions: Iterable[Any], label_map: Path) -> None:
        super().__init__()
        variables = {variable.ref(): variable for function in functions for variable in function.variables}
        self.captured = sorted(variables.values(), key=lambda variable: variable.name)  # otherwise in any order
        self.label_map = tf.saved_model.Asset(str(label_map))


def save(signatures: Mapping[str, Any], label_map: Path, folder: Path) -> None:
    """Write concrete functions into `folder`, by the names of their signatures, the label map among the assets."""
    tf.saved_model.save(_Saveable(signatures.values(), label_map), str(folder), signatures=dict(signatures))
    (folder / "fingerprint.pb").unlink(missing_ok=True)  # holds a random id; nothing needs it
