"""Which label belongs to which photo: by name, exact first; a weaker reading of it only where it means a single one.

Tools change names on the way: macOS decomposes letters, Windows forgets case, Label Studio and VoTT write URLs' %20,
some write `photo.jpg.xml`, or a suffix that the photo no longer has. Label Studio puts eight digits before the name of
what was uploaded to it: `0a1b2c3d-photo.jpg`.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar
from urllib.parse import unquote

from detector.pictures import images

_UPLOADED = re.compile(r"(?<![^/])[0-9a-f]{8}-(?=[^/]+$)")  # of the last part of a path

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """The same for names that a file system without upper case, or with one Unicode form alone, takes for one."""
    return composed(composed(name).casefold())


def _decoded(name: str) -> str:
    return folded(unquote(name))


def without_suffix(name: str) -> str:
    decoded = unquote(name)
    return folded(decoded[: -len(PurePosixPath(decoded).suffix)] if images.is_image(decoded) else decoded)


def loosest(name: str) -> str:
    """What all names have in common that may mean the same."""
    return _UPLOADED.sub("", without_suffix(name))


KEYS: dict[str, Callable[[str], str]] = {  # in words: the key; each includes those before it
    "": str,
    "Unicode normalization": composed,
    "upper and lower case": folded,
    "percent encoding": _decoded,
    "an image suffix": without_suffix,
    "Label Studio's prefix": loosest,
}


@dataclass(frozen=True)
class Match:
    """name: the one that was meant. differs_by: in which respect it is written differently; empty where it is equal."""

    name: str
    differs_by: str


def match(wanted: Collection[str], available: Collection[str]) -> dict[str, Match]:
    """{wanted name: the available one that it means}, each used once; names without one, or with several, are left out.

    Args:
        wanted, available: stems, file names or relative paths; both of one kind.
    """
    matches: dict[str, Match] = {}
    left, free = dict.fromkeys(sorted(wanted)), dict.fromkeys(sorted(available))
    for differs_by, key in KEYS.items():
        if not left:
            break
        asked, offered = grouped(left, key), grouped(free, key)
        for value in asked.keys() & offered.keys():
            if len(asked[value]) == len(offered[value]) == 1:
                (name,), (found,) = asked[value], offered[value]
                matches[name] = Match(found, differs_by)
                del left[name], free[found]
    return dict(sorted(matches.items()))


def grouped(values: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """{key: the values that have it}, both in the order in which they come."""
    groups = defaultdict(list)
    for value in values:
        groups[key(value)].append(value)
    return groups


def unique(values: Iterable[T], key: Callable[[T], K]) -> dict[K, T]:
    """{key: value} of the keys that a single value has."""
    return {one: inside[0] for one, inside in grouped(values, key).items() if len(inside) == 1}
