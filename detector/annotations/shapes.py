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
    corners, turned = element.find("bndbox"), element.find("robndbox")
    if corners is not None and any(corners.find(tag) is not None for tag in CORNERS):
        shape = _turned_in_cvat(_upright(corners), _rotation(element))
    elif turned is not None:
        cx, cy, w, h, angle = _numbers(turned, TURNED)
        repair = (f"turned: by {math.degrees(angle):.4g} degrees", ENCLOSED)
        shape = Shape(enclosing_turned(cx, cy, w, h, angle), (repair,), encloses=True)
    else:
        shape = _outline([child for child in element if child.tag in OUTLINES])
    _refuse_useless(shape.box)
    return shape


def number(text: str | None) -> float | None:
    """A finite number, or None; `float` alone would also take 1_000, nan and inf."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in str(text) else None


def enclosing_turned(cx: float, cy: float, w: float, h: float, angle: float) -> Box:
    """The upright box around one of centre (cx, cy), w wide and h high, that is turned by `angle` radians."""
    cosine, sine = abs(math.cos(angle)), abs(math.sin(angle))
    across, down = (abs(w) * cosine + abs(h) * sine) / 2, (abs(w) * sine + abs(h) * cosine) / 2
    xmin, ymin, xmax, ymax = (round(x, DECIMALS) for x in (cx - across, cy - down, cx + across, cy + down))
    return xmin, ymin, xmax, ymax


def _numbers(element: etree._Element, tags: Sequence[str]) -> list[float]:
    texts = [element.findtext(tag) for tag in tags]
    if missing := [f"<{tag}>" for tag, text in zip(tags, texts, strict=True) if text is None]:
        raise UnusableShapeError(f"corner missing: {', '.join(missing)}")
    return _as_numbers(tags, texts)


def _as_numbers(tags: Iterable[str], texts: Iterable[str | None]) -> list[float]:
    values, wrong = [], []
    for tag, text in zip(tags, texts, strict=True):
        value = number(text)
        if value is None:
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
            return number(attribute.findtext("value")) or 0.0
    return 0.0


def _turned_in_cvat(shape: Shape, degrees: float) -> Shape:
    if degrees % 180 == 0:
        return shape
    xmin, ymin, xmax, ymax = shape.box
    box = enclosing_turned((xmin + xmax) / 2, (ymin + ymax) / 2, xmax - xmin, ymax - ymin, math.radians(degrees))
    return Shape(box, (*shape.repairs, (f"turned: by {degrees:.4g} degrees", ENCLOSED)), encloses=True)


def _outline(elements: Sequence[etree._Element]) -> Shape:
    """The box around all points of some outlines."""
    xs = [x for element in elements for x in _coordinates(element, "x")]
    ys = [y for element in elements for y in _coordinates(element, "y")]
    if not xs and not ys:
        raise UnusableShapeError("<bndbox> is missing", "draw its box")
    if len(xs) != len(ys) or len(xs) < 2:
        raise UnusableShapeError(f"not a polygon: {len(xs)} x and {len(ys)} y")
    return Shape((min(xs), min(ys), max(xs), max(ys)), ((f"polygon: of {len(xs)} points", ENCLOSED),), encloses=True)


def _coordinates(element: etree._Element, axis: str) -> list[float]:
    """All x or all y of an outline, in the order of its points."""
    leaves = [leaf for leaf in element.iter() if re.fullmatch(rf"{axis}\d*", str(leaf.tag))]
    if leaves:
        return _as_numbers([str(leaf.tag) for leaf in leaves], [leaf.text for leaf in leaves])
    points = [point.split(",") for point in re.split(r"[;\s]+", (element.text or "").strip()) if "," in point]
    return _as_numbers([axis] * len(points), [point["xy".index(axis)] for point in points])


def _refuse_useless(box: Box) -> None:
    xmin, ymin, xmax, ymax = box
    if not all(map(math.isfinite, box)):
        raise UnusableShapeError("not a number: the box that encloses it is endless")
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
