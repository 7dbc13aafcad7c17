"""Have DVC track a folder of the user's: `dvc add`."""

import subprocess
from pathlib import Path

from detector.base.errors import UserError
from tools.cloud import dvc_config


def track(target: Path) -> None:
    """`dvc add`, with the dvc of this environment.

    Raises:
        UserError: it failed. The folder stays, so that the command can be repeated.
    """
    command = [dvc_config.program(), "add", "--quiet", str(target)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError("dvc", "not found", f"the data is in {target}; then: dvc add {target}") from None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["it failed"])[0].removeprefix("ERROR: ")
        remedy = "the data is copied; fix that and run the command again"
        raise UserError(f"dvc add {target}", reason, remedy) from error
