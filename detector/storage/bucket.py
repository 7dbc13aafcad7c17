"""Objects below one gs:// address: written whole, with their crc32c, over the generation that one knows or not at all.

google-cloud-storage is imported when the first object is asked for.
"""

import base64
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.storage import google
from detector.storage.google import LOGIN

CHUNK = 8 * 2**20  # bytes of one request of an upload; what a fault costs
CONNECT_SECONDS, READ_SECONDS = 5, 60


@dataclass(frozen=True)
class Pace:
    """How long to try, and how often; in seconds."""

    attempt: float = 15  # a request is repeated for so long
    pause: float = 0.5  # before the first repetition; then twice as long each time, by chance up to that
    again: float = 20  # between two attempts of an upload that failed
    renew: float = 30  # between two renewals of the lease
    stale: float = 150  # after which a lease that is not renewed is anybody's
    last: float = 20  # for what is not uploaded yet, on SIGTERM: clouds and Colab give 30 s


@dataclass(frozen=True)
class Object:
    """An object as it is on the bucket; `updated` is the bucket's clock, in seconds since 1970."""

    size: int
    crc32c: str
    generation: int
    updated: float


class StoreError(Exception):
    """The bucket did not do what was asked, and said why or nothing. `is_final`: it will not do it tomorrow, either."""

    def __init__(self, reason: str, remedy: str = "", *, is_final: bool = False) -> None:
        self.reason, self.remedy, self.is_final = reason, remedy, is_final
        super().__init__(reason)


class ConflictError(Exception):
    """Somebody else has written this object, or removed it."""


class GoneError(Exception):
    """There is no such object, or its generation is another one."""


class Store:
    """The objects whose names begin with `url`, gs://bucket/folder; names are given without that."""

    def __init__(self, url: str, pace: Pace) -> None:
        self.url = url
        self._bucket_name, _, prefix = url.removeprefix("gs://").partition("/")
        self._prefix, self._pace = f"{prefix}/", pace
        self._client: Any = None

    def list(self) -> dict[str, Object]:
        """All of them, by name."""
        with self._errors() as options:
            found = self._bucket().client.list_blobs(self._bucket_name, prefix=self._prefix, **options)
            return {blob.name.removeprefix(self._prefix): _object(blob) for blob in found}

    def find(self, name: str) -> Object | None:
        """One of them, if it is there."""
        with self._errors() as options:
            blob = self._bucket().get_blob(self._prefix + name, **options)
        return _object(blob) if blob else None

    def put(self, name: str, content: bytes | Path, generation: int) -> Object:
        """Write an object in the place of this generation of it; 0: there must be none.

        Raises:
            ConflictError: there is another one, with other content.
        """
        with contextlib.suppress(ConflictError), self._errors() as options:
            blob = self._bucket().blob(self._prefix + name, chunk_size=CHUNK)
            options |= {"if_generation_match": generation, "checksum": "crc32c"}
            if isinstance(content, Path):
                blob.upload_from_filename(str(content), content_type="application/octet-stream", **options)
            else:
                blob.upload_from_string(content, content_type="application/json", **options)
            return _object(blob)
        found = self.find(name)  # written before, maybe, by a request whose answer was lost
        if found and (found.size, found.crc32c) == measure(content):
            return found
        raise ConflictError(name)

    def get(self, name: str, generation: int) -> bytes:
        """The content of this generation, compared with its crc32c.

        Raises:
            GoneError: there is no such one.
        """
        with self._errors(of_object=True) as options:
            blob = self._bucket().blob(self._prefix + name, generation=generation)
            return bytes(blob.download_as_bytes(checksum="crc32c", **options))

    def download(self, name: str, generation: int, path: Path) -> None:
        """`get` into a file."""
        with self._errors(of_object=True) as options:
            blob = self._bucket().blob(self._prefix + name, generation=generation)
            blob.download_to_filename(str(path), checksum="crc32c", **options)

    def delete(self, name: str, generation: int) -> None:
        """Remove this generation; where it is not there any more, nothing."""
        with contextlib.suppress(GoneError, ConflictError), self._errors(of_object=True) as options:
            self._bucket().blob(self._prefix + name).delete(if_generation_match=generation, **options)

    def _bucket(self) -> Any:
        self._client = self._client or google.make()
        return self._client.bucket(self._bucket_name)

    @contextlib.contextmanager
    def _errors(self, *, of_object: bool = False) -> Iterator[dict[str, Any]]:
        """Yields how long to try; what the client library raises becomes one of ours."""
        from google.api_core.exceptions import NotFound, PreconditionFailed
        from google.cloud.storage.retry import DEFAULT_RETRY

        retry = DEFAULT_RETRY.with_timeout(self._pace.attempt).with_delay(initial=self._pace.pause, maximum=4)
        try:
            yield {"retry": retry, "timeout": (CONNECT_SECONDS, READ_SECONDS)}
        except PreconditionFailed as error:
            raise ConflictError from error
        except NotFound as error:
            if of_object:
                raise GoneError from error
            raise _told(error, self._bucket_name) from error
        except Exception as error:
            raise _told(error, self._bucket_name) from error


def _told(error: Exception, bucket: str) -> StoreError:
    """What the client library raised, in words."""
    from google.api_core import exceptions
    from google.auth.exceptions import DefaultCredentialsError, RefreshError
    from google.cloud.storage.exceptions import InvalidResponse
    from requests.exceptions import RequestException

    cause = error.cause if isinstance(error, exceptions.RetryError) and error.cause else error
    if isinstance(cause, DefaultCredentialsError):
        return StoreError("no credentials on this machine", LOGIN, is_final=True)
    if isinstance(cause, RefreshError):
        return StoreError(f"the credentials are no longer good: {_short(cause)}", LOGIN, is_final=True)
    if isinstance(cause, exceptions.NotFound):
        return StoreError(f"there is no bucket {bucket}", "make it: make bucket PROJECT=... BUCKET=...", is_final=True)
    if isinstance(cause, exceptions.Forbidden | exceptions.Unauthorized):
        remedy = "log in with an account that may read and write there: docs/gcs.md"
        return StoreError(f"access is denied: {_short(cause)}", remedy, is_final=True)
    if isinstance(cause, exceptions.BadRequest):
        return StoreError(f"it was refused: {_short(cause)}", "check the address", is_final=True)
    if isinstance(cause, exceptions.GoogleAPICallError):
        return StoreError(f"the server answers {cause.code or ''} {_short(cause)}".replace("  ", " "))
    if isinstance(cause, InvalidResponse):
        return StoreError(f"the server answers {cause.response.status_code}")
    if isinstance(cause, RequestException | ConnectionError | TimeoutError):
        return StoreError("the server cannot be reached")
    return StoreError(f"{type(cause).__name__}: {_short(cause)}")


def _short(error: Exception) -> str:
    text = getattr(error, "message", "") or str(error)
    return " ".join(str(text).split())[:200]


def measure(content: bytes | Path) -> tuple[int, str]:
    """The size of a content, or of a file's, and its crc32c as Google Cloud Storage writes it."""
    import google_crc32c

    checksum, size = google_crc32c.Checksum(), 0
    if isinstance(content, bytes):
        checksum.update(content)
        size = len(content)
    else:
        with content.open("rb") as stream:
            while chunk := stream.read(2**20):
                checksum.update(chunk)
                size += len(chunk)
    return size, base64.b64encode(checksum.digest()).decode()


def _object(blob: Any) -> Object:
    return Object(int(blob.size), str(blob.crc32c), int(blob.generation), blob.updated.timestamp())
