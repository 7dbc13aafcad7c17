"""Which `train.fine_tune_checkpoint_type` a checkpoint serves.

A `classification` checkpoint holds a backbone, a `detection` checkpoint a whole detector. Needs no TensorFlow: training
and `make doctor` follow the same rules.
"""

from collections.abc import Collection
from pathlib import Path

from detector.base.errors import UserError
from detector.base.params import PARAMS_FILE

TYPES = {  # kind of checkpoint: the values of fine_tune_checkpoint_type that it serves
    "classification": ("classification", "none"),
    "detection": ("full", "detection", "none"),
}
# What the names of their variables begin with, the first that fits.
PREFIXES = {"detection": "model/_feature_extractor/", "classification": "feature_extractor/"}


def kind_by_names(names: Collection[str]) -> str:
    """`classification` or `detection`, by the names of a checkpoint's variables; empty where it is neither."""
    for kind, start in PREFIXES.items():
        if any(name.startswith(start) for name in names):
            return kind
    return ""


def kind_by_index(prefix: Path) -> str:
    """The same without TensorFlow, by the bytes of `prefix`.index; empty where there is no such file.

    The index is a sorted table of names. A name leaves out what it shares with the one before it, but every 16th is
    written in full, and both kinds have hundreds of them. So it is enough to search the bytes.

    Raises:
        UserError: the checkpoint is neither.
    """
    index = Path(f"{prefix}.index")
    if not index.is_file():
        return ""
    content = index.read_bytes()
    for kind, start in PREFIXES.items():
        if start.encode() in content:
            return kind
    raise UserError(str(index), "neither a backbone nor a detector", "run: dvc exp run -S pretrained.source=auto")


def check(fine_tune_checkpoint_type: str, kind: str, checkpoint: str) -> None:
    """Raises: UserError: a checkpoint of this kind does not serve the type; the error has those that it serves."""
    if fine_tune_checkpoint_type not in TYPES[kind]:
        needed = "backbone" if kind == "detection" else "detector"
        raise UserError(
            PARAMS_FILE,
            f"{fine_tune_checkpoint_type} needs a {needed}, but {checkpoint} is a {kind} checkpoint",
            f"set it to {' or '.join(TYPES[kind])}",
            item="train.fine_tune_checkpoint_type",
        )
