"""Files and folders that are written atomically: beside their place, then renamed."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".passo-tmp."  # prefix of unfinished files; short, as the target's name may have 255 bytes


@contextmanager
def whole_file(path: str | Path, *, durable: bool = False) -> Iterator[Path]:
    """Yields a path beside `path` to write to; on success it is renamed to `path`, on any error removed.

    With `durable` it is on the disk before it is renamed, so that not even a power cut leaves half of it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp makes files that only the owner can read
        if durable:
            _sync(temporary)
        temporary.replace(path)
        if durable:
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path, *, durable: bool = False) -> Iterator[Path]:
    """Yields a folder beside `path` to fill; on success it replaces `path`, which must be ours.

    The old one is removed only after that: an interrupt in between restores it. `durable` as above.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=TEMPORARY))
    new, old = temporary / "new", temporary / "old"
    try:
        new.mkdir()
        yield new
        new.chmod(0o755)
        if durable:
            for inside in (*new.rglob("*"), new):
                _sync(inside)
        if os.path.lexists(path):
            path.rename(old)
        new.rename(path)
        if durable:
            _sync(path.parent)
    finally:
        if os.path.lexists(old) and not os.path.lexists(path):
            old.rename(path)
        shutil.rmtree(temporary, ignore_errors=True)


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """The hexadecimal digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remove_folder(path: Path) -> None:
    """Remove a folder atomically: a kill leaves no half of it under its name."""
    doomed = Path(tempfile.mkdtemp(dir=path.parent, prefix=TEMPORARY))
    path.rename(doomed / path.name)
    shutil.rmtree(doomed)


def remove_temporaries(folder: Path) -> None:
    """Remove unfinished files of a killed process; no other process may be writing to `folder`."""
    for path in folder.glob(f"{TEMPORARY}*"):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def write_text(path: str | Path, content: str, *, durable: bool = False) -> None:
    """Write UTF-8 text atomically, with `\\n` line ends."""
    with whole_file(path, durable=durable) as temporary:
        temporary.write_text(content, encoding="utf-8", newline="\n")


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write bytes atomically."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def expanded(path: str | Path) -> Path:
    """A path with `~` as the shell means it; `~nobody` stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (Path.expanduser raises for an unknown user)
