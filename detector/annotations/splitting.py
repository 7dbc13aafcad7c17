"""Chance without a seed: a file name always gives the same number, on every machine and whatever the other files.

So an image stays in its split when others are added or removed.
"""

import hashlib
from collections.abc import Iterable


def fraction(name: str, purpose: str = "") -> float:
    """A number in [0, 1) for a name; the numbers of another `purpose` are independent of these."""
    content = f"{purpose}{name}".encode(errors="surrogateescape")  # a file name's own bytes, UTF-8 or not
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") / 2**64


def choose(names: Iterable[str], share: float, purpose: str = "") -> set[str]:
    """The names whose number is below `share`.

    Of two names or more, a share above 0 takes at least one and leaves at least one: if chance would not, the nearest
    one changes sides.
    """
    ordered = sorted(set(names), key=lambda name: fraction(name, purpose))
    count = sum(fraction(name, purpose) < share for name in ordered)
    if share > 0 and ordered:
        count = min(max(count, 1), len(ordered) - 1)
    return set(ordered[:count])
