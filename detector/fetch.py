"""Bring one file or folder here: from https://, gs:// or a local path. Verified, whole or not at all."""

import hashlib
import shutil
import tarfile
import urllib.error
import urllib.request
import zlib
from pathlib import Path

from tqdm import tqdm

from detector import files
from detector.errors import UserError

CHUNK = 1 << 20
TIMEOUT_SECONDS = 60


def sha256(path: Path) -> str:
    """The hexadecimal digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def download(url: str, target: Path, digest: str) -> None:
    """Download `url` to `target` if its sha256 is `digest`.

    Raises:
        UserError: no digest given, no connection, an HTTP error, a body cut short, or another digest.
    """
    if not digest:
        raise UserError(
            "params.yaml", "empty, but the source is a URL", "give the archive's sha256", "pretrained.sha256"
        )
    try:
        with files.whole_file(target) as temporary:
            _stream(url, temporary)
            if (found := sha256(temporary)) != digest.lower():
                raise UserError(url, f"its sha256 is {found}, not {digest}", "check pretrained.source and .sha256")
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise UserError(url, f"cannot be downloaded: {error}", "check the address and the connection") from error


def _stream(url: str, target: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, target.open("wb") as out:  # noqa: S310
        expected = int(response.headers.get("Content-Length") or 0)
        with tqdm(total=expected or None, unit="B", unit_scale=True, desc=url.rpartition("/")[2], disable=None) as bar:
            while chunk := response.read(CHUNK):
                out.write(chunk)
                bar.update(len(chunk))
        if expected and out.tell() != expected:
            raise UserError(url, f"{out.tell()} of {expected} bytes came", "try again")


def download_gs(url: str, folder: Path) -> None:
    """Download the objects whose names begin with a gs:// URL (an archive, or a checkpoint's files) into `folder`.

    Raises:
        UserError: no credentials, no such bucket, nothing there, or no connection.
    """
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import storage
    from google.cloud.storage.retry import DEFAULT_RETRY

    bucket, _, prefix = url.removeprefix("gs://").partition("/")
    try:
        client = storage.Client()
        retry = DEFAULT_RETRY.with_timeout(TIMEOUT_SECONDS)
        blobs = sorted(client.list_blobs(bucket, prefix=prefix, retry=retry), key=lambda blob: blob.name)
        for blob in blobs:
            if not blob.name.endswith("/"):
                with files.whole_file(folder / Path(blob.name).name) as temporary:
                    blob.download_to_filename(str(temporary), checksum="crc32c", retry=retry)
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        raise UserError(
            url, f"cannot be read: {error}", "check the bucket, and: gcloud auth application-default login"
        ) from error
    if not blobs:
        raise UserError(url, "nothing there", "check pretrained.source")


def unpack_tar(archive: Path, folder: Path) -> None:
    """Unpack the regular files of a tar archive. (tarfile's own `filter` came with Python 3.11.4.)

    Raises:
        UserError: a member that would land outside `folder`, a link or a device, or a damaged archive.
    """
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                target = (folder / member.name).resolve()
                if not target.is_relative_to(folder.resolve()) or not (member.isreg() or member.isdir()):
                    raise UserError(archive.name, f"{member.name} leaves the archive", "do not trust this archive")
                if member.isreg() and (content := tar.extractfile(member)):
                    with files.whole_file(target) as temporary, temporary.open("wb") as out:
                        shutil.copyfileobj(content, out)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise UserError(archive.name, f"cannot be unpacked: {error}", "give a whole .tar or .tar.gz archive") from error
