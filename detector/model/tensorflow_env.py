"""TensorFlow, with the settings that it needs before its first import.

from detector.model.tensorflow_env import tf
"""

import logging
import os
import warnings

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # the Object Detection API is written for Keras 2
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # C++ noise would hide our own lines
warnings.filterwarnings("ignore", module=r"(tensorflow|tf_keras|tf_slim|object_detection|google)\b.*")

import tensorflow as tf  # noqa: E402

from detector.base.stderr import quiet  # noqa: E402

for _name in ("tensorflow", "absl", "tf_keras"):
    logging.getLogger(_name).setLevel(logging.ERROR)
tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)

__all__ = ["quiet", "tf"]
