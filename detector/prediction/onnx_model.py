"""An exported ONNX model on one picture, run by ONNX Runtime. Inputs and outputs: onnx_outputs.py."""

from pathlib import Path

import onnxruntime

from detector.prediction.found import Found, Pixels, Run
from detector.prediction.onnx_outputs import INPUT, OUTPUTS, check, first


def load(path: Path) -> Run:
    """The model as a function that several threads may call at a time.

    Raises:
        ValueError: it has other inputs or outputs. ONNX Runtime's own exceptions have no common class.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # each photo has a thread of its own
    options.log_severity_level = 4  # what is wrong is an exception
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    check(one.name for one in (*session.get_inputs(), *session.get_outputs()))

    def run(pixels: Pixels) -> Found:
        return first(session.run(OUTPUTS, {INPUT: pixels[None]}))

    return run
