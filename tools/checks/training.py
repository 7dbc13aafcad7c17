"""The params against the weights and the machine: what would end a training, or waste it."""

import functools
import math
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detector.base import files, paths
from detector.base.errors import UserError
from detector.checkpointing import mirror
from detector.data.params import DatasetParams
from detector.model import pipeline_config
from detector.multihost import cluster
from detector.training.params import TrainParams
from detector.weights.params import OPEN_IMAGES_MODEL, PretrainedParams
from tools.checks import data, machine
from tools.checks.lines import Line, error, note, ok

SET = "run: dvc exp run -S train"
LAST = paths.TRAIN / "best" / "ckpt-1"
LEAVE_OUT = f"leave it out, or {SET.removeprefix('run: ')}.config_override=''"


@functools.cache
def _config(train: TrainParams) -> Any:
    """The pipeline configuration that training would build, but for what the dataset has in it."""
    try:
        return pipeline_config.build(train, pipeline_config.DatasetFacts(Path(paths.LABEL_MAP), 1, 1))
    except UserError as refused:
        raise UserError(refused.where, refused.reason, f"{refused.remedy}; {LEAVE_OUT}", refused.item) from refused


def _cosine(train: TrainParams) -> Any:
    return _config(train).train_config.optimizer.adam_optimizer.learning_rate.cosine_decay_learning_rate


def schedule(train: TrainParams) -> Iterator[Line]:
    """`train.config_override`: text that the API takes, and a cosine that can be computed."""
    config, cosine = _config(train).train_config, _cosine(train)
    where = "train.config_override: "
    if cosine.warmup_steps > cosine.total_steps:
        what = f"warmup_steps {cosine.warmup_steps} is more than total_steps {cosine.total_steps}"
        yield error(where + what, LEAVE_OUT)
    elif cosine.warmup_steps and cosine.warmup_learning_rate > cosine.learning_rate_base:
        what = f"warmup_learning_rate {cosine.warmup_learning_rate:g} is over the peak, {cosine.learning_rate_base:g}"
        yield error(where + what, LEAVE_OUT)
    else:
        yield ok(f"train: {train.model}, {config.num_steps} steps of {config.batch_size}")


def wasted_steps(train: TrainParams) -> Iterator[Line]:
    """A cosine of another length than the training, and looks at the validation split that never come."""
    steps, total = _config(train).train_config.num_steps, _cosine(train).total_steps
    if total != steps:
        what = "it never comes down" if total > steps else f"it is 0 from step {total} on"
        yield note(f"train.config_override: a rate for {total} steps, in a training of {steps}: {what}", LEAVE_OUT)
    if steps < train.eval_every:
        what = f"train.eval_every {train.eval_every} of {steps} steps: one look, at the end, chooses the best weights"
        yield note(what, f"{SET}.eval_every={max(1, steps // 5)}")


def batch(train: TrainParams) -> Iterator[Line]:
    """A batch that replicas can share equally."""
    size, workers = _config(train).train_config.batch_size, cluster.from_environment().count
    kind = machine.accelerator(train.accelerator)
    devices = machine.tpus() if kind == "tpu" else machine.gpus() if kind == "gpu" else 1
    replicas = max(1, devices) * workers
    if size % replicas:
        hosts = f"{workers} hosts with " if workers > 1 else ""
        what = f"train.batch_size: {size} cannot be shared equally by {hosts}{devices} x {kind}"
        yield error(what, f"run: make train BATCH={math.ceil(size / replicas) * replicas}")
    elif replicas > 1:
        yield ok(f"batch: {size // replicas} images for each of {replicas} replicas")


def weights(train: TrainParams, pretrained: PretrainedParams, dataset: DatasetParams) -> Iterator[Line]:
    """`train.fine_tune_checkpoint_type` against what `pretrained.source` holds."""
    wanted, source = train.fine_tune_checkpoint_type, pretrained.source
    if wanted == "none":
        yield ok("weights: random")
        return
    if wanted == "full" and source in ("package", "open_images"):
        source = "last"  # as stages/pretrained.py has it
    if source == "open_images":
        found = [*_open_images(train)]
    elif "://" in source:
        found = [*_address(source, pretrained.sha256)]
    elif source == "last":
        found = [*_local(wanted, source, LAST)] or [*_last(train, dataset)]
    else:
        found = [*_local(wanted, source, files.expanded(source))]
    yield from found or [ok(f"weights: {wanted} of {source}")]


def _open_images(train: TrainParams) -> Iterator[Line]:
    if train.model != OPEN_IMAGES_MODEL and train.fine_tune_checkpoint_type != "classification":
        what = f"pretrained.source: open_images is an {OPEN_IMAGES_MODEL}, not a {train.model}"
        yield error(what, f"{SET}.fine_tune_checkpoint_type=classification")


def _address(source: str, sha256: str) -> Iterator[Line]:
    if source.startswith("http") and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        remedy = (
            f"run: curl -L {shlex.quote(source)} | sha256sum, compare it with what the publisher says, put it there"
        )
        yield error("pretrained.sha256: an archive from the web needs its 64 digits", remedy)


def _local(wanted: str, source: str, path: Path) -> Iterator[Line]:
    found = "classification" if source == "package" else kind(Path(str(path).removesuffix(".index")))
    if not found and source == "last":
        yield error(
            f"{LAST}: no model to go on from", "run: make train (or, where there was one: dvc checkout train_tpu)"
        )
    elif not found and not path.is_file():  # a file may be an archive
        yield error(f"pretrained.source: {source}: not found", "run: dvc exp run -S pretrained.source=package")
    elif found and wanted not in pipeline_config.FITTING_TYPES[found]:
        what = f"train.fine_tune_checkpoint_type: {wanted}, but {source} (pretrained.source) is a {found} checkpoint"
        yield error(what, f"{SET}.fine_tune_checkpoint_type={found}")


def kind(prefix: Path) -> str:
    """`classification` or `detection`; nothing where there is no such checkpoint.

    Its index is a sorted table in which a key leaves out what it shares with the one before it. Every 16th key is
    written in full, and either kind has hundreds of its own, so that the bytes alone tell: TensorFlow is not needed.
    """
    index = Path(f"{prefix}.index")
    content = index.read_bytes() if index.is_file() else b""
    if b"model/_feature_extractor/" in content:
        return "detection"
    if content and b"feature_extractor/" not in content:
        raise UserError(
            str(index), "neither a backbone nor a detector", "run: dvc exp run -S pretrained.source=package"
        )
    return "classification" if content else ""


def _last(train: TrainParams, dataset: DatasetParams) -> Iterator[Line]:
    """What of the last model does not fit this training, by its pipeline.config."""
    file, label_map = paths.TRAIN / "pipeline.config", Path(dataset.dir) / paths.LABEL_MAP
    if not file.is_file():
        return
    old, new = pipeline_config.read(file).model.ssd, _config(train).model.ssd
    if old.feature_extractor.type != new.feature_extractor.type:
        what = f"{file}: {old.feature_extractor.type}, which is not that of train.model {train.model}"
        yield error(what, f"{SET}.fine_tune_checkpoint_type=classification -S pretrained.source=package")
    if not label_map.is_file() or train.fine_tune_checkpoint_type != "full":
        return
    count = len(data.classes_of(label_map))
    if count != old.num_classes:
        what = f"{file}: num_classes is {old.num_classes}, {label_map} has {count}, and full takes the class heads over"
        yield error(what, f"{SET}.fine_tune_checkpoint_type=detection -S pretrained.source=last")


def work_dir(train: TrainParams) -> Iterator[Line]:
    """The folder that training keeps its work in, which a bucket may mirror, can be written to."""
    if train.work_dir.startswith(mirror.SCHEME):
        mirror.checked(train.work_dir)
    folder = mirror.local_root(train.work_dir)
    place = machine.existing(Path(folder))
    where = shlex.quote(str(place))
    if not place.is_dir():
        yield error(f"train.work_dir {folder}: {place} is no folder", f"run: mv {where} {where}.old")
    elif not os.access(place, os.W_OK | os.X_OK):
        yield error(f"train.work_dir {folder}: {place} is not writable", f"run: chmod u+rwx {where}")
    else:
        yield ok(f"work_dir: {folder} is writable")
