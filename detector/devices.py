"""`train.accelerator` -> a tf.distribute strategy. Hardware is a parameter, not a fork of the code."""

import importlib.util

from detector.errors import UserError
from detector.tensorflow_env import tf


def has_tpu() -> bool:
    """Whether this environment is made for a TPU: `make install` looked for one, and took TensorFlow's TPU build."""
    return importlib.util.find_spec("libtpu") is not None


def _tpu_strategy() -> tf.distribute.Strategy:
    if not has_tpu():
        remedy = "use auto or cpu; where there is one: make install TF=tpu"
        raise UserError("params.yaml", "tpu: this environment has none", remedy, item="train.accelerator")
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local")
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


def _gpu_strategy() -> tf.distribute.Strategy:
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        raise UserError("params.yaml", "gpu: TensorFlow sees none", "use auto or cpu", item="train.accelerator")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.OneDeviceStrategy("/gpu:0")


def strategy(accelerator: str) -> tf.distribute.Strategy:
    """The strategy for `accelerator`; `auto` takes a TPU before a GPU before the CPU.

    Raises:
        UserError: the accelerator is not there.
    """
    if accelerator == "tpu" or (accelerator == "auto" and has_tpu()):
        return _tpu_strategy()
    if accelerator == "gpu" or (accelerator == "auto" and tf.config.list_physical_devices("GPU")):
        return _gpu_strategy()
    return tf.distribute.OneDeviceStrategy("/cpu:0")


def describe(chosen: tf.distribute.Strategy) -> str:
    """One line for people: `1 x cpu`, `2 x gpu`, `1 x tpu`."""
    kind = tf.DeviceSpec.from_string(chosen.extended.worker_devices[0]).device_type or "cpu"
    return f"{chosen.num_replicas_in_sync} x {kind.lower()}"


def check_batch(chosen: tf.distribute.Strategy, batch_size: int) -> None:
    """Refuse a batch that cannot be shared equally by the replicas."""
    replicas = chosen.num_replicas_in_sync
    if batch_size % replicas:
        reason = f"{batch_size} cannot be shared equally by {replicas} replicas"
        raise UserError("params.yaml", reason, f"use a multiple of {replicas}", item="train.batch_size")
