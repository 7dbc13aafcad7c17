"""A detector that computes: red rectangles on a dark ground are of class 1, white ones of class 2.

The brighter, the surer: the score is the brightest value of the rectangle as a share of 255. It has what the commands
use of `detector.prediction`'s: names, digest, detect.
"""

import numpy as np
from PIL import Image, ImageDraw

from detector.data.tables import ImageBoxes

NAMES = {1: "red", 2: "white"}


class Rectangles:
    """seen: the names of the photos that were looked at."""

    def __init__(self):
        self.names, self.digest, self.seen = NAMES, "computed", []

    def detect(self, image, filename):
        """The detections, as `Detector.detect` gives them."""
        self.seen.append(filename)
        pixels = np.asarray(image)
        masks = {1: (pixels[..., 0] > 60) & (pixels[..., 2] < 30), 2: pixels[..., 2] > 60}
        found = {class_id: mask for class_id, mask in masks.items() if mask.any()}
        boxes = np.array([corners(mask) for mask in found.values()], dtype=np.float64).reshape(-1, 4)
        scores = np.array([pixels[..., 0][mask].max() / 255 for mask in found.values()])
        return ImageBoxes(filename, *image.size, boxes, np.array([*found], dtype=np.int64), scores).best_first()


def corners(mask):
    """The box around what is set."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def photo(path, *rectangles, size=(96, 64)):
    """A PNG with rectangles: (xmin, ymin, xmax, ymax, score, class), on a ground that differs from name to name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    greys = np.random.default_rng(list(path.name.encode())).integers(0, 25, (4, 6), dtype=np.uint8)
    image = Image.fromarray(greys).resize(size, Image.Resampling.NEAREST).convert("RGB")
    for xmin, ymin, xmax, ymax, score, class_id in rectangles:
        value = round(255 * score)
        fill = (value, 0, 0) if class_id == 1 else (value, value, value)
        ImageDraw.Draw(image).rectangle((xmin, ymin, xmax - 1, ymax - 1), fill=fill)
    image.save(path)
    return path
