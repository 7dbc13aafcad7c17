"""One step of training, traced. Model, losses, optimiser and learning rate schedule are the Object Detection API's."""

from collections.abc import Iterator, Sequence
from typing import Any

from detector.model import od_api
from detector.model.tensorflow_env import tf
from detector.training import determinism


class TrainStep:
    """Trains `model` in place, a batch per call; gives access to all the tensors of the training.

    Args:
        model: the API's DetectionModel, with its initial weights, made in `strategy`'s scope.
        config: its TrainEvalPipelineConfig: optimiser, rate, schedule.
        strategy: where to train.
        backbone_learning_rate: the backbone's rate is that of the rest times this; 1 for random initial weights.
        jit_compile: whether to compile a replica's step with XLA; for a TPU it always is.
    """

    def __init__(
        self,
        model: Any,
        config: Any,
        strategy: tf.distribute.Strategy,
        backbone_learning_rate: float = 1.0,
        *,
        jit_compile: bool = False,
    ) -> None:
        self._model, self._strategy = model, strategy
        with strategy.scope():
            self._count = tf.Variable(0, trainable=False, dtype=tf.int64, name="step")
            self._position = tf.Variable(0.0, trainable=False, name="position")
            optimizer = config.train_config.optimizer
            self._optimizers, (self._rate, _) = zip(
                od_api.optimizer(optimizer, self._position),
                od_api.optimizer(optimizer, self._position, rate_factor=backbone_learning_rate),
                strict=True,
            )
            self._variables = od_api.trainable_variables(model)  # those of the backbone last
            for built, variables in zip(self._optimizers, self._variables, strict=True):
                built._create_all_weights(variables)  # now: what is restored must exist
        self._replica = tf.function(self._one_replica, jit_compile=True) if jit_compile else self._one_replica
        self._traced, self._traced_mean = tf.function(self._distributed), tf.function(self._mean)

    def __call__(self, batches: Iterator[Any], position: float) -> tuple[dict[str, float], float, Sequence[tf.Tensor]]:
        """Train on the next of `batches`.

        Args:
            position: where in the rate's schedule this step is, in steps.

        Returns:
            The losses by name, the rate, and the hashes of the batch's file names, a tensor per replica.
        """
        self._position.assign(position)
        rate = float(self._rate())
        losses, hashes = self._traced(batches)
        return {name: float(value) for name, value in losses.items()}, rate, hashes

    def _distributed(self, batches: Any) -> tuple[dict[str, tf.Tensor], Any]:
        losses, hashes = self._strategy.run(self._replica, args=next(batches))
        self._count.assign_add(1)
        summed = {name: self._strategy.reduce("SUM", value, axis=None) for name, value in losses.items()}
        return summed, self._strategy.experimental_local_results(hashes)

    def _one_replica(self, features: Any, labels: Any) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        od_api.set_training(self._model, True)
        losses, _ = od_api.losses(self._model, features, labels, replicas=self._strategy.num_replicas_in_sync)
        heads, backbone = self._variables
        gradients = determinism.gradients(losses["total_loss"], [*heads, *backbone])
        self._optimizers[0].apply_gradients(zip(gradients[: len(heads)], heads, strict=True))
        if backbone:
            self._optimizers[1].apply_gradients(zip(gradients[len(heads) :], backbone, strict=True))
        return losses, features[od_api.HASH_KEY]

    def mean(self, values: Sequence[float]) -> list[float]:
        """The means over all workers of what each gives, all of them at the same time: the same bits for all."""
        return [float(value) for value in self._traced_mean(tf.constant(values, tf.float64)).numpy()]

    def _mean(self, values: tf.Tensor) -> tf.Tensor:
        return self._strategy.reduce("MEAN", self._strategy.run(tf.identity, args=(values,)), axis=None)

    def graph(self, batches: Iterator[Any]) -> tf.Graph:
        """The graph of a step."""
        return self._traced.get_concrete_function(batches).graph

    def everything(self) -> Any:
        """A tf.train.Checkpoint to resume from: weights, optimisers, step."""
        optimizer, backbone_optimizer = self._optimizers
        return tf.train.Checkpoint(
            model=self._model, optimizer=optimizer, backbone_optimizer=backbone_optimizer, step=self._count
        )

    def weights(self) -> Any:
        """A tf.train.Checkpoint of the detector alone; Adam's moments would make it three times as large."""
        return tf.train.Checkpoint(model=self._model)

    def sizes(self) -> tuple[int, int]:
        """The approximate bytes of `everything` and of `weights`."""
        weights = _bytes(self._model.variables)
        moments = sum(_bytes(optimizer.variables()) for optimizer in self._optimizers)
        return weights + moments, weights

    def is_finite(self) -> bool:
        """Whether every weight is a number."""
        return all(bool(tf.reduce_all(tf.math.is_finite(variable))) for variable in self._model.variables)


def _bytes(variables: Sequence[Any]) -> int:
    return sum(variable.shape.num_elements() * variable.dtype.size for variable in variables)
