"""The training loop: a traced step, a look at the validation split now and then, the best and the last checkpoint kept.

The model, its losses, the input pipeline and the optimiser are the Object Detection API's; the loop is ours, because
the API's own neither stops at a NaN, nor keeps the best checkpoint, nor says when it will be done.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from detector import checkpoints, metrics, od_api
from detector.errors import UserError
from detector.inference import Inference
from detector.progress import Progress
from detector.tables import ImageBoxes
from detector.tensorflow_env import tf

LOG_EVERY = 10  # steps between two points of a curve
KEEP_EVERY_SECONDS = 600
Log = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Validation:
    """The split that training looks at now and then; the best checkpoint is the best of these looks by AP."""

    record: Path
    images: Sequence[ImageBoxes]
    names: Mapping[int, str]


@dataclass(frozen=True)
class Outcome:
    """What training came to. `best_step` is `steps` and `best` is empty where there was no validation split."""

    steps: int
    best_step: int
    best: dict[str, float]
    images_per_second: float


class Trainer:
    """Trains `model` in place.

    Args:
        model: the API's DetectionModel, its weights as training shall find them, made in `strategy`'s scope.
        config: its TrainEvalPipelineConfig: batch, steps, schedule, augmentation, records.
        strategy: where to train.
        work_dir: gets `best/ckpt-1` and `last/ckpt-1`.
        look_every: steps between two looks at the validation split, each of which ends with a `last` kept.
        train_filenames: of every image in the train record, to name those of a bad batch.
    """

    def __init__(
        self,
        model: Any,
        config: Any,
        strategy: tf.distribute.Strategy,
        *,
        work_dir: Path,
        look_every: int,
        train_filenames: Sequence[str],
    ) -> None:
        self.model, self.config, self.strategy = model, config, strategy
        self.work_dir, self.look_every = work_dir, look_every
        with strategy.scope():
            self.step = tf.Variable(0, trainable=False, dtype=tf.int64, name="step")
            self.optimizer, (self.learning_rate,) = od_api.optimizer_builder.build(
                config.train_config.optimizer, global_step=self.step
            )
        self._filenames = dict(zip(od_api.hashes(train_filenames), train_filenames, strict=True))
        self._batches = strategy.distribute_datasets_from_function(self._input)
        self._train_step = tf.function(self._distributed_step)

    def _input(self, context: tf.distribute.InputContext) -> tf.data.Dataset:
        return od_api.inputs.train_input(
            self.config.train_config,
            self.config.train_input_reader,
            self.config.model,
            model=self.model,
            input_context=context,
        )

    def _replica_step(self, features: Any, labels: Any) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        od_api.set_training(self.model, True)
        with tf.GradientTape() as tape:
            losses, _ = od_api.losses(self.model, features, labels)
            losses = {name: value / self.strategy.num_replicas_in_sync for name, value in losses.items()}
        variables = self.model.trainable_variables
        gradients = tape.gradient(losses["total_loss"], variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return losses, features[od_api.HASH_KEY]

    def _distributed_step(self, batches: Any) -> tuple[dict[str, tf.Tensor], Any]:
        losses, hashes = self.strategy.run(self._replica_step, args=next(batches))
        self.step.assign_add(1)
        summed = {name: self.strategy.reduce("SUM", value, axis=None) for name, value in losses.items()}
        return summed, self.strategy.experimental_local_results(hashes)

    def run(self, validation: Validation | None, log: Log) -> Outcome:
        """Train to the last step; `log(step, scalars)` gets losses and rate every 10 steps, validation when it is done.

        `work_dir/last` is kept at every look, every 10 minutes and on Ctrl-C or SIGTERM, always with finite weights.

        Raises:
            UserError: a loss or the weights became NaN or infinite; names the step and the batch's files.
        """
        steps = self.config.train_config.num_steps
        progress = Progress(steps, self.config.train_config.batch_size)
        progress.note("compiling the training step: up to a minute")
        judge = _Judge(self, validation, progress, log) if validation and validation.images else None
        try:
            self._loop(steps, judge, progress, log)
        except (KeyboardInterrupt, SystemExit):
            if self.step > 0 and self._is_finite():
                self.save_last()
            raise
        best_step, best = (judge.best_step, judge.best) if judge else (steps, {})
        return Outcome(steps, best_step, best, progress.images_per_second())

    def _loop(self, steps: int, judge: "_Judge | None", progress: Progress, log: Log) -> None:
        batches = iter(self._batches)
        kept = time.monotonic()
        for step in range(1, steps + 1):
            learning_rate = float(self.learning_rate())
            losses, hashes = self._train_step(batches)
            scalars = {name: float(value) for name, value in losses.items()}
            bad = [f"{name} {value}" for name, value in scalars.items() if not math.isfinite(value)]
            if bad:
                self._stop(step, ", ".join(bad), hashes)
            progress.update(step, scalars, learning_rate)
            if step % LOG_EVERY == 0 or step == steps:
                log(step, {**{f"loss/{n}": v for n, v in scalars.items()}, "learning_rate": learning_rate})
            looks = step % self.look_every == 0 or step == steps
            if looks or time.monotonic() - kept > KEEP_EVERY_SECONDS:
                if not self._is_finite():
                    self._stop(step, "the weights are no longer finite", hashes)
                self.save_last()  # before the look, which may fail
                kept = time.monotonic()
            if looks and judge:
                judge.look(step)
            progress.resume()

    def save_last(self) -> None:
        """Keep the whole state as `work_dir/last/ckpt-1`, in place of the one before."""
        state = tf.train.Checkpoint(model=self.model, optimizer=self.optimizer, step=self.step)
        checkpoints.save(state, self.work_dir / "last" / "ckpt-1")

    def save_best(self) -> None:
        """Keep the weights as `work_dir/best/ckpt-1`; Adam's moments would treble it."""
        checkpoints.save(tf.train.Checkpoint(model=self.model), self.work_dir / "best" / "ckpt-1")

    def _is_finite(self) -> bool:
        return all(bool(tf.reduce_all(tf.math.is_finite(variable))) for variable in self.model.variables)

    def _stop(self, step: int, reason: str, hashes: Sequence[tf.Tensor]) -> NoReturn:
        names = [self._filenames.get(int(value), "?") for part in hashes for value in part.numpy()]
        remedy = f"lower train.learning_rate, or look at that batch: {', '.join(names)}"
        raise UserError("params.yaml", f"step {step}: {reason}", remedy, item="train")


class _Judge:
    """Looks at the validation split and keeps the best checkpoint."""

    def __init__(self, trainer: Trainer, validation: Validation, progress: Progress, log: Log) -> None:
        self._trainer, self._validation, self._progress, self._log = trainer, validation, progress, log
        self._inference = Inference(trainer.model, trainer.config, validation.record, validation.images)
        self.best_step, self.best = 0, {"AP": -math.inf}

    def look(self, step: int) -> None:
        losses, detections = self._inference()
        found = metrics.coco(self._validation.images, detections, self._validation.names)
        scores = {name: found.get(name, 0.0) for name in ("AP", "AP50")}
        self._log(step, {"val/loss": losses["total_loss"], **{f"val/{name}": value for name, value in scores.items()}})
        is_best = scores["AP"] >= self.best["AP"]
        if is_best:
            self.best_step, self.best = step, scores
            self._trainer.save_best()
        self._progress.note(
            f"step {step}: validation loss {losses['total_loss']:.3f}, AP {scores['AP']:.3f}, "
            f"AP50 {scores['AP50']:.3f}" + (" (best so far)" if is_best else "")
        )
