"""Which settings suit which weights: by hand, and through the file beside the checkpoint."""

import dataclasses
from pathlib import Path

import pytest

from detector.base import paths
from detector.base.errors import UserError
from detector.weights import recipe
from detector.weights.recipe import AUTO, OPEN_IMAGES, PACKAGE, Weights, replaced

SSD, FPNLITE = "ssd_mobilenet_v2_320x320", "ssd_mobilenet_v2_fpnlite_320x320"
IMAGENET = {"fine_tune_checkpoint_type": "classification", "frozen_blocks": 0, "backbone_learning_rate": 1.0}


@pytest.mark.parametrize(
    ("asked", "source", "model", "kind", "expected"),
    [
        (AUTO, OPEN_IMAGES, SSD, "detection", {}),
        (AUTO, OPEN_IMAGES, SSD, "classification", {}),
        (AUTO, OPEN_IMAGES, FPNLITE, "detection", {"fine_tune_checkpoint_type": "classification"}),
        (AUTO, PACKAGE, SSD, "detection", IMAGENET),
        (AUTO, PACKAGE, SSD, "classification", IMAGENET),
        (AUTO, PACKAGE, FPNLITE, "detection", IMAGENET),
        (AUTO, PACKAGE, SSD, "none", {}),
        (PACKAGE, PACKAGE, SSD, "classification", {}),  # what was named is taken as it was set
        (PACKAGE, PACKAGE, SSD, "detection", {}),  # and refused later
        (OPEN_IMAGES, OPEN_IMAGES, FPNLITE, "detection", {}),
        ("", "", SSD, "detection", {}),
    ],
)
def test_the_settings_that_are_replaced(
    asked: str, source: str, model: str, kind: str, expected: dict[str, object]
) -> None:
    assert replaced(Weights(source, asked), model, kind) == expected


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert recipe.read(tmp_path) is None
    (tmp_path / "source.json").write_text(recipe.render(Weights(PACKAGE, AUTO)))
    assert recipe.read(tmp_path) == Weights(PACKAGE, AUTO)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"source": "package"}', '{"source": 1, "asked": 2, "by": 3}'])
def test_a_damaged_file_is_an_error_with_the_command_that_makes_it_again(tmp_path: Path, content: str) -> None:
    (tmp_path / "source.json").write_text(content)
    with pytest.raises(
        UserError, match=r"source\.json: cannot be read: .*; run: source .venv/bin/activate; dvc repro --force --single"
    ):
        recipe.read(tmp_path)


def test_settings_in_words() -> None:
    assert recipe.shown(IMAGENET) == (
        "train.fine_tune_checkpoint_type classification, train.frozen_blocks 0, train.backbone_learning_rate 1"
    )


@pytest.mark.parametrize(
    ("weights", "kind", "words"),
    [
        (Weights(OPEN_IMAGES, AUTO), "detection", "Open Images' detector"),
        (Weights(PACKAGE, PACKAGE), "classification", "ImageNet's weights"),
        (Weights("model/start/cats", "model/start/cats"), "full", "model/start/cats"),
        (Weights(PACKAGE, AUTO), "none", "random weights"),
        (
            Weights(PACKAGE, AUTO),
            "classification",
            "ImageNet's weights, as Open Images' detector could not be fetched; to try again: "
            "source .venv/bin/activate; dvc repro --force --single-item pretrained, then make train",
        ),
    ],
)
def test_a_models_own_record_in_words(weights: Weights, kind: str, words: str) -> None:
    assert recipe.described({**dataclasses.asdict(weights), "fine_tune_checkpoint_type": kind}) == words


def test_a_record_without_a_start() -> None:
    assert recipe.described({}) == ""


def test_open_images_is_told_by_its_name_and_all_others_by_their_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another processor rounds the normalisation that it measures in another way; the training is the same one."""
    monkeypatch.chdir(tmp_path)
    checkpoint = [paths.PRETRAINED / f"ckpt-1.{part}" for part in ("data-00000-of-00001", "index")]
    for path in (*checkpoint, paths.PRETRAINED / recipe.FILE):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert recipe.told_by(Weights(OPEN_IMAGES, AUTO)) == [paths.PRETRAINED / "source.json"]
    for weights in (Weights(PACKAGE, AUTO), Weights("model/start/x", "model/start/x"), Weights("", "")):
        assert recipe.told_by(weights) == checkpoint
