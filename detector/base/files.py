"""Files and folders that are written atomically: beside their place, then renamed."""

import glob
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detector.base import errors
from detector.base.errors import UserError

TEMPORARY = ".passo-tmp."  # prefix of unfinished files; short, as the target's name may have 255 bytes
OLD = "old"  # the folder in a temporary one that holds what is being replaced


@contextmanager
def whole_file(path: str | Path, *, durable: bool = False) -> Iterator[Path]:
    """Yields a path beside `path` to write to; on success it is renamed to `path`, on any error removed.

    With `durable` it is on the disk before it is renamed, so that not even a power cut leaves half of it.
    """
    path = Path(path)
    make_folder(path.parent)
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    with _errors_name(path, temporary):
        try:
            temporary.touch(exist_ok=False)  # as the user's umask has it; mkstemp has permissions of its own
            yield temporary
            if durable:
                _sync(temporary)
            temporary.replace(path)
            if durable:
                _sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path, *, durable: bool = False, is_new: bool = False) -> Iterator[Path]:
    """Yields a folder beside `path` to fill; on success it replaces `path`, which must be ours.

    The old one is removed only after that: an interrupt in between restores it, and what a kill in between leaves is
    named by `hidden`. `durable` as above. With `is_new` nothing is replaced.

    Raises:
        UserError: with `is_new`, something is at `path` by now.
    """
    path = Path(path)
    make_folder(path.parent)
    with _errors_name(path, path.with_name(TEMPORARY)):
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=TEMPORARY))
        new, old = temporary / "new", temporary / OLD / path.name
        try:
            new.mkdir()
            yield new
            if durable:
                for inside in (*new.rglob("*"), new):
                    _sync(inside)
            if is_new:
                _rename_to_nothing(new, path)
            else:
                if os.path.lexists(path):
                    old.parent.mkdir()
                    path.rename(old)
                new.rename(path)
            if durable:
                _sync(path.parent)
        finally:
            if os.path.lexists(old) and not os.path.lexists(path):
                old.rename(path)
            shutil.rmtree(temporary, ignore_errors=True)


def make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        where = str(error.filename or path)
        raise UserError(where, "is not a folder", "choose another place, or move it away") from error


def _rename_to_nothing(new: Path, path: Path) -> None:
    """The system itself refuses to rename a folder to what exists, unless that is an empty folder."""
    try:
        new.rename(path)
    except OSError as error:
        if not os.path.lexists(path):
            raise
        reason = "appeared while its content was being written, and is left as it is"
        raise UserError(str(path), reason, "choose another name, or move it away, and run again") from error


@contextmanager
def _errors_name(path: Path, temporary: Path) -> Iterator[None]:
    """What the system refuses names the file that a user knows: a failed write names none, others the temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno in errors.REFUSED:
            names = error.filename, error.filename2
            ours = [name is not None and str(name).startswith(str(temporary)) for name in names]
            error.filename = str(path) if ours[0] or names[0] is None else names[0]
            error.filename2 = str(path) if ours[1] else names[1]
        raise


def hidden(path: Path) -> list[Path]:
    """Where the last content of `path` is, if a kill came while a folder took its place; the newest first."""
    found = path.parent.glob(f"{TEMPORARY}*/{OLD}/{glob.escape(path.name)}")
    return [] if os.path.lexists(path) else sorted(found, key=lambda old: old.stat().st_mtime, reverse=True)


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
