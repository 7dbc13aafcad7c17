"""Folders of the user's that DVC tracks: which names they may have, `dvc add`, and `git add`."""

import logging
import re
from collections.abc import Collection
from pathlib import Path

from detector.base import errors, files
from detector.base.errors import UserError
from tools.cloud import git, keeping
from tools.cloud.project import project


def folder(parent: Path, name: str, reserved: Collection[str], example: str) -> Path:
    """The folder of that name in `parent`.

    Args:
        reserved: names that the project has taken.
        example: a name that would do.

    Raises:
        UserError: the name is not allowed, or DVC tracks that folder and this machine does not have it.
    """
    if name in reserved:
        raise UserError("NAME", f"{name} is reserved for the project", f"choose another, say {example}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name) or name.endswith(".dvc"):
        raise UserError("NAME", f"{name!r} is not allowed", f"use letters, digits, - and _, say {example}")
    refuse_missing(parent / name)
    return parent / name


def refuse_missing(target: Path) -> None:
    """Raises: UserError: DVC tracks this folder, and this machine does not have it, or not under its name."""
    place = target.resolve() if target.is_symlink() else target  # on a larger disk
    for old in files.hidden(place)[:1]:
        reason = f"missing, since a kill came while it was replaced; the last one is {old}"
        raise UserError(str(target), reason, f"run: mv {old} {place}")
    if Path(f"{target}.dvc").exists() and not target.exists():
        raise UserError(str(target), "tracked by DVC, but not here", "run: make pull")


def track(target: Path) -> None:
    """`dvc add`, and `git add`, for dvc exp run --temp and --queue know nothing else.

    Where DVC's cache cannot take the folder, the command ends with that, and exit code 1.

    Raises:
        UserError: one of them failed. The folder stays, so that the command can be repeated.
    """
    before = {path: path.read_bytes() if path.exists() else None for path in _written(target)}
    try:
        with project() as repo:
            from dvc.logger import set_loggers_level

            with set_loggers_level(logging.CRITICAL):  # as with --quiet
                repo.add([str(target)])
            not_kept = keeping.keep(repo, only=(str(target),))
    except (UserError, OSError) as error:
        fault = error if isinstance(error, UserError) else errors.refusal(error)
        if fault is None:
            raise
        for path, content in before.items():  # where the disk is full, DVC leaves a part
            if content is None:
                path.unlink(missing_ok=True)
            elif path.read_bytes() != content:
                files.write_bytes(path, content)
        reason = fault.reason if fault.where == "DVC" else f"{fault.where}: {fault.reason}"
        remedy = "the data is copied; fix that and run the command again"
        raise UserError(f"dvc add {target}", reason, remedy) from error
    if git.is_here():
        added = [str(path) for path in _written(target) if path.exists()]
        try:
            git.run("add", "--", *added)
        except ValueError as error:
            raise UserError(f"git add {' '.join(added)}", str(error), "fix that and run the command again") from error
    errors.exit_with(not_kept)


def _written(target: Path) -> tuple[Path, Path]:
    """What `dvc add` writes beside a folder."""
    return Path(f"{target}.dvc"), target.with_name(".gitignore")
