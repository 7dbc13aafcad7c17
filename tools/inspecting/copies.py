"""Photos that are there twice, side by side.

Copies are within one split: of those that test and train share, the training photo is left out (left_out.py shows it),
and the validation split takes all copies of a picture or none.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from tools.inspecting.dataset import Photo
from tools.inspecting.findings import NAMED, NOTE, SHOWN, Case, Finding, place, shot

_WORDS = ("A copy teaches nothing new, and counts as often as it is there.", "Keep one of each, if there are many.")


def find(photos: Sequence[Photo]) -> list[Finding]:
    """A finding for each split that holds copies."""
    by_split: dict[str, list[list[Photo]]] = defaultdict(list)
    for group in groups(photos):
        by_split[group[0].split].append(group)
    return [_finding(split, found) for split, found in by_split.items()]


def groups(photos: Iterable[Photo]) -> list[list[Photo]]:
    """Photos that are copies of each other, as detector/annotations/copies.py knows them."""
    by_group: dict[tuple[str, str], list[Photo]] = defaultdict(list)
    for photo in photos:
        by_group[photo.split, photo.group].append(photo)
    return [group for group in by_group.values() if len(group) > 1]


def _finding(split: str, found: Sequence[Sequence[Photo]]) -> Finding:
    title = f"{len(found):,} photo{'s' if len(found) > 1 else ''} more than once within {split}"
    shots = [[shot(Case(photo)) for photo in group[:SHOWN]] for group in found[:SHOWN]]
    more = [" = ".join(place(photo) for photo in group) for group in found[SHOWN:]]
    left = max(0, len(more) - NAMED)
    return Finding(f"copies-{split}", NOTE, title, *_WORDS, shots, more[:NAMED], left)
