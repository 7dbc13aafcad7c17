"""`train.accelerator` and the cluster -> a tf.distribute strategy. Hardware is a parameter, not a fork of the code.

A CPU that was cut into several devices (`tf.config.set_logical_device_configuration`, as tests do) trains like several
GPUs.
"""

import faulthandler
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from detector.base.errors import UserError
from detector.model.tensorflow_env import quiet, tf
from detector.multihost.cluster import ALONE, VARIABLE, Cluster
from detector.training import accelerators, stops

HEARTBEAT_SECONDS = 20  # a worker that is silent for so long counts as dead
CONNECT_SECONDS = 300  # that TensorFlow's servers may take to find each other
LEAVE_SECONDS = 5  # that a worker waits at its end for the others to end


def on_this_host(accelerator: str) -> str:
    """What this host trains on with that `train.accelerator`: `tpu`, `cpu`, or say `2 x gpu`.

    It initialises nothing of TensorFlow: `strategy` may follow.

    Raises:
        UserError: the accelerator is missing, or is a TPU on another machine.
    """
    kind = accelerators.choose(accelerator, _count_gpus)
    return f"{_count_gpus()} x gpu" if kind == "gpu" else kind


def _count_gpus() -> int:
    return len(tf.config.list_physical_devices("GPU"))


def strategy(accelerator: str, cluster: Cluster = ALONE) -> tf.distribute.Strategy:
    """The strategy for `train.accelerator`.

    With a cluster it connects the workers, and must be the first call of TensorFlow.

    Raises:
        UserError: the accelerator is missing, or cannot be used by a cluster.
    """
    kind = accelerators.choose(accelerator, _count_gpus)
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
    from tensorflow.python.eager import context  # these settings have no public API

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
    """For a call that lets no other Python run, never returns where a worker has died, and takes SIGTERM for itself.

    Nothing is trained yet: a signal may kill the process, and after CONNECT_SECONDS it ends with a traceback.
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
