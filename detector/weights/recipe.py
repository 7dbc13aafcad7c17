"""Which weights came, and the settings of `train` that suit them. Pure, but for one small file; needs no TensorFlow.

`pretrained.source: auto` takes Open Images' detector, and ImageNet's weights where that cannot be had. The settings in
params.yaml are those for the detector. `replaced` says which of them other weights need: stages/pretrained.py writes
beside the checkpoint which weights it brought, so training takes the same ones as long as that checkpoint is there,
whatever the network does.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detector.base import paths
from detector.base.errors import UserError

AUTO, OPEN_IMAGES, PACKAGE = "auto", "open_images", "package"
OPEN_IMAGES_MODEL = "ssd_mobilenet_v2_320x320"  # that the source open_images is
FILE = "source.json"  # in model/pretrained
NAMES = {OPEN_IMAGES: "Open Images' detector", PACKAGE: "ImageNet's weights"}
# docs/measurements.md: with blocks frozen, or a slow backbone, ImageNet's weights reach half of the AP.
OF_IMAGENET: dict[str, Any] = {
    "fine_tune_checkpoint_type": "classification",
    "frozen_blocks": 0,
    "backbone_learning_rate": 1.0,
}
# Tries the network again, from any terminal.
AGAIN = "source .venv/bin/activate; dvc repro --force --single-item pretrained"


@dataclass(frozen=True)
class Weights:
    """What training starts from: which weights these are, and the `pretrained.source` that asked for them."""

    source: str  # open_images, package, or what pretrained.source names
    asked: str

    @property
    def name(self) -> str:
        """What people call them."""
        return NAMES.get(self.source, self.source)

    @property
    def is_fallback(self) -> bool:
        """Whether they stand in for Open Images'."""
        return (self.asked, self.source) == (AUTO, PACKAGE)


def told_by(weights: Weights) -> list[Path]:
    """The files in model/pretrained that tell these weights from others, on any machine.

    Of open_images that is not the checkpoint: each machine measures the normalisation anew, and rounds as it does.
    """
    if weights.source == OPEN_IMAGES:
        return [paths.PRETRAINED / FILE]
    return sorted(paths.PRETRAINED.glob("ckpt-1.*"))


def replaced(weights: Weights, model: str, fine_tune_checkpoint_type: str) -> dict[str, Any]:
    """The settings of `train` to take in place of those in params.yaml, by key; none for a source that was named.

    Args:
        model, fine_tune_checkpoint_type: as params.yaml has them.
    """
    if weights.asked != AUTO or fine_tune_checkpoint_type == "none":
        return {}
    if weights.is_fallback:
        return dict(OF_IMAGENET)
    if model != OPEN_IMAGES_MODEL:  # only the backbone fits
        return {"fine_tune_checkpoint_type": "classification"}
    return {}


def shown(settings: Mapping[str, Any]) -> str:
    """`train.frozen_blocks 0, train.backbone_learning_rate 1`."""
    values = {key: f"{value:g}" if isinstance(value, float) else value for key, value in settings.items()}
    return ", ".join(f"train.{key} {value}" for key, value in values.items())


def name_of(start: Mapping[str, Any]) -> str:
    """What a training started from, as model/train/train.json has it; empty where nothing is recorded."""
    return "random weights" if start.get("fine_tune_checkpoint_type") == "none" else _of(start).name


def described(start: Mapping[str, Any]) -> str:
    """`name_of`, and where ImageNet's weights stand in for Open Images', how to get those."""
    name = name_of(start)
    if name != _of(start).name or not _of(start).is_fallback:
        return name
    return f"{name}, as {NAMES[OPEN_IMAGES]} could not be fetched; to try again: {AGAIN}, then make train"


def _of(start: Mapping[str, Any]) -> Weights:
    return Weights(str(start.get("source") or ""), str(start.get("asked") or ""))


def render(weights: Weights) -> str:
    """The content of FILE."""
    return json.dumps(asdict(weights), indent=2) + "\n"


def read(folder: Path = paths.PRETRAINED) -> Weights | None:
    """Which weights are in `folder`; None where it does not say, as one of an older version.

    Raises:
        UserError: FILE is damaged.
    """
    file = folder / FILE
    try:
        return Weights(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise UserError(file.as_posix(), f"cannot be read: {error}", f"run: {AGAIN}") from error
