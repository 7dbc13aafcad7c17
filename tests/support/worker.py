"""`python -m stages.train_tpu`, a point of the curve for every step, on a CPU cut into several: worker.py [DEVICES]"""

import sys

from detector.base import errors
from detector.model.tensorflow_env import tf
from detector.training import trainer
from stages import train_tpu

# In this process only: several devices train like as many GPUs.
devices = int(sys.argv.pop(1)) if len(sys.argv) > 1 else 1
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
trainer.LOG_EVERY = 1
errors.run(train_tpu.main)
