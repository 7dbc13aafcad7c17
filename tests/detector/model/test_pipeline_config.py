"""params -> TrainEvalPipelineConfig: the published values, and a schedule that follows the budget."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.base.errors import UserError
from detector.model import pipeline_config
from tests.support import tiny


def build(model: str = "ssd_mobilenet_v2_320x320", **changes: Any) -> Any:
    values = {
        "label_map": Path("dataset/pets/label_map.pbtxt"),
        "num_classes": 3,
        "max_number_of_boxes": 7,
        "steps": 400,
        "batch_size": 16,
        "learning_rate": 0.0007,
        "fine_tune_checkpoint_type": "classification",
    }
    return tiny.config(model, **{**values, **changes})


def schedule(config: Any) -> Any:
    return config.train_config.optimizer.adam_optimizer.learning_rate.cosine_decay_learning_rate


@pytest.mark.parametrize(
    ("model", "side", "extractor", "alpha"),
    [
        ("ssd_mobilenet_v2_320x320", 300, "ssd_mobilenet_v2_keras", 0.75),
        ("ssd_mobilenet_v2_fpnlite_320x320", 320, "ssd_mobilenet_v2_fpn_keras", 0.25),
        ("ssd_mobilenet_v2_fpnlite_640x640", 640, "ssd_mobilenet_v2_fpn_keras", 0.25),
    ],
)
def test_the_published_models(model: str, side: int, extractor: str, alpha: float) -> None:
    ssd = build(model).model.ssd
    assert ssd.num_classes == 3
    assert (ssd.image_resizer.fixed_shape_resizer.height, ssd.image_resizer.fixed_shape_resizer.width) == (side, side)
    assert ssd.feature_extractor.type == extractor
    assert ssd.loss.classification_loss.weighted_sigmoid_focal.alpha == alpha


@pytest.mark.parametrize(("boxes", "limit"), [(7, 100), (50, 100), (51, 102), (400, 800)])
def test_the_limit_of_detections_follows_the_images(boxes: int, limit: int) -> None:
    limits = build(max_number_of_boxes=boxes).model.ssd.post_processing.batch_non_max_suppression
    assert limits.max_total_detections == limits.max_detections_per_class == limit
    override = "model { ssd { post_processing { batch_non_max_suppression { max_total_detections: 30 } } } }"
    config = build(max_number_of_boxes=boxes, config_override=override)
    assert config.model.ssd.post_processing.batch_non_max_suppression.max_total_detections == 30


def test_every_model_of_the_module_is_tested_above() -> None:
    assert len(pipeline_config.MODELS) == 3


def test_the_cosine_ends_with_the_training() -> None:
    # the recipe that Passo replaces: num_steps 5000, total_steps 50000
    config = build(steps=400)
    assert config.train_config.num_steps == schedule(config).total_steps == 400
    assert schedule(config).warmup_steps == 40


@given(steps=st.integers(1, 100_000), batch_size=st.integers(1, 4096))
def test_any_budget_gives_a_schedule_that_climbs_then_falls(steps: int, batch_size: int) -> None:
    found = schedule(build(steps=steps, batch_size=batch_size, learning_rate="auto"))
    assert 0 <= found.warmup_steps < found.total_steps == steps
    assert 0 < found.warmup_learning_rate <= found.learning_rate_base


def test_the_rate_grows_with_the_root_of_the_batch() -> None:
    assert pipeline_config.auto_learning_rate(16) == pytest.approx(0.001)
    assert pipeline_config.auto_learning_rate(64) == pytest.approx(0.002)
    assert pipeline_config.auto_learning_rate(4) == pytest.approx(0.0005)
    assert schedule(build(batch_size=64, learning_rate="auto")).learning_rate_base == pytest.approx(0.002)
    assert schedule(build(batch_size=64, learning_rate=0.5)).learning_rate_base == 0.5


def test_every_byte_of_a_configuration_is_as_it_was() -> None:
    """Its digest is part of a training's identity, and the file an output: that of the sample, for 20 steps."""
    facts = {"label_map": Path("dataset/sample/label_map.pbtxt"), "num_classes": 2, "max_number_of_boxes": 4}
    config = build(**facts, steps=20, learning_rate="auto")
    assert pipeline_config.render(config) == Path(__file__).with_name("pipeline.config").read_text()


def test_paths_are_relative_and_a_file_reads_back_as_written(tmp_path: Path) -> None:
    config = build()
    text = pipeline_config.render(config)
    (tmp_path / "pipeline.config").write_text(text)
    assert pipeline_config.read(tmp_path / "pipeline.config") == config
    assert '"/' not in text
    assert config.train_input_reader.tf_record_input_reader.input_path == ["dataset/data/train.record"]
    assert config.eval_input_reader[0].tf_record_input_reader.input_path == ["dataset/data/val.record"]


def test_from_scratch_names_no_checkpoint() -> None:
    assert build(fine_tune_checkpoint_type="none").train_config.fine_tune_checkpoint == ""
    assert build(fine_tune_checkpoint_type="full").train_config.fine_tune_checkpoint_type == "full"


def test_frozen_blocks_are_patterns_of_variable_names() -> None:
    assert list(build().train_config.freeze_variables) == []
    assert list(build(frozen_blocks=1).train_config.freeze_variables) == ["^(bn_)?Conv1/", "^expanded_conv_"]
    assert list(build(frozen_blocks=3).train_config.freeze_variables)[2:] == ["^block_1_", "^block_2_"]
    assert not build(frozen_blocks=3, fine_tune_checkpoint_type="none").train_config.freeze_variables


def test_boxes_are_padded_to_the_most_that_an_image_has() -> None:
    assert build().train_input_reader.max_number_of_boxes == 7
    option = "train_config { data_augmentation_options { random_self_concat_image { } } }"
    assert build(config_override=option).train_input_reader.max_number_of_boxes == 28  # beside and above itself


def test_the_override_has_the_last_word() -> None:
    config = build(config_override="model { ssd { num_classes: 7 loss { localization_weight: 2.5 } } }")
    assert (config.model.ssd.num_classes, config.model.ssd.loss.localization_weight) == (7, 2.5)
    assert config.model.ssd.loss.classification_weight == build().model.ssd.loss.classification_weight


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("optimizer { momentum_optimizer { } }", "another optimizer than Adam"),
        (
            "optimizer { adam_optimizer { learning_rate { constant_learning_rate { } } } }",
            "another schedule than the cosine",
        ),
        ("optimizer { use_moving_average: true }", "use_moving_average"),
        ("gradient_clipping_by_norm: 10", "gradient_clipping_by_norm"),
        ("add_regularization_loss: false", "add_regularization_loss: false"),
    ],
)
def test_what_training_would_leave_out_is_refused(text: str, name: str) -> None:
    with pytest.raises(UserError) as caught:
        build(config_override=f"train_config {{ {text} }}")
    assert caught.value.line() == f"params.yaml: train.config_override: {name} is not supported; leave it out"


@pytest.mark.parametrize(
    ("text", "name", "key"),
    [
        ("batch_size: 4", "batch_size", "train.batch_size"),
        ("num_steps: 4", "num_steps", "train.steps"),
        ("use_bfloat16: true", "use_bfloat16", "train.bfloat16"),
        ('fine_tune_checkpoint: "x"', "fine_tune_checkpoint", "pretrained.source"),
        ('fine_tune_checkpoint_type: "full"', "fine_tune_checkpoint_type", "train.fine_tune_checkpoint_type"),
    ],
)
def test_what_another_key_sets_cannot_be_overridden(text: str, name: str, key: str) -> None:
    with pytest.raises(UserError) as caught:
        build(config_override=f"train_config {{ {text} }}")
    line = f"params.yaml: train.config_override: {name} cannot be set here; leave it out, and set {key}"
    assert caught.value.line() == line


def test_another_train_record_is_refused() -> None:
    with pytest.raises(UserError, match="config_override: another train record is not supported; leave it out, and"):
        build(config_override='train_input_reader { tf_record_input_reader { input_path: "x" } }')


def test_a_wrong_override_is_one_line() -> None:
    with pytest.raises(UserError, match=r"train.config_override: 1:9 : .*no field named \"sdd\"") as caught:
        build(config_override="model { sdd { } }")
    assert "\n" not in str(caught.value)
