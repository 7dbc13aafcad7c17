"""A second name for a file, which needs no room on the disk; or a copy, where the file system has no such names."""

import os
import shutil
from pathlib import Path


def linked(source: str | Path, target: str | Path) -> None:
    """Make `target` the same file as `source` (a hard link), else a copy of it; a link that is `source` stays one.

    Whoever writes to it must replace it: what is written into it is in both.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another disk, or one without hard links: exFAT, Drive
        shutil.copy2(source, target, follow_symlinks=False)
