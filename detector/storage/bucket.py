"""The objects below one gs:// address, for training: errors are `StoreError`s, which a training survives.

google-cloud-storage is imported when the first object is asked for. Objects are its `Blob`s.
"""

from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from detector.storage import google

CHUNK = 8 * 2**20  # bytes of one request of an upload; what a fault costs
ANSWER_SECONDS = (5, 60)  # to connect, to read


class Store:
    """The objects whose names begin with `url`, gs://bucket/folder; names are given without that.

    Args:
        url: without a slash at its end.
        seconds: that a request is repeated for.
        pause: seconds before the first repetition.

    All methods raise `StoreError`.
    """

    def __init__(self, url: str, seconds: float, pause: float) -> None:
        self.url, self._seconds, self._pause = url, seconds, pause
        self._bucket_name, _, prefix = url.removeprefix("gs://").partition("/")
        self._prefix = f"{prefix}/"

    @cached_property
    def _bucket(self) -> Any:
        return google.make().bucket(self._bucket_name)

    @property
    def _options(self) -> dict[str, Any]:
        return google.options(self._seconds, ANSWER_SECONDS, self._pause)

    def listing(self) -> dict[str, Any]:
        """All objects, by name."""
        with google.store_errors():
            blobs = self._bucket.list_blobs(prefix=self._prefix, **self._options)
            return {blob.name.removeprefix(self._prefix): blob for blob in blobs}

    def find(self, name: str) -> Any:
        """One object, or None."""
        with google.store_errors():
            return self._bucket.get_blob(self._prefix + name, **self._options)

    def put(self, name: str, content: bytes | Path, generation: int | None = None) -> Any:
        """Write an object and return it; where a generation is given, only in the place of that one (0: of none).

        Raises:
            ConflictError: there is another generation.
        """
        with google.store_errors():
            blob = self._bucket.blob(self._prefix + name, chunk_size=CHUNK)
            options = {**self._options, "if_generation_match": generation, "checksum": "crc32c"}
            if isinstance(content, Path):
                blob.upload_from_filename(str(content), content_type="application/octet-stream", **options)
            else:
                blob.upload_from_string(content, content_type="application/json", **options)
            return blob

    def get(self, blob: Any) -> bytes:
        """The content of a small object, which tells itself whether it is whole.

        Raises:
            MissingError: this generation of it does not exist any more.
        """
        with google.store_errors():
            return bytes(blob.download_as_bytes(raw_download=True, **self._options))

    def download(self, blob: Any, path: Path) -> None:
        """An object to a file, verified; errors as of `get`."""
        with google.store_errors():
            google.download(blob, path, self._options)

    def delete(self, name: str, generation: int) -> None:
        """Remove this generation of an object, where it still exists."""
        with suppress(google.MissingError, google.ConflictError), google.store_errors():
            self._bucket.blob(self._prefix + name).delete(if_generation_match=generation, **self._options)
