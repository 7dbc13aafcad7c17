"""Train the detector on a TPU, a GPU or the CPU.

    python -m stages.train_tpu [--fresh]

    dataset/data/{train,val}.{csv,record}, <dataset.dir>/label_map.pbtxt, model/pretrained
    -> model/train/{best,last}/ckpt-1.*   the best checkpoint by validation AP, and the last step's, optimiser included
       model/train/{pipeline.config,label_map.pbtxt,train.json}
       results/train/                     DVCLive: metrics.json, plots/metrics/**.tsv

A training that died goes on from its last checkpoint when this is run again: with the same data, initial weights and
params that shape the weights. What it keeps lies in `train.work_dir` (checkpointing/work_dir.py); `--fresh`, or
PASSO_FRESH=1 where DVC runs this, forgets it first. Ctrl-C and SIGTERM end the step, keep all, and exit with 130 and
143.

TensorBoard summaries go to logs/ (`tensorboard --logdir logs`). They and the work directory are no DVC outputs: the
first hold times, and the second must outlive a training that dies.
"""

import argparse
import hashlib
import json
import os
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.base import errors, files, params, paths
from detector.base.errors import UserError
from detector.checkpointing import work_dir
from detector.data import labels, tables
from detector.data.params import DatasetParams
from detector.model import pipeline_config
from detector.multihost import cluster, shared_work_dir
from detector.training import stops
from detector.training.params import TrainParams

if TYPE_CHECKING:
    from detector.training.trainer import Outcome

LOGS = Path("logs")
INITIAL = paths.PRETRAINED / "ckpt-1"
DVC_DIR = ".dvc"
A_CROWD = 100  # boxes of an image, to which the API pads by default
GO_ON = "to go on: dvc repro, or the same dvc exp run"
NOT_SHAPING = ("accelerator", "checkpoint_every", "checkpoint_minutes", "keep", "work_dir")  # the weights
FILES, CONFIG = "files, by sha256", "pipeline.config, its sha256"  # of a training's identity
A_FEW = 3  # names in a line
STARTS = {
    "classification": f"the backbone in {paths.PRETRAINED}",
    "detection": f"the feature extractor and the box heads in {paths.PRETRAINED}",
    "full": f"the detector in {paths.PRETRAINED}",
    "none": "random weights",
}
SUMMARY = ("steps", "stopped_by", "best_step", "best")  # of the outcome, for train.json
STOPPED_BY = {
    "max_minutes": "train.max_minutes are over",
    "patience": "AP has not got better for train.patience looks",
}


def _pipeline(train: TrainParams, label_map: Path, images: Sequence[tables.ImageBoxes]) -> Any:
    rate = train.learning_rate
    return pipeline_config.build(
        train.model,
        label_map=label_map,
        num_classes=len(labels.read(label_map)),
        max_number_of_boxes=tables.most_boxes(images),
        steps=train.steps,
        batch_size=train.batch_size,
        learning_rate=rate if isinstance(rate, float) else pipeline_config.auto_learning_rate(train.batch_size),
        fine_tune_checkpoint_type=train.fine_tune_checkpoint_type,
        bfloat16=train.bfloat16,
        frozen_blocks=train.frozen_blocks,
        config_override=train.config_override,
    )


def _devices(train: TrainParams, workers: cluster.Cluster) -> str:
    """What this worker trains on; nothing where it is alone, so that other errors need not wait for TensorFlow."""
    if workers.count == 1:
        return ""
    from detector.training import devices

    return devices.on_this_host(train.accelerator)


def _check_patience(train: TrainParams, val_images: Sequence[tables.ImageBoxes]) -> None:
    if train.patience and not any(len(image.boxes) for image in val_images):
        remedy = "raise dataset.val_fraction, or set it to 0"
        raise UserError("params.yaml", "the validation split has no objects to judge by", remedy, item="train.patience")


def _tell_crowd(images: Sequence[tables.ImageBoxes]) -> None:
    count = tables.most_boxes(images)
    if count > A_CROWD:
        name = next(image.filename for image in images if len(image.boxes) == count)
        remedy = f"train.config_override: 'train_input_reader {{ max_number_of_boxes: {A_CROWD} }}' drops those beyond"
        print(f"{name} has {count} boxes: all images are padded to as many; if memory runs out: {remedy}", flush=True)


def _identity(train: TrainParams, config: Any, label_map: Path) -> dict[str, object]:
    """All that shapes the weights: of two trainings with the same one, the second goes on from the first."""
    inputs = [paths.record("train"), paths.record("val"), paths.csv("val"), label_map]
    initial = sorted(paths.PRETRAINED.glob(f"{INITIAL.name}.*")) if train.fine_tune_checkpoint_type != "none" else []
    for path in inputs:
        if not path.is_file():
            raise UserError(path.as_posix(), "not found", "run: dvc repro")
    return {
        FILES: {path.as_posix(): files.sha256(path) for path in (*inputs, *initial)},
        CONFIG: hashlib.sha256(pipeline_config.render(config).encode()).hexdigest(),
        "train": {name: value for name, value in asdict(train).items() if name not in NOT_SHAPING},
    }


def _start(train: TrainParams, task: work_dir.Work, fresh: bool) -> str:
    """Drop what must not be gone on from; returns a line that says what this training starts from."""
    finished = None if fresh else task.finished()
    if fresh or (finished and (finished["code"] != _code() or _is_recorded(finished["result"], train))):
        task.forget()
    for other in task.others():
        print(_told(other))
    if kept := task.latest():
        return f"goes on from step {kept.step} of {train.steps}, which {kept.folder} holds"
    line = f"starts anew from {STARTS[train.fine_tune_checkpoint_type]}, keeps its work in {task.where}"
    if train.fine_tune_checkpoint_type != "full" and _of_dvc("dvc.lock"):
        line += "; to start from the last model: make continue"
    return line


def _told(other: work_dir.Unfinished) -> str:
    """Why this training does not go on from there, and how it would."""
    names = [name.removeprefix(f"{FILES}.") for name in other.differs if name != CONFIG] or [CONFIG]
    more = f" and {len(names) - A_FEW} more" if len(names) > A_FEW else ""
    return (
        f"{other.folder} holds step {other.step} of a training with another {', '.join(names[:A_FEW])}{more}; change "
        f"that back to go on with it, or drop it ({work_dir.megabytes(other.size)}): "
        f"rm -r {shlex.quote(str(other.folder))}"
    )


def _fit(
    train: TrainParams,
    config: Any,
    label_map: Mapping[str, int],
    images: Sequence[tables.ImageBoxes],
    val_images: Sequence[tables.ImageBoxes],
    task: work_dir.Work,
    stop: stops.Stops,
    workers: cluster.Cluster,
) -> "Outcome":
    from detector.model import checkpoints, od_api
    from detector.model.tensorflow_env import tf
    from detector.training import accelerators, determinism, devices, trainer, validation

    checkpoints.check_type(INITIAL, train.fine_tune_checkpoint_type)
    if train.deterministic:
        determinism.enable()
    strategy = devices.strategy(train.accelerator, workers)
    device = devices.describe(strategy)
    accelerators.check_batch(config.train_config.batch_size, strategy.num_replicas_in_sync, device)
    tf.keras.utils.set_random_seed(train.seed)
    with strategy.scope():
        model = od_api.build_model(config, bfloat16=config.train_config.use_bfloat16)
        if train.fine_tune_checkpoint_type != "none":
            checkpoints.restore(model, INITIAL, train.fine_tune_checkpoint_type)
    names = {number: name for name, number in label_map.items()}
    split = validation.Validation(paths.record("val"), val_images, names)
    print(f"{train.model}: {len(images)} images, {train.steps} steps of {train.batch_size} on {device}", flush=True)
    plan = trainer.Plan(**{field.name: getattr(train, field.name) for field in fields(trainer.Plan)})
    filenames = [image.filename for image in images]
    fitting = trainer.Trainer(
        model, config, strategy, plan=plan, work=task, train_filenames=filenames, workers=workers.count
    )
    with _Log(task) if workers.is_chief else nullcontext(_no_log) as log:
        return fitting.run(split, log, stop)


def _no_log(step: int, scalars: Mapping[str, float]) -> None:
    """The chief writes for all."""


class _Log:
    """Scalars to DVCLive (an output of the stage) and to TensorBoard (for looking on)."""

    def __init__(self, task: work_dir.Work) -> None:
        self._folder = LOGS / time.strftime("%Y%m%d-%H%M%S")
        task.watch(self._folder)

    def __enter__(self) -> "_Log":
        from dvclive import Live

        from detector.model.tensorflow_env import tf

        self._live = Live(str(paths.TRAIN_RESULTS), save_dvc_exp=False, dvcyaml=None, report=None)
        self._summaries = tf.summary.create_file_writer(str(self._folder))
        return self

    def __call__(self, step: int, scalars: Mapping[str, float]) -> None:
        from detector.model.tensorflow_env import tf

        self._live.step = step
        with self._summaries.as_default(step=step):
            for name, value in scalars.items():
                self._live.log_metric(name, value)
                tf.summary.scalar(name, value)
        self._live.make_summary()

    def __exit__(self, *_: object) -> None:
        self._summaries.close()
        self._live.end()


def _write(config: Any, label_map: Path, task: work_dir.Work, summary: Mapping[str, Any]) -> None:
    last, best = task.step(summary["steps"]), task.best(summary["best_step"])
    sources = {"last": last, "best": best if best.exists() else last}  # no best without validation
    size = sum(path.stat().st_size for source in sources.values() for path in source.iterdir())
    with work_dir.disk_errors(paths.TRAIN, size), files.whole_folder(paths.TRAIN) as folder:
        for name, source in sources.items():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns(work_dir.STATE))
        files.write_text(folder / "pipeline.config", pipeline_config.render(config))
        shutil.copyfile(label_map, folder / paths.LABEL_MAP)
        files.write_text(folder / "train.json", json.dumps(summary, indent=2) + "\n")


# What DVC knows. A training that has ended stays in the work directory, for DVC may die before it has recorded it (it
# hashes for a while), and then calls this stage again. Where DVC has recorded it, has it, and calls again, it means it.
# Where it is recorded and gone from DVC's cache, the work directory may have the last copy.


def _of_dvc(file: str) -> dict[str, Any]:
    """What dvc.yaml or dvc.lock says of this stage; nothing where there is none."""
    from ruamel.yaml import YAML

    path = Path(file)
    document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")) if path.exists() else None
    return dict((document or {}).get("stages", {}).get("train_tpu", {}))


def _code() -> str:
    """The digest of the code that this stage consists of."""
    deps = [
        Path(dep) for dep in _of_dvc("dvc.yaml").get("deps", []) if dep.endswith(".py") or dep.startswith("detector/")
    ]
    listed = [path for dep in deps for path in (sorted(dep.rglob("*")) if dep.is_dir() else [dep])]
    code = [path for path in listed if path.is_file() and path.suffix != ".pyc"]
    return hashlib.sha256("".join(files.sha256(path) for path in code).encode()).hexdigest()


def _result() -> str:
    """The digest of model/train as dvc.lock gives it."""
    found = [path for path in paths.TRAIN.rglob("*") if path.is_file()]
    entries = [
        {"md5": hashlib.md5(path.read_bytes()).hexdigest(), "relpath": path.relative_to(paths.TRAIN).as_posix()}  # noqa: S324
        for path in found
    ]
    listing = json.dumps(sorted(entries, key=lambda entry: entry["relpath"]), sort_keys=True)
    return hashlib.md5(listing.encode()).hexdigest() + ".dir"  # noqa: S324


def _is_recorded(result: str, train: TrainParams) -> bool:
    """Whether dvc.lock names this very result, of these very params, and DVC has it."""
    locked = _of_dvc("dvc.lock")
    results = {out["path"]: out.get("md5") for out in locked.get("outs", [])}
    given = locked.get("params", {}).get(params.PARAMS_FILE, {}).get("train")
    return results.get(paths.TRAIN.as_posix()) == result and given == asdict(train) and _is_cached(result)


def _is_cached(result: str) -> bool:
    """Whether DVC's cache holds every file of it."""
    from dvc.config import Config

    cache = Path(Config(DVC_DIR)["cache"].get("dir") or f"{DVC_DIR}/cache") / "files" / "md5"
    try:
        listed = json.loads((cache / result[:2] / result[2:]).read_text())
    except (OSError, ValueError):
        return False
    return all((cache / entry["md5"][:2] / entry["md5"][2:]).is_file() for entry in listed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m stages.train_tpu", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--fresh", action="store_true", help="forget what is kept of this training, and start anew")
    return parser.parse_args()


def main() -> None:
    fresh = _arguments().fresh or os.environ.get("PASSO_FRESH") == "1"
    with stops.Stops(GO_ON, with_parent="DVC_STAGE" in os.environ) as stop:
        _train(fresh, stop)


def _train(fresh: bool, stop: stops.Stops) -> None:
    train = params.load("train", TrainParams)
    label_map = Path(params.load("dataset", DatasetParams).dir) / paths.LABEL_MAP
    names = labels.read(label_map)
    images, val_images = (tables.read_csv(paths.csv(split), names) for split in ("train", "val"))
    _check_patience(train, val_images)
    _tell_crowd(images)
    config = _pipeline(train, label_map, images)
    workers, code, identity = cluster.from_environment(), _code(), _identity(train, config, label_map)

    def start(task: work_dir.Work) -> None:
        stop.farewell = task.leave
        print(_start(train, task, fresh), flush=True)

    with (
        shared_work_dir.opened(
            workers, train.work_dir, identity, keep=train.keep, start=start, code=code, devices=_devices(train, workers)
        ) as task,
        cluster.lost_workers(workers, lambda: f"{stop.kept}; to go on, start all workers again"),
        work_dir.disk_errors(Path.cwd()),
    ):
        outcome = _fit(train, config, names, images, val_images, task, stop, workers)
        if not workers.is_chief:
            print(f"trained {outcome.steps} steps; {workers.name(0)} writes the model")
            return
        with stop.held():
            summary = {key: value for key, value in asdict(outcome).items() if key in SUMMARY}
            _write(config, label_map, task, {"model": train.model, **summary})
            task.finish({"code": code, "result": _result()})
    reason = f" ({STOPPED_BY[outcome.stopped_by]})" if outcome.stopped_by in STOPPED_BY else ""
    speed = f" at {outcome.images_per_second:.1f} images/s" if outcome.images_per_second else ""
    print(f"trained {outcome.steps} steps{reason}{speed}; best at step {outcome.best_step}")


if __name__ == "__main__":
    errors.run(main)
