"""`train.accelerator` and the cluster -> a tf.distribute strategy. Hardware is a parameter, not a fork of the code.

A CPU that was cut into several devices (`tf.config.set_logical_device_configuration`, as tests do) trains like several
GPUs.
"""

import faulthandler
import importlib.util
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from detector.base.errors import UserError
from detector.model.tensorflow_env import quiet, tf
from detector.multihost.cluster import ALONE, VARIABLE, Cluster
from detector.training import stops, tpu_node

HEARTBEAT_SECONDS = 20  # without a sign of a worker, after which it counts as dead
CONNECT_SECONDS = 300  # at most, until TensorFlow's servers know each other
LEAVE_SECONDS = 5  # that a worker which ends waits for the others to end


def has_tpu() -> bool:
    """Whether this environment is made for a TPU: `make install` looked for one, and took TensorFlow's TPU build."""
    return importlib.util.find_spec("libtpu") is not None


def found(accelerator: str) -> str:
    """What of this host `accelerator` stands for: `tpu`, `cpu`, or say `2 x gpu`; `auto` prefers a TPU, then GPUs.

    Nothing of TensorFlow is started yet.

    Raises:
        UserError: it is not there, or it is a TPU on another machine.
    """
    if accelerator in ("auto", "tpu") and (variable := tpu_node.found()):
        raise tpu_node.refusal(variable)
    if accelerator == "tpu" and not has_tpu():
        remedy = "use auto or cpu; where there is one: make install TF=tpu"
        raise UserError("params.yaml", "tpu: this environment has none", remedy, item="train.accelerator")
    if accelerator == "tpu" or (accelerator == "auto" and has_tpu()):
        return "tpu"
    gpus = [] if accelerator == "cpu" else tf.config.list_physical_devices("GPU")
    if accelerator == "gpu" and not gpus:
        raise UserError("params.yaml", "gpu: TensorFlow sees none", "use auto or cpu", item="train.accelerator")
    return f"{len(gpus)} x gpu" if gpus else "cpu"


def strategy(accelerator: str, cluster: Cluster = ALONE) -> tf.distribute.Strategy:
    """The strategy for what `found(accelerator)` says.

    With a cluster it connects the workers, and must be the first thing that TensorFlow is asked for.

    Raises:
        UserError: the accelerator is not there, or is none for a cluster.
    """
    kind = found(accelerator)
    if kind == "tpu":
        return _tpu_strategy(cluster)
    if kind == "cpu":
        tf.config.set_visible_devices([], "GPU")
    for gpu in tf.config.get_visible_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    return _multi_worker(cluster) if cluster.count > 1 else _one_host("CPU" if kind == "cpu" else "GPU")


def _one_host(kind: str) -> tf.distribute.Strategy:
    names = [device.name for device in tf.config.list_logical_devices(kind)]
    return tf.distribute.MirroredStrategy(names) if len(names) > 1 else tf.distribute.OneDeviceStrategy(names[0])


def _tpu_strategy(cluster: Cluster) -> tf.distribute.Strategy:
    if cluster.count > 1:
        remedy = "unset it, or set train.accelerator to cpu"
        raise UserError(VARIABLE, "several workers with a TPU each are not supported", remedy)
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local")
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


def _multi_worker(cluster: Cluster) -> tf.distribute.Strategy:
    from tensorflow.compiler.xla.tsl.protobuf.coordination_config_pb2 import CoordinatedJob
    from tensorflow.python.eager import context  # the only door to these settings

    jobs = [job for job, _ in cluster.tasks]
    context.context().configure_coordination_service(
        "standalone",
        service_leader=f"/job:{jobs[0]}/replica:0/task:0",
        coordinated_jobs=[CoordinatedJob(name=job, num_tasks=jobs.count(job)) for job in dict.fromkeys(jobs)],
        cluster_register_timeout_in_ms=CONNECT_SECONDS * 1000,
        heartbeat_timeout_in_ms=HEARTBEAT_SECONDS * 1000,
        shutdown_barrier_timeout_in_ms=LEAVE_SECONDS * 1000,
    )
    with os.fdopen(os.dup(2), "w") as console, _interruptible(console), quiet():
        return tf.distribute.MultiWorkerMirroredStrategy()


@contextmanager
def _interruptible(console: TextIO) -> Iterator[None]:
    """For a call that lets no other Python run, has no end where a worker has died, and takes SIGTERM for itself.

    Nothing is trained yet: a signal may kill, and where it takes too long, the process ends with a traceback.
    """
    before = {number: signal.getsignal(number) for number in stops.SIGNALS}
    faulthandler.dump_traceback_later(CONNECT_SECONDS, exit=True, file=console)
    try:
        for number in (number for number, handler in before.items() if handler != signal.SIG_IGN):  # as under nohup
            signal.signal(number, signal.SIG_DFL)
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        for number, handler in before.items():
            signal.signal(number, handler)


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
