"""The pictures of a training: detections beside the groundtruth, and the images of a batch as they are trained on."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from detector.data import records
from detector.data.tables import ImageBoxes
from detector.pictures import draw, images

MOST_PHOTOS = 6  # of the validation split
MOST_TILES = 16  # of a batch
TILE_SIDE = 320  # pixels, at most
Tile = tuple[npt.NDArray[np.uint8], ImageBoxes]  # (H, W, 3) RGB, and the boxes in it


class SamePhotos:
    """Some photos of a split, evenly spread over it: the same ones each time.

    Args:
        record: its TFRecord, one example per element of `truth`, in the same order.
        truth: its images, with their objects.
        names: class id -> name.
    """

    def __init__(self, record: Path, truth: Sequence[ImageBoxes], names: Mapping[int, str]) -> None:
        self._record, self._truth, self._names = record, truth, names
        self._starts = records.offsets(record)
        self._every = max(1, math.ceil(len(truth) / MOST_PHOTOS))

    def drawn(self, detections: Sequence[ImageBoxes], threshold: float) -> Iterator[tuple[str, Image.Image]]:
        """Each photo's name, and what was found in it (with a score of at least `threshold`) beside what is there.

        detections: of all images of the split, in their order.
        """
        examples = records.read_every(self._record, self._every, self._starts)
        for found, truth, example in zip(
            detections[:: self._every], self._truth[:: self._every], examples, strict=True
        ):
            photo = images.open_raw(truth.filename, example["image/encoded"][0])
            yield truth.filename, draw.side_by_side(photo, found, truth, self._names, score_threshold=threshold)


def sheet(tiles: Sequence[Tile], names: Mapping[int, str]) -> Image.Image:
    """Pictures of one size with their boxes, in rows: as many in a row as there are rows, or one more."""
    drawn = [draw.draw_boxes(Image.fromarray(pixels), boxes, names, show_scores=False) for pixels, boxes in tiles]
    for picture in drawn:
        picture.thumbnail((TILE_SIDE, TILE_SIDE))
    columns = math.ceil(math.sqrt(len(drawn)))
    width, height = drawn[0].size
    result = Image.new("RGB", (columns * width, math.ceil(len(drawn) / columns) * height))
    for number, picture in enumerate(drawn):
        result.paste(picture, (number % columns * width, number // columns * height))
    return result
