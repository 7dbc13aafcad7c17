"""A copy of the model, for as long as it is served: a training that ends meanwhile changes nothing."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detector.base import files, paths
from detector.base.errors import UserError
from detector.prediction.detector import FORMATS
from tools.cloud import lineage

CARD = "README.md"
KEPT = (*(file for _, file in FORMATS.values()), paths.LABEL_MAP, paths.MODEL_RECORD, CARD)


@contextmanager
def taken(where: str) -> Iterator[Path]:
    """A folder, for this user alone, with the exported model; it is removed afterwards.

    Args:
        where: a folder whose model is trusted, whatever it is; empty for model/export, which is compared with dvc.lock.

    Raises:
        UserError: there is no such folder, or model/export is not what dvc.lock names. Those of what is done with the
            copy name the model itself.
    """
    folder = files.expanded(where) if where else paths.EXPORT
    if not folder.is_dir():
        get = "give the folder that `export` made" if where else "run: make train (or make pull, for one from before)"
        raise UserError(str(folder), "no model there", get)
    with tempfile.TemporaryDirectory(prefix="passo-") as temporary:
        for name in KEPT:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, Path(temporary) / name)
        if not where:
            _check(folder, Path(temporary))
        try:
            yield Path(temporary)
        except UserError as error:
            raise UserError(error.where.replace(temporary, str(folder)), error.reason, error.remedy) from error


def _check(folder: Path, copied: Path) -> None:
    """Raises: UserError: dvc.lock names no model, or another one than what was copied."""
    digest, unchecked = dict(lineage.locked()).get(folder.as_posix()), f"serve it unchecked: MODEL={folder}"
    if not digest:
        raise UserError(str(folder), f"is not in {lineage.LOCK}, so it may be any model", unchecked)
    if not lineage.is_what(folder, digest, copied):
        raise UserError(str(folder), f"is not what {lineage.LOCK} names", f"run: dvc checkout, or {unchecked}")
