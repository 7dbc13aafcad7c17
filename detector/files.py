"""Files that appear whole or not at all: written beside their place, then renamed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".passo-tmp."  # beginning of the names of what is not whole yet; short, for the target's may be 255 bytes


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yields a path beside `path` to write to; on success it is renamed to `path`, on any error removed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp makes files that only the owner can read
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Yields a folder beside `path` to fill; on success it takes the place of `path`, which must be ours.

    What was there is gone only when the new one stands: an interrupt in between brings it back.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=TEMPORARY))
    new, old = temporary / "new", temporary / "old"
    try:
        new.mkdir()
        yield new
        new.chmod(0o755)
        if os.path.lexists(path):
            path.rename(old)
        new.rename(path)
    finally:
        if os.path.lexists(old) and not os.path.lexists(path):
            old.rename(path)
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: str | Path, content: str) -> None:
    """Write UTF-8 text, whole or not at all, with `\\n` line ends."""
    with whole_file(path) as temporary:
        temporary.write_text(content, encoding="utf-8", newline="\n")


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write bytes, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def expanded(path: str | Path) -> Path:
    """A path with `~` as the shell means it; `~nobody` stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (Path.expanduser raises for an unknown user)
