"""The resize of photos that an ONNX model begins with: TensorFlow 1's bilinear one, as resize.py has it.

ONNX Runtime's `Resize` takes floats: of a phone's photo of 24 megapixels that are 288 MB, and as much again in the
order of its channels. Of a large photo only the pixels that the result needs are taken here, two rows and two columns
for each of its own, before they become floats. That gives TensorFlow's floats to the last bit. A small photo is left
to `Resize`, which is quicker there, and up to 0.1 of 255 levels away.
"""

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from detector.prediction.onnx_outputs import INPUT, RESIZED

OPSET = 18
IR_VERSION = 9
LARGE = 2**20  # pixels: from about here on, picking pixels is quicker


def _places(axis: int, name: str) -> str:
    """`<name>_pairs`: the indices before the places of an axis, then those behind; `<name>_shares` between the two."""
    return f"""
            {name}_extent = Shape <start = {axis}, end = {axis + 1}> ({INPUT})
            {name}_length = Cast <to = 1> ({name}_extent)
            {name}_scale = Div ({name}_length, {name}_size)
            {name}_places = Mul ({name}_numbers, {name}_scale)
            {name}_floor = Floor ({name}_places)
            {name}_shares = Sub ({name}_places, {name}_floor)
            {name}_before = Cast <to = 7> ({name}_floor)
            {name}_ceiling = Ceil ({name}_places)
            {name}_next = Cast <to = 7> ({name}_ceiling)
            {name}_last = Sub ({name}_extent, one)
            {name}_behind = Min ({name}_next, {name}_last)
            {name}_pairs = Concat <axis = 0> ({name}_before, {name}_behind)"""


def _mixed(axis: int, pairs: str, shares: str, result: str) -> str:
    """start + (end - start) * share, along an axis."""
    return f"""
            {result}_start, {result}_end = Split <axis = {axis}, num_outputs = 2> ({pairs})
            {result}_step = Sub ({result}_end, {result}_start)
            {result}_part = Mul ({result}_step, {shares})
            {result} = Add ({result}_start, {result}_part)"""


_RESIZE = f"""
<ir_version: {IR_VERSION}, opset_import: ["" : {OPSET}]>
resize (uint8[N, H, W, 3] {INPUT}) => (float[N, C, S, T] {RESIZED}) {{
    one = Constant <value_ints = [1]> ()
    extent = Shape <start = 1, end = 3> ({INPUT})
    area = ReduceProd <keepdims = 0> (extent)
    is_large = Greater (area, large)
    {RESIZED} = If (is_large) <
        then_branch = picked () => (float[N, C, S, T] of_large) {{{_places(1, "y")}{_places(2, "x")}
            y_used, , y_of_used = Unique <sorted = 1> (y_pairs)
            of_rows = Gather <axis = 1> ({INPUT}, y_used)
            of_both = Gather <axis = 2> (of_rows, x_pairs)
            by_channel = Transpose <perm = [0, 3, 1, 2]> (of_both)
            levels = Cast <to = 1> (by_channel)
            upright = Constant <value_ints = [-1, 1]> ()
            y_column = Reshape (y_shares, upright){_mixed(3, "levels", "x_shares", "used")}
            rows = Gather <axis = 2> (used, y_of_used){_mixed(2, "rows", "y_column", "of_large")}
        }},
        else_branch = resized_whole () => (float[N, C, S, T] of_small) {{
            whole_levels = Cast <to = 1> ({INPUT})
            whole_by_channel = Transpose <perm = [0, 3, 1, 2]> (whole_levels)
            kept = Shape <end = 2> (whole_by_channel)
            sizes = Concat <axis = 0> (kept, side)
            of_small = Resize <coordinate_transformation_mode = "asymmetric", mode = "linear"> (
                whole_by_channel, , , sizes
            )
        }}
    >
}}
"""


def model(height: int, width: int) -> Any:
    """The ONNX model from photos, `input_tensor` uint8 (N, H, W, 3), to `resized`, float32 (N, 3, height, width)."""
    constants = {
        "large": np.array(LARGE),
        "side": np.array([height, width]),
        "y_size": np.array([height], np.float32),
        "x_size": np.array([width], np.float32),
        "y_numbers": np.arange(height, dtype=np.float32),
        "x_numbers": np.arange(width, dtype=np.float32),
    }
    made = onnx.parser.parse_model(_RESIZE)
    made.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return made
