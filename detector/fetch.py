"""Bring an archive or a checkpoint here, from https://, gs:// or npm, and unpack it. Verified, whole or not at all."""

import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from tqdm import tqdm

from detector import files
from detector.errors import UserError

CHUNK = 1 << 20
TIMEOUT_SECONDS = 60
NPM_OPTIONS = (
    "--ignore-scripts",
    "--loglevel=error",
    f"--fetch-timeout={TIMEOUT_SECONDS * 1000}",
    "--fetch-retries=2",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=5000",
)
DOWNLOADS = Path(".work/downloads")  # by sha256; DVC deletes a stage's output before each run, and not these
ARCHIVES = (".tar", ".tar.gz", ".tgz")
MAX_RATIO = 200  # unpacked to packed; weights and photos come to about 1, XML to about 20
RATIO_MATTERS = 2**28  # bytes unpacked, below which no ratio does harm


def download(url: str, digest: str) -> Path:
    """The file at `url`, whose sha256 is `digest`; it is kept, so that the next time needs no network.

    Raises:
        UserError: no digest given, no connection, an HTTP error, a body cut short, or another digest.
    """
    if not re.fullmatch("[0-9a-fA-F]{64}", digest):
        reason = f"{digest!r} is no sha256" if digest else "empty, but the source is a URL"
        raise UserError("params.yaml", reason, "give the archive's sha256, 64 digits", "pretrained.sha256")
    if found := kept(digest):
        return found
    place = DOWNLOADS / digest.lower()
    try:
        with files.whole_file(place) as temporary:
            _stream(url, temporary)
            if (actual := files.sha256(temporary)) != digest.lower():
                raise UserError(url, f"its sha256 is {actual}, not {digest}", "check pretrained.source and .sha256")
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        raise UserError(url, f"cannot be downloaded: {error}", "check the address and the connection") from error
    return place


def kept(digest: str) -> Path | None:
    """What an earlier run has downloaded, by its sha256, if it is there and undamaged."""
    place = DOWNLOADS / digest.lower()
    return place if place.is_file() and files.sha256(place) == digest.lower() else None


def _stream(url: str, target: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, target.open("wb") as out:  # noqa: S310
        expected = int(response.headers.get("Content-Length") or 0)
        with tqdm(total=expected or None, unit="B", unit_scale=True, desc=url.rpartition("/")[2], disable=None) as bar:
            while chunk := response.read(CHUNK):
                out.write(chunk)
                bar.update(len(chunk))
        if expected and out.tell() != expected:
            raise UserError(url, f"{out.tell()} of {expected} bytes came", "try again")


@contextmanager
def npm_package(package: str) -> Iterator[Path]:
    """Yields the .tgz of `name@version`, which npm has compared with its registry's digest; it is gone afterwards.

    It comes from whatever registry npm is set to. Nothing of the package is installed or run.

    Raises:
        UserError: there is no npm, no connection, no such package, or its digest is wrong.
    """
    npm = shutil.which("npm")
    if not npm:
        raise UserError(package, "comes by npm, which is not here", "install Node.js (say: apt-get install npm)")
    with tempfile.TemporaryDirectory() as folder:  # old versions of npm know no --pack-destination
        command = [npm, "pack", package, f"--cache={folder}/cache", *NPM_OPTIONS]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        found = sorted(Path(folder).glob("*.tgz"))
        if done.returncode or len(found) != 1:
            reason = _npm_reason(done.stderr) or f"exit code {done.returncode}"
            raise UserError(package, f"npm cannot bring it: {reason}", "check the connection and the disk; npm ping")
        yield found[0]


def _npm_reason(stderr: str) -> str:
    """npm's error without its prefixes, its stack and where its log is."""
    said = [re.sub(r"^npm (error|ERR!) *", "", line).strip() for line in stderr.splitlines()]
    return "; ".join(line for line in said if line and not line.startswith("at ") and "complete log" not in line)[:300]


def download_gs(url: str, folder: Path) -> Path:
    """Download what a gs:// URL names into `folder`: an archive, a checkpoint by its prefix, or a folder with just one.

    Returns: the path of the archive, or the checkpoint's prefix.

    Raises:
        UserError: no credentials, no such bucket, nothing or too much there, or no connection.
    """
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import storage
    from google.cloud.storage.retry import DEFAULT_RETRY

    bucket, _, prefix = url.removeprefix("gs://").partition("/")
    if not bucket or not prefix.strip("/"):
        raise UserError(url, "names no object in a bucket", "give an archive, or a checkpoint's prefix without .index")
    try:
        client = storage.Client()
        retry = DEFAULT_RETRY.with_timeout(TIMEOUT_SECONDS)
        blobs = {blob.name: blob for blob in client.list_blobs(bucket, prefix=prefix, retry=retry)}
        chosen = choose(blobs, prefix, url)
        names = [name for name in sorted(blobs) if belongs(name, chosen)]
        for name in names:
            with files.whole_file(folder / _last(name)) as temporary:
                blobs[name].download_to_filename(str(temporary), checksum="crc32c", retry=retry)
    except (GoogleAPIError, GoogleAuthError, OSError, ValueError) as error:
        raise UserError(
            url, f"cannot be read: {error}", "check the bucket, and: gcloud auth application-default login"
        ) from error
    return folder / _last(chosen)


def choose(names: Collection[str], prefix: str, url: str) -> str:
    """The one archive or checkpoint prefix that `prefix` means, among the names of objects that begin with it.

    Raises:
        UserError: naming `url`; there is none, or a folder holds several.
    """
    found = {name.removesuffix(".index") for name in names if name.endswith((".index", *ARCHIVES))}
    if prefix in found or (prefix in names and not prefix.endswith("/")):
        return prefix
    folder = prefix.rstrip("/") + "/"
    inside = sorted(name for name in found if name.startswith(folder))
    if not inside:
        raise UserError(url, "nothing there", "check pretrained.source: an archive, or a checkpoint without .index")
    if len(inside) > 1:
        listed = ", ".join(name.removeprefix(folder) for name in inside)
        raise UserError(url, f"one archive or checkpoint is needed, found {listed}", "name one of them")
    return inside[0]


def belongs(name: str, chosen: str) -> bool:
    """Whether an object is the archive, or a part of the checkpoint, that was chosen: ckpt-1.*, and not ckpt-10.*."""
    return name in (chosen, f"{chosen}.index") or name.startswith(f"{chosen}.data-")


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def check_size(archive: Path, unpacked: int, free: int, name: str) -> None:
    """Refuse an archive that unpacks to too many bytes for its own size, or for the `free` bytes of the disk."""
    packed = max(archive.stat().st_size, 1)
    if unpacked > RATIO_MATTERS and unpacked > MAX_RATIO * packed:
        raise UserError(name, f"{packed:,} bytes that unpack to {unpacked:,}: a zip bomb", "nothing was unpacked")
    if unpacked > free:
        raise UserError(name, f"unpacks to {unpacked:,} bytes, the disk has {free:,} free", "make room")


def unpack_tar(archive: Path, folder: Path, name: str) -> None:
    """Unpack the regular files of a tar archive into a new folder. (tarfile's own `filter` came with Python 3.11.4.)

    Raises:
        UserError: naming the archive as `name`; a member that would land outside `folder`, a link or a device, a bomb,
            one too large for the disk, or a damaged archive.
    """
    try:
        folder.mkdir()
        unpacked, free = 0, shutil.disk_usage(folder).free
        with tarfile.open(archive) as tar:
            for member in tar:
                target = (folder / member.name).resolve()
                if not target.is_relative_to(folder.resolve()) or not (member.isreg() or member.isdir()):
                    raise UserError(name, f"{member.name} leaves the archive", "do not trust this archive")
                unpacked += member.size
                check_size(archive, unpacked, free, name)
                if member.isreg() and (content := tar.extractfile(member)):
                    with files.whole_file(target) as temporary, temporary.open("wb") as out:
                        shutil.copyfileobj(content, out)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise UserError(name, f"cannot be unpacked: {error}", "give a whole .tar or .tar.gz archive") from error
