"""`python -m stages.train_tpu`, a point of the curve for every step, on a CPU cut into several devices.

    python -m tests.support.worker [DEVICES [STATES]]

Of some steps (the first of this process, every fifth, and those of STATES) all that training consists of is written,
before and after: states0/before-05 and states0/after-06, or states1/... by worker 1. STATES is such a folder, of
another training: each step that it has a `before` of starts from that.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detector.base import errors, files
from detector.model import checkpoints
from detector.model.tensorflow_env import tf
from detector.multihost import cluster
from detector.training import fitting, trainer
from detector.training.train_step import TrainStep
from stages import train_tpu

EVERY = 5
given = Path(sys.argv.pop(2)) if len(sys.argv) > 2 else None
devices = int(sys.argv.pop(1)) if len(sys.argv) > 1 else 1
written = Path(f"states{cluster.from_environment().index}")


def record(everything: Any, name: str) -> None:
    with files.whole_folder(written / name) as folder:
        checkpoints.write(everything, folder)


class RecordedStep(TrainStep):
    _is_first = True

    def __call__(self, batches: Iterator[Any], position: float) -> Any:
        everything = self.everything()
        step = int(everything.step.numpy())
        is_given = bool(given and (given / f"before-{step:02}").exists())
        if given and is_given and step:  # the first of all has the same weights already
            checkpoints.restore_all(everything, given / f"before-{step:02}" / checkpoints.NAME)
        is_recorded, self._is_first = self._is_first or is_given or step % EVERY == 0, False
        if is_recorded:
            record(everything, f"before-{step:02}")
        result = super().__call__(batches, position)
        if is_recorded:
            record(everything, f"after-{step + 1:02}")
        return result


# In this process only: several devices train like as many GPUs.
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
trainer.LOG_EVERY = 1
fitting.TrainStep = RecordedStep  # type: ignore[attr-defined, misc]
errors.run(train_tpu.main)
