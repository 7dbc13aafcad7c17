"""The scalars of a training: to DVCLive, an output of the stage, and to TensorBoard, to watch it."""

import time
from collections.abc import Mapping
from pathlib import Path

from dvclive import Live

from detector.base import paths
from detector.checkpointing.work_dir import Work
from detector.model.tensorflow_env import tf

LOGS = Path("logs")


class Log:
    """`log(step, scalars)`, while it is entered. `work` learns where TensorBoard's summaries of this session are."""

    def __init__(self, work: Work) -> None:
        self._folder = LOGS / time.strftime("%Y%m%d-%H%M%S")
        work.watch(self._folder)

    def __enter__(self) -> "Log":
        self._live = Live(str(paths.TRAIN_RESULTS), save_dvc_exp=False, dvcyaml=None, report=None)
        self._summaries = tf.summary.create_file_writer(str(self._folder))
        return self

    def __call__(self, step: int, scalars: Mapping[str, float]) -> None:
        self._live.step = step
        with self._summaries.as_default(step=step):
            for name, value in scalars.items():
                self._live.log_metric(name, value)
                tf.summary.scalar(name, value)
        self._live.make_summary()

    def __exit__(self, *_: object) -> None:
        self._summaries.close()
        self._live.end()


def nothing(step: int, scalars: Mapping[str, float]) -> None:
    """For workers other than the chief, which logs for all."""
