"""What a pipeline configuration says in a few lines."""

from pathlib import Path

from detector.training import shown
from tests.support import tiny


def test_the_numbers_are_those_that_training_uses() -> None:
    """A tenth of 300 steps is the warm-up, from a tenth of the peak."""
    assert shown.lines(tiny.config(steps=300, learning_rate=0.002), Path("logs/now")) == [
        "logs/now/pipeline.config:",
        "  input 300x300, 2 classes, at most 100 detections",
        "  Adam, rate 0.0002 to 0.002 in 30 steps, then to 0 at step 300",
        "  augmentation: random_horizontal_flip, random_crop_image",
    ]


def test_an_override_is_seen() -> None:
    resizer = "keep_aspect_ratio_resizer { min_dimension: 200 max_dimension: 300 }"
    turned = "train_config { data_augmentation_options { random_rotation90 { } } }"
    override = f"model {{ ssd {{ image_resizer {{ {resizer} }} }} }} {turned}"
    lines = shown.lines(tiny.config(config_override=override), Path("logs/now"))
    assert lines[1].startswith("  input KeepAspectRatioResizer, ")
    assert lines[3].endswith(", random_rotation90")
