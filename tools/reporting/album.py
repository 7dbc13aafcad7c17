"""The photos of the report's gallery: small pictures, and over each what is right, wrong and missed as SVG.

Green is right, red is wrong, dashes are objects that are not found. Nothing is drawn into the pictures, so they
serve every threshold.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from detector.base import paths
from detector.base.bars import bar
from detector.base.errors import UserError
from detector.data.tables import ImageBoxes, Ints
from detector.pictures import images
from tools.page.pictures import jpeg_uri
from tools.reporting.counting import hundredths
from tools.reporting.kinds import IGNORED, MISSED, NAMES, NONE, RIGHT, ImageKinds
from tools.reporting.measured import Measured

MOST = 96  # photos
SIDE = 640  # pixels, the longer one of a picture
ALL_BYTES = 3_300_000  # of all pictures; in base64 a third more
PICTURE_BYTES = 60_000
CROWD = "crowd"


@dataclass(frozen=True)
class Box:
    """A box on a photo, x and y of its left upper corner in pixels; number: of its class in `Measured.names`.

    kind: of a detection; or missed, of an object; or crowd. last: the last place in GRID where a detection is shown, an
    object found. known: of an object, the last place where it is found or an error of another kind is about it.
    about: the number of the class of the object that a detection is about; otherwise, its own.
    """

    kind: str
    number: int
    x: float
    y: float
    width: float
    height: float
    last: int
    known: int
    about: int

    def is_shown(self, place: int) -> bool:
        """At the threshold at this place: objects, where they are not found."""
        if self.kind == CROWD:
            return True
        return self.last < place if self.kind == MISSED else self.last >= place

    def is_counted(self, place: int) -> bool:
        """As an error or a right detection: an object that another error is about is not missed."""
        return self.is_shown(place) and (self.kind != MISSED or self.known < place)


@dataclass(frozen=True)
class Photo:
    """source: a data: URI. boxes: the best detection last, on top."""

    name: str
    width: int
    height: int
    source: str
    boxes: list[Box]

    def counts(self, place: int) -> dict[str, int]:
        """How many of each kind there are at a threshold."""
        counted = [box.kind for box in self.boxes if box.is_counted(place)]
        return {kind: counted.count(kind) for kind in (*NAMES, MISSED) if kind in counted}


def photos(measured: Measured, dataset: str) -> list[Photo]:
    """Those of the test images that are here, the ones with the most errors first."""
    folder = paths.images(dataset, "test")
    wanted = sorted(measured.images, key=lambda image: (-wrong(image, measured.threshold), image.truth.filename))
    wanted = [image for image in wanted if is_file(folder / image.truth.filename)][:MOST]
    most = min(PICTURE_BYTES, ALL_BYTES // max(1, len(wanted)))
    numbers = {class_id: number for number, class_id in enumerate(measured.names)}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # not more: each holds a photo in full size
        made = pool.map(lambda image: source(folder, image, most), wanted)
        sources = list(bar(made, "photos", len(wanted)))
    pairs = zip(wanted, sources, strict=True)
    return [photo(image, uri, numbers) for image, uri in pairs if uri]


def is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for a name that no file can have


def wrong(image: ImageKinds, threshold: float) -> int:
    """How many errors an image has: wrong detections, and objects that are not found."""
    errors = (image.detected.scores >= threshold) & (image.kinds != RIGHT) & (image.kinds != IGNORED)
    return int(errors.sum() + (image.found < threshold).sum())


def source(folder: Path, image: ImageKinds, most: int) -> str:
    """The photo as it was labelled, upright or as stored; empty where it cannot be read or has another size."""
    for opened in (images.open_upright, images.open_raw):
        try:
            picture = opened(folder / image.truth.filename)
        except UserError:
            return ""
        if picture.size == (image.truth.width, image.truth.height):
            picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
            return jpeg_uri(picture, most)
    return ""


def photo(image: ImageKinds, uri: str, numbers: Mapping[int, int]) -> Photo:
    """A photo with its boxes: crowds, objects, detections."""
    crowds, objects = image.truth.subset(image.truth.is_crowd), image.truth.objects
    found, covered = hundredths(image.found), hundredths(image.covered)
    known = np.maximum(found, covered)
    never = np.zeros(len(crowds.boxes), dtype=int)
    last = hundredths(image.detected.scores)
    of_objects = np.append(objects.classes, NONE)[image.about]
    about = np.where(image.about == NONE, image.detected.classes, of_objects)
    boxes = _boxes(crowds, numbers, [CROWD] * len(never), never, never, crowds.classes)
    boxes += _boxes(objects, numbers, [MISSED] * len(found), found, known, objects.classes)
    boxes += reversed(_boxes(image.detected, numbers, [NAMES[kind] for kind in image.kinds], last, last, about))
    return Photo(image.truth.filename, image.truth.width, image.truth.height, uri, boxes)


def _boxes(
    of: ImageBoxes, numbers: Mapping[int, int], kinds: Sequence[str], last: Ints, known: Ints, about: Ints
) -> list[Box]:
    made = []
    ends = zip(kinds, last.tolist(), known.tolist(), about.tolist(), strict=True)
    for (class_id, (xmin, ymin, xmax, ymax), _), (kind, until, known_until, meant) in zip(of.rows(), ends, strict=True):
        x, y, width, height = (round(value, 1) for value in (xmin, ymin, xmax - xmin, ymax - ymin))
        made.append(Box(kind, numbers[class_id], x, y, width, height, until, known_until, numbers[meant]))
    return made


def rows(one: Photo) -> list[Any]:
    """A photo as the page's script reads it: name, width, height, and of each box kind, class, x, y, width, height,
    last, known, about. Detections that no threshold of the slider shows are left out.
    """
    kinds = {kind: number for number, kind in enumerate((*NAMES, MISSED, CROWD))}
    shown = [box for box in one.boxes if box.kind in (MISSED, CROWD) or box.last > 0]
    flat = [value for box in shown for value in (kinds[box.kind], *astuple(box)[1:])]
    return [one.name, one.width, one.height, *flat]
