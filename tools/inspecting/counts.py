"""How much of what a dataset has: photos and boxes by class and split, sizes at the network's input, kinds of files."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from detector.base import paths
from detector.data.boxes import Floats
from tools.inspecting.anchors import MATCHED, Anchors
from tools.inspecting.dataset import Dataset, Photo
from tools.inspecting.suspicious import TINY, sides_at_input


@dataclass(frozen=True)
class ClassCount:
    """A class. splits: {split: (photos, boxes)}. number: of its colour, from 1."""

    name: str
    number: int
    splits: dict[str, tuple[int, int]]

    @property
    def boxes(self) -> int:
        return sum(boxes for _, boxes in self.splits.values())


@dataclass(frozen=True)
class Fit:
    """How the boxes of a class suit the network. side: median, in pixels of its input. ratio: median width / height.

    small, matched: shares of boxes under `TINY`, and of those with an anchor at IoU >= 0.5 (None: anchors not known).
    """

    name: str
    boxes: int
    side: float
    ratio: float
    small: float
    matched: float | None


def by_class(dataset: Dataset) -> list[ClassCount]:
    """All classes of the label map, in its order."""
    boxes: Counter[tuple[str, str]] = Counter()
    photos: Counter[tuple[str, str]] = Counter()
    for photo in dataset.photos:
        boxes.update((name, photo.split) for name in photo.classes)
        photos.update((name, photo.split) for name in set(photo.classes))
    return [
        ClassCount(name, number, {split: (photos[name, split], boxes[name, split]) for split in paths.SPLITS})
        for number, name in enumerate(dataset.classes, start=1)
    ]


def by_split(photos: Iterable[Photo]) -> dict[str, tuple[int, int, int]]:
    """{split: (photos, boxes, photos without a box)}."""
    result = {}
    photos = list(photos)
    for split in paths.SPLITS:
        inside = [len(photo.boxes) for photo in photos if photo.split == split]
        result[split] = (len(inside), sum(inside), inside.count(0))
    return result


def at_input(photos: Sequence[Photo], size: int) -> tuple[Floats, list[str]]:
    """(N, 4) all boxes [xmin, ymin, xmax, ymax] in pixels of the network's input, and the class of each."""
    scaled = [photo.boxes * (size / np.array(photo.size * 2)) for photo in photos]
    return np.concatenate([np.zeros((0, 4)), *scaled]), [name for photo in photos for name in photo.classes]


def fits(boxes: Floats, names: Sequence[str], best: Floats | None, classes: Sequence[str]) -> list[Fit]:
    """For all boxes together, then for each class that has some; best: (N,) IoU with the best anchor."""
    of = np.array(names, dtype=object)
    chosen = [("all", np.ones(len(boxes), dtype=bool)), *((name, of == name) for name in classes)]
    if len(classes) == 1:
        chosen = chosen[1:]
    return [_fit(name, boxes[mask], None if best is None else best[mask]) for name, mask in chosen if mask.any()]


def _fit(name: str, boxes: Floats, best: Floats | None) -> Fit:
    sides = boxes[:, 2:] - boxes[:, :2]
    lengths = np.sqrt(sides.prod(axis=1))
    return Fit(
        name=name,
        boxes=len(boxes),
        side=float(np.median(lengths)),
        ratio=float(np.exp(np.median(np.log(sides[:, 0] / sides[:, 1])))),
        small=float((lengths < TINY).mean()),
        matched=None if best is None else float((best >= MATCHED).mean()),
    )


def worst_matched(photos: Sequence[Photo], anchors: Anchors) -> list[tuple[Photo, list[int], float]]:
    """Photos with boxes that no anchor fits (tiny ones apart, which are reported as such), the worst first."""
    found = []
    for photo in photos:
        boxes, _ = at_input([photo], anchors.size)
        best = anchors.best_iou(boxes)
        large = np.sqrt(sides_at_input(photo, anchors.size).prod(axis=1)) >= TINY
        if odd := [n for n in np.argsort(best, kind="stable").tolist() if best[n] < MATCHED and large[n]]:
            found.append((photo, odd, float(best[odd[0]])))
    return sorted(found, key=lambda one: one[2])


def files(photos: Sequence[Photo]) -> list[tuple[str, str]]:
    """(what, in words) of the photos' formats, sizes and orientation."""
    if not photos:
        return []
    formats = Counter(photo.format for photo in photos)
    sizes = Counter(photo.size for photo in photos)
    small, large = min(sizes, key=lambda s: s[0] * s[1]), max(sizes, key=lambda s: s[0] * s[1])
    common, times = sizes.most_common(1)[0]
    shape = Counter("landscape" if w > h else "portrait" if w < h else "square" for w, h in (p.size for p in photos))
    return [
        ("Formats", _listed(formats)),
        ("Sizes", _sizes(small, large, common, times)),
        ("Shape", _listed(shape)),
        ("EXIF orientation", _turned(photos)),
    ]


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def _sizes(small: tuple[int, int], large: tuple[int, int], common: tuple[int, int], times: int) -> str:
    if small == large:
        return f"all {small[0]} × {small[1]} pixels"
    most = f"; most frequent {common[0]} × {common[1]} ({times:,} photos)" if times > 1 else ""
    return f"{small[0]} × {small[1]} to {large[0]} × {large[1]} pixels{most}"


def _turned(photos: Sequence[Photo]) -> str:
    turned = [photo for photo in photos if photo.orientation > 1]
    if not turned:
        return "no photo is turned by EXIF"
    stored = sum(photo.stored for photo in turned)
    frame = f"boxes are on the photo as seen in {len(turned) - stored:,}, on the pixels as stored in {stored:,}"
    are = "1 photo is" if len(turned) == 1 else f"{len(turned):,} photos are"
    return f"{are} turned or mirrored by EXIF; {frame}"
