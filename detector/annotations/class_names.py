"""Class names that make one think of a slip: those that look alike, and those with hardly a box.

Nothing is changed: whether `Cat` and `cat` are one class, only their owner knows.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import permutations

from detector.base.errors import few

LONG_NAME = 8  # letters, from which on two slips still look alike
MOST_COMPARED = 40  # letters of a name in which two slips are looked for: their number grows with its square
RARE_BOXES, RARE_SHARE = 3, 0.05  # of a typing error: at most so many boxes, or such a share of the right name's
MOST_NAMES = 500  # beyond, numbers of rare classes are no slip
ONE_OFF = 3  # a class with fewer boxes


def doubts(boxes: Mapping[str, int]) -> list[str]:
    """One line for each group of names that look alike, and one for the classes with hardly a box.

    Args:
        boxes: class name -> how many boxes it has, in all splits together.
    """
    same = _same(boxes)
    known = {name for group in same for name in group}
    lines = [f"{_listed(group, boxes)}: the same name but for case, spaces or Unicode form" for group in same]
    lines += [
        f"{_listed(pair, boxes)}: {_shown(pair[1])} may be a typing error, it differs by a letter or two"
        for pair in _typing_errors(boxes)
        if pair[1] not in known
    ]
    if rare := sorted(name for name, number in boxes.items() if 0 < number < ONE_OFF):
        listed = few([f"{_shown(name)} {boxes[name]}" for name in rare])
        lines.append(f"classes with fewer than {ONE_OFF} boxes: {listed}")
    return lines


def _listed(names: Iterable[str], boxes: Mapping[str, int]) -> str:
    names = list(names)
    forms = [unicodedata.normalize("NFKC", name) for name in names]
    return ", ".join(  # what looks the same on the screen is shown by its code points
        f"{ascii(name) if forms.count(form) > 1 else _shown(name)} {boxes[name]}"
        for name, form in zip(names, forms, strict=True)
    )


def _shown(name: str) -> str:
    return name if name.isprintable() and name == " ".join(name.split()) else ascii(name)


def _key(name: str) -> str:
    """The same for names that differ in case, spaces, hyphens, underscores or Unicode form alone."""
    plain = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name).casefold())
    return unicodedata.normalize("NFKC", plain) or name  # a name of signs alone is like no other


def _same(boxes: Iterable[str]) -> list[list[str]]:
    groups = defaultdict(list)
    for name in sorted(boxes):
        groups[_key(name)].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _typing_errors(boxes: Mapping[str, int]) -> list[tuple[str, str]]:
    """(right name, wrong name): alike, the wrong one rare beside the right one.

    Two names are alike if they become the same when one letter of each is left out, or two of a long name: so is a
    letter too many, too few, changed or moved. Names that differ in their digits alone are numbered, not mistyped.
    """
    if len(boxes) > MOST_NAMES:
        return []
    sharing = defaultdict(set)
    for name in boxes:
        for variant in _variants(_key(name)):
            sharing[variant].add(name)
    pairs = {pair for names in sharing.values() for pair in permutations(names, 2)}
    return sorted((a, b) for a, b in pairs if _is_rare(boxes[b], boxes[a]) and _letters(a) != _letters(b))


def _variants(key: str) -> Iterator[str]:
    if len(key) < 3:
        return
    once = {key, *(key[:n] + key[n + 1 :] for n in range(len(key)))}
    yield from once
    if LONG_NAME <= len(key) <= MOST_COMPARED:
        yield from {one[:n] + one[n + 1 :] for one in once for n in range(len(one))} - once


def _letters(name: str) -> str:
    return re.sub(r"\d", "", _key(name))


def _is_rare(number: int, other: int) -> bool:
    return 0 < number <= max(RARE_BOXES, RARE_SHARE * other) and 2 * number < other
