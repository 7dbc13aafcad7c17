"""One PASCAL VOC XML, read by tag name: the file name, the size and the boxes, with everything that is wrong in it.

Problems are collected, not raised, so that a user sees all of them at once. What a rule can repair is repaired and
listed. Hostile XML is refused: no document type, hence no entities; nothing is loaded from disk or network.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from lxml import etree

ERROR = "error"  # the dataset is refused
REPAIRED = "repaired"  # mended by rule, and listed
WARNING = "warning"  # taken as it is, and listed

CORNERS = ("xmin", "ymin", "xmax", "ymax")
TOLERANCE = 1.0  # pixels that a box may reach over the edge (tools that count from 1, or round); it is clipped
SMALLEST = 0.01  # pixels: a box less wide or high has no extent left in the records' float32
MAX_OBJECTS = 100  # of one image: the Object Detection API takes no notice of more

Box = tuple[float, float, float, float]  # pixels, (xmin, ymin, xmax, ymax)


@dataclass(frozen=True)
class Problem:
    """What is wrong and what to do about it; `item` is the object at fault, or empty for the whole file."""

    item: str
    reason: str
    remedy: str
    action: str = ERROR


@dataclass(frozen=True)
class VocObject:
    """One labelled box; `item` names it in messages: its number in the file, from 1, and its class."""

    item: str
    name: str
    box: Box


@dataclass(frozen=True)
class Annotation:
    """The content of one XML; size is (width, height), or None where <size> is missing or makes no sense."""

    filename: str
    size: tuple[int, int] | None
    objects: tuple[VocObject, ...]


def parse(content: bytes, classes: Collection[str] | None) -> tuple[Annotation | None, list[Problem]]:
    """An XML file's annotation, or None where it cannot be read, and everything that is wrong in it.

    Args:
        content: the file's bytes.
        classes: the names that the label map holds; None where they are not known.
    """
    try:
        root = etree.fromstring(content, _parser())
    except etree.XMLSyntaxError as error:
        return None, [Problem("", f"broken XML: {error.msg}", "mend it, or export it again")]
    if root.getroottree().docinfo.internalDTD is not None:
        return None, [Problem("", "holds a document type (<!DOCTYPE>)", "take it out; entities are never expanded")]
    if root.tag != "annotation":
        return None, [Problem("", f"its root is <{root.tag}>, not <annotation>", "export it as PASCAL VOC")]
    problems = []
    filename = (root.findtext("filename") or "").strip()
    if not filename:
        problems.append(Problem("", "lacks <filename>", "add it"))
    objects = []
    for number, element in enumerate(root.findall("object"), start=1):
        found, faults = _object(element, number, classes)
        objects += [found] if found else []
        problems += faults
    if len(objects) > MAX_OBJECTS:
        problems.append(Problem("", f"{len(objects)} objects", f"training sees {MAX_OBJECTS} an image", WARNING))
    return Annotation(filename, _size(root), tuple(objects)), problems


def fit(annotation: Annotation, size: tuple[int, int]) -> tuple[Annotation, list[Problem]]:
    """The annotation with every box inside a picture of `size` (width, height): clipped, or listed as an error."""
    objects, problems = [], []
    for found in annotation.objects:
        box, fault = _fitted(found, size)
        objects.append(replace(found, box=box))
        problems += [fault] if fault else []
    return replace(annotation, size=size, objects=tuple(objects)), problems


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def _size(root: etree._Element) -> tuple[int, int] | None:
    width, height = (_number(root.findtext(f"size/{tag}")) for tag in ("width", "height"))
    if width is None or height is None or width < 1 or height < 1:
        return None
    return int(width), int(height)


def _number(text: str | None) -> float | None:
    """A finite number, or None; `float` alone would also take 1_000, nan and inf."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in str(text) else None


def _object(
    element: etree._Element, number: int, classes: Collection[str] | None
) -> tuple[VocObject | None, list[Problem]]:
    name = (element.findtext("name") or "").strip()
    item = f"object {number} ({name})" if name else f"object {number}"
    problems = []
    if not name:
        problems.append(Problem(item, "lacks <name>", "add it"))
    elif classes is not None and name not in classes:
        names = ", ".join(classes)
        problems.append(
            Problem(item, f"unknown class {name}", f"the label map has {names}: rename it, or add it there")
        )
    box, faults = _box(element.find("bndbox"), item)
    return (VocObject(item, name, box) if box else None), problems + faults


def _box(element: etree._Element | None, item: str) -> tuple[Box | None, list[Problem]]:
    if element is None:
        return None, [Problem(item, "lacks <bndbox>", "draw its box")]
    texts = {tag: element.findtext(tag) for tag in CORNERS}
    missing = [Problem(item, f"lacks <{tag}>", "draw its box again") for tag, text in texts.items() if text is None]
    numbers = {tag: _number(text) for tag, text in texts.items()}
    for tag, text in texts.items():
        if text is not None and numbers[tag] is None:
            missing.append(Problem(item, f"{tag} {text.strip()!r} is not a number", "draw its box again"))
    xmin, ymin, xmax, ymax = numbers.values()
    if xmin is None or ymin is None or xmax is None or ymax is None:
        return None, missing
    box = (xmin, ymin, xmax, ymax)
    faults = _order_faults(box, item)
    return (None if faults else box), faults


def _order_faults(box: Box, item: str) -> list[Problem]:
    faults = []
    for low, high, where in (("xmin", "xmax", "left of"), ("ymin", "ymax", "above")):
        start, end = box[CORNERS.index(low)], box[CORNERS.index(high)]
        if start == end:
            faults.append(Problem(item, f"empty: {low} and {high} are both {start:g}", "draw its box again"))
        elif 0 < end - start < SMALLEST:
            reason = f"empty: {low} and {high} are {end - start:g} px apart"
            faults.append(Problem(item, reason, "draw its box again"))
        elif start > end:
            reason = f"inverted: {low} {start:g} is not {where} {high} {end:g}"
            faults.append(Problem(item, reason, "swap them or draw its box again"))
    return faults


def _fitted(found: VocObject, size: tuple[int, int]) -> tuple[Box, Problem | None]:
    (xmin, ymin, xmax, ymax), (width, height) = found.box, size
    box = (max(xmin, 0.0), max(ymin, 0.0), min(xmax, float(width)), min(ymax, float(height)))
    over = max(abs(inside - given) for inside, given in zip(box, found.box, strict=True))
    if over == 0:
        return box, None
    reason = f"box [{xmin:g}, {ymin:g}, {xmax:g}, {ymax:g}] is {over:g} px outside the {width}x{height} image"
    if over > TOLERANCE or min(box[2] - box[0], box[3] - box[1]) < SMALLEST:
        return found.box, Problem(found.item, reason, "draw its box again")
    return box, Problem(found.item, reason, "clipped", REPAIRED)
