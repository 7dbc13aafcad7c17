"""Photos that are there twice, side by side, by the splits that hold them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from detector.base import paths
from tools.inspecting.dataset import Photo
from tools.inspecting.findings import LOOK, NAMED, NOTE, SHOWN, Case, Finding, place, shot

_ACROSS = (
    "A copy in another split makes the detector look better than it is: it was trained on what measures it.",
    "Keep one of each.",
)
_WITHIN = ("A copy teaches nothing new, and counts as often as it is there.", "Keep one of each, if there are many.")


def find(photos: Sequence[Photo]) -> list[Finding]:
    """A finding for each set of splits that share photos, those across splits first."""
    by_splits: dict[tuple[str, ...], list[list[Photo]]] = defaultdict(list)
    for group in groups(photos):
        by_splits[tuple(dict.fromkeys(photo.split for photo in group))].append(group)
    order = sorted(by_splits, key=lambda splits: (-len(splits), [paths.SPLITS.index(split) for split in splits]))
    return [_finding(splits, by_splits[splits]) for splits in order]


def groups(photos: Iterable[Photo]) -> list[list[Photo]]:
    """Photos that are copies of each other: those of equal bytes."""
    by_content: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_content[photo.sha256].append(photo)
    return [group for group in by_content.values() if len(group) > 1]


def _finding(splits: tuple[str, ...], found: Sequence[Sequence[Photo]]) -> Finding:
    across = len(splits) > 1
    where = f"in {' and '.join(splits)}" if across else f"within {splits[0]}"
    title = f"{len(found):,} photo{'s' if len(found) > 1 else ''} more than once {where}"
    shots = [[shot(Case(photo)) for photo in group[:SHOWN]] for group in found[:SHOWN]]
    more = [" = ".join(place(photo) for photo in group) for group in found[SHOWN:]]
    words = (title, *(_ACROSS if across else _WITHIN))
    left = max(0, len(more) - NAMED)
    return Finding(f"copies-{'-'.join(splits)}", LOOK if across else NOTE, *words, shots, more[:NAMED], left)
