"""The shape of one <object>, as labelling tools write it -> the box that encloses it, upright and in pixels.

    <bndbox> with xmin, ymin, xmax, ymax                       every tool
    <bndbox> and <attributes> with rotation, in degrees        CVAT: the box as it was before its turn
    <robndbox> with cx, cy, w, h and angle, in radians         roLabelImg
    <polygon>, <points>, <segmentation>: x1, y1, x2, y2, ...   Labelbox, Roboflow, RectLabel
                                         <pt><x/><y/></pt>     LabelMe
                                         1,2;3,4               CVAT

A shape whose meaning is in doubt is refused with its reason, never guessed: a number that is none (12,5), a missing
corner, corners that look like shares of the photo in place of pixels.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lxml import etree

CORNERS = ("xmin", "ymin", "xmax", "ymax")
TURNED = ("cx", "cy", "w", "h", "angle")
OUTLINES = ("polygon", "points", "segmentation", "bndbox")
SMALLEST = 0.01  # pixels: a box less wide or high has no extent left in the records' float32
DECIMALS = 6  # of a computed corner: a turn by 90 degrees gives 300, not 300.00000000000006

EMPTY = "empty"  # the kind of a box without any extent: there was nothing to label
ENCLOSED = "the box that encloses it is taken"
REDRAW = "draw its box again"

Box = tuple[float, float, float, float]  # pixels, (xmin, ymin, xmax, ymax)
Point = tuple[float, float]


class UnusableShapeError(Exception):
    """A shape that gives no box. reason: its kind, then what was met."""

    def __init__(self, reason: str, remedy: str = REDRAW) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


@dataclass(frozen=True)
class Shape:
    """A sound box; repairs: (what was not upright or in order, what was done).

    encloses: it is larger than what was drawn, so it may reach over the edge where the drawn shape does not.
    """

    box: Box
    repairs: tuple[tuple[str, str], ...] = ()
    encloses: bool = False


def read(element: etree._Element) -> Shape:
    """The shape of an <object>, whose tags are in lower case.

    Raises:
        UnusableShapeError: it has none, or one in doubt.
    """
    corners, robndbox = element.find("bndbox"), element.find("robndbox")
    if corners is not None and any(corners.find(tag) is not None for tag in CORNERS):
        shape, degrees = _upright(corners), _rotation(element)
        shape = _turned(shape, degrees) if degrees % 180 else shape
    elif robndbox is not None:
        cx, cy, w, h, angle = _numbers(robndbox, TURNED)
        shape = _turned(Shape((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)), math.degrees(angle))
    else:
        shape = _outline([child for child in element if child.tag in OUTLINES])
    _refuse_useless(shape.box)
    return shape


def number(value: object) -> float:
    """A number, also where it is written as text; NaN for anything else, as are 1_000 and True, which `float` takes."""
    if isinstance(value, bool) or (isinstance(value, str) and "_" in value):
        return math.nan
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan


def enclosing(points: Sequence[Point]) -> Box | None:
    """The box around some points; None around fewer than two, or where one is not a number."""
    flat = [value for point in points for value in point]
    if len(points) < 2 or not all(map(math.isfinite, flat)):
        return None
    xs, ys = flat[::2], flat[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def turned(box: Box, degrees: float, about: Point | None = None) -> Box | None:
    """The box around one that is turned clockwise, about its centre or another point; None where it is endless."""
    xmin, ymin, xmax, ymax = box
    if not math.isfinite(degrees):
        return None
    x0, y0 = about or ((xmin + xmax) / 2, (ymin + ymax) / 2)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return enclosing(
        [
            (x0 + (x - x0) * cos - (y - y0) * sin, y0 + (x - x0) * sin + (y - y0) * cos)
            for x, y in ((xmin, ymin), (xmax, ymin), (xmax, ymax), (xmin, ymax))
        ]
    )


def _numbers(element: etree._Element, tags: Sequence[str]) -> list[float]:
    texts = [element.findtext(tag) for tag in tags]
    if missing := [f"<{tag}>" for tag, text in zip(tags, texts, strict=True) if text is None]:
        raise UnusableShapeError(f"corner missing: {', '.join(missing)}")
    return _as_numbers(tags, texts)


def _as_numbers(tags: Iterable[str], texts: Iterable[str | None]) -> list[float]:
    values, wrong = [], []
    for tag, text in zip(tags, texts, strict=True):
        value = number(text)
        if not math.isfinite(value):
            wrong.append(f"{tag} {(text or '').strip()!r}")
        else:
            values.append(value)
    if wrong:
        raise UnusableShapeError(f"not a number: {', '.join(wrong)}")
    return values


def _upright(element: etree._Element) -> Shape:
    """The box of a <bndbox>; corners that were drawn from right to left, or upwards, change places."""
    xmin, ymin, xmax, ymax = _numbers(element, CORNERS)
    faults = [f"xmin {xmin:g} is not left of xmax {xmax:g}"] if xmin > xmax else []
    faults += [f"ymin {ymin:g} is not above ymax {ymax:g}"] if ymin > ymax else []
    box = (min(xmin, xmax), min(ymin, ymax), max(xmin, xmax), max(ymin, ymax))
    return Shape(box, ((f"inverted: {', '.join(faults)}", "swapped"),) if faults else ())


def _rotation(element: etree._Element) -> float:
    """CVAT's attribute, in degrees; 0 where there is none."""
    for attribute in element.iterfind("attributes/attribute"):
        if (attribute.findtext("name") or "").strip().casefold() == "rotation":
            degrees = number(attribute.findtext("value"))
            return degrees if math.isfinite(degrees) else 0.0
    return 0.0


def _turned(shape: Shape, degrees: float) -> Shape:
    if not (box := turned(shape.box, degrees)):
        raise UnusableShapeError("not a number: the box that encloses it is endless")
    xmin, ymin, xmax, ymax = (round(value, DECIMALS) for value in box)
    repair = (f"turned: by {degrees:.4g} degrees", ENCLOSED)
    return Shape((xmin, ymin, xmax, ymax), (*shape.repairs, repair), encloses=True)


def _outline(elements: Sequence[etree._Element]) -> Shape:
    """The box around all points of some outlines."""
    xs = [x for element in elements for x in _coordinates(element, "x")]
    ys = [y for element in elements for y in _coordinates(element, "y")]
    if not xs and not ys:
        raise UnusableShapeError("<bndbox> is missing", "draw its box")
    if len(xs) != len(ys) or not (box := enclosing([*zip(xs, ys, strict=True)])):
        raise UnusableShapeError(f"not a polygon: {len(xs)} x and {len(ys)} y")
    return Shape(box, ((f"polygon: of {len(xs)} points", ENCLOSED),), encloses=True)


def _coordinates(element: etree._Element, axis: str) -> list[float]:
    """All x or all y of an outline, in the order of its points."""
    leaves = [leaf for leaf in element.iter() if re.fullmatch(rf"{axis}\d*", str(leaf.tag))]
    if leaves:
        return _as_numbers([str(leaf.tag) for leaf in leaves], [leaf.text for leaf in leaves])
    points = [point.split(",") for point in re.split(r"[;\s]+", (element.text or "").strip()) if "," in point]
    return _as_numbers([axis] * len(points), [point["xy".index(axis)] for point in points])


def _refuse_useless(box: Box) -> None:
    xmin, ymin, xmax, ymax = box
    thin = [
        f"{axis}min and {axis}max are {_apart(low, high)}" for axis, low, high in _sides(box) if _is_thin(low, high)
    ]
    if thin:
        raise UnusableShapeError(f"{EMPTY if len(thin) == 2 else 'a line'}: {', '.join(thin)}")
    if max(map(abs, box)) <= 1:
        corners = f"[{xmin:g}, {ymin:g}, {xmax:g}, {ymax:g}]"
        raise UnusableShapeError(f"not in pixels: {corners} look like shares of the photo", "export it in pixels")


def _sides(box: Box) -> tuple[tuple[str, float, float], ...]:
    return (("x", box[0], box[2]), ("y", box[1], box[3]))


def _is_thin(low: float, high: float) -> bool:
    return high - low < SMALLEST


def _apart(low: float, high: float) -> str:
    return f"both {low:g}" if low == high else f"{high - low:g} px apart"
