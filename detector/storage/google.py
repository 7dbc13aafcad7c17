"""Google Cloud Storage: the client, how long it tries, its errors in plain words, and the one download.

Google's libraries are imported late. With STORAGE_EMULATOR_HOST set, all of it talks to that address, without
credentials. PASSO_GCS_SECONDS is how long a request of a command is tried, where it is not 5 seconds.
"""

import base64
import gzip
import io
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm.utils import CallbackIOWrapper

from detector.base import files
from detector.base.errors import UserError, innermost
from detector.storage import room

LOGIN = "run: gcloud auth application-default login (in Colab: from google.colab import auth; auth.authenticate_user())"
ANSWER_SECONDS = 4  # that one request may take
PATIENCE_SECONDS = 5.0  # after which a request is not tried again
TRANSFER_SECONDS = 60  # both of these, for large objects
CHUNK = 2**20  # bytes
DENIED = "log in with an account that may, or take another bucket (names are shared by all the world): docs/gcs.md"


class StoreError(Exception):
    """What Google's libraries raised, in words. `is_final`: the same request will fail tomorrow, too."""

    def __init__(self, reason: str, remedy: str, *, is_final: bool = False) -> None:
        self.reason, self.remedy, self.is_final = reason, remedy, is_final
        super().__init__(reason)


class MissingError(StoreError):
    """The bucket or the object does not exist, or the object has another generation."""


class ConflictError(StoreError):
    """Somebody else has written this object, or removed it."""


def make(project: str = "") -> Any:
    """A `google.cloud.storage.Client`, which is imported here; `project` matters only where a bucket is created."""
    from google.cloud import storage

    return storage.Client(project=project or "-")  # without one, an account's default project would have to be known


# How long a request is tried.


def options(seconds: float, answer: float | tuple[float, float], pause: float = 0.25) -> dict[str, Any]:
    """Arguments for calls of Google's client.

    Args:
        seconds: that a request is repeated for.
        answer: seconds that one answer may take; or (to connect, to read).
        pause: seconds before the first repetition; each further one is twice as long, at most 2, by chance up to that.
    """
    from google.cloud.storage.retry import DEFAULT_RETRY

    retry = DEFAULT_RETRY.with_timeout(seconds).with_delay(initial=pause, maximum=2, multiplier=2)
    return {"retry": retry, "timeout": answer}


def request_options() -> dict[str, Any]:
    """Those of a command: a dead server is reported after about ten seconds."""
    return options(_seconds() or PATIENCE_SECONDS, ANSWER_SECONDS)


def transfer_options() -> dict[str, Any]:
    """Those of a command for a large object: a minute, where PASSO_GCS_SECONDS says nothing else."""
    return request_options() if _seconds() else options(TRANSFER_SECONDS, TRANSFER_SECONDS)


def _seconds() -> float:
    text = os.environ.get("PASSO_GCS_SECONDS") or "0"
    try:
        return float(text)
    except ValueError:
        raise UserError("PASSO_GCS_SECONDS", f"{text!r} is not a number", "unset it") from None


# Errors.


@contextmanager
def user_errors(where: str) -> Iterator[None]:
    """Turn what Google's libraries raise into a `UserError` about `where`; what is not theirs stays as it is."""
    try:
        yield
    except Exception as error:
        if translated(error):
            raise in_words(where, error) from error
        raise


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn whatever is raised into a `StoreError`."""
    try:
        yield
    except Exception as error:
        raise translated(error) or StoreError(f"{type(error).__name__}: {_short(error)}", "try again") from error


def in_words(where: str, error: Exception) -> UserError:
    """The `UserError` about `where` for what Google's libraries raised."""
    words = translated(error) or StoreError(_short(error), "try again; docs/gcs.md")
    return UserError(where, words.reason, words.remedy)


def translated(error: Exception) -> StoreError | None:
    """What Google's libraries raised, in words; None for an error that is not theirs."""
    import requests
    from google.api_core import exceptions
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

    no_answer = (requests.RequestException, ConnectionError, TimeoutError, exceptions.RetryError, TransportError)
    if isinstance(error, StoreError):
        return error
    reason = _short(error)
    if isinstance(error, DefaultCredentialsError):
        return StoreError("no credentials on this machine", LOGIN, is_final=True)
    if isinstance(error, no_answer):
        return StoreError(f"no answer: {reason}", "check the connection and try again")
    if isinstance(error, GoogleAuthError | exceptions.Unauthorized):
        return StoreError(f"the credentials are not accepted: {reason}", LOGIN, is_final=True)
    if isinstance(error, exceptions.Forbidden):
        return StoreError(f"access denied: {reason}", DENIED, is_final=True)
    if isinstance(error, exceptions.NotFound):
        remedy = "check the name, or create the bucket: make bucket PROJECT=... BUCKET=..."
        return MissingError(f"not found: {reason}", remedy, is_final=True)
    if isinstance(error, exceptions.PreconditionFailed):
        return ConflictError(
            f"somebody else changed it meanwhile: {reason}", "check who did, then run the command again"
        )
    if isinstance(error, exceptions.GoogleAPIError | DataCorruption | InvalidResponse):
        return StoreError(reason, "try again; docs/gcs.md", is_final=isinstance(error, exceptions.BadRequest))
    return None


def _short(error: Exception) -> str:
    """The heart of an error that is wrapped in others and in an address."""
    from google.cloud.storage.exceptions import InvalidResponse

    cause = getattr(error, "cause", None) or error
    if system := re.search(r"\[Errno -?\d+\] ([^'\")\]]+)", str(cause)):
        return system[1]
    if "timed out" in str(cause):
        return "timed out"
    if isinstance(cause, InvalidResponse):
        return f"{cause.response.status_code} {cause.response.reason}"
    code = getattr(cause, "code", None)
    reasons = [str(entry["message"]) for entry in getattr(cause, "errors", ()) if entry.get("message")]
    if in_json := re.search(r'"message": *"((?:[^"\\]|\\.)*)"', str(cause)):
        reasons.append(in_json[1])
    reasons.append(getattr(cause, "message", "") or str(innermost(cause)))
    text = " ".join(reasons[0].split())[:300].rstrip(".")
    return f"{int(code)} {text}" if isinstance(code, int) else text


# Objects.


def listed(url: str, remedy: str, *, may_be_all: bool = False) -> tuple[str, dict[str, Any]]:
    """(The object's name or prefix that a gs:// URL holds, {name: object} of all that begin with it).

    may_be_all: whether a bucket alone may be meant, and with it all that is there.
    """
    bucket, _, prefix = url.removeprefix("gs://").partition("/")
    if not bucket or not (prefix.strip("/") or may_be_all):
        raise UserError(url, "names no object in a bucket", remedy)
    return prefix, {blob.name: blob for blob in make().list_blobs(bucket, prefix=prefix, **transfer_options())}


def download(
    blob: Any, path: Path, options: dict[str, Any], count: Callable[[int], object] = lambda size: None
) -> None:
    """Download an object, as it was listed, into `path`; what an earlier try left there is its beginning.

    All of it is compared with the object's crc32c here: google-cloud-storage does not verify a download that it has
    resumed itself, and it resumes after every break. An object that is stored packed, as `gcloud storage cp
    --gzip-local` does it, is unpacked here: that library would do so on its way, without a limit.

    Args:
        options: for Google's client.
        count: called with the bytes that have come; with a negative number where they were for nothing.

    Raises:
        UserError: it unpacks to more than there is room for.
        StoreError: it came damaged, twice; and whatever Google's client raises: `MissingError` of `store_errors` where
            the object was replaced since.
    """
    # The client overwrites these with what a later answer says.
    size, crc32c, is_packed = int(blob.size), str(blob.crc32c), blob.content_encoding == "gzip"
    for _ in range(2):
        _fill(blob, path, size, options, count)
        if measure(path) == (size, crc32c):
            return _unpack(path, f"gs://{blob.bucket.name}/{blob.name}") if is_packed else None
        count(-path.stat().st_size)
        path.unlink()
    raise StoreError(f"{blob.name} came damaged, twice", "run the command again")


def _fill(blob: Any, path: Path, size: int, options: dict[str, Any], count: Callable[[int], object]) -> None:
    """Download what `path` is missing, in as many tries as add to it."""
    from google.api_core.exceptions import RetryError

    with path.open("ab") as raw:
        before, out = -1, CallbackIOWrapper(count, raw, "write")
        while before < raw.tell() < size:
            before = raw.tell()
            try:
                blob.download_to_file(out, start=before or None, checksum=None, raw_download=True, **options)
            except RetryError:
                if raw.tell() == before:
                    raise


def _unpack(path: Path, name: str) -> None:
    """Unpack in its place what was stored packed."""
    free = shutil.disk_usage(path.parent).free
    try:
        with gzip.open(path) as packed, files.whole_file(path) as temporary, temporary.open("wb") as out:
            while chunk := packed.read(CHUNK):
                room.check_size(path, out.tell() + len(chunk), free, name)
                out.write(chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise StoreError(f"{name} cannot be unpacked: {error}", "store it again, as it is") from error


def measure(content: bytes | Path) -> tuple[int, str]:
    """The size of a content, or of a file's, and its crc32c as Google Cloud Storage writes it."""
    import google_crc32c

    checksum, size = google_crc32c.Checksum(), 0
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as stream:
        for chunk in checksum.consume(stream, CHUNK):
            size += len(chunk)
    return size, base64.b64encode(checksum.digest()).decode()


def is_same(content: bytes | Path, blob: Any) -> bool:
    """Whether an object holds this content, or that of this file."""
    return bool(measure(content) == (blob.size, blob.crc32c))
