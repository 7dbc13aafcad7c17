"""Chance without a seed: a file name always gives the same number, on every machine and whatever the other files.

So an image stays in its split when others are added or removed. Copies of one picture (`duplicates`) move together: all
have the number of the first of their names.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

_ALONE: Mapping[str, str] = MappingProxyType({})


def fraction(name: str, purpose: str = "") -> float:
    """A number in [0, 1) for a name; the numbers of another `purpose` are independent of these."""
    content = f"{purpose}{name}".encode(errors="surrogateescape")  # a file name's own bytes, UTF-8 or not
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") / 2**64


def choose(names: Iterable[str], share: float, purpose: str = "", group_of: Mapping[str, str] = _ALONE) -> set[str]:
    """The names whose number is below `share`.

    Of two groups or more, a share above 0 takes at least one and leaves at least one: if chance would not, the nearest
    one changes sides.

    Args:
        group_of: {name: the first name of its copies}; a name that is not there has no copy.
    """
    members = _members(names, group_of)
    ordered = _ordered(members, purpose)
    count = sum(fraction(first, purpose) < share for first in ordered)
    if share > 0 and ordered:
        count = min(max(count, 1), len(ordered) - 1)
    return {name for first in ordered[:count] for name in members[first]}


def keep_classes(
    chosen: Collection[str],
    classes: Mapping[str, Iterable[str]],
    purpose: str = "",
    group_of: Mapping[str, str] = _ALONE,
) -> set[str]:
    """`chosen`, less what takes the last photo of a class away from the others: the group with the highest number goes
    back. If nothing would be left, another group that takes no class away is chosen, or, without one, the same.

    Args:
        classes: {name: its classes} of all names that `chosen` was chosen of.
    """
    members = _members(classes, group_of)
    ordered = _ordered(members, purpose)
    inside = [first for first in ordered if set(members[first]) & set(chosen)]
    within = {first: {one for name in members[first] for one in classes[name]} for first in ordered}
    counts = Counter(one for found in within.values() for one in found)

    def spared(group: str, taken: Iterable[str]) -> bool:
        left = counts - Counter(one for other in taken for one in within[other])
        return all(left[one] for one in within[group])

    kept = list(inside)
    for group in reversed(inside):
        if not spared(group, kept):
            kept.remove(group)
    if inside and not kept:
        kept = [group for group in ordered if spared(group, [group])][:1] or inside
    return {name for first in kept for name in members[first]}


def _members(names: Iterable[str], group_of: Mapping[str, str]) -> dict[str, list[str]]:
    members = defaultdict(list)
    for name in sorted(set(names)):
        members[group_of.get(name, name)].append(name)
    return members


def _ordered(groups: Iterable[str], purpose: str) -> list[str]:
    return sorted(groups, key=lambda first: fraction(first, purpose))
