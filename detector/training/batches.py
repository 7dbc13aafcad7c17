"""The batches of a training: each is a pure function of (seed, step), so a resumed training sees the same ones.

The example at position p = step * batch + slot of a training is record p % n of epoch p // n, in an order that derives
from (seed, epoch); its augmentation derives from (seed, p). Every epoch is a permutation of all n records. Nothing
depends on threads, on prefetching, on how many replicas and hosts share a batch, or on where the training began.

Records are read by their offsets, when they are needed: a dataset may be larger than the memory.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.base import paths
from detector.base.errors import UserError
from detector.data import boxes, records
from detector.data.tables import ImageBoxes
from detector.model import od_api
from detector.model.tensorflow_env import tf
from detector.training.params import TrainParams


def distributed(
    train: TrainParams, config: Any, model: Any, strategy: tf.distribute.Strategy, first_step: int
) -> Iterator[Any]:
    """The batches of the train record from step `first_step`, shared out to the replicas of `strategy`."""
    values = {"batch_size": train.batch_size, "seed": train.seed, "first_step": first_step}
    record = paths.record("train")
    on_host = functools.partial(dataset, config, model, record, **values)
    return iter(strategy.distribute_datasets_from_function(on_host))


def dataset(
    config: Any,
    model: Any,
    record: Path,
    context: tf.distribute.InputContext,
    *,
    batch_size: int,
    seed: int,
    first_step: int,
) -> tf.data.Dataset:
    """The batches from step `first_step` (counted from 0), without end, for one host's replicas in turn.

    Host h of H takes the h-th contiguous block of each step's positions, and in it replica after replica.

    Args:
        config: a TrainEvalPipelineConfig, for its augmentation and what the API pads examples to.
        model: the DetectionModel, for its preprocessing.
        record: the TFRecord to train on.
        context: which host this is, and how many replicas there are.
        batch_size: of all replicas together.
        seed: 0 to 2**31 - 1.
        first_step: the number of the first batch.

    Returns:
        (features, labels) as of the API's `inputs.train_input`, a replica's batch in each.

    Raises:
        UserError: the record is missing, damaged or empty, or an augmentation option cannot be applied.
    """
    block = batch_size // context.num_input_pipelines
    host = context.input_pipeline_id
    example = od_api.training_example(config, model, seed)

    def to_example(number: tf.Tensor, serialized: tf.Tensor) -> Any:
        return example(serialized, number // block * batch_size + host * block + number % block)

    to_example = tf.autograph.experimental.do_not_convert(to_example)  # AutoGraph would hide a UserError in its own
    offsets = _offsets(record, seed, first=first_step * batch_size, batch=batch_size, block=block, host=host)
    serialized = offsets.interleave(lambda offset: _record(record, offset), num_parallel_calls=tf.data.AUTOTUNE)
    examples = serialized.enumerate(first_step * block).map(to_example, num_parallel_calls=tf.data.AUTOTUNE)
    batches = examples.batch(context.get_per_replica_batch_size(batch_size), drop_remainder=True)
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)  # every batch has the same shape
    return batches.apply(endless).prefetch(tf.data.AUTOTUNE).with_options(_options())


def first(train: TrainParams, config: Any, model: Any, most: int) -> list[tuple[npt.NDArray[np.uint8], ImageBoxes]]:
    """The first images of the first batch, at most so many, as they are trained on: (H, W, 3) pixels, and the boxes."""
    count = min(most, train.batch_size)  # an example depends on its position alone, not on the batch
    values = {"batch_size": count, "seed": train.seed, "first_step": 0}
    features, labels = next(iter(dataset(config, model, paths.record("train"), tf.distribute.InputContext(), **values)))
    fields = od_api.InputDataFields
    pixels = _as_bytes(features[fields.image].numpy())
    counts, places, classes, weights = (
        labels[name].numpy()
        for name in (
            *(fields.num_groundtruth_boxes, fields.groundtruth_boxes),
            *(fields.groundtruth_classes, fields.groundtruth_weights),
        )
    )
    height, width = pixels.shape[1:3]
    return [
        (
            pixels[k],
            ImageBoxes(
                str(k),
                width,
                height,
                boxes.detected_to_voc(places[k, :number].astype(np.float64), width, height),
                classes[k, :number].argmax(axis=1) + od_api.LABEL_ID_OFFSET,
                np.ones(number),
                weights[k, :number] == 0,
            ),
        )
        for k, number in enumerate(counts.tolist())
    ]


def _as_bytes(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """What the model sees, from -1 to 1."""
    return ((pixels + 1) * 127.5).clip(0, 255).round().astype(np.uint8)


def _offsets(record: Path, seed: int, *, first: int, batch: int, block: int, host: int) -> tf.data.Dataset:
    """Where in the file the records of this host's positions begin, from position `first`."""
    in_file = tf.constant(np.asarray(records.offsets(record)))
    count = len(in_file)
    if not count:
        raise UserError(str(record), "holds no examples", "add images to train, then run: dvc repro csv2record")

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(in_file, tf.stack([tf.constant(seed, tf.int64), number]))
        positions = number * count + tf.range(count, dtype=tf.int64)
        ours = (positions >= first) & (positions % batch // block == host)
        return tf.data.Dataset.from_tensor_slices(tf.boolean_mask(order, ours))

    return tf.data.Dataset.counter(first // count).flat_map(epoch)


def _record(record: Path, offset: tf.Tensor) -> tf.data.Dataset:
    """The one record that begins at byte `offset`. (TFRecordDataset has no such argument, its op does.)"""
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[str(record)], compression_type="", buffer_size=0, byte_offsets=offset[tf.newaxis]
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec((), tf.string)).take(1)


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    options.threading.max_intra_op_parallelism = 1  # images are made side by side; sums do not depend on the cores
    return options
