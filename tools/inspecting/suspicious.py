"""Boxes that may be mistakes: plain rules, each of which a person can check at a look.

Nothing here is an error; the stages take these boxes as they are.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from detector.base.errors import counted
from detector.data import boxes
from detector.data.boxes import Floats
from tools.checks import enough
from tools.inspecting.dataset import Photo
from tools.inspecting.findings import LOOK, NOTE, Case, Finding, boxes_in_photos, finding

TINY = enough.SMALL_PIXELS  # of the network's input, as the side of a square of the same area
WHOLE = 0.98  # of the photo's area
SAME = 0.9  # IoU of two boxes at one place
UNLIKE = 4.0  # times as long, or as wide, for its other side as the class's median box
ENOUGH = 20  # boxes of a class, for its median to mean something
NAMES_AGREE = 0.8  # of the photos whose name has a class: so many must show it for the name to count


def find(photos: Sequence[Photo], input_size: int) -> list[Finding]:
    """All findings of this kind, the most certain first; those without a case are left out."""
    found = [twice_named(photos), misnamed(photos), twice(photos), unlike(photos)]
    found += [tiny(photos, input_size), whole_photo(photos)]
    return [one for one in found if one]


def sides_at_input(photo: Photo, input_size: int) -> Floats:
    """(N, 2) width and height of a photo's boxes in pixels of the network's square input."""
    return np.asarray((photo.boxes[:, 2:] - photo.boxes[:, :2]) * input_size / np.array(photo.size))


def twice_named(photos: Iterable[Photo]) -> Finding | None:
    """Two boxes at one place with two classes."""
    cases = []
    for photo, pairs in _same_place(photos):
        odd = [(a, b) for a, b in pairs if photo.classes[a] != photo.classes[b]]
        if odd:
            names = sorted({photo.classes[number] for pair in odd for number in pair})
            cases.append(Case(photo, _numbers(odd), " or ".join(names)))
    title = f"{counted(len(cases), 'photo')} with two classes at the same place"
    why = f"Two boxes overlap by more than {100 * SAME:.0f} % and have different classes: one is wrong."
    return _unless_none("two-classes", LOOK, (title, why, "Remove the wrong one."), cases)


def twice(photos: Iterable[Photo]) -> Finding | None:
    """The same object labelled twice."""
    cases = []
    for photo, pairs in _same_place(photos):
        odd = [(a, b) for a, b in pairs if photo.classes[a] == photo.classes[b]]
        if odd:
            cases.append(Case(photo, _numbers(odd), ", ".join(sorted({photo.classes[a] for a, _ in odd}))))
    title = f"{counted(len(cases), 'photo')} with an object that has two boxes"
    why = f"Two boxes of one class overlap by more than {100 * SAME:.0f} %. The detector reports one of them."
    return _unless_none("twice", LOOK, (title, why, "Remove one of the two."), cases)


def misnamed(photos: Sequence[Photo]) -> Finding | None:
    """Photos whose file name has another class than their boxes, in datasets whose names can be trusted."""
    classes = {_words(name): name for photo in photos for name in photo.classes}
    named: dict[str, list[tuple[Photo, bool]]] = defaultdict(list)
    for photo in photos:
        inside = f" {_words(photo.path.stem)} "
        meant = [classes[words] for words in sorted(classes) if words and f" {words} " in inside]
        if meant:
            named[meant[0]].append((photo, bool(set(meant) & set(photo.classes))))
    cases = []
    for name, group in sorted(named.items()):
        if len(group) >= ENOUGH / 2 and sum(agrees for _, agrees in group) >= NAMES_AGREE * len(group):
            cases += [Case(photo, _all(photo), _contradiction(photo, name)) for photo, agrees in group if not agrees]
    title = f"{counted(len(cases), 'photo')} whose file name says another class"
    why = "Most photos with this word in their name show that class. These do not."
    return _unless_none("misnamed", LOOK, (title, why, "Correct the class, or add the box that is missing."), cases)


def unlike(photos: Sequence[Photo]) -> Finding | None:
    """Boxes far longer or wider than others of their class."""
    ratios: dict[str, list[float]] = defaultdict(list)
    for photo in photos:
        for name, ratio in zip(photo.classes, _log_ratios(photo), strict=True):
            ratios[name].append(ratio)
    medians = {name: float(np.median(values)) for name, values in ratios.items() if len(values) >= ENOUGH}
    scored = []
    for photo in photos:
        far = {n: abs(r - medians[c]) for n, (c, r) in _numbered(photo) if c in medians}
        if odd := sorted((n for n in far if far[n] > np.log(UNLIKE)), key=lambda n: -far[n]):
            scored.append((far[odd[0]], Case(photo, tuple(odd), _described(photo, odd[0]))))
    cases = [case for _, case in sorted(scored, key=lambda one: -one[0])]
    title = f"{boxes_in_photos(cases)} with a shape unlike the others of their class"
    why = f"Their width for their height is more than {UNLIKE:g} times off the class's median: often cut off, or slips."
    return _unless_none("unlike", LOOK, (title, why, "Draw again those that are wrong."), cases)


def tiny(photos: Iterable[Photo], input_size: int) -> Finding | None:
    """Boxes of which the network sees hardly anything."""
    scored = []
    for photo in photos:
        sides = np.sqrt(sides_at_input(photo, input_size).prod(axis=1))
        if odd := [n for n in np.argsort(sides, kind="stable").tolist() if sides[n] < TINY]:
            scored.append((sides[odd[0]], Case(photo, tuple(odd), _described(photo, odd[0]))))
    cases = [case for _, case in sorted(scored, key=lambda one: one[0])]
    title = f"{boxes_in_photos(cases)} under {TINY} pixels of the network's input"
    why = f"The network sees each photo scaled to {input_size} × {input_size} pixels. Of these boxes little is left."
    remedy = "Take photos from nearer, cut large ones into parts, or choose a model with a larger input (train.model)."
    return _unless_none("tiny", LOOK, (title, why, remedy), cases)


def whole_photo(photos: Iterable[Photo]) -> Finding | None:
    """Boxes that are the whole photo."""
    cases = []
    for photo in photos:
        shares = (photo.boxes[:, 2:] - photo.boxes[:, :2]).prod(axis=1) / (photo.size[0] * photo.size[1])
        if odd := np.flatnonzero(shares >= WHOLE).tolist():
            cases.append(Case(photo, tuple(odd), photo.classes[odd[0]]))
    title = f"{boxes_in_photos(cases)} as large as the photo"
    why = f"They cover {100 * WHOLE:.0f} % of it or more. From many of these a detector learns to box whole photos."
    remedy = "Draw them tight, if the object does not fill the photo."
    return _unless_none("whole-photo", NOTE, (title, why, remedy), cases)


def _unless_none(slug: str, weight: str, words: tuple[str, str, str], cases: Sequence[Case]) -> Finding | None:
    return finding(slug, weight, words, cases) if cases else None


def _same_place(photos: Iterable[Photo]) -> Iterator[tuple[Photo, list[tuple[int, int]]]]:
    """Photos with the pairs of boxes that overlap by more than `SAME`; groups of objects (crowd) do so rightly."""
    for photo in photos:
        overlap = np.triu(boxes.iou(photo.boxes, photo.boxes), 1) if len(photo.boxes) > 1 else np.zeros((0, 0))
        pairs = [(a, b) for a, b in np.argwhere(overlap > SAME).tolist() if not photo.crowd[[a, b]].any()]
        if pairs:
            yield photo, pairs


def _numbers(pairs: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    return tuple(sorted({number for pair in pairs for number in pair}))


def _all(photo: Photo) -> tuple[int, ...]:
    return tuple(range(len(photo.boxes)))


def _contradiction(photo: Photo, name: str) -> str:
    shown = ", ".join(sorted(set(photo.classes)))
    return f"labelled {shown}, not {name}" if shown else f"no box, so no {name}"


def _words(text: str) -> str:
    """The words of a name, folded: `Cat_12` and `cat.12` are `cat`."""
    folded = unicodedata.normalize("NFC", text).casefold()
    return " ".join(re.findall(r"[^\W\d_]+", folded))


def _log_ratios(photo: Photo) -> list[float]:
    sides = photo.boxes[:, 2:] - photo.boxes[:, :2]
    return [float(ratio) for ratio in np.log(sides[:, 0] / sides[:, 1])]


def _numbered(photo: Photo) -> Iterator[tuple[int, tuple[str, float]]]:
    return enumerate(zip(photo.classes, _log_ratios(photo), strict=True))


def _described(photo: Photo, number: int) -> str:
    width, height = photo.boxes[number, 2:] - photo.boxes[number, :2]
    return f"{photo.classes[number]}, {width:.4g} × {height:.4g} px"
