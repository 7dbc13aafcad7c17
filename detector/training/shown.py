"""The heart of a pipeline configuration in a few lines, for people, before training."""

from pathlib import Path
from typing import Any


def lines(config: Any, folder: Path) -> list[str]:
    """Input, output, optimiser and augmentation, as they will be. folder: where the whole text is."""
    ssd, train = config.model.ssd, config.train_config
    resizer = getattr(ssd.image_resizer, ssd.image_resizer.WhichOneof("image_resizer_oneof"))
    size = f"{resizer.width}x{resizer.height}" if hasattr(resizer, "width") else resizer.DESCRIPTOR.name
    most = ssd.post_processing.batch_non_max_suppression.max_total_detections
    rate = train.optimizer.adam_optimizer.learning_rate.cosine_decay_learning_rate
    steps = [option.WhichOneof("preprocessing_step") for option in train.data_augmentation_options]
    return [
        f"{folder}/pipeline.config:",
        f"  input {size}, {ssd.num_classes} classes, at most {most} detections",
        f"  Adam, rate {rate.warmup_learning_rate:.2g} to {rate.learning_rate_base:.2g} in {rate.warmup_steps} steps, "
        f"then to 0 at step {rate.total_steps}",
        f"  augmentation: {', '.join(steps) or 'none'}",
    ]
