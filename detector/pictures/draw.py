"""Boxes, labels and scores on pictures, with Pillow alone.

A line has a dark edge and a label a filled background, so that both can be read on any photo. The line of a crowd is
dashed. The first seven class ids have the colours of Okabe and Ito, which colour-blind readers can tell apart too.

There is one font, of a locked package, and letters stand one by one, so that all machines draw the same. A class whose
name cannot be drawn so shows its id.
"""

import colorsys
import dataclasses
import functools
import importlib.util
import math
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from detector.data.tables import ImageBoxes

Colour = tuple[int, int, int]
Place = tuple[int, int, int, int]  # pixels, [xmin, ymin, xmax, ymax]

BLACK, WHITE, GREY, DARK = (0, 0, 0), (255, 255, 255), (170, 170, 170), (32, 33, 36)
OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#F0E442", "#0072B2", "#D55E00")
MIN_TEXT = 6  # pixels; smaller letters cannot be read
HALF_SIDE = (480, 800)  # least and greatest long side of one half of `side_by_side`, in pixels


@dataclasses.dataclass(frozen=True)
class _Label:
    """A text, where it stands, and the box that it belongs to."""

    text: str
    font: ImageFont.FreeTypeFont
    place: Place
    box: Place
    fill: Colour
    is_crowd: bool


def colour(class_id: int) -> Colour:
    """The colour of a class: always the same, and a different one for every class id."""
    if 1 <= class_id <= len(OKABE_ITO):
        value = OKABE_ITO[class_id - 1]
        return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)
    red, green, blue = colorsys.hsv_to_rgb(class_id * 0.618034 % 1, 0.75, 0.95)  # golden section: far from the last
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_boxes(
    image: Image.Image,
    boxes: ImageBoxes,
    names: Mapping[int, str],
    *,
    score_threshold: float = 0.0,
    show_scores: bool = True,
) -> Image.Image:
    """A new RGB image with the boxes whose score is at least `score_threshold`, the highest score on top.

    `boxes` are in pixels of `image`; what is outside is cut off. A class without a name that can be drawn shows its id.
    """
    canvas = image.convert("RGB")
    draw_on(canvas, boxes, names, score_threshold=score_threshold, show_scores=show_scores)
    return canvas


def draw_on(
    canvas: Image.Image,
    boxes: ImageBoxes,
    names: Mapping[int, str],
    *,
    score_threshold: float = 0.0,
    show_scores: bool = True,
) -> None:
    """The same on an RGB picture itself, which takes no room for another one."""
    draw = ImageDraw.Draw(canvas)
    labels: list[_Label] = []
    shown = boxes.above(score_threshold).best_first()
    for (class_id, box, score), is_crowd in zip(shown.rows(), shown.is_crowd.tolist(), strict=True):
        text = _name(class_id, names) + (f" {score:.2f}" if show_scores else "")
        place = _clipped(box, canvas)
        labels.append(_label(text, place, class_id, canvas.size, labels, is_crowd=is_crowd))  # the best box first
    for label in reversed(labels):
        _draw_outline(draw, label, _line_width(canvas.size))
    for label in reversed(labels):
        _draw_label(draw, label)


def shown_as_ids(names: Mapping[int, str]) -> list[str]:
    """The classes whose names cannot be drawn, as `id name`. names: class id -> name."""
    return [f"{class_id} {name}" for class_id, name in names.items() if not _can_be_drawn(name)]


def side_by_side(
    image: Image.Image,
    detections: ImageBoxes,
    groundtruth: ImageBoxes,
    names: Mapping[int, str],
    *,
    score_threshold: float,
) -> Image.Image:
    """Detections on the left, groundtruth on the right, each under a title with its count and the file name.

    Each half is scaled so that its long side is within `HALF_SIDE`: text stays readable and files small.
    """
    scale = np.clip(max(image.size), *HALF_SIDE) / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    photo = image.convert("RGB").resize(size, Image.Resampling.LANCZOS) if size != image.size else image
    left = draw_boxes(photo, _scaled(detections, image, size), names, score_threshold=score_threshold)
    right = draw_boxes(photo, _scaled(groundtruth, image, size), names, show_scores=False)
    shown, crowds = len(detections.above(score_threshold).boxes), int(groundtruth.is_crowd.sum())
    labelled = f"{len(groundtruth.boxes) - crowds}" + (f", {crowds} not counted" if crowds else "")
    name = groundtruth.filename
    halves = (
        _titled(left, f"Detections: {shown}", f"{name}, score ≥ {score_threshold:g}"),
        _titled(right, f"Groundtruth: {labelled}", name),
    )
    gap = 4
    sheet = Image.new("RGB", (2 * size[0] + gap, halves[0].height), WHITE)
    sheet.paste(halves[0], (0, 0))
    sheet.paste(halves[1], (size[0] + gap, 0))
    return sheet


def _name(class_id: int, names: Mapping[int, str]) -> str:
    name = names.get(class_id, str(class_id))
    return unicodedata.normalize("NFC", name) if _can_be_drawn(name) else str(class_id)


@functools.cache
def _can_be_drawn(name: str) -> bool:
    """Whether the font has all letters, and these stand one by one from left to right: no Arabic, Hebrew or Hindi."""
    return all(map(_has_letter, unicodedata.normalize("NFC", name)))


@functools.cache
def _has_letter(letter: str) -> bool:
    missing, font = "\uffff", _font(MIN_TEXT * 4)
    if unicodedata.bidirectional(letter) in ("R", "AL") or unicodedata.category(letter).startswith("M"):
        return False
    return letter.isspace() or bytes(font.getmask(letter)) != bytes(font.getmask(missing))


def _scaled(boxes: ImageBoxes, image: Image.Image, size: tuple[int, int]) -> ImageBoxes:
    factors = np.array([size[0] / image.width, size[1] / image.height] * 2)
    return dataclasses.replace(boxes, width=size[0], height=size[1], boxes=boxes.boxes * factors)


def _titled(picture: Image.Image, title: str, subtitle: str) -> Image.Image:
    """The picture under a strip with two lines of text."""
    height, pad = 46, 8
    sheet = Image.new("RGB", (picture.width, picture.height + height), DARK)
    sheet.paste(picture, (0, height))
    draw = ImageDraw.Draw(sheet)
    for text, size, y, fill in ((title, 16, 14, WHITE), (subtitle, 12, 33, GREY)):
        text, font = _fitted(text, size, picture.width - 2 * pad)
        draw.text((pad, y), text, font=font, fill=fill, anchor="lm")
    return sheet


def _line_width(size: tuple[int, int]) -> int:
    return max(1, round(max(size) / 170))


def _clipped(box: Iterable[float], canvas: Image.Image) -> Place:
    xmin, ymin, xmax, ymax = box
    x = np.sort(np.clip([xmin, xmax], 0, canvas.width - 1)).round()
    y = np.sort(np.clip([ymin, ymax], 0, canvas.height - 1)).round()
    return int(x[0]), int(y[0]), int(x[1]), int(y[1])


def _draw_outline(draw: ImageDraw.ImageDraw, label: _Label, width: int) -> None:
    xmin, ymin, xmax, ymax = label.box
    draw.rectangle((xmin - 1, ymin - 1, xmax + 1, ymax + 1), outline=BLACK, width=width + 2)
    draw.rectangle(label.box, outline=label.fill, width=width)
    dash = 4 * width
    for x in range(xmin + dash, xmax, 2 * dash) if label.is_crowd else ():
        for y in (ymin, ymax - width + 1):
            draw.rectangle((x, y, min(x + dash, xmax) - 1, y + width - 1), fill=BLACK)
    for y in range(ymin + dash, ymax, 2 * dash) if label.is_crowd else ():
        for x in (xmin, xmax - width + 1):
            draw.rectangle((x, y, x + width - 1, min(y + dash, ymax) - 1), fill=BLACK)


def _label(
    text: str, box: Place, class_id: int, size: tuple[int, int], others: Iterable[_Label], *, is_crowd: bool
) -> _Label:
    """The label of a box at the first place that is fully on the image and covers no other label."""
    pad = _line_width(size)
    text, font = _fitted(text, max(11, round(max(size) / 36)), size[0] - 2 * pad)
    width, height = min(math.ceil(font.getlength(text)) + 2 * pad, size[0]), min(sum(font.getmetrics()), size[1])
    left, right, bottom = min(box[0], size[0] - width), max(box[2] - width, 0), size[1] - height
    inside = min(box[1], bottom)
    corners = [(left, box[1] - height), (left, inside), (right, box[1] - height), (right, inside)]  # at the top edge
    corners += [(left, box[3]), (left, box[3] - height), (right, box[3]), (right, box[3] - height)]  # at the bottom
    places = [(x, y, x + width, y + height) for x, y in corners if 0 <= y <= bottom]
    free = (place for place in places if not any(_overlap(place, other.place) for other in others))
    return _Label(text, font, next(free, places[0]), box, colour(class_id), is_crowd)


def _draw_label(draw: ImageDraw.ImageDraw, label: _Label) -> None:
    if label.text:
        xmin, ymin, xmax, ymax = label.place
        draw.rectangle((xmin, ymin, xmax - 1, ymax - 1), fill=label.fill)
        draw.text(
            ((xmin + xmax) / 2, ymax - label.font.getmetrics()[1]), label.text, _ink(label.fill), label.font, "ms"
        )


def _overlap(one: Place, other: Place) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _ink(ground: Colour) -> Colour:
    """Black or white, whichever has the greater contrast on `ground` by WCAG's relative luminance."""
    linear = [(c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in ground]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return BLACK if luminance > 0.179 else WHITE  # where (L + 0.05) / 0.05 = 1.05 / (L + 0.05)


def _fitted(text: str, size: int, width: float) -> tuple[str, ImageFont.FreeTypeFont]:
    """The text and a font in which it is at most `width` pixels wide: first smaller letters, then fewer."""
    text, font = " ".join(text.split()), _font(size)
    while font.getlength(text) > width and size > MIN_TEXT:
        size -= 1
        text, font = " ".join(text.split()), _font(size)
    while text and font.getlength(text) > width:
        text = text[:-2] + "…" if len(text) > 1 else ""
    return text, font


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings: Pillow's own font has no `ç` and no `ã`. Found without importing it."""
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("matplotlib, which brings the font")
    file = Path(spec.origin).parent / "mpl-data/fonts/ttf/DejaVuSans-Bold.ttf"
    return ImageFont.truetype(str(file), size, layout_engine=ImageFont.Layout.BASIC)  # the other one is not everywhere
