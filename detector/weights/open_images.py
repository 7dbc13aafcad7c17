"""Google's SSD MobileNetV2 of Open Images V4, as weights that `ssd_mobilenet_v2_320x320` starts from.

It is published as a TFLite file of MediaPipe's (Apache-2.0; published.py fetches it): an input of 300x300, 23 classes
(cat, dog, person, car, bottle...), weights of 16 bits. The Object Detection API made it, so layer for layer it is the
model that Passo trains; but in a TFLite file batch normalisation is folded into the convolutions.
`build` takes it apart again: over images of the training set it measures each channel's mean and variance before the
normalisation, and sets gamma and beta to what gives the folded layer's output with them. So what the model answers is
the file's answer, whatever the images; they matter only to training, where the statistics of a batch take their place.
"""

import itertools
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detector.base import paths
from detector.base.errors import UserError
from detector.data import records
from detector.model import checkpoints, od_api, pipeline_config
from detector.model.tensorflow_env import tf
from detector.pictures import images
from detector.weights import published
from detector.weights.imagenet import slim_scope
from detector.weights.recipe import OPEN_IMAGES_MODEL

CLASSES = 23
_BACKBONE, _NORM = "FeatureExtractor/MobilenetV2", "BatchNorm/FusedBatchNormV3"
_BATCH = 8  # images that are measured at a time
MEASURED_IMAGES = 128  # of the training set

Array = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


class _Layer(NamedTuple):
    """A convolution without bias and the normalisation behind it; `scope` is what the file calls them."""

    convolution: Any
    norm: Any
    scope: str


def write(folder: Path, record: Path, *, only_backbone: bool) -> Path:
    """Write a checkpoint into a folder, of the whole detector or of its backbone; returns its prefix.

    Args:
        record: images to measure the normalisation by; of many only some, evenly spread.

    Raises:
        UserError: the record holds no image; or as of `published.file`.
    """
    if not (offsets := records.offsets(record)):
        raise UserError(str(record), "holds no image", "write it again: dvc repro --force csv2record")
    model = build(published.file(), _spread(record, offsets))
    part = {"feature_extractor": od_api.backbone(model)} if only_backbone else {"model": model}
    return checkpoints.write(tf.train.Checkpoint(**part), folder)


def _spread(record: Path, offsets: "array[int]") -> Iterator[Pixels]:
    """At most MEASURED_IMAGES of a record's images, evenly spread, (H, W, 3) RGB."""
    for example in records.read_every(record, math.ceil(len(offsets) / MEASURED_IMAGES), offsets):
        yield np.asarray(images.open_raw(example["image/filename"][0].decode(), example["image/encoded"][0]))


def build(tflite: Path, pictures: Iterable[Pixels]) -> Any:
    """The DetectionModel with the file's weights, all of them.

    Args:
        pictures: (H, W, 3) RGB, one at least, to measure the normalisation by; they are resized as training does it.
    """
    train = pipeline_config.PipelineParams(
        model=OPEN_IMAGES_MODEL,
        fine_tune_checkpoint_type="none",
        steps=1,
        batch_size=1,
        learning_rate=1.0,
        frozen_blocks=0,
        config_override="",
        bfloat16=False,
    )
    config = pipeline_config.build(train, pipeline_config.DatasetFacts(Path(paths.LABEL_MAP), CLASSES, 1))
    model = od_api.build_model(config)
    _load(model, tflite, pictures)
    return model


def _load(model: Any, tflite: Path, pictures: Iterable[Pixels]) -> None:
    tensors = _tensors(tflite)
    layers = [*_of_backbone(model), *_of_feature_maps(model)]
    biases = [tensors.pop((f"{layer.scope}/{_NORM}", 1)) for layer in layers]
    for layer, bias in zip(layers, biases, strict=True):
        name = f"{layer.scope}/Conv2D" if (f"{layer.scope}/Conv2D", 4) in tensors else f"{layer.scope}/{_NORM}"
        layer.convolution.set_weights([_kernel(tensors.pop((name, 4)))])
        layer.norm.set_weights(_normalisation(layer, bias, np.zeros_like(bias), np.ones_like(bias)))
    for scope, convolution in _of_heads(model):
        convolution.set_weights([_kernel(tensors.pop((f"{scope}/Conv2D", 4))), tensors.pop((f"{scope}/BiasAdd", 1))])
    if tensors:
        raise ValueError(f"{tflite} holds {sorted(tensors)}, which the model has no place for")
    with tf.device("CPU:0"):  # the same bytes, whatever training will run on
        statistics = _measure(model, layers, pictures)
    for layer, bias, measured in zip(layers, biases, statistics, strict=True):
        layer.norm.set_weights(_normalisation(layer, bias, *measured))


def _kernel(weight: Array) -> Array:
    """TFLite's (out, height, width, in) as Keras has it: (height, width, in, out)."""
    return weight.transpose(1, 2, 3, 0)


def _normalisation(layer: _Layer, bias: Array, mean: Array, variance: Array) -> list[Array]:
    """gamma, beta, moving mean and variance that together add `bias`, and nothing else."""
    gamma = np.sqrt(variance + np.float32(layer.norm.epsilon))
    return [gamma, bias + mean, mean, variance]


def _tensors(tflite: Path) -> dict[tuple[str, int], Array]:
    """The file's weights by name and number of dimensions (a depthwise convolution and its bias share their name)."""
    interpreter = tf.lite.Interpreter(str(tflite))
    details = [detail for detail in interpreter.get_tensor_details() if detail["dtype"] is np.float16]
    weights = [(detail["name"].split(";")[0], interpreter.get_tensor(detail["index"])) for detail in details]
    return {(name, weight.ndim): weight.astype(np.float32) for name, weight in weights}


def _of_backbone(model: Any) -> Iterator[_Layer]:
    return _paired(od_api.backbone(model).layers, slim_scope)


def _of_feature_maps(model: Any) -> Iterator[_Layer]:
    return _paired(od_api.feature_map_layers(model), lambda name: name.removesuffix("_batchnorm"))


def _paired(layers: Iterable[Any], scope: Callable[[str], str]) -> Iterator[_Layer]:
    """The convolutions with the normalisations behind them; `scope` makes the file's name of a normalisation's."""
    weighted = [layer for layer in layers if layer.weights]
    for convolution, norm in zip(weighted[::2], weighted[1::2], strict=True):
        yield _Layer(convolution, norm, f"{_BACKBONE}/{scope(norm.name)}")


def _of_heads(model: Any) -> Iterator[tuple[str, Any]]:
    for place, (box_encoder, class_predictor) in enumerate(od_api.head_layers(model)):
        yield f"BoxPredictor_{place}/BoxEncodingPredictor", box_encoder
        yield f"BoxPredictor_{place}/ClassPredictor", class_predictor


def _measure(model: Any, layers: Sequence[_Layer], pictures: Iterable[Pixels]) -> list[tuple[Array, Array]]:
    """Mean and variance of each channel, (C,) both, as they come into each normalisation."""
    backbone = od_api.backbone(model)
    inside = [norm.input for _, norm, _ in _of_backbone(model)]
    probe = tf.keras.Model(backbone.input, [*inside, backbone.outputs[-1]])
    sums = [np.zeros((3, layer.norm.gamma.shape[0])) for layer in layers]  # of 1, x, x * x
    resized = (model.preprocess(tf.cast(picture[np.newaxis], tf.float32))[0] for picture in pictures)
    while batch := list(itertools.islice(resized, _BATCH)):
        *inputs, features = probe(tf.concat(batch, axis=0), training=False)
        for layer in od_api.feature_map_layers(model):
            if layer.name.endswith("_batchnorm"):
                inputs.append(features)
            features = layer(features, training=False)
        for total, values in zip(sums, inputs, strict=True):
            x = values.numpy().reshape(-1, total.shape[1]).astype(np.float64)
            total += np.full(total.shape[1], len(x)), x.sum(0), (x * x).sum(0)
    means = [(total[1] / total[0], total[2] / total[0]) for total in sums]
    return [(m.astype(np.float32), np.maximum(square - m * m, 0).astype(np.float32)) for m, square in means]
