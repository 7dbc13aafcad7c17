"""One step of training, traced: model, losses, optimiser and the rate's schedule are the Object Detection API's."""

from collections.abc import Iterator, Sequence
from typing import Any

from detector import determinism, od_api
from detector.tensorflow_env import tf


class TrainStep:
    """Trains `model` in place, a batch per call; and knows all the tensors that training consists of.

    Args:
        model: the API's DetectionModel, its weights as training shall find them, made in `strategy`'s scope.
        config: its TrainEvalPipelineConfig: optimiser, rate, schedule.
        strategy: where to train.
    """

    def __init__(self, model: Any, config: Any, strategy: tf.distribute.Strategy) -> None:
        self._model, self._strategy = model, strategy
        with strategy.scope():
            self._count = tf.Variable(0, trainable=False, dtype=tf.int64, name="step")
            self._position = tf.Variable(0.0, trainable=False, name="position")
            self._optimizer, (self._rate,) = od_api.optimizer_builder.build(
                config.train_config.optimizer, global_step=self._position
            )
            self._optimizer._create_all_weights(model.trainable_variables)  # now: what is restored must be there
        self._traced = tf.function(self._distributed)

    def __call__(self, batches: Iterator[Any], position: float) -> tuple[dict[str, float], float, Sequence[tf.Tensor]]:
        """Train on the next of `batches`.

        Args:
            position: where in the rate's schedule this step lies, in steps; as far as float32 goes, the API's schedule
                gives the same rate for it as for the number of the step.

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

    def _replica(self, features: Any, labels: Any) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        od_api.set_training(self._model, True)
        losses, _ = od_api.losses(self._model, features, labels)
        losses = {name: value / self._strategy.num_replicas_in_sync for name, value in losses.items()}
        variables = self._model.trainable_variables
        gradients = determinism.gradients(losses["total_loss"], variables)
        self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return losses, features[od_api.HASH_KEY]

    def everything(self) -> Any:
        """A tf.train.Checkpoint to go on from: weights, optimiser, step."""
        return tf.train.Checkpoint(model=self._model, optimizer=self._optimizer, step=self._count)

    def weights(self) -> Any:
        """A tf.train.Checkpoint of the detector alone; Adam's moments would treble it."""
        return tf.train.Checkpoint(model=self._model)

    def sizes(self) -> tuple[int, int]:
        """Bytes of `everything` and of `weights`, about."""
        weights = _bytes(self._model.variables)
        return weights + _bytes(self._optimizer.variables()), weights

    def is_finite(self) -> bool:
        """Whether every weight is a number."""
        return all(bool(tf.reduce_all(tf.math.is_finite(variable))) for variable in self._model.variables)


def _bytes(variables: Sequence[Any]) -> int:
    return sum(variable.shape.num_elements() * variable.dtype.size for variable in variables)
