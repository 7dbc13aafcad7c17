"""Bring the checkpoint that training starts from.

    python -m stages.pretrained

    pretrained.source -> model/pretrained/{ckpt-1.*,source.json}

    auto            open_images; where that cannot be fetched, package, and training takes the settings that suit it
                    (detector/weights/recipe.py): source.json says which came
    open_images     Google's SSD MobileNetV2 of Open Images V4, by https or npm: a detection checkpoint for
                    ssd_mobilenet_v2_320x320; only its backbone where fine_tune_checkpoint_type is `classification`
    package         ImageNet MobileNetV2 from the locked package: a `classification` checkpoint
    model/start/x   a model of yours, which `make continue` copied there: a detection checkpoint
    https://...     an archive (.tar.gz) with one checkpoint, its digest in pretrained.sha256; it stays in .work
    gs://...        in a bucket: the same archive, a checkpoint's prefix, or a folder with one checkpoint
    a path          the same on this machine; a prefix may end in .index

A folder in model/start is in pretrained.start as well. dvc.yaml makes that one a dependency, so dvc.lock records which
model a training started from.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from detector.base import bars, errors, params, paths
from detector.base.errors import UserError
from detector.weights import published, recipe
from detector.weights.params import PretrainedParams, check


@dataclass(frozen=True)
class FineTuneParams:
    """What this stage needs of the `train` section."""

    fine_tune_checkpoint_type: str = params.one_of("classification", "detection", "full", "none")
    model: str = params.text("the model")


def main() -> None:
    pretrained = params.load("pretrained", PretrainedParams)
    fine_tune = params.load("train", FineTuneParams, partial=True)
    check(pretrained, fine_tune.model, fine_tune.fine_tune_checkpoint_type)
    weights = _choose(pretrained.source, fine_tune)
    with tempfile.TemporaryDirectory() as folder, bars.waiting("initial weights"):
        name, prefix = SOURCES.get(weights.source, _fetch_external)(pretrained, _kind(weights, fine_tune), Path(folder))
        from detector.model import checkpoints  # late, like all that imports TensorFlow: errors need not wait for it

        description = _describe(prefix)
        checkpoints.copy(prefix, paths.PRETRAINED, {recipe.FILE: recipe.render(weights)})
    errors.say(f"pretrained: {name}, {description}")


def _choose(asked: str, fine_tune: FineTuneParams) -> recipe.Weights:
    """The weights that the source stands for. `auto` goes to the network for nothing where none are used."""
    if asked != recipe.AUTO:
        return recipe.Weights(asked, asked)
    fallback = recipe.Weights(recipe.PACKAGE, asked)
    kind = fine_tune.fine_tune_checkpoint_type
    if kind == "none":
        return fallback
    try:
        published.file()
    except UserError as refused:
        settings = recipe.shown(recipe.replaced(fallback, fine_tune.model, kind))
        errors.say(f"{refused.line()}; until then {fallback.name}, with {settings}; to try again: {recipe.AGAIN}")
        return fallback
    return recipe.Weights(recipe.OPEN_IMAGES, asked)


def _kind(weights: recipe.Weights, fine_tune: FineTuneParams) -> str:
    """The fine_tune_checkpoint_type that training will take."""
    kind = fine_tune.fine_tune_checkpoint_type
    return str(recipe.replaced(weights, fine_tune.model, kind).get("fine_tune_checkpoint_type", kind))


def _fetch_package(_pretrained: PretrainedParams, _kind: str, folder: Path) -> tuple[str, Path]:
    from detector.weights import imagenet

    return "ImageNet MobileNetV2", imagenet.write(folder)


def _fetch_open_images(_pretrained: PretrainedParams, kind: str, folder: Path) -> tuple[str, Path]:
    from detector.weights import open_images

    is_backbone = kind in ("classification", "none")
    name = "the backbone of Open Images V4" if is_backbone else "Open Images V4"
    return name, open_images.write(folder, paths.record("train"), only_backbone=is_backbone)


def _fetch_external(pretrained: PretrainedParams, _kind: str, folder: Path) -> tuple[str, Path]:
    from detector.weights import external

    return pretrained.source, external.fetch(pretrained.source, pretrained.sha256, folder)


# Each gives the checkpoint's name for the message, and its prefix, which may be in the folder given.
SOURCES: dict[str, Callable[[PretrainedParams, str, Path], tuple[str, Path]]] = {
    recipe.PACKAGE: _fetch_package,
    recipe.OPEN_IMAGES: _fetch_open_images,
}


def _describe(prefix: Path) -> str:
    from detector.model import checkpoints
    from detector.weights import imagenet

    if checkpoints.kind(prefix) == "detection":
        return "a detection checkpoint"
    return f"{imagenet.check(prefix)} of {imagenet.TENSORS} tensors matched"


if __name__ == "__main__":
    errors.run(main, __doc__)
