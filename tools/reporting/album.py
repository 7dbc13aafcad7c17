"""The photos of the report's gallery: small pictures, and over each what is right, wrong and missed as SVG.

Green is right, red is wrong, dashes are objects that are missed. Nothing is drawn into the pictures, so the same ones
serve every threshold.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from detector.base import paths
from detector.base.errors import UserError
from detector.pictures import images
from tools.page.pictures import jpeg_uri
from tools.reporting.counting import hundredths
from tools.reporting.kinds import ERRORS, IGNORED, MISSED, NAMES, RIGHT, ImageKinds
from tools.reporting.measured import Measured

MOST = 96  # photos
SIDE = 640  # pixels, the longer one of a picture
ALL_BYTES = 3_300_000  # of all pictures; in base64 a third more
PICTURE_BYTES = 60_000
CROWD = "crowd"


@dataclass(frozen=True)
class Box:
    """A box on a photo, x and y of its left upper corner in pixels; number: of its class in `Measured.names`.

    kind: of a detection, or missed, or crowd. last: the last place in GRID where a detection is shown. known: of a
    missed object, the last place where it is found, or where another error is about it.
    """

    kind: str
    number: int
    x: float
    y: float
    width: float
    height: float
    last: int

    def is_shown(self, place: int) -> bool:
        """At the threshold at this place."""
        if self.kind == CROWD:
            return True
        return self.last < place if self.kind == MISSED else self.last >= place


@dataclass(frozen=True)
class Photo:
    """source: a data: URI. boxes: the best detection last, on top."""

    name: str
    width: int
    height: int
    source: str
    boxes: list[Box]

    def counts(self, place: int) -> dict[str, int]:
        """How many boxes of each kind are shown at a threshold."""
        shown = [box.kind for box in self.boxes if box.is_shown(place)]
        return {kind: shown.count(kind) for kind in (*NAMES, MISSED) if kind in shown}


def photos(measured: Measured, dataset: str) -> list[Photo]:
    """Those of the test images that are here, the ones with the most errors first."""
    folder = paths.images(dataset, "test")
    wanted = sorted(measured.images, key=lambda image: (-wrong(image, measured.threshold), image.truth.filename))
    wanted = [image for image in wanted if is_file(folder / image.truth.filename)][:MOST]
    most = min(PICTURE_BYTES, ALL_BYTES // max(1, len(wanted)))
    numbers = {class_id: number for number, class_id in enumerate(measured.names)}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # not more: each holds a photo in full size
        made = pool.map(lambda image: source(folder, image, most), wanted)
        sources = list(tqdm(made, "photos", len(wanted), unit="photo", disable=None, leave=False))
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
    truth = image.truth
    crowds, objects = truth.subset(truth.is_crowd), truth.objects
    known = hundredths([max(pair) for pair in zip(image.found, image.covered, strict=True)])
    boxes = [*_boxes(crowds, numbers, [CROWD] * len(crowds.boxes), [0] * len(crowds.boxes))]
    boxes += _boxes(objects, numbers, [MISSED] * len(objects.boxes), known.tolist())
    found = _boxes(image.detected, numbers, [NAMES[k] for k in image.kinds], hundredths(image.detected.scores).tolist())
    return Photo(truth.filename, truth.width, truth.height, uri, [*boxes, *reversed(found)])


def _boxes(of: Any, numbers: Mapping[int, int], kinds: Sequence[str], last: Sequence[int]) -> list[Box]:
    made = []
    for (class_id, (xmin, ymin, xmax, ymax), _), kind, place in zip(of.rows(), kinds, last, strict=True):
        sides = (round(value, 1) for value in (xmin, ymin, xmax - xmin, ymax - ymin))
        made.append(Box(kind, numbers[class_id], *sides, place))
    return made


def rows(one: Photo) -> list[Any]:
    """A photo as the page's script reads it: name, width, height, and of each box kind, class, x, y, width, height,
    last place. Detections that no threshold of the slider shows are left out.
    """
    kinds = {kind: number for number, kind in enumerate((*NAMES, MISSED, CROWD))}
    shown = [box for box in one.boxes if box.kind in (MISSED, CROWD) or box.last > 0]
    flat = [
        value for box in shown for value in (kinds[box.kind], box.number, box.x, box.y, box.width, box.height, box.last)
    ]
    return [one.name, one.width, one.height, *flat]


WRONG = tuple(NAMES[kind] for kind in ERRORS)  # kinds of detections that are drawn in red
