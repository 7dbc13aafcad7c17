"""The params against the weights and the machine: what would end a training, or waste it."""

import functools
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detector.base import files, paths
from detector.base.errors import UserError, few
from detector.checkpointing import mirror
from detector.data.params import DatasetParams
from detector.model import fine_tune, pipeline_config
from detector.multihost import cluster
from detector.training import accelerators
from detector.training.params import TrainParams
from detector.weights import external, published, recipe
from detector.weights.params import NO_START, PretrainedParams
from detector.weights.params import check as check_source
from tools.checks import data, machine
from tools.checks.lines import Line, error, mistake, note, ok
from tools.cloud import dvc_add, trust

SET = "dvc exp run -S train"
LEAVE_OUT = f"leave it out, or {SET}.config_override=''"


@functools.cache
def _config(train: TrainParams) -> Any:
    """The pipeline configuration that training would build, except for what depends on the dataset."""
    try:
        return pipeline_config.build(train, pipeline_config.DatasetFacts(Path(paths.LABEL_MAP), 1, 1))
    except UserError as refused:
        raise UserError(refused.where, refused.reason, f"{refused.remedy}; {LEAVE_OUT}", refused.item) from refused


def _cosine(train: TrainParams) -> Any:
    return _config(train).train_config.optimizer.adam_optimizer.learning_rate.cosine_decay_learning_rate


def schedule(train: TrainParams) -> Iterator[Line]:
    """`train.config_override`: text that the API takes, and a cosine that can be computed."""
    cosine, where = _cosine(train), "train.config_override: "
    if cosine.warmup_steps > cosine.total_steps:
        what = f"warmup_steps {cosine.warmup_steps} is more than total_steps {cosine.total_steps}"
        yield error(where + what, LEAVE_OUT)
    elif cosine.warmup_steps and cosine.warmup_learning_rate > cosine.learning_rate_base:
        what = f"warmup_learning_rate {cosine.warmup_learning_rate:g} is over the peak, {cosine.learning_rate_base:g}"
        yield error(where + what, LEAVE_OUT)
    else:
        yield ok(f"train: {train.model}, {train.steps} steps of {train.batch_size}")


def wasted_steps(train: TrainParams) -> Iterator[Line]:
    """A cosine of another length than the training, and a validation that comes at its end only."""
    steps, total = train.steps, _cosine(train).total_steps
    if total != steps:
        what = "it never comes down" if total > steps else f"it is 0 from step {total} on"
        yield note(f"train.config_override: a rate for {total} steps, in a training of {steps}: {what}", LEAVE_OUT)
    if steps < train.eval_every:
        what = f"train.eval_every {train.eval_every} of {steps} steps: validation comes once, at the end"
        yield note(what, f"run: {SET}.eval_every={max(1, steps // 5)}")


def batch(train: TrainParams) -> Iterator[Line]:
    """A batch that the replicas can share equally."""
    size, hosts = train.batch_size, cluster.from_environment().count
    kind = machine.accelerator(train.accelerator)
    count = max(1, machine.tpus() if kind == "tpu" else machine.gpus() if kind == "gpu" else 1)
    devices = f"{count} x {kind}" if hosts == 1 else f"{hosts} hosts with {count} x {kind}"
    accelerators.check_batch(size, count * hosts, devices)
    if count * hosts > 1:
        yield ok(f"batch: {size // (count * hosts)} images for each of {count * hosts} replicas")


def weights(train: TrainParams, pretrained: PretrainedParams, dataset: DatasetParams) -> Iterator[Line]:
    """`train.fine_tune_checkpoint_type` against what `pretrained.source` holds."""
    wanted, source = train.fine_tune_checkpoint_type, pretrained.source
    check_source(pretrained, train.model, wanted)
    if missing := [*_start(pretrained.start)]:
        yield from missing
        return
    if "://" in source:
        faults = [*_address(source, pretrained.sha256)]
    elif source == recipe.AUTO:
        yield from _automatic(train)
        return
    elif source in recipe.NAMES:
        faults = [*_fits(wanted, source, "classification" if source == recipe.PACKAGE else "")]
    else:
        faults = [*_local(train, source, dataset)]
    used = "random" if wanted == "none" else f"{wanted} of {source}"  # `pretrained` fetches the source all the same
    yield from faults or [ok(f"weights: {used}")]


def _automatic(train: TrainParams) -> Iterator[Line]:
    """Which weights `auto` has taken, or would take."""
    used, kind = recipe.read(), train.fine_tune_checkpoint_type
    if kind == "none":
        yield ok("weights: random")
    elif used and used.is_fallback:
        settings = recipe.shown(recipe.replaced(used, train.model, kind))
        better = recipe.NAMES[recipe.OPEN_IMAGES]
        yield note(f"weights: {used.name}, with {settings}: {better} could not be fetched", f"run: {recipe.AGAIN}")
    elif place := published.kept():
        yield ok(f"weights: {published.NAME}, in {place}")
    else:
        ways = "https or npm" if shutil.which("npm") else "https (npm is not installed)"
        yield ok(f"weights: {published.NAME}, to be fetched by {ways}; else {recipe.NAMES[recipe.PACKAGE]}")


def _start(folder: str) -> Iterator[Line]:
    """DVC does not run `pretrained` without the folder, used or not."""
    dvc_add.refuse_missing(Path(folder))
    if not Path(folder).exists():
        is_ours = Path(folder) == NO_START
        remedy = f"git checkout {shlex.quote(folder)}" if is_ours else f"dvc exp run -S pretrained.start={NO_START}"
        yield error(f"pretrained.start: {folder}: not found", f"run: {remedy}")


def _address(source: str, sha256: str) -> Iterator[Line]:
    if source.startswith("http") and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        remedy = f"run: curl -L {shlex.quote(source)} | sha256sum, compare with the publisher's, put it there"
        yield error("pretrained.sha256: an archive from the web needs its 64 digits", remedy)


def _local(train: TrainParams, source: str, dataset: DatasetParams) -> Iterator[Line]:
    path = files.expanded(source.removesuffix(".index"))
    if path.is_dir():
        path = external.find(path, source)
    kind = fine_tune.kind_by_index(path)
    if not kind and not path.is_file():  # a file may be an archive
        yield error(f"pretrained.source: {source}: not found", "run: dvc exp run -S pretrained.source=auto")
    faults = [*_fits(train.fine_tune_checkpoint_type, source, kind)]
    yield from faults or _detector(train, dataset, path.parent)


def _fits(wanted: str, source: str, kind: str) -> Iterator[Line]:
    """A source against the type; nothing where its kind is not known yet, as that of an archive."""
    try:
        if kind:
            fine_tune.check(wanted, kind, f"{source} (pretrained.source)")
    except UserError as refused:
        yield mistake(refused, f", say: {SET}.fine_tune_checkpoint_type={kind}")


def _detector(train: TrainParams, dataset: DatasetParams, folder: Path) -> Iterator[Line]:
    """What of the model in `folder` does not fit this training, by the pipeline.config that `make continue` copies."""
    file, label_map = folder / "pipeline.config", Path(dataset.dir) / paths.LABEL_MAP
    if not file.is_file() or train.fine_tune_checkpoint_type == "none":
        return
    old, new = pipeline_config.read(file).model.ssd, _config(train).model.ssd
    if old.feature_extractor.type != new.feature_extractor.type:
        what = f"{file}: {old.feature_extractor.type}, which is not that of train.model {train.model}"
        yield error(what, f"run: {SET}.fine_tune_checkpoint_type=classification -S pretrained.source=auto")
    if not label_map.is_file() or train.fine_tune_checkpoint_type != "full":
        return
    classes, trained = data.classes_of(label_map), folder / paths.LABEL_MAP
    if len(classes) != old.num_classes:
        what = (
            f"{file}: num_classes is {old.num_classes}, {label_map} has {len(classes)}, and full keeps the old classes"
        )
        yield error(what, f"run: {SET}.fine_tune_checkpoint_type=detection")
    elif trained.is_file() and (names := data.classes_of(trained)) != classes:
        what = f"{trained}: {few(names)}, but {label_map} has {few(classes)}, and full keeps the old classes"
        yield error(what, f"run: {SET}.fine_tune_checkpoint_type=detection")


def work_dir(train: TrainParams) -> Iterator[Line]:
    """Training can write to its work directory, on this machine, which a bucket may mirror."""
    if train.work_dir.startswith(mirror.SCHEME):
        mirror.checked(train.work_dir)
        if not trust.is_known(train.work_dir):
            what = f"train.work_dir: {train.work_dir} is in a bucket that you have not used before"
            yield error(what, f"if it is yours, run: make train WORK_DIR={shlex.quote(train.work_dir)}")
    folder = mirror.local_root(train.work_dir)
    place = machine.existing(Path(folder))
    where = shlex.quote(str(place))
    if not place.is_dir():
        yield error(f"train.work_dir {folder}: {place} is not a folder", f"run: mv {where} {where}.old")
    elif os.statvfs(place).f_flag & os.ST_RDONLY:
        yield error(f"train.work_dir {folder}: {place} is on a read-only file system", f"run: {SET}.work_dir=FOLDER")
    elif not os.access(place, os.W_OK | os.X_OK):
        yield error(f"train.work_dir {folder}: {place} is not writable", f"run: chmod u+rwx {where}")
    else:
        yield ok(f"work_dir: {folder} is writable")
