"""What `tflite.save_graph` writes, of a detector of two convolutions, which converts in a second.

One makes the encodings of boxes, the other the scores. The first anchor's encodings are far away, as those of anchors
without an object are.
"""

from pathlib import Path

import numpy as np

from detector.data import labels
from tests.support import tiny

SIDE, CELLS, MOST = 8, 16, 10  # of the input; the anchors; the detections
FAR = -70.0


def save(folder: Path) -> Path:
    """Write it into `folder`/tflite_saved_model, with a label map beside it."""
    from detector.export import saveable
    from detector.model import od_api
    from detector.model.tensorflow_env import quiet, tf

    random = np.random.default_rng(1)
    kernel = tf.Variable(random.normal(0, 0.2, (3, 3, 3, 7)).astype(np.float32))
    far = np.zeros((1, 4, 4, 4), np.float32)
    far[0, 0, 0] = FAR
    module = od_api.SSDModule(tiny.small_config(), None, MOST, use_regular_nms=True)
    centers = (np.indices((4, 4)).reshape(2, CELLS).T + 0.5) / 4
    anchors = np.concatenate([centers, np.full((CELLS, 2), 0.25)], axis=1).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec((1, SIDE, SIDE, 3), tf.float32, name="input")])
    def detect(image: "tf.Tensor") -> "tf.Tensor":
        encodings = tf.nn.conv2d(image, kernel[..., :4], 2, "SAME") + far
        scores = tf.nn.conv2d(image, kernel[..., 4:], 2, "SAME")
        boxes, scores = tf.reshape(encodings, (1, CELLS, 4)), tf.sigmoid(tf.reshape(scores, (1, CELLS, 3)))
        return module._get_postprocess_fn(CELLS, 2)(boxes, scores, tf.constant(anchors))[::-1]

    labels.write(folder / "label_map.pbtxt", ["cat", "dog"])
    with quiet():
        function = detect.get_concrete_function()
        saveable.save({"serving_default": function}, folder / "label_map.pbtxt", folder / "tflite_saved_model")
    return folder / "tflite_saved_model"
