"""The pictures of the page: small, and each of them once however often it is shown; the boxes are drawn over it as SVG.

So a page of 1,000 photos stays at a few MB, and boxes are sharp at every size.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from detector.annotations import splitting
from detector.base import paths
from detector.base.bars import bar
from detector.base.errors import UserError
from detector.pictures import draw, images
from tools.inspecting.dataset import Photo
from tools.inspecting.findings import Case, Mark, Shot, shot
from tools.page.pictures import jpeg_uri

SIDE = 320  # pixels, the longer one of a picture
PICTURE_BYTES = 20_000
MOST_SAMPLES = 150  # pictures of the sample, all classes and splits together
A_CLASS = 6  # of them in one split
LETTERS = 18  # of a name on a picture
LABELLED = 6  # boxes: with more on a picture, their names would hide it


@dataclass(frozen=True)
class Picture:
    """A picture by its id on the page; the part of the photo that it shows. source: a data: URI."""

    id: str
    part: tuple[int, int, int, int]
    source: str


@dataclass(frozen=True)
class Outline:
    """The boxes of one class on one picture, as an SVG path in pixels of the photo. number: of the class, from 1."""

    number: int
    odd: bool
    crowd: bool
    path: str


@dataclass(frozen=True)
class Text:
    """The name of a class at its box; x, y: of its baseline. size: of its letters."""

    name: str
    number: int
    x: float
    y: float
    size: float


@dataclass(frozen=True)
class Drawing:
    """A shot as the page draws it: what lies over its picture. id: of the picture, empty for what cannot be read."""

    id: str
    outlines: list[Outline]
    texts: list[Text]
    described: str


@dataclass(frozen=True)
class Drawings:
    """pictures: each once. by_shot: what is drawn for each shot."""

    pictures: list[Picture]
    by_shot: dict[Shot, Drawing]


def drawings(shots: Sequence[Shot], numbers: Mapping[str, int]) -> Drawings:
    """All pictures of the page and what is drawn on them; numbers: {class name: number from 1}."""
    wanted = {one.key: one for one in shots}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # not more: each holds a photo in full size
        made = pool.map(_source, wanted.values())
        sources = list(bar(made, "pictures", len(wanted)))
    pictures = {
        key: Picture(f"p{number}", key[2], source)
        for number, (key, source) in enumerate(zip(wanted, sources, strict=True))
        if source
    }
    by_shot = {one: _drawing(one, pictures[one.key].id if one.key in pictures else "", numbers) for one in shots}
    return Drawings([*pictures.values()], by_shot)


def _drawing(one: Shot, picture: str, numbers: Mapping[str, int]) -> Drawing:
    groups: dict[tuple[bool, bool, str], list[Mark]] = defaultdict(list)
    for mark in one.marks:
        groups[mark.odd, mark.crowd, mark.name].append(mark)
    outlines = [  # those that a finding is about come last, on top
        Outline(numbers.get(name, 0), odd, crowd, "".join(map(_path, groups[odd, crowd, name])))
        for odd, crowd, name in sorted(groups)
    ]
    return Drawing(picture, outlines, _texts(one, numbers), _described(one))


def _texts(one: Shot, numbers: Mapping[str, int]) -> list[Text]:
    """The names at the boxes, if they are few; else those of the boxes that a finding is about, if they are."""
    left, top, width, height = one.part
    marks = [mark for mark in one.marks if _is_inside(mark.box, one.part)]
    if len(marks) > LABELLED:
        marks = [mark for mark in marks if mark.odd]
    if len(marks) > LABELLED:
        return []
    size = max(width, height) / 19
    result: list[Text] = []
    for mark in marks:
        above = mark.box[1] - size / 3
        y = above if above - size > top else mark.box[1] + size * 1.05
        name = mark.name if len(mark.name) <= LETTERS else f"{mark.name[: LETTERS - 1]}…"
        x = max(left + size / 8, min(mark.box[0] + size / 8, left + width - size * 0.6 * len(name)))
        y = min(max(y, top + size), top + height - size / 3)
        while any(abs(x - text.x) < size and abs(y - text.y) < size for text in result):
            y += size  # of another box at the same place
        result.append(Text(name, numbers.get(mark.name, 0), round(x, 1), round(y, 1), round(size, 1)))
    return result


def sample(photos: Sequence[Photo], classes: Sequence[str]) -> list[tuple[str, str, list[Shot]]]:
    """(class, split, shots): photos of each class and split, chosen by a hash of their names; "" for those without box.

    Of many classes only the first are shown.
    """
    names = [*classes[: MOST_SAMPLES // len(paths.SPLITS)], ""]
    each = max(1, min(A_CLASS, MOST_SAMPLES // (len(paths.SPLITS) * len(names))))
    by_chance = sorted(photos, key=lambda photo: splitting.fraction(photo.path.name, "inspect"))
    result: list[tuple[str, str, list[Shot]]] = []
    shown: set[Path] = set()
    for name in names:
        for split in paths.SPLITS:
            fitting = [p for p in by_chance if p.split == split and (name in p.classes if name else not p.classes)]
            chosen = sorted(fitting, key=lambda photo: photo.path in shown)[:each]  # new ones first
            shown |= {photo.path for photo in chosen}
            result += [(name, split, [shot(Case(photo)) for photo in chosen])] if chosen else []
    return result


def colours(classes: Sequence[str]) -> list[str]:
    """The colour of each class as CSS; those of the pictures that the stages draw."""
    return ["#{:02x}{:02x}{:02x}".format(*draw.colour(number)) for number in range(1, len(classes) + 1)]


def _described(one: Shot) -> str:
    """For those who do not see the picture: `cat 2, dog 1`."""
    counts = Counter(mark.name for mark in one.marks)
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "no box"


def _source(one: Shot) -> str:
    try:
        photo = (images.open_raw if one.stored else images.open_upright)(one.path)
    except UserError:
        return ""
    x, y, width, height = one.part
    across, down = photo.width / one.size[0], photo.height / one.size[1]  # 1, unless boxes are in another scale
    box = (x * across, y * down, (x + width) * across, (y + height) * down)
    scale = min(1.0, SIDE / max(box[2] - box[0], box[3] - box[1]))
    size = max(1, round((box[2] - box[0]) * scale)), max(1, round((box[3] - box[1]) * scale))
    return jpeg_uri(photo.resize(size, Image.Resampling.LANCZOS, box, reducing_gap=2.0), PICTURE_BYTES)


def _is_inside(box: tuple[float, float, float, float], part: tuple[int, int, int, int]) -> bool:
    """Whether some of it is."""
    x, y, width, height = part
    return box[0] < x + width and box[2] > x and box[1] < y + height and box[3] > y


def _path(mark: Mark) -> str:
    xmin, ymin, xmax, ymax = (f"{value:.1f}".removesuffix(".0") for value in mark.box)
    return f"M{xmin} {ymin}H{xmax}V{ymax}H{xmin}Z"
