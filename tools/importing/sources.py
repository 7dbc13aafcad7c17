"""Where data may come from -> a folder or an archive on this machine.

photos/  photos.zip  photos.tar.gz          a folder or an archive, in a mounted Google Drive too
https://host/photos.zip                     SHA256=... says which one
gs://bucket/photos.zip  gs://bucket/photos/ an archive or a folder in a bucket
kaggle:owner/name[/versions/3]              a Kaggle dataset, kept in kagglehub's own cache (~/.cache/kagglehub)
any of them with #folder                    a folder in it: photos.zip#pets/v1

A broken download continues where it stopped.

kagglehub unpacks what comes from Kaggle itself, so zip_archive.py never sees it: nothing is written outside of that
cache, but nothing checks beforehand for a bomb, or for room on the disk.
"""

import contextlib
import errno
import io
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from detector.base import bars, errors, files
from detector.base.errors import UserError
from detector.storage import download, gs
from tools.cloud import reasons

DRIVE = Path("/content/drive")  # where Colab's notebooks mount it
KAGGLE = "kaggle:"
LISTS = (".yaml", ".yml", ".json", ".jsonl", ".csv", ".txt", ".xml", ".pbtxt")  # as data.yaml, which YOLO is given
GIVE = "give SRC=<folder, zip or tar, https://..., gs://... or kaggle:owner/name>"
_SIGN_IN = "get a token at kaggle.com/settings (Create New Token), and save it as ~/.kaggle/access_token"


@contextmanager
def opened(source: str, sha256: str = "") -> Iterator[Path]:
    """Yields a folder or an archive on this machine; what was downloaded for it is removed afterwards.

    Raises:
        UserError: it does not exist, cannot be fetched, or has another sha256.
    """
    if sha256 and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise UserError("SHA256", f"{sha256!r} is not a sha256", "give the archive's, 64 digits: sha256sum photos.zip")
    with _fetched(source, sha256) as path:
        if sha256 and path.is_dir():
            raise UserError("SHA256", f"only for archives, and {shown(source)} is not one", "leave it out")
        if sha256 and (digest := files.sha256(path)) != sha256.lower():
            raise UserError(shown(source), f"its sha256 is {digest}, not {sha256}", "check SRC and SHA256")
        yield path


def folder_of(source: str) -> tuple[str, str]:
    """A source, and the folder in it that is meant: what is behind its `#`, unless that is a part of a file's name."""
    place, sign, inner = source.rpartition("#")
    return (source, "") if not sign or files.expanded(source).exists() else (place, inner.strip("/"))


def is_web(source: str) -> bool:
    return source.lower().startswith(("https://", "http://"))


def shown(source: str) -> str:
    """A source as it may be printed, without secrets; it may be mistyped, so that nothing but a path is what it is."""
    return source if os.path.lexists(files.expanded(source)) else errors.redacted(source)


def _fetched(source: str, sha256: str) -> contextlib.AbstractContextManager[Path]:
    if is_web(source):
        return _from_web(source, sha256)
    if source.startswith("gs://"):
        return _from_bucket(source)
    if source.startswith(KAGGLE):
        return contextlib.nullcontext(_from_kaggle(source.removeprefix(KAGGLE)))
    if scheme := re.match("[A-Za-z][A-Za-z0-9+.-]+://", source):
        raise UserError(shown(source), f"{scheme[0]} is not supported", GIVE)
    return contextlib.nullcontext(_local(source))


def _local(source: str) -> Path:
    path = files.expanded(source)
    if not path.exists() and path.is_relative_to(DRIVE) and not (DRIVE / "MyDrive").exists():
        remedy = "mount Drive first, in a cell: from google.colab import drive; drive.mount('/content/drive')"
        raise UserError(shown(source), "Google Drive is not mounted", remedy)
    if not path.is_dir() and not path.is_file():
        raise UserError(shown(str(path)), "not found", GIVE)
    if path.is_file() and path.suffix.lower() in LISTS:
        remedy = f"give the folder that holds the photos, too: SRC={path.parent}"
        raise UserError(shown(str(path)), "is a file of a dataset, not a dataset", remedy)
    return path


@contextmanager
def _from_web(url: str, sha256: str) -> Iterator[Path]:
    if not sha256 and not url.lower().startswith("https:"):
        raise UserError(errors.redacted(url), "anybody on the way could change it", "give https://, or SHA256=")
    path = download.get(url, sha256)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _from_bucket(url: str) -> Iterator[Path]:
    """What a broken download got stays, for the next try; a complete one is removed afterwards."""
    folder = download.DOWNLOADS / download.key(url)
    path = gs.download(url, folder)
    try:
        yield path
    finally:
        shutil.rmtree(folder)


def _from_kaggle(handle: str) -> Path:
    if not re.fullmatch(r"[\w-]+/[\w-]+(/versions/[1-9]\d*)?", handle):
        raise UserError(
            shown(KAGGLE + handle), "is not a Kaggle dataset", "give kaggle:owner/name, or .../versions/3 after it"
        )
    with _quiet(f"downloading {KAGGLE}{handle}"):
        try:
            kagglehub = import_module("kagglehub")
        except ImportError:
            raise UserError(KAGGLE + handle, "needs the package kagglehub", "run: make install") from None
        try:
            return Path(kagglehub.dataset_download(handle))
        except Exception as error:  # it raises whatever requests, zipfile and its own parts raise
            raise _kaggle_fault(handle, error) from error


@contextmanager
def _quiet(title: str) -> Iterator[None]:
    """Nothing of what it prints; of its bar, which fits a terminal alone, a line now and then elsewhere."""
    os.environ.setdefault("KAGGLEHUB_VERBOSITY", "error")
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        if not sys.stderr.isatty():
            stack.enter_context(bars.waiting(title))
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        yield


def _kaggle_fault(handle: str, error: Exception) -> UserError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        reason = f"Kaggle denies access ({status})"
        return UserError(KAGGLE + handle, reason, f"{_SIGN_IN}; some datasets ask for consent on their page")
    if status == 404:
        return UserError(
            KAGGLE + handle, "Kaggle has no such dataset (404)", f"check its address; if private: {_SIGN_IN}"
        )
    again = "run the command again: it continues from there"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return UserError(KAGGLE + handle, "cannot be downloaded: the disk is full", f"make room; then {again}")
    return UserError(KAGGLE + handle, f"cannot be downloaded: {reasons.reason(error)}", again)
