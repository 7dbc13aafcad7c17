"""From parameters and initial weights to a trained detector, whose checkpoints are in the work directory."""

import functools
from contextlib import nullcontext
from typing import Any

from detector.base import errors, paths
from detector.board.board import LOGS, Board
from detector.board.pictures import MOST_TILES, SamePhotos
from detector.checkpointing.work_dir import Work
from detector.data import labels
from detector.model import checkpoints, od_api, pipeline_config
from detector.model.tensorflow_env import tf
from detector.multihost.cluster import Cluster
from detector.training import accelerators, batches, determinism, devices, log, shown
from detector.training.params import TrainParams
from detector.training.stops import Stops
from detector.training.train_step import TrainStep
from detector.training.trainer import Outcome, Trainer
from detector.training.training_data import TrainingData
from detector.training.validation import ValidationSplit, Validator

INITIAL = paths.PRETRAINED / checkpoints.NAME


def fit(train: TrainParams, config: Any, data: TrainingData, work: Work, stop: Stops, workers: Cluster) -> Outcome:
    """Train to the end; `config` is the TrainEvalPipelineConfig of `train`. What `work` holds already is resumed.

    Raises:
        UserError: the initial weights do not fit, an accelerator is missing, or as of `Trainer.run`.
    """
    kind = train.fine_tune_checkpoint_type
    checkpoints.check_type(INITIAL, kind)
    if train.deterministic:
        determinism.enable()
    strategy = devices.strategy(train.accelerator, workers)
    accelerators.check_batch(train.batch_size, strategy.num_replicas_in_sync, devices.describe(strategy))
    tf.keras.utils.set_random_seed(train.seed)
    with strategy.scope():
        model = od_api.build_model(config, bfloat16=train.bfloat16)
        if kind != "none":
            checkpoints.restore(model, INITIAL, kind)
    step = TrainStep(model, config, strategy, train.backbone_learning_rate if kind != "none" else 1.0)
    names, validator = labels.by_id(data.ids), None
    if data.val_images:
        split = ValidationSplit(paths.record("val"), data.val_images, names)
        validator = Validator(model, config, split, bfloat16=train.bfloat16)
    epochs = f"{data.epochs(train.steps, train.batch_size):g} epochs of {len(data.images)} images"
    where = devices.describe(strategy)
    errors.say(f"{train.model}: {train.steps} steps of {train.batch_size} = {epochs}, on {where}")
    filenames = [image.filename for image in data.images]
    board = None
    if workers.is_chief:
        first = functools.partial(batches.first, train, config, model, MOST_TILES)
        work.fetch_logs(LOGS)
        photos = functools.partial(SamePhotos, paths.record("val"), data.val_images, names)
        board = Board(work.folder.name, names, first, photos if data.val_images else None)
        board.begin(pipeline_config.render(config), data.label_map)
        work.watch(board.folder)
        errors.say(*shown.lines(config, board.folder))
    with log.Log() if workers.is_chief else nullcontext(log.nothing) as to_log:
        trainer = Trainer(train, step, work, stop, to_log, filenames=filenames, board=board, workers=workers.count)
        return trainer.run(lambda first: batches.distributed(train, config, model, strategy, first), validator)
