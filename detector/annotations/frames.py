"""Which frame the boxes of a photo were drawn in, and the boxes in the frame that the photo is trained in.

<size> is the frame: that of the photo as seen, or as stored (EXIF orientation ignored, as LabelImg does), each at any
scale. Where EXIF turns a photo and <size> cannot show which (half a turn, a square, no <size>), the photos of the
dataset that can tell decide. A photo is trained as seen, unless its <size> is that of the pixels as stored.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace

from detector.annotations.shapes import DECIMALS, REDRAW, SMALLEST, Box
from detector.annotations.voc import REPAIRED, SKIPPED, WARNING, Annotation, Problem, VocObject
from detector.pictures.images import ImageInfo

SEEN, STORED = "as seen", "as stored"
TOLERANCE = 1.0  # pixels by which a <size> may differ, and a box may always reach over the edge: some count from 1
SMALLEST_SIDE = 10  # pixels: with less, a rounded side says nothing of an aspect
_FLIPS = {
    2: (1, 0),
    3: (1, 1),
    4: (0, 1),
    5: (0, 0),
    6: (0, 1),
    7: (1, 1),
    8: (1, 0),
}  # EXIF: x, y; from 5 then x <-> y

Size = tuple[int, int]  # width, height


def evident(size: Size | None, info: ImageInfo) -> str | None:
    """SEEN or STORED, where EXIF turns the photo and <size> shows which of the two it is; else None."""
    fitting = _fitting(size, info)
    return fitting[0] if info.turned and len(fitting) == 1 else None


def place(annotation: Annotation, info: ImageInfo, others: Collection[str]) -> tuple[Annotation, list[Problem]]:
    """The annotation with its boxes in the frame that the photo is trained in, whose size it gets; what was done.

    Args:
        others: the evident frames of the dataset's photos.
    """
    fitting = _fitting(annotation.size, info)
    if not fitting:
        return _unrelated(annotation, info)
    frame, problems = fitting[0], []
    if info.turned and len(fitting) > 1 and annotation.objects:
        frame = STORED if set(others) == {STORED} else SEEN
        problems.append(_decided(info, frame, set(others)))
    target = info.size if frame == SEEN else info.raw_size
    boxes, scaled = _scaled([one.box for one in annotation.objects], annotation.size, target)
    if frame == STORED and info.size == info.raw_size:  # sizes cannot carry it on: the boxes are turned in their place
        boxes = [upright(box, info) for box in boxes]
    objects = tuple(replace(one, box=box) for one, box in zip(annotation.objects, boxes, strict=True))
    return replace(annotation, size=target, objects=objects), [*problems, *scaled]


def upright(box: Box, info: ImageInfo) -> Box:
    """A box on the pixels as stored -> the same place on the photo as seen."""
    (width, height), (flips_x, flips_y) = info.raw_size, _FLIPS.get(info.orientation, (0, 0))
    left, right = (width - box[2], width - box[0]) if flips_x else (box[0], box[2])
    top, bottom = (height - box[3], height - box[1]) if flips_y else (box[1], box[3])
    return (top, left, bottom, right) if info.orientation >= 5 else (left, top, right, bottom)


def fit(annotation: Annotation, size: Size, tolerance: float) -> tuple[Annotation, list[Problem]]:
    """The annotation with every box inside a picture of `size` (width, height): clipped, or left out.

    Args:
        tolerance: the share of the picture's width and height by which a box may reach over the edge. One that
            encloses what was drawn may reach over it by any.
    """
    objects, problems = [], []
    for labelled in annotation.objects:
        box, fault = _fitted(labelled, size, tolerance)
        objects += [replace(labelled, box=box)] if box else []
        problems += [fault] if fault else []
    return replace(annotation, size=size, objects=tuple(objects)), problems


def _fitting(size: Size | None, info: ImageInfo) -> tuple[str, ...]:
    """The frames that a <size> can be that of: both where the photo has one size, or there is no <size>."""
    frames = {SEEN: info.size, STORED: info.raw_size}
    if size is None:
        return tuple(frames)
    if exact := tuple(frame for frame, target in frames.items() if target == size):
        return exact
    if size == (info.size[1], info.size[0]):  # it may be nearly square
        return ()
    return tuple(frame for frame, target in frames.items() if _is_scaled(size, target))


def _is_scaled(size: Size, target: Size) -> bool:
    """Whether one is the other at another scale, each side of the smaller rounded by a pixel at most."""
    small, large = sorted((size, target))
    if min(small) < SMALLEST_SIDE:
        return False
    lowest = max((s - TOLERANCE) / side for s, side in zip(small, large, strict=True))
    highest = min((s + TOLERANCE) / side for s, side in zip(small, large, strict=True))
    return lowest <= highest


def _scaled(boxes: Iterable[Box], size: Size | None, target: Size) -> tuple[list[Box], list[Problem]]:
    """Boxes drawn in a frame of `size`, in one of `target`."""
    width, height = target
    if size == target:
        return list(boxes), []
    if size is None:
        remedy = f"taken from the image: {width}x{height}"
        return list(boxes), [Problem("", "<size> is missing or makes no sense", remedy, REPAIRED)]
    met = f"<size> is {size[0]}x{size[1]}, the image {width}x{height}"
    if max(abs(size[0] - width), abs(size[1] - height)) <= TOLERANCE:
        return list(boxes), [Problem("", f"<size> is a pixel off: {met}", "taken from the image", REPAIRED)]
    across, down = width / size[0], height / size[1]
    scaled = [_rounded(box[0] * across, box[1] * down, box[2] * across, box[3] * down) for box in boxes]
    return scaled, [Problem("", f"labelled at another scale: {met}", "boxes scaled to the image", REPAIRED)]


def _rounded(*corners: float) -> Box:
    xmin, ymin, xmax, ymax = (round(corner, DECIMALS) for corner in corners)
    return xmin, ymin, xmax, ymax


def _unrelated(annotation: Annotation, info: ImageInfo) -> tuple[Annotation, list[Problem]]:
    """Of a <size> that is no frame of the photo; without boxes it means nothing."""
    (width, height), (x, y) = info.size, annotation.size or (0, 0)
    met = f"<size> is {x}x{y}, the image is {width}x{height}"
    if not annotation.objects:
        problem = Problem("", f"unrelated <size>: {met}", "taken from the image", REPAIRED)
    elif _is_scaled((y, x), info.size):
        reason = f"{met}: its boxes were drawn on the image turned by a quarter, or <size> is the wrong way round"
        problem = Problem("", reason, f"label it again, or write {width} and {height} into <size>")
    else:
        reason = f"{met}: its boxes were drawn on another image, or <size> is wrong"
        problem = Problem("", reason, "label it again, or remove <size>")
    return replace(annotation, size=info.size), [problem]


def _decided(info: ImageInfo, frame: str, others: Collection[str]) -> Problem:
    """What was decided for a photo that EXIF turns and that cannot tell its frame."""
    reason = f"turned by EXIF: orientation {info.orientation}, and <size> does not show where its boxes were drawn"
    if len(others) > 1:
        return Problem("", reason, "other photos were labelled as seen, and others as stored: save it upright")
    because = "as of the photos that can tell" if others else "no photo of this dataset can tell"
    action = REPAIRED if frame == STORED else WARNING
    return Problem("", reason, f"taken as drawn on the photo {frame}, {because}", action)


def _fitted(labelled: VocObject, size: Size, tolerance: float) -> tuple[Box | None, Problem | None]:
    """The box within the picture, or None, and what was wrong with it."""
    (xmin, ymin, xmax, ymax), (width, height) = labelled.box, size
    across, down = max(-xmin, xmax - width, 0.0), max(-ymin, ymax - height, 0.0)
    if across == down == 0:
        return labelled.box, None
    box = (max(xmin, 0.0), max(ymin, 0.0), min(xmax, float(width)), min(ymax, float(height)))
    over = f"box [{xmin:g}, {ymin:g}, {xmax:g}, {ymax:g}] is {max(across, down):g} px over the edge"
    reason = f"outside: {over} of the {width}x{height} image"
    is_far = across > max(TOLERANCE, tolerance * width) or down > max(TOLERANCE, tolerance * height)
    if (is_far and not labelled.encloses) or min(box[2] - box[0], box[3] - box[1]) < SMALLEST:
        return None, Problem(labelled.item, reason, REDRAW, SKIPPED)
    return box, Problem(labelled.item, reason, "clipped", REPAIRED)
