"""One PASCAL VOC XML, read by tag name: the file name, the size and the boxes, with everything that is wrong in it.

Tools differ: tags in another case, in a namespace or a wrapper, shapes that are no boxes (shapes.py). All are read.
Problems are collected, not raised, so that a user sees all of them together. What a rule can repair is repaired and
listed; a box or file that cannot be used is listed as left out. Hostile XML is refused: a document type may stand
there, entities may not; nothing is loaded from disk or network.
"""

import codecs
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lxml import etree

from detector.annotations import shapes
from detector.annotations.shapes import Box, UnusableShapeError
from detector.base import naming

ERROR = "error"  # the dataset is refused
SKIPPED = "skipped"  # left out by the policy of params.yaml, and listed
REPAIRED = "repaired"  # fixed by rule, and listed
WARNING = "warning"  # taken as it is, and listed

ANGLES = "< or > in a class name"  # the kind of an object whose class is written otherwise
NOT_VOC = "not PASCAL VOC"  # the kind of an XML with another root
UNCHECKED = "drawn by a detector, checked by nobody"  # the kind of an XML that is as make prelabel wrote it
PRELABEL = "Passo: not checked yet"  # its <database>; LabelImg and others write their own when somebody saves the file
MAX_BYTES = 2**24  # of an XML: thousands of objects need less
MAX_OBJECTS = 10_000  # in an XML: of a photo that people have labelled, a crowd's
MAX_SIDE = 1_000_000  # pixels that <size> may give
_MOST_CLASSES = 100  # which an error lists; with more, those of ten thousand objects would fill the memory
MAX_DETECTIONS = 100  # in one image, as post_processing in the templates has it; COCO counts no more either


@dataclass(frozen=True)
class Problem:
    """What is wrong and what to do about it, or what was done; `item` is the object, or empty for the whole file.

    reason: its kind, then, after a colon, what was met: problems of one kind are counted together.
    """

    item: str
    reason: str
    remedy: str
    action: str = ERROR

    @property
    def kind(self) -> str:
        return self.reason.partition(": ")[0]


@dataclass(frozen=True)
class VocObject:
    """One labelled box; `item` names it in messages: its number in the file, from 1, and its class.

    is_crowd: marked as difficult: it is neither learned from, nor is a detector's answer there right or wrong.
    encloses: the box is larger than the shape that was drawn.
    """

    item: str
    name: str
    box: Box
    is_crowd: bool = False
    encloses: bool = False


@dataclass(frozen=True)
class Annotation:
    """The content of one XML; size is (width, height), or None where <size> is missing or makes no sense.

    class_names: of each object, in their order, those whose boxes are not sound among them.
    """

    filename: str
    size: tuple[int, int] | None
    objects: tuple[VocObject, ...]
    class_names: tuple[str, ...] = ()


def parse(content: bytes, classes: Collection[str] | None) -> tuple[Annotation | None, list[Problem]]:
    """An XML file's annotation, or None where it cannot be used, and everything that is wrong in it.

    Args:
        content: the file's bytes.
        classes: the names in the label map; None where they are not known.
    """
    root = _root(content)
    if isinstance(root, Problem):
        return None, [root]
    problems = _plain_tags(root)
    if root.tag != "annotation":
        reason = f"{NOT_VOC}: its root is <{root.tag}>, not <annotation>"
        return None, [Problem("", reason, "export it as PASCAL VOC", SKIPPED)]
    elements, wrapped = _object_elements(root)
    problems += wrapped
    if len(elements) > MAX_OBJECTS:
        reason = f"too many objects: {len(elements):,}, and at most {MAX_OBJECTS:,} are read"
        return None, [Problem("", reason, "cut the photo into parts", SKIPPED)]
    if _text(root, "source/database") == PRELABEL and root.get("verified") != "yes":
        problems.append(Problem("", UNCHECKED, "taken as it is; look at its boxes, and save it", WARNING))
    objects, names = [], []
    for number, element in enumerate(elements, start=1):
        name, labelled, faults = _object(element, number, classes)
        names += [name] if name else []
        objects += [labelled] if labelled else []
        problems += faults
    objects, twice = _once(objects)
    if len(objects) > MAX_DETECTIONS:
        remedy = f"a detector reports at most {MAX_DETECTIONS} in an image"
        problems.append(Problem("", f"many objects: {len(objects)}", remedy, WARNING))
    filename = (_text(root, "filename") or "").strip()
    return Annotation(filename, _size(root), tuple(objects), tuple(names)), [*problems, *twice]


def _root(content: bytes) -> etree._Element | Problem:
    if len(content) > MAX_BYTES:
        return Problem("", f"too large: {len(content):,} bytes", "export it again", SKIPPED)
    try:
        root = etree.fromstring(_trimmed(content), _parser())
    except etree.XMLSyntaxError as error:
        return Problem("", f"broken XML: {error.msg}", "fix it, or export it again", SKIPPED)
    if _holds_entities(root):
        return Problem("", "holds entities: in its <!DOCTYPE>", "remove them; they are never expanded", SKIPPED)
    return root


def _holds_entities(root: etree._Element) -> bool:
    """Whether any entity is declared, or used: without a document type neither is possible."""
    doctype: Any = root.getroottree().docinfo.internalDTD
    return doctype is not None and (bool(doctype.entities()) or any(True for _ in root.iter(etree.Entity)))


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def _trimmed(content: bytes) -> bytes:
    """Without the blank lines before an XML declaration that some writers leave, which XML does not allow."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content
    return content.removeprefix(codecs.BOM_UTF8).lstrip()


def _plain_tags(root: etree._Element) -> list[Problem]:
    """Give every element its local name in lower case as tag; a namespace is reported."""
    namespaced = ""
    for element in root.iter("*"):
        tag = str(element.tag)
        if tag.startswith("{") or not tag.islower():
            name = etree.QName(tag)
            namespaced = namespaced or name.namespace or ""
            element.tag = name.localname.lower()
    return [Problem("", f"in a namespace: {namespaced}", "read without it", REPAIRED)] if namespaced else []


def _object_elements(root: etree._Element) -> tuple[list[etree._Element], list[Problem]]:
    """The <object>s at any depth, but for those inside of others, and inside of <part>s."""
    everywhere, problems = list(root.iter("object")), []
    elements = [one for one in everywhere if one.getparent() is root or not _is_inside(one)]
    if wrapped := sum(one.getparent() is not root for one in elements):
        problems.append(Problem("", f"nested: {wrapped} <object> below another tag", "read there", REPAIRED))
    if inside := len(everywhere) - len(elements):
        reason = f"objects inside of objects: {inside}"
        problems.append(Problem("", reason, "passed over; put each <object> below <annotation>", WARNING))
    return elements, problems


def _is_inside(element: etree._Element) -> bool:
    return any(parent.tag in ("object", "part") for parent in element.iterancestors())


def _text(root: etree._Element, tag: str) -> str | None:
    return root.findtext(tag) or root.findtext(f".//{tag}")


def _size(root: etree._Element) -> tuple[int, int] | None:
    width, height = (shapes.number(root.findtext(f"size/{tag}")) for tag in ("width", "height"))
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        return None
    return int(width), int(height)


def _object(
    element: etree._Element, number: int, classes: Collection[str] | None
) -> tuple[str, VocObject | None, list[Problem]]:
    """The class name of an object, the object where it is sound, and what is wrong in it or was repaired."""
    written = (element.findtext("name") or "").strip()
    item = f"object {number} ({written})" if written else f"object {number}"
    name, problems = _class_name(written, classes, item)
    if _is_set(element, "deleted"):
        return "", None, [Problem(item, "deleted", "passed over, as it is marked", WARNING)]
    try:
        shape = shapes.read(element)
    except UnusableShapeError as unusable:
        return name, None, [*problems, Problem(item, unusable.reason, unusable.remedy, SKIPPED)]
    problems += [Problem(item, reason, done, REPAIRED) for reason, done in shape.repairs]
    is_crowd = _is_set(element, "difficult")
    return name, VocObject(item, name, shape.box, is_crowd, shape.encloses) if name else None, problems


def _is_set(element: etree._Element, tag: str) -> bool:
    return (element.findtext(tag) or "").strip().casefold() in ("1", "true")


def _class_name(written: str, classes: Collection[str] | None, item: str) -> tuple[str, list[Problem]]:
    """The name as the label map spells it.

    Letters with accents have two forms in Unicode, which look the same; no label map has < and > (naming.py).
    """
    plain = unicodedata.normalize("NFC", written)
    name = naming.fitted(plain)
    if not name:
        return "", [Problem(item, "<name> is missing", "add it", SKIPPED)]
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        return "", [Problem(item, "<name> holds a control character", "type it again", SKIPPED)]
    if classes is None:
        return name, [] if name == plain else [Problem(item, ANGLES, f"taken as {name}", REPAIRED)]
    if written in classes:
        return written, []
    for known in classes:
        if unicodedata.normalize("NFC", known) == name:
            reason = "another Unicode form of a class name" if name == plain else ANGLES
            return known, [Problem(item, reason, f"taken as {known}", REPAIRED)]
    more = ", ..." if len(classes) > _MOST_CLASSES else ""
    remedy = f"the label map has {', '.join(islice(classes, _MOST_CLASSES))}{more}: rename it, or add it there"
    return name, [Problem(item, f"unknown class {name}", remedy)]


def _once(objects: Iterable[VocObject]) -> tuple[list[VocObject], list[Problem]]:
    """The objects, of those with the same class and box the first."""
    first: dict[tuple[str, Box], VocObject] = {}
    problems = []
    for one in objects:
        same = first.setdefault((one.name, one.box), one)
        if same is not one:
            problems.append(Problem(one.item, f"drawn twice: the same box as {same.item}", "one is kept", REPAIRED))
    return list(first.values()), problems
