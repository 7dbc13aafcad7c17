"""Train the detector on a TPU, a GPU or the CPU.

    python -m stages.train_tpu [--fresh]

    dataset/data/{train,val}.{csv,record}, <dataset.dir>/label_map.pbtxt, model/pretrained
    -> model/train/{best,last}/ckpt-1.*   the checkpoint with the best validation AP, and that of the last step with
                                          its optimiser
       model/train/{pipeline.config,label_map.pbtxt,train.json}
       results/train/                     DVCLive: metrics.json, plots/metrics/**.tsv

A training that was interrupted resumes from its last checkpoint when this runs again with the same data, initial
weights, and params that shape the weights (detector/training/identity.py). It saves its work in `train.work_dir`
(detector/checkpointing/work_dir.py). `--fresh`, or PASSO_FRESH=1 where DVC runs this, removes that first. Ctrl-C and
SIGTERM finish the step, save everything, and exit with 130 and 143.

TensorBoard's curves and pictures go to logs/ (detector/board/board.py; `make tensorboard` shows them), and how long a
step takes. These and the work directory are no DVC outputs: the first hold times, and the second must outlive an
interrupted training.
"""

import argparse
import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.base import errors, files, params, paths
from detector.checkpointing import work_dir
from detector.data import labels, score_threshold
from detector.data.params import DatasetParams
from detector.model import pipeline_config
from detector.multihost import cluster, shared_work_dir
from detector.training import identity, speed, stops, training_data
from detector.training.params import TrainParams
from detector.weights import recipe

if TYPE_CHECKING:
    from detector.training.trainer import Outcome

RESUME = "to resume, run the same command again"
STOPPED_BY = {
    "max_minutes": " (train.max_minutes are over)",
    "patience": " (AP has not improved for train.patience validations)",
}


def main() -> None:
    fresh = _arguments().fresh or os.environ.get("PASSO_FRESH") == "1"
    advice = RESUME + (", without FRESH=1" if fresh else "")
    with stops.Stops(advice, with_parent="DVC_STAGE" in os.environ) as stop:
        _train(fresh, stop)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m stages.train_tpu", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--fresh", action="store_true", help="remove the work of this training, and start from scratch")
    return parser.parse_args()


def _train(fresh: bool, stop: stops.Stops) -> None:
    train, weights = _suited(params.load("train", TrainParams))
    data = training_data.load(Path(params.load("dataset", DatasetParams).dir) / paths.LABEL_MAP)
    training_data.check(train, data)
    config = pipeline_config.build(train, data.facts)
    workers, code = cluster.from_environment(), identity.code()
    own_identity = identity.of(train, pipeline_config.render(config), data.label_map, recipe.told_by(weights))
    initial_weights = identity.digest(sorted(paths.PRETRAINED.glob("ckpt-1.*")))
    alike = {"code": code, "devices": _devices(train, workers), "initial weights": initial_weights}

    def start(work: work_dir.Work) -> None:
        stop.farewell = work.leave
        errors.say(identity.begin(train, work, fresh=fresh))

    with (
        shared_work_dir.opened(
            workers, train.work_dir, own_identity, keep=train.keep, start=start, alike=alike
        ) as work,
        cluster.lost_workers(workers, lambda: f"{stop.saved}; to resume, start all workers again"),
        work_dir.disk_errors(Path.cwd()),
    ):
        from detector.training import fitting  # late: TensorFlow

        outcome = fitting.fit(train, config, data, work, stop, workers)
        if not workers.is_chief:
            errors.say(f"trained {errors.counted(outcome.steps, 'step')}; {workers.name(0)} writes the model")
            return
        with stop.held():
            _write(train, config, data, work, outcome, weights)
            work.finish({"code": code})
            speed.write(outcome.seconds / outcome.steps)
    rate = f" at {outcome.images_per_second:.1f} images/s" if outcome.images_per_second else ""
    reason = STOPPED_BY.get(outcome.stopped_by, "")
    errors.say(f"trained {errors.counted(outcome.steps, 'step')}{reason}{rate}; best at step {outcome.best_step}")


def _suited(train: TrainParams) -> tuple[TrainParams, recipe.Weights]:
    """The params with the settings that the weights in model/pretrained need, and which weights these are."""
    weights = recipe.read() or recipe.Weights("", "")
    settings = recipe.replaced(weights, train.model, train.fine_tune_checkpoint_type)
    changed = {key: value for key, value in settings.items() if value != getattr(train, key)}
    if changed:
        errors.say(f"{weights.name} ({recipe.AUTO}), so: {recipe.shown(changed)}")
    return dataclasses.replace(train, **changed), weights


def _devices(train: TrainParams, workers: cluster.Cluster) -> str:
    """What this worker trains on; empty where it is alone, so that other errors need not wait for TensorFlow."""
    if workers.count == 1:
        return ""
    from detector.training import devices

    return devices.on_this_host(train.accelerator)


def _write(
    train: TrainParams,
    config: Any,
    data: training_data.TrainingData,
    work: work_dir.Work,
    outcome: "Outcome",
    weights: recipe.Weights,
) -> None:
    last, best = work.step(outcome.steps), work.best(outcome.best_step)
    sources = {"last": last, "best": best if best.exists() else last}  # no best without validation
    summary = {
        "model": train.model,
        "steps": outcome.steps,
        "epochs": data.epochs(outcome.steps, train.batch_size),
        "stopped_by": outcome.stopped_by,
        "best_step": outcome.best_step,
        "best": outcome.best,
        score_threshold.KEY: outcome.score_threshold,
        "start": {**dataclasses.asdict(weights), **{key: getattr(train, key) for key in recipe.OF_IMAGENET}},
        "params": identity.shaping(train),
    }
    size = sum(path.stat().st_size for source in sources.values() for path in source.iterdir())
    with work_dir.disk_errors(paths.TRAIN, size), files.whole_folder(paths.TRAIN) as folder:
        for name, source in sources.items():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns(work_dir.STATE))
        files.write_text(folder / "pipeline.config", pipeline_config.render(config))
        labels.copy(data.label_map, folder / paths.LABEL_MAP)
        files.write_text(folder / "train.json", json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    errors.run(main)
