"""An exported ONNX model on one picture, run by ONNX Runtime.

In: `input_tensor`, uint8 (N, H, W, 3). Out, for N images of at most M detections (post_processing in pipeline.config):
detection_boxes (N, M, 4) normalised [ymin, xmin, ymax, xmax], detection_scores (N, M), detection_classes (N, M) with
ids from 1, num_detections (N,). The SavedModel has the same contract.
"""

from pathlib import Path

import onnxruntime

from detector.prediction.found import Found, Pixels, Run

OUTPUTS = ["detection_boxes", "detection_scores", "detection_classes", "num_detections"]


def load(path: Path) -> Run:
    """The model as a function that several threads may call at a time.

    Raises:
        ValueError: it has other inputs or outputs. ONNX Runtime's own exceptions have no common class.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # each photo has a thread of its own
    options.log_severity_level = 4  # what is wrong is an exception
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    missing = {"input_tensor", *OUTPUTS} - {one.name for one in (*session.get_inputs(), *session.get_outputs())}
    if missing:
        raise ValueError(f"it has no {' and no '.join(sorted(missing))}")

    def run(pixels: Pixels) -> Found:
        boxes, scores, classes, counts = session.run(OUTPUTS, {"input_tensor": pixels[None]})
        count = int(counts[0])
        return Found(boxes[0, :count], classes[0, :count], scores[0, :count])

    return run
