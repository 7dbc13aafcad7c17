"""An exported TFLite model on one picture, run by LiteRT.

In: (1, S, S, 3), resized by resize.py: uint8, or float32 in [-1, 1]. Out, by the names of its signature: output_0 the
number of detections, output_1 their scores, output_2 their classes from 0, output_3 their boxes [ymin, xmin, ymax,
xmax], normalised.
"""

import threading
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from detector.base import stderr
from detector.prediction import resize
from detector.prediction.found import Found, Pixels, Run


def load(path: Path) -> Run:
    """The model as a function that several threads may call at a time: each has an interpreter of its own.

    Raises:
        ValueError: it is no TFLite model.
    """
    content = path.read_bytes()
    own = threading.local()

    def interpreter() -> Any:
        made = Interpreter(model_content=content, num_threads=1)
        made.allocate_tensors()
        return made.get_signature_runner()

    with stderr.quiet():  # LiteRT speaks at the first one; in threads each would put back what another has put there
        own.runner = interpreter()
    if missing := {f"output_{number}" for number in range(4)} - own.runner.get_output_details().keys():
        raise ValueError(f"it has no {' and no '.join(sorted(missing))}")

    def run(pixels: Pixels) -> Found:
        if not hasattr(own, "runner"):
            own.runner = interpreter()
        ((name, wanted),) = own.runner.get_input_details().items()
        found = own.runner(**{name: _fitted(pixels, wanted)})
        count = int(found["output_0"][0])
        return Found(found["output_3"][0, :count], found["output_2"][0, :count] + 1, found["output_1"][0, :count])

    return run


def _fitted(pixels: Pixels, wanted: dict[str, Any]) -> Any:
    """The picture as the model takes it."""
    _, height, width, _ = wanted["shape"]
    levels = resize.legacy_bilinear(pixels, height, width)
    fitted = np.rint(levels) if wanted["dtype"] == np.uint8 else levels * np.float32(2 / 255) - np.float32(1)
    return fitted[None].astype(wanted["dtype"])
