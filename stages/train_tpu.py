"""Train the detector on a TPU, a GPU or the CPU.

    python -m stages.train_tpu

    dataset/data/{train,val}.{csv,record}, <dataset.dir>/label_map.pbtxt, model/pretrained
    -> model/train/{best,last}/ckpt-1.*   the best checkpoint by validation AP, and the last step's, optimiser included
       model/train/{pipeline.config,label_map.pbtxt,train.json}
       results/train/                     DVCLive: metrics.json, plots/metrics/**.tsv

TensorBoard summaries go to logs/ (`tensorboard --logdir logs`), unfinished checkpoints to .work (detector/work.py):
neither is a DVC output, for the first holds times and the second must outlive a training that dies.
"""

import json
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from detector import errors, files, labels, params, paths, pipeline_config, tables, work
from detector.dataset import DatasetParams

if TYPE_CHECKING:
    from detector.trainer import Outcome

LOGS = Path("logs")


@dataclass(frozen=True)
class TrainParams:
    """The `train` section of params.yaml."""

    model: str = params.one_of(*pipeline_config.MODELS)
    fine_tune_checkpoint_type: str = params.one_of("classification", "detection", "full", "none")
    steps: int = params.number(1, 10_000_000)
    batch_size: int = params.number(1, 65_536)
    learning_rate: float | str = params.number(1e-8, 10, auto=True)
    eval_every: int = params.number(1, 10_000_000)
    accelerator: str = params.one_of("auto", "tpu", "gpu", "cpu")
    seed: int = params.number(0, 2**31 - 1)


def _pipeline(train: TrainParams, label_map: Path) -> Any:
    rate = train.learning_rate
    return pipeline_config.build(
        train.model,
        label_map=label_map,
        num_classes=len(labels.read(label_map)),
        steps=train.steps,
        batch_size=train.batch_size,
        learning_rate=rate if isinstance(rate, float) else pipeline_config.auto_learning_rate(train.batch_size),
        fine_tune_checkpoint_type=train.fine_tune_checkpoint_type,
    )


def _fit(train: TrainParams, config: Any, label_map: Mapping[str, int], folder: Path) -> "Outcome":
    from detector import checkpoints, devices, od_api, trainer
    from detector.tensorflow_env import tf

    initial = paths.PRETRAINED / "ckpt-1"
    checkpoints.check_type(initial, train.fine_tune_checkpoint_type)
    strategy = devices.strategy(train.accelerator)
    devices.check_batch(strategy, train.batch_size)
    tf.keras.utils.set_random_seed(train.seed)
    with strategy.scope():
        model = od_api.build_model(config)
        if train.fine_tune_checkpoint_type != "none":
            checkpoints.restore(model, initial, train.fine_tune_checkpoint_type)
    train_images = tables.read_csv(paths.csv("train"), label_map)
    names = {number: name for name, number in label_map.items()}
    validation = trainer.Validation(paths.record("val"), tables.read_csv(paths.csv("val"), label_map), names)
    device = devices.describe(strategy)
    print(f"{train.model}: {len(train_images)} images, {train.steps} steps of {train.batch_size} on {device}")
    fitting = trainer.Trainer(
        model,
        config,
        strategy,
        work_dir=folder,
        look_every=train.eval_every,
        train_filenames=[image.filename for image in train_images],
    )
    with _Log() as log:
        return fitting.run(validation, log)


class _Log:
    """Scalars to DVCLive (an output of the stage) and to TensorBoard (for looking on)."""

    def __enter__(self) -> "_Log":
        from dvclive import Live

        from detector.tensorflow_env import tf

        self._live = Live(str(paths.TRAIN_RESULTS), save_dvc_exp=False, dvcyaml=None, report=None)
        self._summaries = tf.summary.create_file_writer(str(LOGS / time.strftime("%Y%m%d-%H%M%S")))
        return self

    def __call__(self, step: int, scalars: Mapping[str, float]) -> None:
        from detector.tensorflow_env import tf

        self._live.step = step
        with self._summaries.as_default(step=step):
            for name, value in scalars.items():
                self._live.log_metric(name, value)
                tf.summary.scalar(name, value)
        self._live.make_summary()

    def __exit__(self, *_: object) -> None:
        self._summaries.close()
        self._live.end()


def _write(config: Any, label_map: Path, work: Path, summary: Mapping[str, Any]) -> None:
    with files.whole_folder(paths.TRAIN) as folder:
        shutil.copytree(work / "last", folder / "last")
        has_best = (work / "best").exists()  # not without a validation split
        shutil.copytree(work / ("best" if has_best else "last"), folder / "best")
        files.write_text(folder / "pipeline.config", pipeline_config.render(config))
        shutil.copyfile(label_map, folder / paths.LABEL_MAP)
        files.write_text(folder / "train.json", json.dumps(summary, indent=2) + "\n")


def _terminate(*_: object) -> NoReturn:
    sys.exit(errors.EXIT_TERMINATED)


def main() -> None:
    train = params.load("train", TrainParams)
    label_map = Path(params.load("dataset", DatasetParams).dir) / paths.LABEL_MAP
    config = _pipeline(train, label_map)
    signal.signal(signal.SIGTERM, _terminate)
    with work.work_dir() as folder:
        outcome = _fit(train, config, labels.read(label_map), folder)
        summary = {"model": train.model, "steps": outcome.steps, "best_step": outcome.best_step, "best": outcome.best}
        _write(config, label_map, folder, summary)
        shutil.rmtree(folder)
    speed = f"{outcome.images_per_second:.1f} images/s"
    print(f"trained {outcome.steps} steps at {speed}; best at step {outcome.best_step}")


if __name__ == "__main__":
    errors.run(main, __doc__)
