"""Unpack a zip or a tar that came from anywhere: nothing outside the folder, no links, no bombs, no half files."""

import lzma
import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path

from detector.base import errors
from detector.base.errors import UserError
from detector.storage import archives, room, zip_names

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_BLOCK = 2**20  # bytes
_TAR_MAGIC = (257, b"ustar")  # its offset in an uncompressed tar
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, NotImplementedError, RuntimeError),
    *(OSError, ValueError),
)


def unpack(archive: Path, folder: Path, name: str = "") -> Path:
    """Unpack a zip, or a tar of any compression, into a folder, hidden files left out; returns the folder.

    Args:
        name: what the user calls the archive, for messages; else its path.

    Raises:
        UserError: it is neither, damaged, encrypted, a bomb, too large for the disk, or would leave the folder.
    """
    if _is_tar(archive):
        archives.unpack_tar(archive, folder, name or str(archive))
    else:
        folder.mkdir(exist_ok=True)
        _unpack_zip(archive, folder, name or str(archive))
    return folder


def _is_tar(archive: Path) -> bool:
    with archive.open("rb") as file:
        start = file.read(512)
    offset, magic = _TAR_MAGIC
    return start.startswith((*archives.COMPRESSIONS,)) or start[offset:].startswith(magic)


def _unpack_zip(archive: Path, folder: Path, name: str) -> None:
    try:
        with zipfile.ZipFile(archive) as source:
            everything = source.infolist()
            archives.check_count(len(everything), name)
            paths = zip_names.read(everything)
            members = [(info, path) for info, path in zip(everything, paths, strict=True) if not path.endswith("/")]
            _check(members, name)
            unpacked = sum(info.file_size for info, _ in members)
            room.check_size(archive, unpacked, shutil.disk_usage(folder).free, name)
            for info, path in members:
                if not archives.is_hidden(path):
                    _extract(source, info, folder / path)
    except _DAMAGE as error:
        damage = UserError(name, f"cannot be unpacked: {error}", "download or pack it again, as a plain zip")
        raise errors.refusal(error) or damage from error


def _check(members: list[tuple[zipfile.ZipInfo, str]], name: str) -> None:
    """Check a zip by its directory, before any of it is written."""
    seen: dict[str, str] = {}
    for info, path in members:
        if fault := archives.path_fault(path, seen) or _fault(info):
            raise UserError(name, fault, "nothing was unpacked; pack it again", item=repr(path))


def _fault(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):  # 0: packed on a system without file kinds
        return "is a link" if kind == stat.S_IFLNK else "is a device"
    return "is encrypted" if info.flag_bits & 1 else ""


def _extract(source: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> None:
    left = info.file_size
    path.parent.mkdir(parents=True, exist_ok=True)
    with source.open(info) as packed, path.open("xb") as unpacked:
        while block := packed.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise zipfile.BadZipFile(f"{info.filename} is larger than the archive says")
            unpacked.write(block)
    if left:
        raise zipfile.BadZipFile(f"{info.filename} is cut off")
