"""Folders of the user's that DVC tracks: which names they may have, `dvc add`, and `git add`."""

import re
import subprocess
from collections.abc import Collection
from pathlib import Path

from detector.base.errors import UserError
from tools.cloud import dvc_config, git


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
    """Raises: UserError: DVC tracks this folder, and this machine does not have it."""
    if Path(f"{target}.dvc").exists() and not target.exists():
        raise UserError(str(target), "tracked by DVC, but not here", "run: make pull")


def track(target: Path) -> None:
    """`dvc add`, with the dvc of this environment; and `git add`, for dvc exp run --temp and --queue know nothing else.

    Raises:
        UserError: one of them failed. The folder stays, so that the command can be repeated.
    """
    command = [dvc_config.program(), "add", "--quiet", str(target)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError("dvc", "not found", f"run: make install, then: dvc add {target}") from None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["it failed"])[0].removeprefix("ERROR: ")
        remedy = "the data is copied; fix that and run the command again"
        raise UserError(f"dvc add {target}", reason, remedy) from error
    if git.is_here():
        added = [str(path) for path in (Path(f"{target}.dvc"), target.parent / ".gitignore") if path.exists()]
        try:
            git.run("add", "--", *added)
        except ValueError as error:
            raise UserError(f"git add {' '.join(added)}", str(error), "fix that and run the command again") from error
