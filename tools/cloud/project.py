"""DVC's view of the project."""

import contextlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from detector.base import files
from detector.base.errors import UserError
from tools.cloud import trust
from tools.cloud.reasons import reason


@contextmanager
def project() -> Iterator[Any]:
    """DVC's view of the project around the working directory; its root becomes the working directory.

    Raises:
        UserError: it is none, or its configuration is not to be trusted.
    """
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # else gcsfs asks over gRPC, which may hang
    _keep_notes_private()
    from configobj import InterpolationError
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    for name in ("dvc", "dvc_data", "dvc_objects", "gcsfs", "fsspec", "asyncio"):
        logging.getLogger(name).addHandler(logging.NullHandler())  # the commands print lines of their own
        logging.getLogger(name).propagate = False
    try:
        os.chdir(Repo.find_root())
        trust.check_shared()
        with Repo() as repo:
            _unlock(repo)
            yield repo
    except NotDvcRepoError as error:
        raise UserError(".", "not inside a DVC repository", "run from the project's root") from error
    except InterpolationError as error:  # of .dvc/config, with a lone %(x)s
        raise UserError(str(trust.CONFIG), str(error), f"fix it, or restore it: git checkout {trust.CONFIG}") from error
    except RecursionError as error:  # of a dvc.lock or a dvc.yaml of a thousand brackets
        raise UserError("DVC", "its files are nested too deeply", "restore them: git checkout dvc.lock") from error
    except DvcException as error:
        raise UserError("DVC", reason(error), "fix that, and run the command again") from error


def _keep_notes_private() -> None:
    """Have DVC keep its notes where no other user of this machine may write.

    It keeps them in /var/tmp/dvc, with permissions for all, and unpickles them: what another user writes there is run.
    """
    if os.environ.get("DVC_SITE_CACHE_DIR"):
        return
    caches = Path(os.environ.get("XDG_CACHE_HOME", ""))
    folder = (caches if caches.is_absolute() else files.expanded("~/.cache")) / "passo" / "dvc"
    with contextlib.suppress(OSError):  # no home that can be written to
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        os.environ["DVC_SITE_CACHE_DIR"] = str(folder)


def _unlock(repo: Any) -> None:
    """A kill or a full disk leaves the list of files in use empty, with which DVC refuses every command."""
    from dvc.lock import make_lock
    from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK

    used = Path(repo.tmp_dir, RWLOCK_FILE)
    if is_empty(used):
        hardlink = repo.config["core"].get("hardlink_lock", False)
        with make_lock(str(used.with_name(RWLOCK_LOCK)), tmp_dir=repo.tmp_dir, hardlink_lock=hardlink):
            if is_empty(used):  # and not just being written
                used.unlink()


def is_empty(path: Path) -> bool:
    """Whether a file exists, without content."""
    return path.is_file() and not path.stat().st_size
