"""Names for photos of several folders that come into one: their own where nobody else has it, else with their folders.

Two stems are one name where a file system that knows no upper case, or one Unicode form alone, would take them for it.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from functools import reduce
from pathlib import PurePosixPath

from detector.annotations import pairing
from detector.base import naming
from tools.importing import pairs

_MOST_BYTES = 240  # of a stem; a file name may have 255


def unique(paths: Iterable[PurePosixPath], others: Iterable[str] = ()) -> dict[PurePosixPath, str]:
    """{path: a stem for it}; of those that would get the same name, the first has the best claim to it.

    others: stems that are taken already.
    """
    groups = pairing.grouped(paths, lambda path: pairing.folded(writable(path.stem)))
    chosen: dict[PurePosixPath, str] = {}
    taken = {pairing.folded(stem) for stem in others}
    for alone in (True, False):  # a name that is unique stays
        for inside in groups.values():
            if (len(inside) == 1) == alone:
                prefixes = _prefixes(inside)
                for path in inside:
                    chosen[path] = _free(prefixes[path] + writable(path.stem), taken)
                    taken.add(pairing.folded(chosen[path]))
    return chosen


def writable(name: str) -> str:
    """A name as text without what no name may hold; bytes that are not UTF-8 are read as Windows has them."""
    content = name.encode(errors="surrogateescape")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    text = "".join("_" if naming.unfit(letter) else letter for letter in text)
    return naming.without_formula(text)


def _prefixes(paths: Collection[PurePosixPath]) -> dict[PurePosixPath, str]:
    """What each path's folders have that not all of these have."""
    places = {path: Counter(pairs.place(path)) for path in paths}
    shared = reduce(lambda one, other: one & other, places.values())
    return {
        path: "".join(f"{writable(part)}_" for part in pairs.place(path) if places[path][part] > shared[part])
        for path in paths
    }


def _free(stem: str, taken: Collection[str]) -> str:
    """The stem, cut where it is too long, with a number behind it where it is taken."""
    stem = stem.encode()[:_MOST_BYTES].decode(errors="ignore")
    number, name = 1, stem
    while pairing.folded(name) in taken:
        number += 1
        name = f"{stem}_{number}"
    return name
