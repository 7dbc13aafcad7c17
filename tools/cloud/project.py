"""DVC's view of the project."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from detector.base.errors import UserError
from tools.cloud.reasons import reason


@contextmanager
def project() -> Iterator[Any]:
    """DVC's view of the project around the working directory; its root becomes the working directory."""
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # else gcsfs asks over gRPC, which may hang
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    for name in ("dvc", "dvc_data", "dvc_objects", "gcsfs", "fsspec", "asyncio"):
        logging.getLogger(name).addHandler(logging.NullHandler())  # the commands print lines of their own
        logging.getLogger(name).propagate = False
    try:
        with Repo() as repo:
            os.chdir(repo.root_dir)
            yield repo
    except DvcException as error:
        raise UserError("DVC", reason(error), "fix that, and run the command again") from error
