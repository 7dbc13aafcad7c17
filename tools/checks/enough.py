"""Whether a dataset is enough: photos to teach and to measure each class, objects that the network can see.

Rules of thumb for warnings, in plain sentences; nothing is refused for them.
"""

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from detector.base import naming, paths
from detector.base.errors import UserError
from detector.data import labels
from detector.model import pipeline_config
from tools.page.language import Message

FEWEST_PHOTOS, ADVISED_PHOTOS = 20, 50  # of a class, to train on
FEWEST_TEST_PHOTOS = 20  # of a class: from here on its interval is +-0.20 or less
MANY_TEST_PHOTOS = 100
SMALL_PIXELS = 16  # of the network's input: half of the smallest anchor of every model here
MOST_SMALL = 0.1  # the share of small boxes from which on a word is due
_Z = 1.96  # standard normal: 95 % lie within

Share = tuple[float, float]  # width and height of a box, as shares of those of its photo


def interval(share: float, photos: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share in [0, 1] that was measured on so many photos; (0, 1) for none.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if not photos:
        return 0.0, 1.0
    shrink = 1 + _Z**2 / photos
    middle = (share + _Z**2 / (2 * photos)) / shrink
    half = _Z / shrink * math.sqrt(share * (1 - share) / photos + _Z**2 / (4 * photos**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def half_width(photos: int) -> float:
    """How far off, up or down, a share measured on so many photos may be: that of one half, the widest."""
    low, high = interval(0.5, photos)
    return (high - low) / 2


def measured_interval(metrics: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """The 95 % interval of AP or AP50 as metrics.json has it, {low, high}; None where it would say nothing.

    That is of too few test photos, or without a width: of photos on which all is found, none is ever missed by chance.
    """
    ends: Mapping[str, Any] = metrics.get(f"{name}_interval") or {}
    return ends if ends and ends.get("low") != ends.get("high") and not has_few_test_photos(metrics) else None


def has_few_test_photos(metrics: Mapping[str, Any]) -> bool:
    """Whether all in metrics.json was measured on too few photos for an interval."""
    photos = metrics.get("images")
    return isinstance(photos, int) and photos < FEWEST_TEST_PHOTOS


def of_training(model: str, dataset: Path) -> Iterator[Message]:
    """What the photos that were last trained and measured on are too few for, their objects too small for.

    Args:
        model: `train.model` of that training.
        dataset: its folder, for the remedy.

    Returns:
        Nothing where its tables or its label map are missing.
    """
    photos, shares = dict[str, dict[str, int]](), list[Share]()
    try:
        classes = labels.read(paths.TRAIN / paths.LABEL_MAP)
        for split in ("train", "test"):
            with paths.csv(split).open(encoding="utf-8", newline="") as table:
                rows = [row for row in csv.DictReader(table) if row["class"]]
            counts = Counter(naming.from_cell(name) for name, _ in {(row["class"], row["filename"]) for row in rows})
            photos[split] = {name: counts[name] for name in classes}
            shares += map(_share, rows)
        size = pipeline_config.TEMPLATES[model][1]
    except (UserError, OSError, KeyError, ValueError, ZeroDivisionError):
        return
    yield from too_few(photos["train"], photos["test"], dataset)
    yield from too_small(shares, model, size)


def _share(row: Mapping[str, str]) -> Share:
    """The share of the photo's sides that a box takes."""
    xmin, ymin, xmax, ymax = (float(row[name]) for name in ("xmin", "ymin", "xmax", "ymax"))
    return (xmax - xmin) / float(row["width"]), (ymax - ymin) / float(row["height"])


def too_few(train: Mapping[str, int], test: Mapping[str, int], dataset: Path) -> Iterator[Message]:
    """What the photos of each class are too few for; nothing where they are enough.

    Args:
        train, test: class name -> the photos of that split that show it; 0 where none does.
        dataset: its folder, for the remedy.
    """
    some = {name: number for name, number in train.items() if number < FEWEST_PHOTOS}
    more = {name: number for name, number in train.items() if FEWEST_PHOTOS <= number < ADVISED_PHOTOS}
    if some:
        words = "too few training photos to learn from: {classes}; take {advised} or more of each class"
        yield Message(words, {"classes": _listed(some), "advised": ADVISED_PHOTOS})
    if more:
        words = "few training photos: {classes}; with {advised} or more of each class the AP is higher"
        yield Message(words, {"classes": _listed(more), "advised": ADVISED_PHOTOS})
    if none := [name for name, number in test.items() if not number]:
        words = "no test photo shows {classes}, so this is not measured; "
        words += "move some photos with their XML from {train} to {test}"
        yield Message(words, {"classes": none, "train": str(dataset / "train"), "test": str(dataset / "test")})
    known = {name: number for name, number in test.items() if 0 < number < FEWEST_TEST_PHOTOS}
    if known:
        words = "few test photos, and how far off their AP50 may be (95 %): {classes}; "
        words += "{fewest} photos give +-{wide:.2f}, {many} +-{narrow:.2f}"
        values = {"fewest": FEWEST_TEST_PHOTOS, "wide": half_width(FEWEST_TEST_PHOTOS)}
        values |= {"many": MANY_TEST_PHOTOS, "narrow": half_width(MANY_TEST_PHOTOS)}
        yield Message(words, {"classes": _listed(known, "{name} {photos} (+-{off:.2f})"), **values})


def too_small(boxes: Sequence[Share], model: str, input_size: int) -> Iterator[Message]:
    """Whether many objects are smaller than the network can see.

    Args:
        model: `train.model`, for the remedy.
        input_size: side of the network's input in pixels; photos are stretched to it.
    """
    share = small_share(boxes, input_size)
    if share < MOST_SMALL:
        return
    words = "{share:.0%} of the boxes are smaller than {least} pixels of the network's {size}x{size} input, "
    words += "half of its smallest anchor: it hardly sees them; go closer, or cut the photos into parts"
    if "640x640" not in model:
        words += ", or set train.model: ssd_mobilenet_v2_fpnlite_640x640"
    yield Message(words, {"share": share, "least": SMALL_PIXELS, "size": input_size})


def small_share(boxes: Sequence[Share], input_size: int) -> float:
    """The share of boxes whose side, the root of their area, is under `SMALL_PIXELS` of the input; 0 without boxes."""
    small = (SMALL_PIXELS / input_size) ** 2
    return sum(_side(width) * _side(height) < small for width, height in boxes) / max(1, len(boxes))


def _side(share: float) -> float:
    """What of a side is in the photo."""
    return min(max(share, 0.0), 1.0)


def _listed(photos: Mapping[str, int], words: str = "{name} {photos}") -> list[Message]:
    """Each class, the fewest photos first."""
    ordered = sorted(photos.items(), key=lambda one: (one[1], one[0]))
    return [Message(words, {"name": name, "photos": number, "off": half_width(number)}) for name, number in ordered]
