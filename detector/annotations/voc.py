"""One PASCAL VOC XML, read by tag name: the file name, the size and the boxes, with everything that is wrong in it.

Problems are collected, not raised, so that a user sees all of them together. What a rule can repair is repaired and
listed. Hostile XML is refused: no document type, hence no entities; nothing is loaded from disk or network.
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from lxml import etree

ERROR = "error"  # the dataset is refused
SKIPPED = "skipped"  # left out by the policy of params.yaml, and listed
REPAIRED = "repaired"  # fixed by rule, and listed
WARNING = "warning"  # taken as it is, and listed

CORNERS = ("xmin", "ymin", "xmax", "ymax")
TOLERANCE = 1.0  # pixels that a box may reach over the edge (tools that count from 1, or round); it is clipped
SMALLEST = 0.01  # pixels: a box less wide or high has no extent left in the records' float32
MAX_DETECTIONS = 100  # in one image, as post_processing in the templates has it; COCO counts no more either

REDRAW = "draw its box again"
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
    """One labelled box; `item` names it in messages: its number in the file, from 1, and its class.

    is_crowd: marked as difficult: it is neither learned from, nor is a detector's answer there right or wrong.
    """

    item: str
    name: str
    box: Box
    is_crowd: bool = False


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
        classes: the names in the label map; None where they are not known.
    """
    try:
        root = etree.fromstring(content, _parser())
    except etree.XMLSyntaxError as error:
        return None, [Problem("", f"broken XML: {error.msg}", "fix it, or export it again")]
    if root.getroottree().docinfo.internalDTD is not None:
        return None, [Problem("", "holds a document type (<!DOCTYPE>)", "remove it; entities are never expanded")]
    if root.tag != "annotation":
        return None, [Problem("", f"its root is <{root.tag}>, not <annotation>", "export it as PASCAL VOC")]
    problems = []
    filename = (root.findtext("filename") or "").strip()
    if not filename:
        problems.append(Problem("", "<filename> is missing", "add it"))
    objects = []
    for number, element in enumerate(root.findall("object"), start=1):
        labelled, faults = _object(element, number, classes)
        objects += [labelled] if labelled else []
        problems += faults
    if len(objects) > MAX_DETECTIONS:
        remedy = f"a detector reports at most {MAX_DETECTIONS} in an image"
        problems.append(Problem("", f"{len(objects)} objects", remedy, WARNING))
    return Annotation(filename, _size(root), tuple(objects)), problems


def fit(annotation: Annotation, size: tuple[int, int]) -> tuple[Annotation, list[Problem]]:
    """The annotation with every box inside a picture of `size` (width, height): clipped, or listed as an error."""
    objects, problems = [], []
    for labelled in annotation.objects:
        box, fault = _fitted(labelled, size)
        objects.append(replace(labelled, box=box))
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
        problems.append(Problem(item, "<name> is missing", "add it"))
    elif classes is not None and name not in classes:
        names = ", ".join(classes)
        problems.append(
            Problem(item, f"unknown class {name}", f"the label map has {names}: rename it, or add it there")
        )
    box, faults = _box(element.find("bndbox"), item)
    return (VocObject(item, name, box) if box else None), problems + faults


def _box(element: etree._Element | None, item: str) -> tuple[Box | None, list[Problem]]:
    if element is None:
        return None, [Problem(item, "<bndbox> is missing", "draw its box")]
    corners, faults = [], []
    for tag in CORNERS:
        text = element.findtext(tag)
        value = _number(text)
        if value is None:
            reason = f"<{tag}> is missing" if text is None else f"{tag} {text.strip()!r} is not a number"
            faults.append(Problem(item, reason, REDRAW))
        else:
            corners.append(value)
    if faults:
        return None, faults
    xmin, ymin, xmax, ymax = corners
    faults = [*_side_faults("xmin", xmin, "xmax", xmax, item), *_side_faults("ymin", ymin, "ymax", ymax, item)]
    return (None if faults else (xmin, ymin, xmax, ymax)), faults


def _side_faults(low: str, start: float, high: str, end: float, item: str) -> Iterator[Problem]:
    """What is wrong with one side of a box, from `start` to `end`, by the names of its tags."""
    if start > end:
        where = "left of" if low == "xmin" else "above"
        reason = f"inverted: {low} {start:g} is not {where} {high} {end:g}"
        yield Problem(item, reason, "swap them or draw its box again")
    elif start == end:
        yield Problem(item, f"empty: {low} and {high} are both {start:g}", REDRAW)
    elif end - start < SMALLEST:
        yield Problem(item, f"empty: {low} and {high} are {end - start:g} px apart", REDRAW)


def _fitted(labelled: VocObject, size: tuple[int, int]) -> tuple[Box, Problem | None]:
    (xmin, ymin, xmax, ymax), (width, height) = labelled.box, size
    box = (max(xmin, 0.0), max(ymin, 0.0), min(xmax, float(width)), min(ymax, float(height)))
    over = max(abs(after - before) for after, before in zip(box, labelled.box, strict=True))
    if over == 0:
        return box, None
    reason = f"box [{xmin:g}, {ymin:g}, {xmax:g}, {ymax:g}] is {over:g} px outside the {width}x{height} image"
    if over > TOLERANCE or min(box[2] - box[0], box[3] - box[1]) < SMALLEST:
        return labelled.box, Problem(labelled.item, reason, REDRAW)
    return box, Problem(labelled.item, reason, "clipped", REPAIRED)
