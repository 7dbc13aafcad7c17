"""The only file that imports the Object Detection API (its protos aside), with every patch that TensorFlow 2.20 needs.

The API's last release is of 2022. What is gone since then, and what replaces it here:

- Keras 3 is TensorFlow's default: `TF_USE_LEGACY_KERAS=1` (detector/model/tensorflow_env.py).
- `tensorflow.compat.v1.estimator` was removed in TF 2.16: `inputs.py` needs only names of its classes.
- `tensorflow_io` is imported by `deepmac_meta_arch.py`, which an SSD never uses.
- TensorFlow decodes JPEG by a fast, inexact DCT. The API has a switch for the exact one, which gives Pillow's pixels:
  `predict` sees what training saw.
- `case`, `cond` and `while_loop` are no longer in `control_flow_ops`, where tf-slim's decoders call them.
- Augmentation uses stateful random ops, whose numbers depend on the ones before. `training_example` replaces them by
  stateless ones, so that an example can be repeated. The API chooses among crops by Switch and Merge, whose dead
  branches make a whole example dead in a traced function; `tf.switch_case` replaces them. Both changes are made for
  `training_example` only, not for the API's own `inputs.train_input`.
- An example without a source id gets a random one; here it keeps the empty one (ours have the file's name). The op is
  stateful, and under `enable_op_determinism` one such op forces the input pipeline into one thread.

Other modules get the API from here: `from detector.model import od_api`.
"""

import functools
import itertools
import re
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from detector.base.errors import UserError
from detector.model.tensorflow_env import tf


def _stand_in(name: str, **attributes: Any) -> types.ModuleType:
    """A module that the API imports and an SSD never uses."""
    module = types.ModuleType(name, "Stand-in; see detector/model/od_api.py.")
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
from object_detection.core import box_list_ops, preprocessor  # noqa: E402
from object_detection.core.box_list import BoxList  # noqa: E402
from object_detection.core.standard_fields import DetectionResultFields, InputDataFields  # noqa: E402
from object_detection.export_tflite_graph_lib_tf2 import SSDModule  # noqa: E402
from object_detection.utils import ops  # noqa: E402

__all__ = ["DetectionResultFields", "InputDataFields", "SSDModule", "inputs"]


class _Decoder(decoder_builder.tf_example_decoder.TfExampleDecoder):  # type: ignore[misc]
    """The API's, with the exact DCT, and the weight 0 for boxes of crowds."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments, dct_method="INTEGER_ACCURATE")

    def decode(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        tensors = dict(super().decode(serialized))
        is_crowd = tf.cast(tensors[InputDataFields.groundtruth_is_crowd], tf.float32)  # empty where the record has none
        weights = tensors[InputDataFields.groundtruth_weights]
        rest = tf.shape(weights)[0] - tf.shape(is_crowd)[0]
        tensors[InputDataFields.groundtruth_weights] = weights * (1 - tf.pad(is_crowd, [[0, rest]]))
        return tensors


decoder_builder.tf_example_decoder.TfExampleDecoder = _Decoder
inputs._replace_empty_string_with_random_number = lambda source_id: source_id

HASH_KEY = inputs.HASH_KEY
Tensors = dict[str, tf.Tensor]
LABEL_ID_OFFSET = 1  # the API's class 0 is the label map's id 1
INSIDE = 0.5  # the share of an anchor in a crowd from which it is no background


def hashes(filenames: Sequence[str]) -> list[int]:
    """The numbers by which the API's input pipeline replaces file names."""
    return [int(number) for number in tf.strings.to_hash_bucket_fast(list(filenames), inputs.HASH_BINS).numpy()]


def training_example(config: Any, model: Any, seed: int) -> Callable[[tf.Tensor, tf.Tensor], tuple[Tensors, Tensors]]:
    """A function from a serialized `tf.train.Example` to (features, labels), by the API's `inputs.train_input`.

    It takes the example and its position in the training (int64): augmentation is a pure function of that and of
    `seed`. Tracing it raises UserError for an augmentation option that cannot be applied, or cannot be repeated.
    """
    only_transform = {"dataset_build": lambda *_, transform_input_data_fn, **__: transform_input_data_fn}
    with _replaced(inputs, INPUT_BUILDER_UTIL_MAP=only_transform):
        transform = inputs.train_input(config.train_config, config.train_input_reader, config.model, model=model)
    reader = config.train_input_reader.__class__()
    reader.CopyFrom(config.train_input_reader)
    reader.ClearField("label_map_path")  # the record holds the ids; a table of names would be stateful
    decoder = decoder_builder.build(reader)

    def example(serialized: tf.Tensor, position: tf.Tensor) -> tuple[Tensors, Tensors]:
        with _replaced(preprocessor, **_stateless(seed, position)), _replaced(inputs, augment_input_data=_augment):
            features, labels = transform(decoder.decode(serialized))
        return features, labels

    return example


@contextmanager
def _replaced(module: types.ModuleType, **attributes: Any) -> Iterator[None]:
    before = {name: getattr(module, name) for name in attributes}
    vars(module).update(attributes)
    try:
        yield
    finally:
        vars(module).update(before)


class _Overlay:
    """A module with some of its attributes replaced."""

    def __init__(self, module: Any, **attributes: Any) -> None:
        vars(self).update(attributes, _module=module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _stateless(seed: int, position: tf.Tensor) -> dict[str, Any]:
    """Replacements for names in preprocessor.py: a draw's seed is (`seed`, its number in the trace; `position`)."""
    numbers = itertools.count(1)  # 0 is for the order: detector/training/batches.py

    def key() -> tf.Tensor:  # made where the op is made, be it in a branch of a tf.cond
        return tf.stack([tf.constant(seed + (next(numbers) << 32), tf.int64), position])

    def uniform(shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = tf.float32, **_: Any) -> tf.Tensor:
        return tf.random.stateless_uniform(shape, key(), minval, maxval, dtype)

    def normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = tf.float32, **_: Any) -> tf.Tensor:
        return tf.random.stateless_normal(shape, key(), mean, stddev, dtype)

    def sample_distorted_bounding_box(image_size: Any, bounding_boxes: Any, **arguments: Any) -> Any:
        return tf.image.stateless_sample_distorted_bounding_box(image_size, bounding_boxes, key(), **arguments)

    def apply_one_of(x: Any, function: Callable[[Any, int], Any], num_cases: int, *_: Any, **__: Any) -> Any:
        case = uniform([], maxval=num_cases, dtype=tf.int32)
        return tf.switch_case(case, [functools.partial(function, x, number) for number in range(num_cases)])

    v1 = preprocessor.tf
    random = _Overlay(v1.random, uniform=uniform, normal=normal)
    image = _Overlay(v1.image, sample_distorted_bounding_box=sample_distorted_bounding_box)
    return {
        "tf": _Overlay(v1, random_uniform=uniform, random=random, image=image),
        "_apply_with_random_selector": apply_one_of,
        "_apply_with_random_selector_tuples": apply_one_of,
    }


_augment_all = inputs.augment_input_data


def _augment(
    tensors: Tensors, data_augmentation_options: Sequence[tuple[Callable[..., Any], dict[str, Any]]]
) -> Tensors:
    """The API's `augment_input_data`, option by option, so that an error names the one at fault."""
    for option, arguments in data_augmentation_options:
        try:
            tensors = tf.autograph.to_graph(_augment_all)(tensors, [(option, arguments)])
            _refuse_state(tf.compat.v1.get_default_graph().as_graph_def())
        except Exception as error:
            reason = f"the Object Detection API cannot apply it: {error}"
            raise UserError("data_augmentation_options", reason, "leave it out", item=option.__name__) from error
    return tensors


def _refuse_state(graph: Any) -> None:
    functions = (function.node_def for function in graph.library.function)  # such as the branches of tf.cond
    for node in itertools.chain(graph.node, *functions):
        if "seed2" in node.attr:  # what TensorFlow's stateful random ops, and no others, have
            raise ValueError(f"it draws from {node.op}, which could not be repeated")


def build_model(config: Any, *, bfloat16: bool = False) -> Any:
    """The DetectionModel of a TrainEvalPipelineConfig, its variables built.

    With `bfloat16` the layers compute in it; the variables, and so all that is saved, stay float32.
    """
    tf.keras.backend.reset_uids()  # layer names count from 1 again: they are saved, too
    resizer = config.model.ssd.image_resizer.fixed_shape_resizer
    shape = (1, resizer.height, resizer.width, 3)
    with _policy("mixed_bfloat16" if bfloat16 else "float32"):
        model = model_builder.build(config.model, is_training=True)
        set_training(model, False)
        model.predict(tf.zeros(shape), tf.constant([shape[1:]]))
    _freeze(model, config.train_config.freeze_variables)
    return model


@contextmanager
def _policy(name: str) -> Iterator[None]:
    """Keras' global policy, for the layers that are made inside."""
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)


def _freeze(model: Any, patterns: Sequence[str]) -> None:
    """Do not train the backbone's layers whose variables all match; their batch normalisation is that of inference.

    The API itself reads `freeze_variables` under TensorFlow 1 only.
    """
    for layer in backbone(model).layers:
        names = [variable.name for variable in layer.weights]
        if names and all(any(re.match(pattern, name) for pattern in patterns) for name in names):
            layer.trainable = False


def backbone(model: Any) -> Any:
    """The Keras model of a detector's MobileNetV2."""
    return model._feature_extractor.classification_backbone


def feature_map_layers(model: Any) -> list[Any]:
    """The Keras layers behind the backbone, in the order in which an SSD MobileNetV2 applies them."""
    return [layer for level in model._feature_extractor.feature_map_generator.convolutions for layer in level]


def head_layers(model: Any) -> list[tuple[Any, Any]]:
    """An SSD MobileNetV2's convolutions that predict boxes and classes, a pair for each feature map."""
    heads = model._box_predictor._prediction_heads
    boxes, classes = heads["box_encodings"], heads["class_predictions_with_background"]
    pairs = zip(boxes, classes, strict=True)
    return [(box._box_encoder_layers[0], class_._class_predictor_layers[0]) for box, class_ in pairs]


def restored_objects(model: Any, fine_tune_checkpoint_type: str) -> dict[str, Any]:
    """What a `fine_tune_checkpoint_type` restores, by the names in checkpoints.

    `detection` is the API's feature extractor, and the layers that place boxes, which depend on no class; the API's own
    tutorial on few-shot training restores them, too. `classification` and `full` are the API's.
    """
    if fine_tune_checkpoint_type != "detection":
        return dict(model.restore_from_objects(fine_tune_checkpoint_type))
    predictor = model._box_predictor
    if hasattr(predictor, "_box_prediction_head"):  # FPNLite: a tower of layers for each kind of head
        names = ("_base_tower_layers_for_heads", "_box_prediction_head")
        parts = {name: getattr(predictor, name) for name in names}
    else:
        boxes = predictor._prediction_heads["box_encodings"]
        parts = {"_prediction_heads": tf.train.Checkpoint(box_encodings=boxes)}
    heads = tf.train.Checkpoint(**parts)
    return {"model": tf.train.Checkpoint(_feature_extractor=model._feature_extractor, _box_predictor=heads)}


def trainable_variables(model: Any) -> tuple[list[Any], list[Any]]:
    """Those of the layers that the detector adds to the backbone; those of the backbone."""
    pretrained = backbone(model).trainable_variables
    known = {variable.ref() for variable in pretrained}
    return [variable for variable in model.trainable_variables if variable.ref() not in known], pretrained


def train_loop() -> Callable[..., None]:
    """The API's own `model_lib_v2.train_loop`, to compare with; without the package of its LVIS metrics."""
    parts = {name: types.SimpleNamespace(LVIS=object, LVISEval=object) for name in ("eval", "lvis", "results")}
    sys.modules.setdefault("lvis", _stand_in("lvis", **parts))
    from object_detection import model_lib_v2

    return model_lib_v2.train_loop  # type: ignore[no-any-return]


def optimizer(config: Any, position: tf.Variable, rate_factor: float = 1.0) -> tuple[Any, Callable[[], tf.Tensor]]:
    """The API's optimiser, and its rate at `position` (in steps, of the schedule in `config`) times `rate_factor`."""
    scaled = config.__class__()
    scaled.CopyFrom(config)
    schedule = scaled.adam_optimizer.learning_rate.cosine_decay_learning_rate
    schedule.learning_rate_base *= rate_factor
    schedule.warmup_learning_rate *= rate_factor
    built, (rate,) = optimizer_builder.build(scaled, global_step=position)
    return built, rate


def set_training(model: Any, is_training: bool) -> None:
    """Choose between training and inference for what is traced next; call it inside the traced function."""
    model._is_training = is_training
    tf.keras.backend.set_learning_phase(is_training)


def provide_groundtruth(model: Any, labels: Tensors) -> None:
    """Hand a batch's groundtruth (padded boxes (B, M, 4), their classes and weights) to the model, image by image.

    The weight is 0 for crowds and for padding, which has no area.
    """
    fields = InputDataFields
    model.provide_groundtruth(
        groundtruth_boxes_list=tf.unstack(labels[fields.groundtruth_boxes]),
        groundtruth_classes_list=tf.unstack(labels[fields.groundtruth_classes]),
        groundtruth_weights_list=tf.unstack(labels[fields.groundtruth_weights]),
    )


def losses(
    model: Any, features: dict[str, tf.Tensor], labels: dict[str, tf.Tensor], *, replicas: int = 1
) -> tuple[dict[str, tf.Tensor], Any]:
    """The losses of a batch by name (`localization_loss`, `classification_loss`, `regularization_loss`, `total_loss`).

    What the model says of a crowd is out of them: its anchors are neither positive nor negative.

    Args:
        replicas: how many share the batch. The sum of their losses is the loss that one replica has for the whole
            batch. (The API's own mean over replicas is not: each divides by its own matches.)

    Returns:
        The scalar losses, and the model's raw predictions for `model.postprocess`.
    """
    shapes = features[InputDataFields.true_image_shape]
    predictions = ops.bfloat16_to_float32_nested(model.predict(features[InputDataFields.image], shapes))
    # After `predict`: synchronised batch normalisation switches between the replicas' traces inside of it.
    provide_groundtruth(model, labels)
    with _assigning(model) as matches:
        parts = {name.removeprefix("Loss/"): value for name, value in model.loss(predictions, shapes).items()}
    regularization = _sum(ops.bfloat16_to_float32_nested(model.regularization_losses()))
    if replicas > 1:
        regularization /= replicas
        if model._normalize_loss_by_num_matches:
            (own,) = matches
            whole = tf.distribute.get_replica_context().all_reduce("SUM", own)
            parts = {name: value * tf.maximum(own, 1.0) / tf.maximum(whole, 1.0) for name, value in parts.items()}
    parts["regularization_loss"] = regularization
    parts["total_loss"] = _sum(list(parts.values()))
    return parts, predictions


def plain_resize(config: Any) -> tuple[int, int] | None:
    """(height, width) that every photo is resized to; None where the configuration resizes in another way than ours."""
    size = config.model.ssd.image_resizer.fixed_shape_resizer
    is_plain = size.height and size == type(size)(height=size.height, width=size.width)
    return (size.height, size.width) if is_plain else None


def preprocessed(model: Any, resized: tf.Tensor) -> tf.Tensor:
    """What `model.preprocess` does to (N, height, width, 3) floats after it has resized them as `plain_resize` says."""
    return model._feature_extractor.preprocess(resized)


def raw_detections(model: Any, predictions: Tensors) -> Tensors:
    """What `model.postprocess` starts from: `boxes` (N, A, 4), normalised, and `scores` (N, A, classes) of the anchors.

    predictions: of `model.predict`.
    """
    boxes, _ = model._batch_decode(predictions["box_encodings"], predictions["anchors"])
    scores = model._score_conversion_fn(predictions["class_predictions_with_background"])
    return {"boxes": boxes, "scores": scores[..., 1:]}  # without the background


@contextmanager
def _assigning(model: Any) -> Iterator[list[tf.Tensor]]:
    """Inside, `model.loss` ignores crowds. A list gets the number that it divides by: how many anchors have an object.

    The API gives the weight of a box to the anchors that it is matched with, so those of a crowd are out of the loss.
    The other anchors that lie in a crowd would still be background.
    """
    counts: list[tf.Tensor] = []
    assign = model._assign_targets

    def assign_all(boxes: Any, classes: Any, keypoints: Any, weights: Any, confidences: Any) -> Any:
        targets = assign(boxes, classes, keypoints, weights, confidences)
        class_targets, class_weights, box_targets, box_weights, match = targets
        counts.append(tf.reduce_sum(box_weights))  # 1 where matched to an object

        def without_crowds() -> tf.Tensor:
            on_crowds = tf.stack([_on_crowds(model.anchors, *one) for one in zip(boxes, weights, strict=True)])
            return tf.where((on_crowds & (match < 0))[..., tf.newaxis], 0.0, class_weights)

        crowds = tf.stack([_crowds(*one) for one in zip(boxes, weights, strict=True)])
        class_weights = tf.cond(tf.reduce_any(crowds), without_crowds, functools.partial(tf.identity, class_weights))
        return class_targets, class_weights, box_targets, box_weights, match

    vars(model)["_assign_targets"] = assign_all
    try:
        yield counts
    finally:
        del vars(model)["_assign_targets"]


def _crowds(boxes: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """(M,) which of the (M, 4) boxes are crowds; padding has no area."""
    return (weights == 0) & tf.reduce_all(boxes[:, :2] < boxes[:, 2:], axis=1)


def _on_crowds(anchors: Any, boxes: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """(A,) whether half of what the image shows of an anchor lies in a crowd, or no other anchor fits one better."""
    crowds = BoxList(tf.where(_crowds(boxes, weights)[:, tf.newaxis], boxes, 0.0))
    shown = BoxList(tf.clip_by_value(anchors.get(), 0.0, 1.0))
    inside = box_list_ops.ioa(crowds, shown) >= INSIDE  # (M, A)
    iou = box_list_ops.iou(crowds, anchors)
    best = (iou > 0) & (iou == tf.reduce_max(iou, axis=1, keepdims=True))  # an object would be matched with it
    return tf.reduce_any(inside | best, axis=0)


def _sum(scalars: Sequence[tf.Tensor]) -> tf.Tensor:
    """Their sum, in this order; that of `tf.add_n` depends on threads (detector/training/determinism.py)."""
    return tf.reduce_sum(tf.stack(scalars))
