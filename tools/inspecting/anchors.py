"""The anchors of a model, without TensorFlow: the boxes of fixed shapes and places that the network starts from.

Training matches an object with the anchors that overlap it with an IoU of 0.5 or more; one that has none is given its
best anchor, from which the network must correct further than it does well. Same numbers as the Object Detection API's
`ssd_anchor_generator` (Liu et al., SSD, section 2.2) and `multiscale_anchor_generator` (Lin et al., RetinaNet); a test
compares them.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.data.boxes import Floats

MATCHED = 0.5  # IoU: matched_threshold of the templates
_SSD_STRIDE = 16  # of the backbone's first feature map that predicts; each further one has half its sides


@dataclass(frozen=True)
class Layer:
    """The anchors of one square feature map: in each of count x count cells, the same shapes around its centre.

    stride, offset: pixels between two centres, and of the first one. shapes: (K, 2) width and height in pixels.
    """

    count: int
    stride: float
    offset: float
    shapes: Floats


@dataclass(frozen=True)
class Anchors:
    """size: of the network's square input, in pixels, as all lengths here."""

    size: int
    layers: tuple[Layer, ...]

    @property
    def shapes(self) -> Floats:
        """(K, 2) width and height of every shape, from small to large."""
        shapes = np.unique(np.concatenate([layer.shapes for layer in self.layers]).round(6), axis=0)
        return np.asarray(shapes[np.argsort(shapes.prod(axis=1), kind="stable")])

    @property
    def smallest(self) -> float:
        """The side of a square with the area of the smallest anchor."""
        return math.sqrt(self.shapes[0].prod())

    def boxes(self) -> Floats:
        """(A, 4) [ymin, xmin, ymax, xmax] of all anchors, in the API's order."""
        return np.concatenate([_boxes(layer) for layer in self.layers])

    def best_iou(self, boxes: npt.ArrayLike) -> Floats:
        """(N,) the greatest IoU of each box, (N, 4) [xmin, ymin, xmax, ymax], with any anchor.

        Of anchors of one shape the nearest overlaps most: one for each shape is all that is looked at.
        """
        corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        return np.asarray(np.max([_best_iou(corners, layer) for layer in self.layers], axis=0, initial=0.0))

    def fits(self, shapes: npt.ArrayLike) -> Floats:
        """(N,) the IoU of each (width, height) with the anchor shape that is most like it, centre upon centre."""
        a, b = np.asarray(shapes, dtype=np.float64)[:, None], self.shapes[None]  # (N, 1, 2), (1, K, 2)
        common = np.minimum(a, b).prod(axis=-1)
        return np.asarray((common / (a.prod(axis=-1) + b.prod(axis=-1) - common)).max(axis=1))


def of(config: Any) -> Anchors | None:
    """The anchors of a TrainEvalPipelineConfig; None where its generator or resizer is neither template's."""
    ssd = config.model.ssd
    resizer, kind = ssd.image_resizer.fixed_shape_resizer, ssd.anchor_generator.WhichOneof("anchor_generator_oneof")
    size = resizer.height
    if not ssd.image_resizer.HasField("fixed_shape_resizer") or size < 1 or size != resizer.width:
        return None
    if kind == "ssd_anchor_generator" and not ssd.anchor_generator.ssd_anchor_generator.height_stride:
        return Anchors(size, _ssd(ssd.anchor_generator.ssd_anchor_generator, size))
    if kind == "multiscale_anchor_generator":
        return Anchors(size, _multiscale(ssd.anchor_generator.multiscale_anchor_generator, size))
    return None


def _ssd(options: Any, size: int) -> tuple[Layer, ...]:
    last = options.num_layers - 1
    spread = options.max_scale - options.min_scale
    scales = list(options.scales) or [options.min_scale + spread * k / max(last, 1) for k in range(last + 1)]
    layers, count = [], math.ceil(size / _SSD_STRIDE)
    for k, (scale, following) in enumerate(zip(scales, [*scales[1:], 1.0], strict=True)):
        specs = [(scale, ratio) for ratio in options.aspect_ratios]
        if options.interpolated_scale_aspect_ratio > 0:
            specs.append((math.sqrt(scale * following), options.interpolated_scale_aspect_ratio))
        if k == 0 and options.reduce_boxes_in_lowest_layer:
            specs = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
        layers.append(Layer(count, size / count, size / count / 2, _shapes(specs, size)))
        count = math.ceil(count / 2)
    return tuple(layers)


def _multiscale(options: Any, size: int) -> tuple[Layer, ...]:
    octave = [2 ** (k / options.scales_per_octave) for k in range(options.scales_per_octave)]
    layers = []
    for level in range(options.min_level, options.max_level + 1):
        stride = 2**level
        specs = [(scale, ratio) for ratio in options.aspect_ratios for scale in octave]
        offset = stride / 2 if size % stride == 0 else 0.0
        layers.append(Layer(math.ceil(size / stride), stride, offset, _shapes(specs, options.anchor_scale * stride)))
    return tuple(layers)


def _shapes(specs: list[tuple[float, float]], side: float) -> Floats:
    """(K, 2) width and height of (scale, width / height) pairs; a scale of 1 has the area of a square of `side`."""
    return np.array([(scale * math.sqrt(ratio) * side, scale / math.sqrt(ratio) * side) for scale, ratio in specs])


def _boxes(layer: Layer) -> Floats:
    centres = layer.offset + layer.stride * np.arange(layer.count)
    y, x = (np.repeat(axis.ravel(), len(layer.shapes)) for axis in np.meshgrid(centres, centres, indexing="ij"))
    width, height = np.tile(layer.shapes, (layer.count**2, 1)).T
    return np.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], axis=1)


def _best_iou(corners: Floats, layer: Layer) -> Floats:
    """(N,): of each shape, the anchor whose centre is nearest."""
    sides = corners[:, 2:] - corners[:, :2]  # (N, 2)
    cells = np.rint(((corners[:, :2] + corners[:, 2:]) / 2 - layer.offset) / layer.stride).clip(0, layer.count - 1)
    centres = (layer.offset + layer.stride * cells)[:, None]  # (N, 1, 2)
    halves = layer.shapes[None] / 2  # (1, K, 2)
    low = np.maximum(corners[:, None, :2], centres - halves)
    high = np.minimum(corners[:, None, 2:], centres + halves)
    common = (high - low).clip(min=0).prod(axis=-1)  # (N, K)
    union = sides.prod(axis=1)[:, None] + layer.shapes.prod(axis=1)[None] - common
    return np.asarray((common / union).max(axis=1))
