"""Unpack a zip that came from anywhere: nothing outside the folder, no links, no bombs, no half of it."""

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from detector import fetch
from detector.errors import UserError

_BLOCK = 2**20  # bytes


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip into an existing folder, hidden files left out.

    Raises:
        UserError: it is no zip, or is damaged, encrypted, a bomb, too large for the disk, or reaches out of the folder.
    """
    try:
        with zipfile.ZipFile(archive) as source:
            members = [info for info in source.infolist() if not info.filename.endswith("/")]
            _check(archive, members, shutil.disk_usage(folder).free)
            for info in members:
                if not _is_hidden(info.filename):
                    _extract(source, info, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise UserError(
            str(archive), f"cannot be unpacked: {error}", "fetch or pack it again, as a plain zip"
        ) from error


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _check(archive: Path, members: list[zipfile.ZipInfo], free: int) -> None:
    """Judge a zip by its directory, before a byte of it is written."""
    names = set()
    for info in members:
        fault = _fault(info) or ("is there twice" if info.filename in names else "")
        if fault:
            raise UserError(str(archive), fault, "nothing was unpacked; pack it again", item=repr(info.filename))
        names.add(info.filename)
    fetch.check_size(archive, sum(info.file_size for info in members), free, str(archive))


def _fault(info: zipfile.ZipInfo) -> str:
    path = PurePosixPath(info.filename)
    if not path.parts:
        return "is no file name"
    if path.is_absolute() or ".." in path.parts or "\\" in info.filename or ":" in path.parts[0]:
        return "would be written outside of the folder"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a link"
    return "is encrypted" if info.flag_bits & 1 else ""


def _extract(source: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> None:
    path, left = folder / info.filename, info.file_size
    path.parent.mkdir(parents=True, exist_ok=True)
    with source.open(info) as packed, path.open("xb") as unpacked:
        while block := packed.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise zipfile.BadZipFile(f"{info.filename} is larger than the archive says")
            unpacked.write(block)
    if left:
        raise zipfile.BadZipFile(f"{info.filename} is cut off")
