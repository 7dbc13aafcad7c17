"""A trained detector as an ONNX model, with the SavedModel's contract: any batch of photos of one size in, boxes out.

TensorFlow's graph is converted by tf2onnx, up to the boxes and scores of every anchor. The non-maximum suppression that
follows is written here in ONNX's own operators: the API's is a loop over the batch, which runtimes execute slowly.
"""

import tempfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, quantize_static

from detector.export import onnx_resize
from detector.export.onnx_resize import IR_VERSION, OPSET
from detector.model import od_api
from detector.model.tensorflow_env import quiet, tf
from detector.prediction.onnx_outputs import INPUT, RESIZED
from detector.prediction.resize import legacy_bilinear

Pixels = npt.NDArray[np.uint8]

FILES = {"onnx": "model.onnx", "onnx_int8": "model_int8.onnx"}

# N photos, A anchors, C classes, at most M detections a photo. As in the API: a class keeps `per_class` boxes at most;
# boxes are clipped to the photo after the suppression, and those without extent there are dropped. What is dropped has
# the score -1, and behind the last detection there are zeros.
_SUPPRESSION = f"""
<ir_version: {IR_VERSION}, opset_import: ["" : {OPSET}]>
suppression (float[N, A, 4] boxes, float[N, A, C] scores) => (
    float[N, M, 4] detection_boxes, float[N, M] detection_scores, float[N, M] detection_classes, float[N] num_detections
) {{
    zero = Constant <value_float = 0.0> ()
    one = Constant <value_float = 1.0> ()
    dropped = Constant <value_float = -1.0> ()
    by_class = Transpose <perm = [0, 2, 1]> (scores)
    kept_places = NonMaxSuppression (boxes, by_class, per_class, iou_threshold, score_threshold)
    kept_scores = GatherND (by_class, kept_places)
    shape = Shape (by_class)
    nothing = ConstantOfShape <value = float[1] {{-1.0}}> (shape)
    kept = ScatterND (nothing, kept_places, kept_scores)
    clipped = Clip (boxes, zero, one)
    ymin, xmin, ymax, xmax = Split <axis = 2, num_outputs = 4> (clipped)
    height = Sub (ymax, ymin)
    width = Sub (xmax, xmin)
    area = Mul (height, width)
    area_by_class = Transpose <perm = [0, 2, 1]> (area)
    has_extent = Greater (area_by_class, zero)
    candidates = Where (has_extent, kept, dropped)
    flat = Flatten <axis = 1> (candidates)
    flat_size = Shape <start = 1> (flat)
    count = Min (flat_size, total)
    best, places = TopK <axis = 1> (flat, count)
    is_detection = GreaterOrEqual (best, zero)
    anchors = Shape <start = 2> (by_class)
    class = Div (places, anchors)
    class_number = Cast <to = 1> (class)
    valid_class = Where (is_detection, class_number, zero)
    detection_classes = Add (valid_class, offset)
    detection_scores = Where (is_detection, best, zero)
    anchor = Mod (places, anchors)
    last = Constant <value_ints = [-1]> ()
    anchor_index = Unsqueeze (anchor, last)
    found = GatherND <batch_dims = 1> (clipped, anchor_index)
    is_box = Unsqueeze (is_detection, last)
    detection_boxes = Where (is_box, found, zero)
    valid = Cast <to = 1> (is_detection)
    second = Constant <value_ints = [1]> ()
    num_detections = ReduceSum <keepdims = 0> (valid, second)
}}
"""


def raw(model: Any, config: Any) -> Any:
    """The ONNX model from photos to `boxes` (N, A, 4) and `scores` (N, A, C) of the anchors.

    It begins with `resized` photos, of `onnx_resize`; where the configuration resizes in another way, with INPUT.
    """
    import tf2onnx  # late: it imports TensorFlow, which then misses the settings of tensorflow_env

    size = od_api.plain_resize(config)

    def anchors(photos: Any) -> dict[str, Any]:
        od_api.set_training(model, False)
        count = tf.shape(photos)[0]
        one_more = tf.cast(count == 0, tf.int32)  # the layers' shapes say nothing of no photo at all
        photos = tf.pad(photos, [[0, one_more], [0, 0], [0, 0], [0, 0]])
        if size:
            images = od_api.preprocessed(model, photos)
        else:
            images, _ = model.preprocess(tf.cast(photos, tf.float32))
        found = od_api.raw_detections(model, model.predict(images, None))
        return {name: values[:count] for name, values in found.items()}

    if size:
        signature, options = tf.TensorSpec([None, *size, 3], tf.float32, name=RESIZED), {"inputs_as_nchw": [RESIZED]}
    else:
        signature, options = tf.TensorSpec([None, None, None, 3], tf.uint8, name=INPUT), {}
    with quiet():
        function = tf.function(anchors, [signature], autograph=False)
        converted, _ = tf2onnx.convert.from_function(function, [signature], opset=OPSET, **options)
    converted.ir_version = IR_VERSION
    return converted


def export(
    model: Any, config: Any, folder: Path, formats: Collection[str], photos: Callable[[], Iterable[Pixels]]
) -> None:
    """Write those of `formats` that are ONNX's into `folder`.

    photos: (H, W, 3) uint8, to calibrate onnx_int8 with.
    """
    if wanted := FILES.keys() & set(formats):
        float32, size = raw(model, config), od_api.plain_resize(config)
        for name in sorted(wanted):
            converted = int8(float32, photos(), size) if name == "onnx_int8" else float32
            whole = _named_in_order(with_suppression(converted, config))
            if size:
                resize = onnx_resize.model(*size)
                whole = onnx.compose.merge_models(resize, whole, io_map=[(RESIZED, RESIZED)], name="detector")
            onnx.checker.check_model(whole)
            onnx.save(whole, folder / FILES[name])


def _named_in_order(model: Any) -> Any:
    """The model with its nodes in the order of its outputs, and numbers for names: tf2onnx's change from run to run."""
    graph = model.graph
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return model  # a loop, as of another way to resize: what is inside uses names from outside
    made_by = {output: node for node in graph.node for output in node.output}
    names = {value.name: value.name for value in (*graph.input, *graph.output)} | {"": ""}
    nodes: list[Any] = []

    def visit(name: str) -> None:
        node = made_by.get(name)
        if node is None:
            names.setdefault(name, f"constant_{len(names)}")
        elif not any(node is one for one in nodes):
            for given in node.input:
                visit(given)
            nodes.append(node)
            for output in node.output:
                names.setdefault(output, f"value_{len(names)}")

    for output in graph.output:
        visit(output.name)
    for number, node in enumerate(nodes):
        node.name = f"{node.op_type}_{number}"
        node.input[:] = [names[given] for given in node.input]
        node.output[:] = [names[output] for output in node.output]
    constants = sorted(
        (one for one in graph.initializer if one.name in names), key=lambda one: list(names).index(one.name)
    )
    for constant in constants:
        constant.name = names[constant.name]
    ordered = onnx.helper.make_graph(nodes, "detector", graph.input, graph.output, constants)
    for dimension, letter in zip(ordered.input[0].type.tensor_type.shape.dim, "NHW", strict=False):
        if not dimension.dim_value:
            dimension.dim_param = letter
    return onnx.helper.make_model(ordered, opset_imports=model.opset_import, ir_version=IR_VERSION)


def with_suppression(model: Any, config: Any) -> Any:
    """The model with the SavedModel's outputs in the place of `boxes` and `scores`."""
    limits = config.model.ssd.post_processing.batch_non_max_suppression
    constants = {
        "per_class": np.array([limits.max_detections_per_class]),
        "total": np.array([limits.max_total_detections]),
        "iou_threshold": np.array([limits.iou_threshold], np.float32),
        "score_threshold": np.array([limits.score_threshold], np.float32),
        "offset": np.array(od_api.LABEL_ID_OFFSET, np.float32),
    }
    suppression = onnx.parser.parse_model(_SUPPRESSION)
    suppression.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    ends = [("boxes", "boxes"), ("scores", "scores")]
    return onnx.compose.merge_models(model, suppression, io_map=ends)


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, photos: Iterable[Pixels], size: tuple[int, int] | None) -> None:
        self._photos, self._size = iter(photos), size

    def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
        photo = next(self._photos, None)
        if photo is None:
            return None
        if self._size is None:
            return {INPUT: photo[np.newaxis]}
        return {RESIZED: legacy_bilinear(photo, *self._size).transpose(2, 0, 1)[np.newaxis]}


def int8(model: Any, photos: Iterable[Pixels], size: tuple[int, int] | None) -> Any:
    """The `raw` model in int8 up to the box coder; from there on it stays float32.

    Args:
        photos: (H, W, 3) uint8, to measure the range of each layer's numbers by.
        size: (height, width) that the model wants them in; None where it resizes them itself.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, source)
        quantize_static(
            source,
            target,
            _Calibration(photos, size),
            op_types_to_quantize=["Conv", "Clip", "Add"],  # a Clip is ReLU6, an Add a residual connection
            nodes_to_exclude=[node.name for node in model.graph.node if node.name.startswith("Decode/")],
            per_channel=True,
        )
        return onnx.load(target)
