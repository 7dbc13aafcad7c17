"""Which weights training starts from: the section `pretrained` of params.yaml, and what may stand in it.

Needs no TensorFlow: `make doctor` asks here, too.
"""

from dataclasses import dataclass
from pathlib import Path

from detector.base import files, params, paths
from detector.base.errors import UserError
from detector.base.params import PARAMS_FILE
from detector.weights.recipe import AUTO, OPEN_IMAGES, OPEN_IMAGES_MODEL, PACKAGE

STARTS = Path("model/start")  # a folder for each model that `make continue` has copied, tracked by DVC
NO_START = STARTS / "none"
CONTINUE = "to start from the last model, run: make continue"


@dataclass(frozen=True)
class PretrainedParams:
    """stages/pretrained.py says what each source is."""

    source: str = params.text(
        "auto, open_images, package, a folder in model/start, an https:// or gs:// address, or a path"
    )
    start: str = params.text(f"the folder in {STARTS} that pretrained.source names, or {NO_START}")
    sha256: str = params.text("the archive's sha256", empty=True)


def check(pretrained: PretrainedParams, model: str, fine_tune_checkpoint_type: str) -> None:
    """Refuse a source that cannot serve this training, by its name alone.

    Args:
        model, fine_tune_checkpoint_type: of the `train` section.

    Raises:
        UserError: naming the key that is wrong.
    """
    source, wanted = pretrained.source, fine_tune_checkpoint_type
    if source == "last" or _is_in(source, paths.TRAIN):
        reason = f"{source} changes with every training, so nothing can be repeated that starts from it"
        raise UserError(PARAMS_FILE, reason, CONTINUE, "pretrained.source")
    if source in (AUTO, OPEN_IMAGES, PACKAGE) and wanted == "full":
        reason = f"full needs a detector of your classes, and {source} is not one"
        raise UserError(PARAMS_FILE, reason, CONTINUE, "train.fine_tune_checkpoint_type")
    if source == OPEN_IMAGES and wanted == "detection" and model != OPEN_IMAGES_MODEL:
        remedy = "train that model, or only its backbone: dvc exp run -S train.fine_tune_checkpoint_type=classification"
        reason = f"open_images is an {OPEN_IMAGES_MODEL}, not a {model}"
        raise UserError(PARAMS_FILE, reason, remedy, "pretrained.source")
    if _is_in(source, STARTS) and not _is_in(source, Path(pretrained.start)):
        reason = f"{pretrained.start} is not {source} (pretrained.source), so DVC would not track that"
        raise UserError(PARAMS_FILE, reason, "set both to the same folder", "pretrained.start")


def _is_in(source: str, folder: Path) -> bool:
    return "://" not in source and files.expanded(source).absolute().is_relative_to(folder.absolute())
