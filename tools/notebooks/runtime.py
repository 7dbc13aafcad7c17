"""The training that suits what a runtime has: it ends in about a quarter of an hour.

Only that of a CPU was measured: 500 steps of 16 gave AP 0.756 on photos of cats and dogs (docs/measurements.md).
"""

from detector.base import errors
from tools import install

STEPS_AND_BATCH = {"tpu": (1000, 64), "gpu": (1000, 32), "cpu": (500, 16)}  # batch: images in a step


def chosen(tf: str, steps: int, batch: int) -> tuple[int, int]:
    """STEPS and BATCH, where they are 0 those of this runtime.

    Args:
        tf: auto, or one of the keys above.
    """
    kind = install.pick_tf() if tf == "auto" else tf
    own_steps, own_batch = STEPS_AND_BATCH[kind]
    result = steps or own_steps, batch or own_batch
    errors.say(f"this runtime has a {kind.upper()}: {result[0]:,} steps of {errors.counted(result[1], 'photo')}")
    return result
