"""Cloud TPUs of the older kind: a machine of their own, reached over the network, which reads and writes gs:// alone.

The records, checkpoints and logs of a training here are local files: the TPU must be attached to this very machine (a
"TPU VM"; Colab's are). It is told by environment variables, before anything is started or waited for.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from detector.base.errors import UserError

DEV = Path("/dev")


def found(environment: Mapping[str, str] = os.environ, dev: Path = DEV) -> str:
    """The variable that names a TPU node, where no TPU is attached to this machine; empty where none does.

    COLAB_TPU_ADDR is what Colab had until it gave TPU VMs; TPU_NAME and KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS are what
    TensorFlow's TPUClusterResolver reads. On a TPU VM the name, if there is any, is `local`.
    """
    if any(dev.glob("accel[0-9]*")) or any(dev.glob("vfio/[0-9]*")):
        return ""
    names = ("COLAB_TPU_ADDR", "TPU_NAME", "KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS")
    return next((name for name in names if environment.get(name, "") not in ("", "local")), "")


def refusal(variable: str) -> UserError:
    """Why no training goes to the TPU node that `variable` names."""
    reason = "this is a TPU node, which reads gs:// alone; a training's records, checkpoints and logs are files here"
    where = "in Colab: Runtime > Change runtime type > v5e-1 TPU"
    return UserError(variable, reason, f"take a TPU VM ({where}), or unset it, or set train.accelerator to cpu")
