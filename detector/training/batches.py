"""The batches of a training run, each a pure function of (seed, step): resumed or not, a run sees the same.

The example at position p = step * batch + slot of a run is record p % n of epoch p // n, in an order that derives from
(seed, epoch); its augmentation derives from (seed, p). Every epoch is a permutation of all n records. Nothing depends
on threads, on prefetching, on how many replicas and hosts share a batch, or on where the run began.

Records are read by their offsets, as they are needed: a data set may be larger than the memory.
"""

from typing import Any

import numpy as np

from detector.base.errors import UserError
from detector.data import records
from detector.model import od_api
from detector.model.tensorflow_env import tf


def dataset(
    config: Any, *, model: Any, seed: int, first_step: int, context: tf.distribute.InputContext
) -> tf.data.Dataset:
    """The batches from step `first_step` (counted from 0) on, without end, for one host's replicas in turn.

    Host h of H takes the h-th contiguous block of each step's positions, and in it replica after replica.

    Args:
        config: a TrainEvalPipelineConfig: the record, the batch of all replicas together, the augmentation.
        model: the DetectionModel, for its preprocessing.
        seed: 0 to 2**31 - 1.
        context: which host this is, and how many replicas there are.

    Returns:
        (features, labels) as of the API's `inputs.train_input`, a replica's batch in each.

    Raises:
        UserError: the record is missing, damaged or empty, or an augmentation option cannot be applied.
    """
    (path,) = config.train_input_reader.tf_record_input_reader.input_path
    batch = config.train_config.batch_size
    block = batch // context.num_input_pipelines
    host = context.input_pipeline_id
    example = od_api.training_example(config, model, seed)

    def to_example(number: tf.Tensor, serialized: tf.Tensor) -> Any:
        return example(serialized, number // block * batch + host * block + number % block)

    to_example = tf.autograph.experimental.do_not_convert(to_example)  # AutoGraph would hide a UserError in its own
    offsets = _offsets(path, seed, first=first_step * batch, batch=batch, block=block, host=host)
    serialized = offsets.interleave(lambda offset: _record(path, offset), num_parallel_calls=tf.data.AUTOTUNE)
    examples = serialized.enumerate(first_step * block).map(to_example, num_parallel_calls=tf.data.AUTOTUNE)
    batches = examples.batch(context.get_per_replica_batch_size(batch), drop_remainder=True)
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)  # every batch has the same shape
    return batches.apply(endless).prefetch(tf.data.AUTOTUNE).with_options(_options())


def _offsets(path: str, seed: int, *, first: int, batch: int, block: int, host: int) -> tf.data.Dataset:
    """Where the records of this host's positions lie in the file, from position `first` on."""
    in_file = tf.constant(np.asarray(records.offsets(path)))
    count = len(in_file)
    if not count:
        raise UserError(path, "holds no examples", "add images to train, then run: dvc repro csv2record")

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(in_file, tf.stack([tf.constant(seed, tf.int64), number]))
        positions = number * count + tf.range(count, dtype=tf.int64)
        ours = (positions >= first) & (positions % batch // block == host)
        return tf.data.Dataset.from_tensor_slices(tf.boolean_mask(order, ours))

    return tf.data.Dataset.counter(first // count).flat_map(epoch)


def _record(path: str, offset: tf.Tensor) -> tf.data.Dataset:
    """The one record that begins at byte `offset`. (TFRecordDataset has no such argument, its op does.)"""
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path], compression_type="", buffer_size=0, byte_offsets=offset[tf.newaxis]
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec((), tf.string)).take(1)


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    options.threading.max_intra_op_parallelism = 1  # images are made side by side; sums do not depend on the cores
    return options
