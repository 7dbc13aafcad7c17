"""params.yaml's train section -> the Object Detection API's TrainEvalPipelineConfig.

The published configurations are the templates beside this file. Here they get the number of classes, the paths, a limit
of detections that suits the images, and a learning rate schedule that follows from `steps` and `batch_size`. (The
recipe that Passo replaces set `num_steps: 5000` and left the cosine's `total_steps: 50000`: its rate never came down.)

Needs no TensorFlow: the protos import protobuf only.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from detector.base import params, paths
from detector.base.errors import UserError

TEMPLATES = {
    "ssd_mobilenet_v2_320x320": ("ssd_mobilenet_v2.config", 300),  # the published model's input is 300x300
    "ssd_mobilenet_v2_fpnlite_320x320": ("ssd_mobilenet_v2_fpnlite.config", 320),
    "ssd_mobilenet_v2_fpnlite_640x640": ("ssd_mobilenet_v2_fpnlite.config", 640),
}
MODELS = tuple(TEMPLATES)

BASE_RATE, BASE_RATE_BATCH = 0.001, 16  # Adam; docs/training.md has the measurements
WARMUP_FRACTION, MAX_WARMUP_STEPS = 0.1, 1000
BLOCKS = 17  # inverted residuals of MobileNetV2
SELF_CONCAT = 4  # boxes that `random_self_concat_image` makes of one, at most
OWN_KEYS = {  # fields of train_config that are not `config_override`'s to set: the keys of params.yaml that set them
    "batch_size": "train.batch_size",
    "num_steps": "train.steps",
    "use_bfloat16": "train.bfloat16",
    "fine_tune_checkpoint": "pretrained.source",
    "fine_tune_checkpoint_type": "train.fine_tune_checkpoint_type",
}


@dataclass(frozen=True)
class PipelineParams:
    """Those keys of params.yaml's section `train` that are written into the pipeline configuration."""

    model: str = params.one_of(*MODELS)
    fine_tune_checkpoint_type: str = params.one_of("classification", "detection", "full", "none")
    steps: int = params.whole(1, 10_000_000)
    batch_size: int = params.whole(1, 65_536)
    learning_rate: float | str = params.number(1e-8, 10, auto=True)
    frozen_blocks: int = params.whole(0, BLOCKS)
    config_override: str = params.text("text of a TrainEvalPipelineConfig", empty=True)
    bfloat16: bool = params.flag()


@dataclass(frozen=True)
class DatasetFacts:
    """What the configuration needs to know of a dataset.

    max_number_of_boxes: of an image that is trained on. The API pads each image's boxes to so many, matches all of them
    with every anchor, and drops those beyond.
    """

    label_map: Path
    num_classes: int
    max_number_of_boxes: int


def auto_learning_rate(batch_size: int) -> float:
    """Adam's peak rate for a batch: it grows with the square root of the batch, as the gradient's noise shrinks."""
    return BASE_RATE * math.sqrt(batch_size / BASE_RATE_BATCH)


def warmup_steps(steps: int) -> int:
    """How many of `steps` the rate climbs before it falls along the cosine."""
    return min(MAX_WARMUP_STEPS, int(steps * WARMUP_FRACTION))


def build(train: PipelineParams, dataset: DatasetFacts) -> Any:
    """The whole pipeline configuration, with paths relative to the project's root.

    The learning rate is 0 at the last step. Frozen blocks keep the weights they start with; from random weights nothing
    is frozen. `config_override` is merged into the result: it has the last word on the model, the augmentation, Adam,
    and the numbers of its cosine.

    Raises:
        UserError: `config_override` cannot be parsed, sets what another key sets, or asks for what training cannot do.
    """
    template, size = TEMPLATES[train.model]
    config = text_format.Parse((Path(__file__).parent / "templates" / template).read_text(), TrainEvalPipelineConfig())
    config.model.ssd.num_classes = dataset.num_classes
    config.model.ssd.image_resizer.fixed_shape_resizer.height = size
    config.model.ssd.image_resizer.fixed_shape_resizer.width = size
    config.train_config.batch_size = train.batch_size
    config.train_config.num_steps = train.steps
    config.train_config.max_number_of_boxes = dataset.max_number_of_boxes
    _fill_limits(config.model.ssd.post_processing.batch_non_max_suppression, dataset.max_number_of_boxes)
    config.train_config.use_bfloat16 = train.bfloat16
    config.train_config.unpad_groundtruth_tensors = False
    _fill_optimizer(config.train_config.optimizer, train)
    _fill_checkpoint(config.train_config, train)
    _fill_reader(config.train_input_reader, "train", dataset.label_map, shuffle=True)
    config.train_input_reader.max_number_of_boxes = dataset.max_number_of_boxes
    config.eval_config.batch_size = 1
    config.eval_config.num_visualizations = 0  # the API's own drawing needs a Pillow before 10
    config.eval_config.metrics_set.append("coco_detection_metrics")
    config.eval_config.retain_original_images = False
    _fill_reader(config.eval_input_reader.add(), "val", dataset.label_map, shuffle=False)
    _override(config, train.config_override)
    if any(option.HasField("random_self_concat_image") for option in config.train_config.data_augmentation_options):
        config.train_input_reader.max_number_of_boxes *= SELF_CONCAT
    return config


def _fill_limits(limits: Any, most_boxes: int) -> None:
    """As many detections as the template says, or twice the objects of any image, if that is more."""
    limits.max_total_detections = max(limits.max_total_detections, 2 * most_boxes)
    limits.max_detections_per_class = limits.max_total_detections


def _fill_optimizer(optimizer: Any, train: PipelineParams) -> None:
    rate = train.learning_rate
    peak = rate if isinstance(rate, float) else auto_learning_rate(train.batch_size)
    optimizer.use_moving_average = False
    schedule = optimizer.adam_optimizer.learning_rate.cosine_decay_learning_rate
    schedule.learning_rate_base = peak
    schedule.total_steps = train.steps
    schedule.warmup_steps = warmup_steps(train.steps)
    schedule.warmup_learning_rate = peak / 10 if warmup_steps(train.steps) else peak


def _override(config: Any, text: str) -> None:
    where, item = params.PARAMS_FILE, "train.config_override"
    ours = {name: getattr(config.train_config, name) for name in OWN_KEYS}
    try:
        text_format.Merge(text, config)
    except text_format.ParseError as error:
        remedy = "see object_detection/protos/pipeline.proto of the API"
        raise UserError(where, str(error), remedy, item) from None
    for name, key in OWN_KEYS.items():
        if getattr(config.train_config, name) != ours[name]:
            raise UserError(where, f"{name} cannot be set here", f"leave it out, and set {key}", item)
    if list(config.train_input_reader.tf_record_input_reader.input_path) != [paths.record("train").as_posix()]:
        raise UserError(where, "another train record is not supported", "leave it out, and set dataset.dir", item)
    for name in _unsupported(config.train_config):
        raise UserError(where, f"{name} is not supported", "leave it out", item)


def _unsupported(train_config: Any) -> list[str]:
    """What detector/training/train_step.py would silently leave out."""
    optimizer, schedule = train_config.optimizer, train_config.optimizer.adam_optimizer.learning_rate
    supported = {
        "another optimizer than Adam": optimizer.WhichOneof("optimizer") == "adam_optimizer",
        "another schedule than the cosine": schedule.WhichOneof("learning_rate") == "cosine_decay_learning_rate",
        "use_moving_average": not optimizer.use_moving_average,
        "gradient_clipping_by_norm": not train_config.gradient_clipping_by_norm,
        "add_regularization_loss: false": train_config.add_regularization_loss,
    }
    return [name for name, is_supported in supported.items() if not is_supported]


def _fill_checkpoint(train_config: Any, train: PipelineParams) -> None:
    if train.fine_tune_checkpoint_type == "none":
        return
    train_config.fine_tune_checkpoint = (paths.PRETRAINED / "ckpt-1").as_posix()
    train_config.fine_tune_checkpoint_type = train.fine_tune_checkpoint_type
    if train.frozen_blocks:  # the first convolution, too; the names are Keras'
        names = ["(bn_)?Conv1/", "expanded_conv_", *(f"block_{number}_" for number in range(1, train.frozen_blocks))]
        train_config.freeze_variables.extend(f"^{name}" for name in names)
    train_config.fine_tune_checkpoint_version = (
        train_config.DESCRIPTOR.file.enum_types_by_name["CheckpointVersion"].values_by_name["V2"].number
    )


def _fill_reader(reader: Any, split: str, label_map: Path, *, shuffle: bool) -> None:
    reader.label_map_path = label_map.as_posix()
    reader.tf_record_input_reader.input_path.append(paths.record(split).as_posix())
    reader.shuffle = shuffle
    reader.num_readers = 1
    reader.num_epochs = 0 if shuffle else 1
    reader.drop_remainder = shuffle


def read(path: str | Path) -> Any:
    """The TrainEvalPipelineConfig of a `pipeline.config` file."""
    return text_format.Parse(Path(path).read_text(encoding="utf-8"), TrainEvalPipelineConfig())


def render(config: Any) -> str:
    """The text of a `pipeline.config` file."""
    return str(text_format.MessageToString(config))
