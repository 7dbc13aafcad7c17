"""params.yaml's train section -> the Object Detection API's TrainEvalPipelineConfig.

The published configurations are the templates beside this file; here they get the number of classes, the paths, and a
learning rate schedule whose length and height follow from `steps` and `batch_size`. (The recipe that Passo replaces set
`num_steps: 5000` and left the cosine's `total_steps: 50000`: its rate never came down.)

Needs no TensorFlow: the protos import protobuf only.
"""

import math
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from detector.base import paths
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


def auto_learning_rate(batch_size: int) -> float:
    """Adam's peak rate for a batch: it grows with the square root of the batch, as the gradient's noise shrinks."""
    return BASE_RATE * math.sqrt(batch_size / BASE_RATE_BATCH)


def warmup_steps(steps: int) -> int:
    """How many of `steps` the rate climbs before it falls along the cosine."""
    return min(MAX_WARMUP_STEPS, int(steps * WARMUP_FRACTION))


def build(
    model: str,
    *,
    label_map: Path,
    num_classes: int,
    max_number_of_boxes: int,
    steps: int,
    batch_size: int,
    learning_rate: float,
    fine_tune_checkpoint_type: str,
    bfloat16: bool = False,
    frozen_blocks: int = 0,
    config_override: str = "",
) -> Any:
    """The whole pipeline configuration, with paths relative to the project's root.

    Args:
        model: one of `MODELS`.
        label_map: the file; num_classes: how many it holds.
        max_number_of_boxes: of an image that is trained on. The API pads each image's boxes to so many, matches all of
            them with every anchor, and drops what is beyond.
        steps, batch_size: of training; the batch is that of all replicas together.
        learning_rate: the peak, reached after `warmup_steps(steps)`; zero at the last step.
        fine_tune_checkpoint_type: `classification`, `detection`, `full` or `none`.
        bfloat16: whether training computes in it.
        frozen_blocks: of the backbone's inverted residuals, 0 to `BLOCKS`, from the input on; with any, the first
            convolution too. They keep the weights that they come with; without such weights nothing is frozen.
        config_override: text of a TrainEvalPipelineConfig, merged into the result: the last word on the model, the
            augmentation, Adam, and the numbers of its cosine.

    Raises:
        UserError: `config_override` is no such text, or asks for what the training loop does not do.
    """
    template, size = TEMPLATES[model]
    config = text_format.Parse((Path(__file__).parent / "templates" / template).read_text(), TrainEvalPipelineConfig())
    config.model.ssd.num_classes = num_classes
    config.model.ssd.image_resizer.fixed_shape_resizer.height = size
    config.model.ssd.image_resizer.fixed_shape_resizer.width = size
    config.train_config.batch_size = batch_size
    config.train_config.num_steps = steps
    config.train_config.max_number_of_boxes = max_number_of_boxes
    config.train_config.use_bfloat16 = bfloat16
    config.train_config.unpad_groundtruth_tensors = False
    _fill_optimizer(config.train_config.optimizer, steps, learning_rate)
    _fill_checkpoint(config.train_config, fine_tune_checkpoint_type, frozen_blocks)
    _fill_reader(config.train_input_reader, "train", label_map, shuffle=True)
    config.train_input_reader.max_number_of_boxes = max_number_of_boxes
    config.eval_config.batch_size = 1
    config.eval_config.num_visualizations = 0  # the API's own drawing needs a Pillow before 10
    config.eval_config.metrics_set.append("coco_detection_metrics")
    config.eval_config.retain_original_images = False
    _fill_reader(config.eval_input_reader.add(), "val", label_map, shuffle=False)
    try:
        text_format.Merge(config_override, config)
    except text_format.ParseError as error:
        remedy = "see object_detection/protos/pipeline.proto of the API"
        raise UserError("params.yaml", str(error), remedy, item="train.config_override") from None
    _check_optimizer(config.train_config)
    if any(option.HasField("random_self_concat_image") for option in config.train_config.data_augmentation_options):
        config.train_input_reader.max_number_of_boxes *= SELF_CONCAT
    return config


def _fill_optimizer(optimizer: Any, steps: int, learning_rate: float) -> None:
    optimizer.use_moving_average = False
    schedule = optimizer.adam_optimizer.learning_rate.cosine_decay_learning_rate
    schedule.learning_rate_base = learning_rate
    schedule.total_steps = steps
    schedule.warmup_steps = warmup_steps(steps)
    schedule.warmup_learning_rate = learning_rate / 10 if warmup_steps(steps) else learning_rate


def _check_optimizer(train_config: Any) -> None:
    """Refuse what detector/training/train_step.py would leave out in silence."""
    schedule = train_config.optimizer.adam_optimizer.learning_rate
    for name, is_done in (
        ("another optimizer than Adam", train_config.optimizer.WhichOneof("optimizer") == "adam_optimizer"),
        ("another schedule than the cosine", schedule.WhichOneof("learning_rate") == "cosine_decay_learning_rate"),
        ("use_moving_average", not train_config.optimizer.use_moving_average),
        ("gradient_clipping_by_norm", not train_config.gradient_clipping_by_norm),
        ("add_regularization_loss: false", train_config.add_regularization_loss),
    ):
        if not is_done:
            raise UserError("params.yaml", f"{name} is not supported", "leave it out", item="train.config_override")


def _fill_checkpoint(train_config: Any, fine_tune_checkpoint_type: str, frozen_blocks: int) -> None:
    if fine_tune_checkpoint_type == "none":
        return
    train_config.fine_tune_checkpoint = (paths.PRETRAINED / "ckpt-1").as_posix()
    train_config.fine_tune_checkpoint_type = fine_tune_checkpoint_type
    train_config.freeze_variables.extend(_freeze_variables(frozen_blocks))
    train_config.fine_tune_checkpoint_version = (
        train_config.DESCRIPTOR.file.enum_types_by_name["CheckpointVersion"].values_by_name["V2"].number
    )


def _freeze_variables(blocks: int) -> list[str]:
    """Patterns of the names, as Keras has them: the first block is `expanded_conv`, the others `block_1` and so on."""
    names = ["(bn_)?Conv1/", "expanded_conv_", *(f"block_{number}_" for number in range(1, blocks))]
    return [f"^{name}" for name in names] if blocks else []


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
