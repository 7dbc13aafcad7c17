"""An exported model that finds red and white rectangles by computation: what it finds can be checked by hand."""

from pathlib import Path

import numpy as np
import onnx
from PIL import Image

from detector.data import labels

# With the exporter's contract. Class 1 is red, class 2 white; the score is the part of the box that has the colour; a
# colour that is not in the picture has score 0.
_GRAPH = """
<ir_version: 9, opset_import: ["" : 18]>
finder (uint8[N, H, W, 3] input_tensor) => (
    float[N, M, 4] detection_boxes, float[N, M] detection_scores, float[N, M] detection_classes, float[N] num_detections
) {
    zero = Constant <value_float = 0.0> ()
    one = Constant <value_float = 1.0> ()
    two = Constant <value_float = 2.0> ()
    rows_axis = Constant <value_ints = [3]> ()
    columns_axis = Constant <value_ints = [2]> ()
    both = Constant <value_ints = [2, 3]> ()
    last = Constant <value_ints = [-1]> ()
    bright_from = Constant <value_float = 200.0> ()
    levels = Cast <to = 1> (input_tensor)
    is_bright = Greater (levels, bright_from)
    bright = Cast <to = 1> (is_bright)
    r, g, b = Split <axis = 3, num_outputs = 3> (bright)
    white = Mul (r, b)
    red = Sub (r, white)
    colours = Concat <axis = 3> (red, white)
    masks = Transpose <perm = [0, 3, 1, 2]> (colours)
    rows = ReduceMax <keepdims = 0> (masks, rows_axis)
    columns = ReduceMax <keepdims = 0> (masks, columns_axis)
    top = ArgMax <axis = 2> (rows)
    left = ArgMax <axis = 2> (columns)
    bottom = ArgMax <axis = 2, select_last_index = 1> (rows)
    right = ArgMax <axis = 2, select_last_index = 1> (columns)
    ymin = Cast <to = 1> (top)
    xmin = Cast <to = 1> (left)
    last_row = Cast <to = 1> (bottom)
    last_column = Cast <to = 1> (right)
    ymax = Add (last_row, one)
    xmax = Add (last_column, one)
    corners = Concat <axis = 2> (ymin, xmin, ymax, xmax)
    height_shape = Shape <start = 2, end = 3> (masks)
    width_shape = Shape <start = 3, end = 4> (masks)
    sides = Concat <axis = 0> (height_shape, width_shape, height_shape, width_shape)
    extent = Cast <to = 1> (sides)
    detection_boxes = Div (corners, extent)
    height = Sub (ymax, ymin)
    width = Sub (xmax, xmin)
    area_column = Mul (height, width)
    area = Squeeze (area_column, last)
    coloured = ReduceSum <keepdims = 0> (masks, both)
    detection_scores = Div (coloured, area)
    ones = Clip (detection_scores, one, one)
    class_ids = Constant <value_floats = [1.0, 2.0]> ()
    detection_classes = Mul (ones, class_ids)
    row_of_ones = ReduceMean <keepdims = 0> (ones, last)
    num_detections = Mul (row_of_ones, two)
}
"""


def save(folder: Path) -> Path:
    """Write the model and its label map (red, white) into `folder`, which is made; returns it."""
    folder.mkdir(parents=True)
    onnx.save(onnx.parser.parse_model(_GRAPH), folder / "model.onnx")
    labels.write(folder / "label_map.pbtxt", ["red", "white"])
    return folder


def photo(path: Path, *rectangles: tuple[int, int, int, int, float, int], size: tuple[int, int] = (96, 64)) -> Path:
    """Write a PNG in which the model finds (xmin, ymin, xmax, ymax, score, class), on a ground of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    greys = np.random.default_rng(list(path.name.encode())).integers(0, 25, (4, 6), dtype=np.uint8)
    image = Image.fromarray(greys).resize(size, Image.Resampling.NEAREST).convert("RGB")
    for xmin, ymin, xmax, ymax, score, class_id in rectangles:
        colour = (255, 0, 0) if class_id == 1 else (255, 255, 255)
        image.paste(colour, (xmin, ymin, xmin + round(score * (xmax - xmin)), ymax))  # a part of it, and its far corner
        image.putpixel((xmax - 1, ymax - 1), colour)
    image.save(path)
    return path
