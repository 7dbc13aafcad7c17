"""Which training is resumed: everything that shapes the weights is its identity, and the code that it ended with.

A training that has ended stays in the work directory, for DVC may die before it has recorded the result. When the stage
runs again, it resumes the ended training, which takes seconds, unless the code has changed since.
"""

import hashlib
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from detector.base import errors, files, paths
from detector.base.errors import UserError
from detector.checkpointing import work_dir
from detector.training.params import TrainParams

NOT_SHAPING = ("accelerator", "checkpoint_every", "checkpoint_minutes", "keep", "work_dir")  # keys of `train`
FILES, CONFIG = "files, by sha256", "pipeline.config, its sha256"  # parts of an identity
AGAIN = "PASSO_FRESH=1 dvc repro --force --single-item train_tpu"
WATCH = "; to watch it: make tensorboard"
SOURCES = {  # of the initial weights, by train.fine_tune_checkpoint_type
    "classification": f"the backbone in {paths.PRETRAINED}",
    "detection": f"the feature extractor and the box heads in {paths.PRETRAINED}",
    "full": f"the detector in {paths.PRETRAINED}",
    "none": "random weights",
}


def of(train: TrainParams, pipeline_config: str, label_map: Path, start: Sequence[Path]) -> dict[str, object]:
    """The identity of a training; one with the same identity resumes it.

    Args:
        train: of which the keys that shape the weights count.
        pipeline_config: the text of its pipeline.config.
        label_map: the file.
        start: the files that tell its initial weights from others.

    Raises:
        UserError: a record or the label map is missing.
    """
    inputs = [paths.record("train"), paths.record("val"), paths.csv("val"), label_map]
    for path in inputs:
        if not path.is_file():
            raise UserError(path.as_posix(), "not found", "run: dvc repro")
    if train.fine_tune_checkpoint_type != "none":
        inputs += start
    return {
        FILES: {path.as_posix(): files.sha256(path) for path in inputs},
        CONFIG: hashlib.sha256(pipeline_config.encode()).hexdigest(),
        "train": shaping(train),
    }


def shaping(train: TrainParams) -> dict[str, Any]:
    """The keys of `train` that shape the weights, which none of a machine does."""
    return {name: value for name, value in asdict(train).items() if name not in NOT_SHAPING}


def digest(listed: Iterable[Path]) -> str:
    """One for all of the files."""
    return hashlib.sha256("".join(map(files.sha256, listed)).encode()).hexdigest()


def code() -> str:
    """The digest of the code that dvc.yaml lists for this stage."""
    listed = [Path(dep) for dep in _stage("dvc.yaml").get("deps", []) if dep.startswith(("detector/", "stages/"))]
    inside = [path for dep in listed for path in (dep, *sorted(dep.rglob("*"))) if "__pycache__" not in path.parts]
    return digest(path for path in inside if path.is_file())


def _stage(file: str) -> dict[str, Any]:
    """What dvc.yaml or dvc.lock has on this stage; empty if it has nothing."""
    path = Path(file)
    document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")) if path.exists() else None
    return dict((document or {}).get("stages", {}).get("train_tpu", {}))


def begin(train: TrainParams, work: work_dir.Work, *, fresh: bool) -> str:
    """Forget what must not be resumed, report other unfinished trainings, and return a line on how this one begins."""
    ended = None if fresh else work.finished()
    if fresh or (ended and ended.get("code") != code()):
        work.forget()
    for other in work.others():
        errors.say(_report(other))
    if checkpoint := work.latest():
        line = f"resumes from step {checkpoint.step} of {train.steps} in {checkpoint.folder}"
        return f"{line}, where it has ended; to train it again: {AGAIN}" if ended else line + WATCH
    line = f"starts from {SOURCES[train.fine_tune_checkpoint_type]}, saves its work in {work.where}"
    if train.fine_tune_checkpoint_type != "full" and _stage("dvc.lock"):
        line += "; to start from the last model: make continue"
    return line + WATCH


def _report(other: work_dir.Unfinished) -> str:
    """Why this training does not resume that one, and how it would."""
    names = [name.removeprefix(f"{FILES}.") for name in other.differs if name != CONFIG] or [CONFIG]
    return (
        f"{other.folder} holds step {other.step} of a training with another {errors.few(names)}; "
        f"change that back to resume it, or remove it ({work_dir.megabytes(other.size)}): "
        f"rm -r {shlex.quote(str(other.folder))}"
    )
