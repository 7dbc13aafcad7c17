"""Which label belongs to which photo: by name, exact first; a weaker reading of it only where it means a single one.

Tools change names on the way: macOS decomposes letters, Windows forgets case, Label Studio and VoTT write URLs' %20,
some write `photo.jpg.xml`, or a suffix that the photo no longer has.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote

from detector.pictures import images


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", _composed(name).casefold())


def _decoded(name: str) -> str:
    return _folded(unquote(name))


def _without_suffix(name: str) -> str:
    decoded = unquote(name)
    return _folded(decoded[: -len(PurePosixPath(decoded).suffix)] if images.is_image(decoded) else decoded)


KEYS: dict[str, Callable[[str], str]] = {  # in words: the key; each includes those before it
    "": str,
    "Unicode normalization": _composed,
    "upper and lower case": _folded,
    "percent encoding": _decoded,
    "an image suffix": _without_suffix,
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
        asked, offered = _by_key(left, key), _by_key(free, key)
        for value in asked.keys() & offered.keys():
            if len(asked[value]) == len(offered[value]) == 1:
                (name,), (found,) = asked[value], offered[value]
                matches[name] = Match(found, differs_by)
                del left[name], free[found]
    return dict(sorted(matches.items()))


def _by_key(names: Collection[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for name in names:
        found[key(name)].append(name)
    return found
