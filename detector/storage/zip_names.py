"""The names in a zip, as the person saw them who packed it.

Explorer and old versions of .NET write names in the code page of the console, PowerShell writes `\\` between folders,
and macOS writes UTF-8, accents behind their letters, without the flag that says so.
"""

import unicodedata
import zipfile
from collections.abc import Sequence

_UTF8 = 0x800  # a zip's flag: the name is UTF-8
_CODE_PAGES = ("cp850", "cp1252")  # of a console in Western Europe and America; of Windows itself, and of old Unix
_AS_READ = "cp437"  # what zipfile takes names for that have no flag


def read(members: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The name of each member, with `/` between folders and behind those that are folders."""
    raw = {number: _raw(info) for number, info in enumerate(members)}
    encoding = _encoding([content for content in raw.values() if content])
    names = [
        unicodedata.normalize("NFC", content.decode(encoding, "replace")) if content else info.filename
        for info, content in zip(members, raw.values(), strict=True)
    ]
    if not any("/" in name for name in names):
        return [name.replace("\\", "/") for name in names]
    return names


def _raw(info: zipfile.ZipInfo) -> bytes:
    """The bytes of a name that has letters beyond ASCII and does not say what they mean; else none."""
    if info.flag_bits & _UTF8 or info.filename.isascii():
        return b""
    try:
        return info.filename.encode(_AS_READ)
    except UnicodeEncodeError:  # zipfile has read a field that gives the name in UTF-8
        return b""


def _encoding(names: Sequence[bytes]) -> str:
    """UTF-8 where all names are that, else the code page in which they read more like words."""
    try:
        b"".join(names).decode()
        return "utf-8"
    except UnicodeDecodeError:
        return min(_CODE_PAGES, key=lambda page: sum(_doubts(name.decode(page, "replace")) for name in names))


def _doubts(name: str) -> int:
    """How many letters beyond ASCII are none at all, or are capitals behind a small letter."""
    pairs = zip(" " + name, name, strict=False)
    return sum(
        not letter.isascii() and (not letter.isalpha() or (letter.isupper() and before.islower()))
        for before, letter in pairs
    )
