"""Cloud TPUs of the older kind: a machine reached over the network, which reads and writes gs:// only.

The records, checkpoints and logs of a training are local files here, so the TPU must be attached to this machine (a
"TPU VM"; Colab's are). Environment variables tell which kind it is, before TensorFlow starts.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from detector.base.errors import UserError

DEV = Path("/dev")
# COLAB_TPU_ADDR is what Colab had until it gave TPU VMs; TensorFlow's TPUClusterResolver reads the others.
VARIABLES = ("COLAB_TPU_ADDR", "TPU_NAME", "KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS")


def variable(environment: Mapping[str, str] = os.environ, dev: Path = DEV) -> str:
    """The variable that names a TPU node; empty where none does, or a TPU is attached to this machine.

    On a TPU VM the name, if there is any, is `local`.
    """
    if any(dev.glob("accel[0-9]*")) or any(dev.glob("vfio/[0-9]*")):
        return ""
    return next((name for name in VARIABLES if environment.get(name, "") not in ("", "local")), "")


def refuse() -> None:
    """Raises: UserError: a variable names a TPU node."""
    if name := variable():
        reason = (
            "this is a TPU node, which reads gs:// only; records, checkpoints and logs of a training are files here"
        )
        colab = "in Colab: Runtime > Change runtime type > v5e-1 TPU"
        raise UserError(name, reason, f"use a TPU VM ({colab}), or unset it, or set train.accelerator to cpu")
