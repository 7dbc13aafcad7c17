"""What an exported ONNX model takes and gives, whatever runs it.

In: `input_tensor`, uint8 (N, H, W, 3). Out, for N images of at most M detections (post_processing in pipeline.config):
detection_boxes (N, M, 4) normalised [ymin, xmin, ymax, xmax], detection_scores (N, M), detection_classes (N, M) with
ids from 1, num_detections (N,). The SavedModel has the same contract.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from detector.prediction.found import Float32s, Found

INPUT = "input_tensor"
RESIZED = "resized"  # inside: the photos as floats (N, 3, height, width) of the network's size, channels from 0 to 255
OUTPUTS = ["detection_boxes", "detection_scores", "detection_classes", "num_detections"]


def check(names: Iterable[str]) -> None:
    """Raises: ValueError: one of them is missing among the names of a model's inputs and outputs."""
    if missing := {INPUT, *OUTPUTS} - set(names):
        raise ValueError(f"it has no {' and no '.join(sorted(missing))}")


def first(outputs: Sequence[Float32s]) -> Found:
    """What was found on the first image. outputs: as in OUTPUTS."""
    boxes, scores, classes, counts = outputs
    count = int(np.asarray(counts)[0])
    return Found(boxes[0, :count], classes[0, :count], scores[0, :count])
