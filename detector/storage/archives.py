"""Download an archive or a checkpoint from https://, gs:// or npm, verify it, and unpack it; nothing is left half-done.

`tarfile`'s own data filter does not replace the checks here. It writes `/etc/x` as `etc/x` where we refuse, unpacks
links, does not know that two names are one file on macOS and Windows, sets no limit of size, and Python before 3.11.13
has a way around it (CVE-2025-4517).
"""

import bz2
import gzip
import io
import lzma
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import unicodedata
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from detector.base import errors, files
from detector.base.errors import UserError
from detector.storage import download as web
from detector.storage import google, room

TIMEOUT_SECONDS = 60
NPM_OPTIONS = (
    "--ignore-scripts",
    "--loglevel=error",
    f"--fetch-timeout={TIMEOUT_SECONDS * 1000}",
    "--fetch-retries=2",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=5000",
)
ARCHIVES = (".tar", ".tar.gz", ".tgz")
MOST_FILES = 150_000  # all of COCO, with a few to spare
MOST_NAME_BYTES = 255  # of a file, on every file system that is in use
MOST_PATH_BYTES = 1024  # below the folder; a whole path may have 4,096
TAR_READ = 2**16  # bytes read from a tar at once; no header that is not hostile is larger
COMPRESSIONS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
DAMAGE = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RecursionError)


def download(url: str, digest: str) -> Path:
    """The file at `url`, whose sha256 is `digest`; it stays in .work, so that the next time needs no network.

    Raises:
        UserError: no digest given, or as of `download.get`.
    """
    if not re.fullmatch("[0-9a-fA-F]{64}", digest):
        reason = f"{digest!r} is not a sha256" if digest else "empty, but the source is a URL"
        raise UserError("params.yaml", reason, "give the archive's sha256, 64 digits", "pretrained.sha256")
    return web.get(url, digest)


@contextmanager
def npm_package(package: str, *, answer_within: float) -> Iterator[Path]:
    """Yields the .tgz of `name@version`, which npm has compared with its registry's digest; it is removed afterwards.

    It comes from whatever registry npm is set to. Nothing of the package is installed or run.

    Args:
        answer_within: seconds in which the registry must have said that it has the package. npm itself waits longer,
            and tries again; the download after that may take its time.

    Raises:
        UserError: npm, the connection or the package is missing, or its digest is wrong.
    """
    npm = shutil.which("npm")
    if not npm:
        raise UserError(package, "comes by npm, which is not installed", "install Node.js (say: apt-get install npm)")
    with tempfile.TemporaryDirectory() as folder:  # old versions of npm have no --pack-destination
        command = [npm, f"--cache={folder}/cache", *NPM_OPTIONS]
        _call_npm(package, [*command, "view", package, "dist.tarball", "--fetch-retries=0"], folder, answer_within)
        errors.say(f"downloading {package} by npm")
        _call_npm(package, [*command, "pack", package], folder, None)
        packages = sorted(Path(folder).glob("*.tgz"))
        if len(packages) != 1:
            raise _npm_error(package, f"it wrote {len(packages)} files")
        yield packages[0]


def _call_npm(package: str, command: list[str], folder: str, seconds: float | None) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _npm_error(package, f"no answer within {seconds:.0f} s") from None
    if done.returncode:
        raise _npm_error(package, _npm_reason(done.stderr) or f"exit code {done.returncode}")


def _npm_error(package: str, reason: str) -> UserError:
    return UserError(package, f"npm cannot download it: {reason}", "check the connection and the disk; npm ping")


def _npm_reason(stderr: str) -> str:
    """npm's error: its code, and why; without its prefixes, its stack and where its log is."""
    lines = [re.sub(r"^npm (error|ERR!) *", "", line).strip() for line in stderr.splitlines()]
    code, *others = [line for line in lines if line and "complete log" not in line] or [""]
    why = next((line.partition("reason: ")[2] for line in others if "reason: " in line), *others[:1] or [""])
    return "; ".join(filter(None, (code, why)))[:300]


def download_gs(url: str, folder: Path) -> Path:
    """Download an archive, a checkpoint by its prefix, or the only one of these in a folder of a bucket, to `folder`.

    Returns: the path of the archive, or the checkpoint's prefix.

    Raises:
        UserError: no credentials, no such bucket, no archive or several, or no connection.
    """
    try:
        with google.user_errors(url):
            prefix, blobs = google.listed(url, "give an archive, or a checkpoint's prefix without .index")
            chosen = choose(blobs, prefix, url)
            for name in sorted(blobs):
                if belongs(name, chosen):
                    google.download(blobs[name], folder / _last(name), google.transfer_options())
    except (OSError, ValueError) as error:
        raise UserError(url, f"cannot be read: {error}", "check the address, and the room on the disk") from error
    return folder / _last(chosen)


def choose(names: Collection[str], prefix: str, url: str) -> str:
    """The one archive or checkpoint prefix that `prefix` means, among the names of objects that begin with it.

    Raises:
        UserError: naming `url`; there is none, or a folder holds several.
    """
    candidates = {name.removesuffix(".index") for name in names if name.endswith((".index", *ARCHIVES))}
    if prefix in candidates or (prefix in names and not prefix.endswith("/")):
        return prefix
    folder = prefix.rstrip("/") + "/"
    inside = sorted(name for name in candidates if name.startswith(folder))
    if not inside:
        raise UserError(url, "nothing there", "check pretrained.source: an archive, or a checkpoint without .index")
    if len(inside) > 1:
        listed = ", ".join(name.removeprefix(folder) for name in inside)
        raise UserError(url, f"one archive or checkpoint is needed, found {listed}", "give one of them")
    return inside[0]


def belongs(name: str, chosen: str) -> bool:
    """Whether an object is the archive, or a part of the checkpoint, that was chosen: ckpt-1.*, and not ckpt-10.*."""
    return name in (chosen, f"{chosen}.index") or name.startswith(f"{chosen}.data-")


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def is_hidden(name: str) -> bool:
    """Whether a path is of no interest to the user: hidden, or macOS's own."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def path_fault(name: str, seen: dict[str, str]) -> str:
    """Why a file of an archive or a bucket may not be written under its own name; empty where it may.

    Args:
        name: its path, as the archive says.
        seen: the names so far, {as a file system without upper case sees it: name}; this one is added.
    """
    path = PurePosixPath(name)
    if not path.parts:
        return "is not a file name"
    if path.is_absolute() or ".." in path.parts or "\\" in name or re.match("[A-Za-z]:(/|$)", str(path)):
        return "would be written outside of the folder"
    encoded = [os.fsencode(part) for part in path.parts]
    if max(map(len, encoded)) > MOST_NAME_BYTES or len(b"/".join(encoded)) > MOST_PATH_BYTES:
        return "has a name that is too long"
    folded = unicodedata.normalize("NFC", str(path)).casefold()
    if folded not in seen:
        seen[folded] = name
        return ""
    return "exists twice" if seen[folded] == name else f"differs from {seen[folded]!r} in upper and lower case alone"


def check_count(count: int, name: str) -> None:
    """Refuse an archive of more files than any dataset has that this is made for: it would fill the disk with names."""
    if count > MOST_FILES:
        reason = f"{count:,} files or more; at most {MOST_FILES:,} are unpacked"
        raise UserError(name, reason, "unpack it yourself, and give the folder")


def unpack_tar(archive: Path, folder: Path, name: str) -> None:
    """Unpack the regular files of a tar archive, all but hidden ones, into a new folder.

    Raises:
        UserError: naming the archive as `name`; a member that would land outside `folder`, a link or a device, two of
            one name, a bomb, one too large for the disk, or a damaged archive.
    """
    try:
        folder.mkdir()
        free = shutil.disk_usage(folder).free
        with _opened_tar(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            unpacked = 0
            seen: dict[str, str] = {}
            for count, member in enumerate(tar, start=1):
                check_count(count, name)
                _check_member(member, name, seen)
                unpacked += member.size
                room.check_size(archive, max(unpacked, stream.tell()), free, name)
                content = tar.extractfile(member)
                if content and not is_hidden(member.name):
                    with files.whole_file(folder / member.name) as temporary, temporary.open("wb") as out:
                        shutil.copyfileobj(content, out, TAR_READ)
            stream.expect_end()
            while stream.read(TAR_READ):  # to its end, where the checksum of a compressed archive is
                room.check_size(archive, stream.tell(), free, name)
    except DAMAGE as error:
        damage = UserError(name, f"cannot be unpacked: {error}", "give a complete .tar or .tar.gz archive")
        raise errors.refusal(error) or damage from error


def _check_member(member: tarfile.TarInfo, name: str, seen: dict[str, str]) -> None:
    """Refuse all but folders and regular files with names that stay in the folder."""
    if member.isdir():
        fault = path_fault(member.name, {}) if PurePosixPath(member.name).parts else ""
    elif not member.isreg() or member.issparse():
        fault = "is a link, a device or a sparse file"
    else:
        fault = path_fault(member.name, seen)
    if fault:
        reason = f"{member.name} leaves the archive: it {fault}"
        raise UserError(name, reason, "nothing was unpacked; do not trust this archive")


class _TarStream(io.BufferedReader):
    """The bytes of a tar, decompressed, for `tarfile`, which would read a header of any size into memory, and would
    take an archive that is cut off between two files for a whole one."""

    last = b""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= TAR_READ:
            raise tarfile.ReadError("a header that is too long")
        self.last = super().read(size)
        return self.last

    def expect_end(self) -> None:
        """Refuse an archive whose last header is not the block of zeros that ends every tar."""
        if self.last != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it is cut off")


@contextmanager
def _opened_tar(archive: Path) -> Iterator[_TarStream]:
    with archive.open("rb") as file:
        start = file.read(max(map(len, COMPRESSIONS)))
    opener = next((opener for magic, opener in COMPRESSIONS.items() if start.startswith(magic)), open)
    with opener(archive, "rb") as raw, _TarStream(raw) as stream:
        yield stream
