"""The training loop: steps, looks at the validation split, checkpoints to go on from.

The loop is ours, because the Object Detection API's own neither stops at a NaN, nor keeps the best checkpoint, nor says
when it will be done, nor goes on from where a killed one stopped as if nothing had happened.
"""

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

from detector.base.errors import UserError
from detector.checkpointing.work_dir import Work
from detector.data import records
from detector.model import checkpoints, od_api
from detector.model.tensorflow_env import tf
from detector.training import batches
from detector.training.progress import Progress
from detector.training.stops import Stops
from detector.training.train_step import TrainStep
from detector.training.validation import Look, Validation

LOG_EVERY = 10  # steps between two points of a curve
Log = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Plan:
    """When to look, to keep and to stop: what the pipeline configuration has no place for. 0 stands for never."""

    seed: int
    backbone_learning_rate: float  # over the rate of the rest; without pretrained weights there is no difference
    eval_every: int  # steps between two looks at the validation split
    patience: int  # looks without a better AP, after which training stops
    max_minutes: float  # after which it stops; the rate's schedule ends then, too
    checkpoint_every: int  # steps between two checkpoints; there is one before each look and at the end as well
    checkpoint_minutes: float  # at most, between two checkpoints


@dataclass
class State:
    """What training knows beside its tensors. It is kept with them, as JSON."""

    step: int = 0
    seconds: float = 0.0  # that all sessions together have taken to come here
    looked: int = 0  # the step of the last look
    best_step: int = 0
    best: dict[str, float] = field(default_factory=dict)
    stale: int = 0  # looks since AP got better
    history: list[tuple[int, dict[str, float]]] = field(default_factory=list)  # what the log was given, step by step


@dataclass(frozen=True)
class Outcome:
    """What training came to. `best_step` is `steps`, and `best` is empty, where there was no validation split."""

    steps: int
    stopped_by: str  # `steps`, `max_minutes` or `patience`
    best_step: int
    best: dict[str, float]
    images_per_second: float


class Trainer:
    """Trains `model` in place.

    Args:
        model: the API's DetectionModel, its weights as training shall find them, made in `strategy`'s scope.
        config: its TrainEvalPipelineConfig: batch, steps, schedule, augmentation, records.
        strategy: where to train.
        plan: when to look, to keep and to stop.
        work: keeps the checkpoints. If it holds one, training goes on from there: what went before is not repeated, the
            log is given what it was given then, and all comes out as if there had been no interruption.
        train_filenames: of every image in the train record, to name those of a bad batch.
        workers: how many processes train together, all of which do the same at the same time.
    """

    def __init__(
        self,
        model: Any,
        config: Any,
        strategy: tf.distribute.Strategy,
        *,
        plan: Plan,
        work: Work,
        train_filenames: Sequence[str],
        workers: int = 1,
    ) -> None:
        self._model, self._config, self._strategy, self._plan, self._work = model, config, strategy, plan, work
        is_pretrained = bool(config.train_config.fine_tune_checkpoint)
        self._train_step = TrainStep(model, config, strategy, plan.backbone_learning_rate if is_pretrained else 1.0)
        self._state, self._steps, self._workers = State(), config.train_config.num_steps, workers
        self._leaving = False  # as all workers have agreed to
        self._hashes: Sequence[tf.Tensor] = ()  # of the last batch's file names
        self._filenames = dict(zip(od_api.hashes(train_filenames), train_filenames, strict=True))
        self._progress = Progress(self._steps, config.train_config.batch_size)

    def run(self, validation: Validation | None, log: Log, stops: Stops) -> Outcome:
        """Train to the end; `log(step, scalars)` gets losses and rate every 10 steps, validation when it is done.

        Raises:
            UserError: a loss or the weights became NaN or infinite (it names the step and the batch's files), or the
                disk is full.
        """
        self._log, self._stops = log, stops
        self._look = Look(self._model, self._config, validation) if validation and validation.images else None
        self._restore()
        self._began = self._saved = time.monotonic()
        self._seconds_before = self._state.seconds
        data: Iterator[Any] = iter(())
        if not self._stopped_by():
            self._work.check_room(sum(self._train_step.sizes()))
            data = iter(self._strategy.distribute_datasets_from_function(self._input))
            self._progress.note("compiling the training step: up to a minute")
        # Of several workers none may leave by itself: the others would wait for it in a collective.
        with stops.held() if self._workers > 1 else contextlib.nullcontext():
            self._loop(data)
        state = self._state
        best_step = state.best_step or state.step
        return Outcome(state.step, self._stopped_by(), best_step, state.best, self._progress.images_per_second())

    def _loop(self, data: Iterator[Any]) -> None:
        held: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
        while not self._leaving:
            if self._look and self._is_look_due():
                self._save()  # before the look, which may fail
                self._judge(*self._look())
                self._save()
                self._progress.resume()
            if self._stopped_by():
                break
            with held():
                self._step(data)
            held = self._stops.held  # the first is mostly tracing, which is not worth waiting for
        self._save()

    def _input(self, context: tf.distribute.InputContext) -> tf.data.Dataset:
        first, seed = self._state.step, self._plan.seed
        return batches.dataset(self._config, model=self._model, seed=seed, first_step=first, context=context)

    def _step(self, data: Iterator[Any]) -> None:
        state = self._state
        with records.named_damage(self._config.train_input_reader.tf_record_input_reader.input_path[0]):
            scalars, rate, self._hashes = self._train_step(data, self._position())
        state.step += 1
        state.seconds = self._seconds_before + time.monotonic() - self._began
        is_save_due = self._agreed(self._is_save_due())
        bad = [f"{name} {value}" for name, value in scalars.items() if not math.isfinite(value)]
        if bad:
            self._refuse(", ".join(bad))
        limit = self._plan.max_minutes * 60 or math.inf
        self._progress.update(state.step, scalars, rate, limit - state.seconds)
        if state.step % LOG_EVERY == 0 or self._stopped_by():
            self._tell({**{f"loss/{name}": value for name, value in scalars.items()}, "learning_rate": rate})
        if is_save_due or (self._stops.requested and self._workers == 1):
            self._save()

    def _judge(self, losses: Mapping[str, float], scores: dict[str, float]) -> None:
        """Take a look at the validation split into account, and keep the weights if there were no better ones."""
        state = self._state
        if self._workers > 1:  # they have looked at the same weights, but maybe on other hardware
            scores = dict(zip(scores, self._train_step.mean(list(scores.values())), strict=True))
        self._tell({"val/loss": losses["total_loss"], **{f"val/{name}": value for name, value in scores.items()}})
        best = state.best.get("AP", -math.inf)
        state.looked, state.stale = state.step, 0 if scores["AP"] > best else state.stale + 1
        if scores["AP"] >= best:
            self._save_best()
            state.best_step, state.best = state.step, scores
        self._progress.note(
            f"step {state.step}: validation loss {losses['total_loss']:.3f}, AP {scores['AP']:.3f}, "
            f"AP50 {scores['AP50']:.3f}" + (" (best so far)" if state.best_step == state.step else "")
        )

    def _tell(self, scalars: dict[str, float]) -> None:
        self._state.history.append((self._state.step, scalars))
        self._log(self._state.step, scalars)

    # When.

    def _stopped_by(self) -> str:
        """Why there is no further step, or nothing."""
        if self._state.step >= self._steps:
            return "steps"
        if 0 < self._plan.max_minutes * 60 <= self._state.seconds:
            return "max_minutes"
        return "patience" if 0 < self._plan.patience <= self._state.stale else ""

    def _position(self) -> float:
        """Where in the rate's schedule the next step lies, in steps: time may be ahead of them."""
        spent = self._state.seconds / (self._plan.max_minutes * 60) if self._plan.max_minutes else 0.0
        return float(max(self._state.step, spent * self._steps))

    def _is_look_due(self) -> bool:
        is_time = self._state.step % self._plan.eval_every == 0 or self._stopped_by()
        return bool(is_time and self._state.looked < self._state.step)

    def _is_save_due(self) -> bool:
        every, minutes = self._plan.checkpoint_every, self._plan.checkpoint_minutes
        due = every and self._state.step % every == 0
        return bool(due or (minutes and time.monotonic() - self._saved >= minutes * 60))

    def _agreed(self, is_save_due: bool) -> bool:
        """Whether to save now, as any of several workers wants to; they agree on the time, too, and on leaving."""
        if self._workers == 1:
            return is_save_due
        own = (self._state.seconds, is_save_due, bool(self._stops.requested))
        self._state.seconds, saving, leaving = self._train_step.mean(own)
        if leaving:
            self._leaving = True
            self._stops.request(signal.SIGTERM, "another worker stops")
        return saving > 0 or self._leaving

    # What is kept.

    def _restore(self) -> None:
        kept = self._work.latest()
        if not kept:
            return
        checkpoints.restore_all(self._train_step.everything(), kept.folder / checkpoints.NAME)
        try:
            self._state = State(**kept.state)
        except TypeError as error:
            remedy = "has the code changed since? start anew: make train FRESH=1"
            raise UserError(kept.folder.as_posix(), "is of another kind of training", remedy) from error
        for step, scalars in self._state.history:
            self._log(step, scalars)
        self._stops.kept = self._where()

    def _save(self) -> None:
        """Keep all, to go on from; never with weights that are no numbers."""
        with self._stops.held():
            if not self._train_step.is_finite():
                self._refuse("the weights are no longer finite")
            size, _ = self._train_step.sizes()
            self._work.save(asdict(self._state), size, lambda to: checkpoints.write(self._train_step.everything(), to))
            self._stops.kept = self._where()
        self._saved = time.monotonic()

    def _save_best(self) -> None:
        _, size = self._train_step.sizes()
        with self._stops.held():
            step = self._state.step
            self._work.save_best(step, size, lambda to: checkpoints.write(self._train_step.weights(), to))

    def _where(self) -> str:
        return f"step {self._state.step} of {self._steps} is kept in {self._work.folder}"

    def _refuse(self, reason: str) -> NoReturn:
        names = [self._filenames.get(int(value), "?") for part in self._hashes for value in part.numpy()]
        remedy = f"lower train.learning_rate, or look at that batch: {', '.join(names)}"
        raise UserError("params.yaml", f"step {self._state.step}: {reason}", remedy, item="train")
