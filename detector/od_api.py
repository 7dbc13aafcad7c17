"""The one file that imports the Object Detection API (its protos aside), with every patch that TensorFlow 2.20 needs.

The API's last release is of 2022. What has gone since, and what stands in for it here:

- Keras 3 is TensorFlow's default: `TF_USE_LEGACY_KERAS=1` (detector/tensorflow_env.py).
- `tensorflow.compat.v1.estimator` went with TF 2.16: `inputs.py` uses class names of it only.
- `tensorflow_io` is imported by `deepmac_meta_arch.py`, which an SSD never uses.
- TensorFlow decodes JPEG by a fast, inexact DCT; the API has a switch for the exact one, which gives the pixels that
  Pillow gives: `predict` sees what training saw.
- `case`, `cond` and `while_loop` left `control_flow_ops`, where tf-slim's decoders call them.

Everything that other modules need of the API is an attribute of this one: `from detector import od_api`.
"""

import functools
import sys
import types
from collections.abc import Sequence
from typing import Any

from detector.tensorflow_env import tf


def _stand_in(name: str, **attributes: Any) -> types.ModuleType:
    """A module that the API imports and an SSD never uses."""
    module = types.ModuleType(name, "Stand-in; see detector/od_api.py.")
    vars(module).update(attributes)
    return module


class _ModeKeys:
    TRAIN, EVAL, PREDICT = "train", "eval", "infer"


def _patch_estimator() -> None:
    estimator = _stand_in("tensorflow.compat.v1.estimator", ModeKeys=_ModeKeys)
    tf.compat.v1.estimator = estimator
    sys.modules.setdefault("tensorflow.compat.v1.estimator", estimator)


def _patch_control_flow() -> None:
    from tensorflow.python.ops import cond, control_flow_case, control_flow_ops, while_loop

    control_flow_ops.case = control_flow_case.case
    control_flow_ops.cond = cond.cond
    control_flow_ops.while_loop = while_loop.while_loop


def _patch_tensorflow_io() -> None:
    sys.modules.setdefault("tensorflow_io", _stand_in("tensorflow_io"))


_patch_estimator()
_patch_control_flow()
_patch_tensorflow_io()

from object_detection import inputs  # noqa: E402
from object_detection.builders import decoder_builder, model_builder, optimizer_builder  # noqa: E402
from object_detection.core.standard_fields import DetectionResultFields, InputDataFields  # noqa: E402
from object_detection.export_tflite_graph_lib_tf2 import SSDModule  # noqa: E402
from object_detection.utils import ops  # noqa: E402

__all__ = ["DetectionResultFields", "InputDataFields", "SSDModule", "inputs", "optimizer_builder"]

decoder_builder.tf_example_decoder.TfExampleDecoder = functools.partial(
    decoder_builder.tf_example_decoder.TfExampleDecoder, dct_method="INTEGER_ACCURATE"
)

HASH_KEY = inputs.HASH_KEY
Tensors = dict[str, tf.Tensor]
LABEL_ID_OFFSET = 1  # the API's class 0 is the label map's id 1


def hashes(filenames: Sequence[str]) -> list[int]:
    """The numbers that the API's input pipeline puts in the place of the file names."""
    return [int(number) for number in tf.strings.to_hash_bucket_fast(list(filenames), inputs.HASH_BINS).numpy()]


def build_model(config: Any) -> Any:
    """The DetectionModel of a TrainEvalPipelineConfig, its variables built."""
    tf.keras.backend.reset_uids()  # layer names count from 1 again: they are in what is saved
    model = model_builder.build(config.model, is_training=True)
    resizer = config.model.ssd.image_resizer.fixed_shape_resizer
    shape = (1, resizer.height, resizer.width, 3)
    set_training(model, False)
    model.predict(tf.zeros(shape), tf.constant([shape[1:]]))
    return model


def set_training(model: Any, is_training: bool) -> None:
    """Choose between training and inference for what is traced from here on; call it inside the traced function."""
    model._is_training = is_training
    tf.keras.backend.set_learning_phase(is_training)


def provide_groundtruth(model: Any, labels: Tensors) -> None:
    """Hand a batch's groundtruth (padded boxes (B, M, 4), their classes and weights) to the model, image by image."""
    fields = InputDataFields
    model.provide_groundtruth(
        groundtruth_boxes_list=tf.unstack(labels[fields.groundtruth_boxes]),
        groundtruth_classes_list=tf.unstack(labels[fields.groundtruth_classes]),
        groundtruth_weights_list=tf.unstack(labels[fields.groundtruth_weights]),
    )


def losses(
    model: Any, features: dict[str, tf.Tensor], labels: dict[str, tf.Tensor]
) -> tuple[dict[str, tf.Tensor], Any]:
    """The losses of a batch by name (`localization_loss`, `classification_loss`, `regularization_loss`, `total_loss`).

    Returns:
        The scalar losses, and the model's raw predictions for `model.postprocess`.
    """
    provide_groundtruth(model, labels)
    shapes = features[InputDataFields.true_image_shape]
    predictions = ops.bfloat16_to_float32_nested(model.predict(features[InputDataFields.image], shapes))
    found = {name.removeprefix("Loss/"): value for name, value in model.loss(predictions, shapes).items()}
    found["regularization_loss"] = tf.add_n(ops.bfloat16_to_float32_nested(model.regularization_losses()))
    found["total_loss"] = tf.add_n(list(found.values()))
    return found, predictions
