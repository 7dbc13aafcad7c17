"""The shapes of a model's anchors: the boxes that its detections start from. Needs no TensorFlow."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf import text_format
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from detector.model import pipeline_config

Shape = tuple[float, float]  # width and height
_LOWEST_LAYER = (
    (0.1, 1.0),
    (None, 2.0),
    (None, 0.5),
)  # scale and aspect; None: min_scale (reduce_boxes_in_lowest_layer)


def of_model(name: str) -> tuple[int, npt.NDArray[np.float64]]:
    """The side of the input of a `train.model` in pixels, and its anchors: (K, 2) widths and heights in pixels."""
    template, size = pipeline_config.TEMPLATES[name]
    text = (Path(pipeline_config.__file__).parent / "templates" / template).read_text(encoding="utf-8")
    return size, shapes(text_format.Parse(text, TrainEvalPipelineConfig()), size)


def shapes(config: Any, size: int) -> npt.NDArray[np.float64]:
    """(K, 2) widths and heights in pixels of the input, without repetition, sorted by area."""
    generator = config.model.ssd.anchor_generator
    if generator.WhichOneof("anchor_generator_oneof") == "ssd_anchor_generator":
        sides = [(size * width, size * height) for width, height in _ssd(generator.ssd_anchor_generator)]
    else:
        sides = list(_multiscale(generator.multiscale_anchor_generator))
    return np.array(sorted(set(sides), key=lambda side: (side[0] * side[1], side[0])))


def smallest(shapes_in_pixels: npt.NDArray[np.float64]) -> float:
    """The side of the smallest anchor: the root of its area, in pixels."""
    return float(np.sqrt(shapes_in_pixels.prod(axis=1).min()))


def _ssd(anchors: Any) -> Iterator[Shape]:
    """As shares of the input, as the API's `create_ssd_anchors` has them."""
    step = (anchors.max_scale - anchors.min_scale) / (anchors.num_layers - 1)
    scales = [*(anchors.min_scale + step * layer for layer in range(anchors.num_layers)), 1.0]
    for layer, (scale, following) in enumerate(itertools.pairwise(scales)):
        if layer == 0 and anchors.reduce_boxes_in_lowest_layer:
            yield from (_shape(small or scale, aspect) for small, aspect in _LOWEST_LAYER)
            continue
        yield from (_shape(scale, aspect) for aspect in anchors.aspect_ratios)
        yield _shape(math.sqrt(scale * following), anchors.interpolated_scale_aspect_ratio)


def _multiscale(anchors: Any) -> Iterator[Shape]:
    """In pixels, as the API's `MultiscaleGridAnchorGenerator` has them, whatever the input's size."""
    for level in range(anchors.min_level, anchors.max_level + 1):
        for octave in range(anchors.scales_per_octave):
            side = anchors.anchor_scale * 2 ** (level + octave / anchors.scales_per_octave)
            yield from (_shape(side, aspect) for aspect in anchors.aspect_ratios)


def _shape(scale: float, aspect: float) -> Shape:
    return scale * math.sqrt(aspect), scale / math.sqrt(aspect)
