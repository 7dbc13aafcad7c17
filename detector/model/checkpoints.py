"""TensorFlow checkpoints of the Object Detection API: what kind one is, how it is saved and restored.

A `classification` checkpoint holds a backbone under `feature_extractor/`, a detection checkpoint a whole detector under
`model/`; `fine_tune_checkpoint_type` must fit, and is checked here before a step is run.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detector.base import files
from detector.base.errors import UserError
from detector.model import fine_tune
from detector.model.tensorflow_env import tf

NAME = "ckpt-1"
VARIABLE = "/.ATTRIBUTES/VARIABLE_VALUE"
UNREADABLE = (tf.errors.OpError, IndexError)  # what TensorFlow raises of damaged bytes, ValueError apart


def variables(prefix: str | Path) -> dict[str, tuple[int, ...]]:
    """The variables of a checkpoint as {name: shape}; `prefix` is the path without `.index`.

    Raises:
        UserError: there is no such checkpoint, or it is damaged or not object-based.
    """
    try:
        listed = tf.train.list_variables(str(prefix))
    except (*UNREADABLE, ValueError) as error:
        reason = "not found" if not Path(f"{prefix}.index").exists() else "a damaged checkpoint"
        raise UserError(str(prefix), reason, "give the path without .index") from error
    shapes = {name.removesuffix(VARIABLE): tuple(shape) for name, shape in listed if name.endswith(VARIABLE)}
    if not shapes:
        raise UserError(
            str(prefix), "is not an object-based (TF2) checkpoint", "convert it with TF2's tf.train.Checkpoint"
        )
    return shapes


def kind(prefix: str | Path) -> str:
    """`classification` (a backbone) or `detection` (a whole detector).

    Raises:
        UserError: it is neither.
    """
    names = variables(prefix)
    known = fine_tune.kind_by_names(names)
    if not known:
        reason = f"neither a backbone nor a detector: it holds {', '.join(sorted(names)[:3])}..."
        raise UserError(str(prefix), reason, "give another checkpoint")
    return known


def check_type(prefix: str | Path, fine_tune_checkpoint_type: str) -> None:
    """Refuse a `fine_tune_checkpoint_type` that the checkpoint cannot serve, naming the one that it can."""
    fine_tune.check(fine_tune_checkpoint_type, kind(prefix), str(prefix))


def restore(model: Any, prefix: str | Path, fine_tune_checkpoint_type: str) -> None:
    """Restore every tensor that the type covers.

    Raises:
        UserError: it names the checkpoint and the first tensor that is missing or has another shape; it is damaged.
    """
    from detector.model import od_api  # late: the other functions need not load the API

    check_type(prefix, fine_tune_checkpoint_type)
    target = tf.train.Checkpoint(**od_api.restored_objects(model, fine_tune_checkpoint_type))
    try:
        target.restore(str(prefix)).expect_partial().assert_existing_objects_matched()
    except UNREADABLE as error:
        raise UserError(str(prefix), "a damaged checkpoint", "make it again, or restore it: dvc checkout") from error
    except (AssertionError, ValueError) as error:
        reason = f"does not fit this model: {str(error).splitlines()[0]}"
        if fine_tune_checkpoint_type == "detection":
            remedy = "train.model and its anchors (train.config_override) must be those that it was trained with"
        else:
            remedy = "train.model and the label map must be those that it was trained with (or use detection, or none)"
        raise UserError(str(prefix), reason, remedy) from error


def write(checkpoint: Any, folder: Path) -> Path:
    """Write a tf.train.Checkpoint into a folder that nobody reads before it is whole; returns its prefix."""
    checkpoint.save_counter.assign(0)  # the number in NAME is this counter's next value
    return Path(checkpoint.save(str(folder / "ckpt")))


def restore_all(checkpoint: Any, prefix: Path) -> None:
    """Fill every tensor of a tf.train.Checkpoint from one that `write` wrote.

    Raises:
        UserError: its tensors are not the same ones.
    """
    try:
        checkpoint.restore(str(prefix)).assert_consumed()
    except (AssertionError, ValueError, *UNREADABLE) as error:
        reason = f"does not fit this training: {str(error).splitlines()[0]}"
        remedy = "was it saved by other code? to train from scratch: make train FRESH=1"
        raise UserError(str(prefix), reason, remedy) from error


def copy(prefix: Path, target: Path, beside: Mapping[str, str]) -> None:
    """Copy a checkpoint into the folder `target`, which it replaces, under NAME and with a `checkpoint` file.

    Args:
        beside: the texts of other files to write there, by name.
    """
    with files.whole_folder(target) as folder:
        for file in sorted(prefix.parent.glob(f"{prefix.name}.*")):
            shutil.copyfile(file, folder / (NAME + file.name.removeprefix(prefix.name)))
        (folder / "checkpoint").write_text(f'model_checkpoint_path: "{NAME}"\nall_model_checkpoint_paths: "{NAME}"\n')
        for name, content in beside.items():
            (folder / name).write_text(content, encoding="utf-8")
