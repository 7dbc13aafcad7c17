"""The training loop: validate, step, check, log, save.

The loop is ours, because the Object Detection API's own does not stop at a NaN, keeps no best checkpoint, shows no ETA,
and cannot resume a killed training as if nothing had happened.
"""

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

from detector.base import paths
from detector.base.errors import UserError
from detector.board.board import Board
from detector.checkpointing.work_dir import Work
from detector.data import records, score_threshold
from detector.model import checkpoints, od_api
from detector.training.params import TrainParams
from detector.training.progress import Progress
from detector.training.stops import Stops
from detector.training.train_step import TrainStep
from detector.training.validation import Validator

LOG_EVERY = 10  # steps between two points of a curve
OLD_NAMES = {"looked": "validated_step", "stale": "validations_without_gain"}  # until Nov 26, 2026
Log = Callable[[int, Mapping[str, float]], None]
Batches = Iterator[Any]


@dataclass
class State:
    """What a training knows beside its tensors; saved with them, as JSON."""

    step: int = 0
    seconds: float = 0.0  # spent so far, in all sessions together
    validated_step: int = 0
    best_step: int = 0
    best: dict[str, float] = field(default_factory=dict)
    score_threshold: float = score_threshold.DEFAULT  # what suits the best weights
    validations_without_gain: int = 0
    history: list[tuple[int, dict[str, float]]] = field(default_factory=list)  # what was logged, step by step

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> "State":
        """What was saved. Raises: TypeError; other code saved it."""
        return cls(**{OLD_NAMES.get(name, name): value for name, value in saved.items()})

    def stopped_by(self, train: TrainParams) -> str:
        """Why there is no further step: `steps`, `max_minutes` or `patience`; empty if there is one."""
        if self.step >= train.steps:
            return "steps"
        if 0 < train.max_minutes * 60 <= self.seconds:
            return "max_minutes"
        return "patience" if 0 < train.patience <= self.validations_without_gain else ""

    def schedule_position(self, train: TrainParams) -> float:
        """Where in the rate's schedule the next step is, in steps: of steps and time, what is further on."""
        spent = self.seconds / (train.max_minutes * 60) if train.max_minutes else 0.0
        return float(max(self.step, spent * train.steps))

    def is_validation_due(self, train: TrainParams) -> bool:
        """Every `eval_every` steps and at the end; once for each of these steps."""
        is_time = self.step % train.eval_every == 0 or self.stopped_by(train)
        return bool(is_time and self.validated_step < self.step)


@dataclass(frozen=True)
class Outcome:
    """What a training came to. Without a validation split `best_step` is `steps`, and `best` is empty."""

    steps: int
    stopped_by: str  # `steps`, `max_minutes` or `patience`
    best_step: int
    best: dict[str, float]
    score_threshold: float  # what suits the best weights
    images_per_second: float
    seconds: float  # in all sessions together


class Trainer:
    """Trains a detector to the end, or until it is stopped.

    Args:
        train: when to validate, to save and to stop.
        train_step: what a step does; its model has the weights to start from.
        work: keeps the checkpoints. If it holds one, training resumes from there: nothing is repeated, the log gets
            again what was logged before, and the result is as if there had been no interruption.
        stops: signals to stop, which wait for the end of a step.
        log: gets losses and rate every 10 steps, and the scores of each validation.
        filenames: of every image in the train record, to name those of a bad batch.
        board: gets the same for TensorBoard, and the detections of each validation.
        workers: how many processes train together; all of them do the same at the same time.
    """

    def __init__(
        self,
        train: TrainParams,
        train_step: TrainStep,
        work: Work,
        stops: Stops,
        log: Log,
        *,
        filenames: Sequence[str],
        board: Board | None = None,
        workers: int = 1,
    ) -> None:
        self._train, self._train_step, self._work, self._stops, self._log = train, train_step, work, stops, log
        self._board, self._workers = board, workers
        self._filenames = dict(zip(od_api.hashes(filenames), filenames, strict=True))
        self._batch_hashes: Sequence[Any] = ()  # of the last batch's file names
        self._progress = Progress(train.steps, train.batch_size)
        self._state = State()
        self._saved = 0.0  # when

    def run(self, batches_from: Callable[[int], Batches], validator: Validator | None) -> Outcome:
        """Train on the batches from a step on, which `batches_from(step)` gives.

        Raises:
            UserError: a loss or the weights became NaN or infinite (it names the step and the batch's files), or the
                disk is full.
        """
        train, progress = self._train, self._progress
        state = self._state = self._restored()
        began = self._saved = time.monotonic()
        seconds_before, limit = state.seconds, train.max_minutes * 60 or math.inf
        batches: Batches = iter(())
        if not state.stopped_by(train):
            self._work.check_room(sum(self._train_step.sizes()))
            batches = batches_from(state.step)
            progress.wait("compiling the training step")
        is_leaving = False
        held: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
        # Of several workers none may leave by itself: the others would wait for it in a collective.
        with self._stops.held() if self._workers > 1 else contextlib.nullcontext():
            while not is_leaving:
                if validator and state.is_validation_due(train):
                    self._save()  # before it, for it may fail
                    self._validate(validator)
                    self._save()
                    progress.resume()
                if state.stopped_by(train):
                    break
                with held():
                    with records.named_damage(paths.record("train")):
                        losses, rate, self._batch_hashes = self._train_step(batches, state.schedule_position(train))
                    state.step += 1
                    state.seconds = seconds_before + time.monotonic() - began
                    is_save_due, is_leaving = self._agree(self._is_save_due())
                    bad = [f"{name} {value}" for name, value in losses.items() if not math.isfinite(value)]
                    if bad:
                        self._refuse(", ".join(bad))
                    progress.update(state.step, losses, rate, limit - state.seconds)
                    if state.step % LOG_EVERY == 0 or state.stopped_by(train):
                        curves = {f"loss/{name}": value for name, value in losses.items()}
                        self._record({**curves, "learning_rate": rate})
                        if self._board:
                            self._board.train(state.step, {**curves, "learning_rate": rate})
                    if is_save_due or (self._stops.requested and self._workers == 1):
                        self._save()
                held = self._stops.held  # the first step is mostly tracing, which is not worth waiting for
            self._save()
        best_step = state.best_step or state.step
        speed = progress.images_per_second()
        stopped_by = state.stopped_by(train)
        return Outcome(state.step, stopped_by, best_step, state.best, state.score_threshold, speed, state.seconds)

    def _validate(self, validator: Validator) -> None:
        """Log the scores, and save the weights if no better ones were seen."""
        state = self._state
        losses, scores, threshold, detections = validator()
        if self._workers > 1:  # they measured the same weights, but maybe on other hardware
            *means, threshold = self._train_step.mean([*scores.values(), threshold])
            scores, threshold = dict(zip(scores, means, strict=True)), round(threshold, 2)
        if self._board:
            self._board.validation(state.step, losses, scores, detections, threshold)
        self._record({"val/loss": losses["total_loss"], **{f"val/{name}": value for name, value in scores.items()}})
        best = state.best.get("AP", -math.inf)
        state.validated_step = state.step
        state.validations_without_gain = 0 if scores["AP"] > best else state.validations_without_gain + 1
        if scores["AP"] >= best:
            self._save_best()
            state.best_step, state.best = state.step, scores
            state.score_threshold = threshold
        self._progress.note(
            f"step {state.step}: validation loss {losses['total_loss']:.3f}, AP {scores['AP']:.3f}, "
            f"AP50 {scores['AP50']:.3f}" + (" (best so far)" if state.best_step == state.step else "")
        )

    def _record(self, scalars: dict[str, float]) -> None:
        self._state.history.append((self._state.step, scalars))
        self._log(self._state.step, scalars)

    def _is_save_due(self) -> bool:
        every, minutes = self._train.checkpoint_every, self._train.checkpoint_minutes
        is_step = every and self._state.step % every == 0
        return bool(is_step or (minutes and time.monotonic() - self._saved >= minutes * 60))

    def _agree(self, is_save_due: bool) -> tuple[bool, bool]:
        """Whether to save now, and to leave after that; several workers agree on both, and on the time, too."""
        if self._workers == 1:
            return is_save_due, False  # at a signal, `held` leaves
        own = (self._state.seconds, is_save_due, bool(self._stops.requested))
        self._state.seconds, saving, leaving = self._train_step.mean(own)
        if leaving:
            self._stops.request(signal.SIGTERM, "another worker stops")
        return saving > 0 or leaving > 0, leaving > 0

    def _restored(self) -> State:
        checkpoint, state = self._work.latest(), State()
        if checkpoint:
            checkpoints.restore_all(self._train_step.everything(), checkpoint.folder / checkpoints.NAME)
            try:
                state = State.of(checkpoint.state)
            except TypeError as error:
                remedy = "was it saved by other code? to train from scratch: make train FRESH=1"
                raise UserError(checkpoint.folder.as_posix(), "cannot be resumed", remedy) from error
            for step, scalars in state.history:
                self._log(step, scalars)
            self._stops.saved = self._where(state)
        if self._board:
            self._board.resume(state.step, state.validated_step, state.history)
        return state

    def _save(self) -> None:
        """Save all that is needed to resume; never with weights that are not finite."""
        with self._stops.held():
            if not self._train_step.is_finite():
                self._refuse("the weights are no longer finite")
            size, _ = self._train_step.sizes()
            self._work.save(asdict(self._state), size, lambda to: checkpoints.write(self._train_step.everything(), to))
            self._stops.saved = self._where(self._state)
        self._saved = time.monotonic()

    def _save_best(self) -> None:
        _, size = self._train_step.sizes()
        with self._stops.held():
            step = self._state.step
            self._work.save_best(step, size, lambda to: checkpoints.write(self._train_step.weights(), to))

    def _where(self, state: State) -> str:
        return f"step {state.step} of {self._train.steps} is saved in {self._work.folder}"

    def _refuse(self, reason: str) -> NoReturn:
        names = [self._filenames.get(int(value), "?") for hashes in self._batch_hashes for value in hashes.numpy()]
        remedy = f"lower train.learning_rate, or check that batch: {', '.join(names)}"
        raise UserError("params.yaml", f"step {self._state.step}: {reason}", remedy, item="train")
