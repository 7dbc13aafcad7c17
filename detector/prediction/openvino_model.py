"""An exported ONNX model on one picture, run by OpenVINO: in int8 and bfloat16, where it is faster. Not in the locks.

Inputs and outputs: onnx_outputs.py. The resize that the model begins with is done by resize.py, which takes no more
than the picture's own memory; OpenVINO would take 500 MB for a photo of 24 megapixels.
"""

import importlib.util
import threading
from pathlib import Path
from typing import Any

import numpy as np

from detector.base.errors import UserError
from detector.prediction import resize, threads
from detector.prediction.found import Found, Pixels, Run
from detector.prediction.onnx_outputs import INPUT, OUTPUTS, RESIZED, check, first

INSTALL = "run: make openvino"
_HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}  # of what the model has in float32


def is_installed() -> bool:
    """Whether there is an OpenVINO; it is not imported."""
    return importlib.util.find_spec("openvino") is not None


def has_bfloat16() -> bool:
    """Whether this processor computes in it; where OpenVINO is installed."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def load(path: Path, *, precision: str) -> Run:
    """The model as a function that several threads may call at a time.

    Args:
        precision: to compute in; int8 is what a model has by itself.

    Raises:
        UserError: this processor has no bfloat16: OpenVINO would compute in float32 without a word.
        ValueError: it has other inputs or outputs. OpenVINO's own exceptions are `RuntimeError`.
    """
    import openvino

    core = openvino.Core()
    if precision == "bfloat16" and not has_bfloat16():
        raise UserError("predict.precision", "this processor has no bfloat16", "take float32 or int8")
    cores = threads.cores()
    options = {  # each photo has a thread of its own, and a core
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": cores,
        "NUM_STREAMS": cores,
    }
    read = core.read_model(path)
    check(name for port in (*read.inputs, *read.outputs) for name in port.names)
    of_resized = _of_resized(read)
    model = core.compile_model(of_resized or read, "CPU", options)
    own = threading.local()

    def run(pixels: Pixels) -> Found:
        if not hasattr(own, "request"):
            own.request = model.create_infer_request()
        if of_resized:
            fitted = resize.legacy_bilinear(pixels, *of_resized.input().shape[2:])
            found = own.request.infer({RESIZED: np.ascontiguousarray(fitted.transpose(2, 0, 1))[None]})
        else:
            found = own.request.infer({INPUT: pixels[None]})
        return first([found[output] for output in OUTPUTS])

    run(np.zeros((1, 1, 3), np.uint8))  # alone: two threads that are the first wait for each other for ever
    return run


def _of_resized(model: Any) -> Any:
    """The part of a model that follows the resize, for one picture; None where it has no such part."""
    import openvino

    for output in (output for operation in model.get_ops() for output in operation.outputs()):
        if RESIZED in output.names:
            sides = [side.get_length() for side in list(output.partial_shape)[1:]]
            resized = openvino.opset13.parameter([1, *sides], np.float32)
            output.replace(resized.output(0))
            resized.output(0).set_names({RESIZED})
            return openvino.Model(model.outputs, [resized])
    return None
