"""The same bytes every time: TensorFlow's switch for it, and one thing that this switch leaves open.

`AddN` sums three or more tensors in an order that depends on the threads. Gradients meet in such a sum wherever a
feature map feeds two heads and the next layer. Here they are added two at a time, and the graph optimiser that would
merge these sums again is turned off.
"""

from collections.abc import Sequence
from typing import Any

from detector.model.tensorflow_env import tf


def enable() -> None:
    """Make the same inputs and seeds give the same outputs in this process; call it before all else."""
    tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


def gradients(loss: tf.Tensor, variables: Sequence[Any]) -> list[tf.Tensor]:
    """The gradients of `loss`, summed two at a time; inside a tf.function."""
    return list(tf.gradients(loss, variables, aggregation_method=tf.AggregationMethod.EXPERIMENTAL_TREE))
