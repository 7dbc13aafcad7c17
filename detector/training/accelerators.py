"""What `train.accelerator` stands for on this host, and which batch its replicas can share.

Needs no TensorFlow: training and `make doctor` follow the same rules.
"""

import importlib.util
import math
from collections.abc import Callable

from detector.base.errors import UserError
from detector.base.params import PARAMS_FILE
from detector.training import tpu_node


def build() -> str:
    """Which TensorFlow `make install` has installed: `tpu`, `gpu` or `cpu`; empty where there is none."""
    if importlib.util.find_spec("libtpu"):
        return "tpu"
    if not importlib.util.find_spec("tensorflow"):
        return ""
    return "gpu" if importlib.util.find_spec("nvidia") and importlib.util.find_spec("nvidia.cudnn") else "cpu"


def choose(accelerator: str, count_gpus: Callable[[], int]) -> str:
    """What training runs on: `tpu`, `gpu` or `cpu`; `auto` prefers a TPU, then GPUs.

    Args:
        accelerator: the parameter.
        count_gpus: how many GPUs TensorFlow can use; called only where that matters.

    Raises:
        UserError: the accelerator is missing, or is a TPU on another machine.
    """
    if accelerator in ("auto", "tpu"):
        tpu_node.refuse()
        if build() == "tpu":
            return "tpu"
    if accelerator in ("auto", "gpu") and count_gpus():
        return "gpu"
    if accelerator not in ("auto", "cpu"):
        raise _missing(accelerator)
    return "cpu"


def _missing(accelerator: str) -> UserError:
    if build() == accelerator:
        reason, remedy = "none is found", "run: dvc exp run -S train.accelerator=auto"
    else:
        reason = f"TensorFlow's {build()} build is installed"
        remedy = f"run: make install TF={accelerator}, or set it to auto"
    return UserError(PARAMS_FILE, f"{accelerator}, but {reason}", remedy, item="train.accelerator")


def check_batch(batch_size: int, replicas: int, devices: str) -> None:
    """Raises: UserError: the replicas, one on each of the `devices` (say `2 x gpu`), cannot share the batch equally."""
    if batch_size % replicas:
        reason = f"{batch_size} cannot be shared equally by {devices}"
        remedy = f"run: make train BATCH={math.ceil(batch_size / replicas) * replicas}"
        raise UserError(PARAMS_FILE, reason, remedy, item="train.batch_size")
