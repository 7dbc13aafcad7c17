"""CVAT's own XML ("CVAT for images 1.1"): boxes, turned ones too, and the enclosing boxes of polygons, ellipses, masks.

The split is the image's `subset`. Video tracks, points and lines are named and left out.
"""

from collections.abc import Iterator

from lxml import etree

from detector.annotations import shapes
from detector.base.errors import UserError
from tools.importing import splits
from tools.importing.formats import labelled, text
from tools.importing.formats.folder import Folder
from tools.importing.formats.labelled import Box, Corners, Findings, Labels, Reading

_SHAPES = ("box", "polygon", "ellipse", "mask", "polyline", "points", "cuboid", "skeleton")


def read(folder: Folder, files: list[str], findings: Findings) -> Reading:
    """The labels of some CVAT files of one dataset."""
    labels: list[Labels] = []
    names: dict[str, None] = {}
    for name in files:
        try:
            for element in _elements(folder, name):
                if element.tag == "label":
                    names |= dict.fromkeys(filter(None, [(element.findtext("name") or "").strip()]))
                elif element.tag == "track":
                    reason = "a track of a video"
                    findings.note(name, "", reason, "left out; export the task's frames as CVAT for images, or COCO")
                elif element.get("name"):
                    labels.append(_labels(element, name, findings))
                else:
                    findings.error(name, f"image {element.get('id')}", "has no name", "export it again")
        except UserError as error:
            findings.errors.append(error)
    return Reading(labels, list(names | dict.fromkeys(labelled.sorted_names(labels))))


def _elements(folder: Folder, name: str) -> Iterator[etree._Element]:
    """The images, tracks and declared labels of a file, each forgotten once it was seen."""
    path = folder.path(name)
    if path.stat().st_size > text.MOST_BYTES:
        raise UserError(name, f"has more than {text.MOST_BYTES:,} bytes", "split it")
    options = {"resolve_entities": False, "load_dtd": False, "no_network": True, "huge_tree": False}
    try:
        with path.open("rb") as file:
            for event, element in etree.iterparse(file, events=("start", "end"), remove_comments=True, **options):
                if event == "start":
                    if element.getparent() is None and element.getroottree().docinfo.internalDTD is not None:
                        raise UserError(name, "holds a document type (<!DOCTYPE>)", "remove it")
                elif element.tag in ("image", "track") or _is_declared(element):
                    yield element
                    element.clear()
    except etree.XMLSyntaxError as error:
        raise UserError(name, f"broken XML: {error.msg}", "export it again") from None
    except OSError as error:
        raise UserError(name, f"cannot be read: {error.strerror}", "fix its permissions") from error


def _is_declared(element: etree._Element) -> bool:
    parent = element.getparent()
    return element.tag == "label" and parent is not None and parent.tag == "labels"


def _labels(image: etree._Element, name: str, findings: Findings) -> Labels:
    boxes = []
    for index, shape in enumerate((one for one in image if one.tag in _SHAPES), start=1):
        item = f"{image.get('name')}: {shape.tag} {index}"
        corners = _corners(shape)
        if corners is None:
            findings.note(name, item, f"a {shape.tag} that makes no box", labelled.LOST)
        elif shape.tag != "box" or shapes.number(shape.get("rotation", "0")):
            findings.note(name, item, "a polygon, mask, ellipse or turned box", labelled.ENCLOSING)
        boxes.append(Box(labelled.name(shape.get("label")), corners))
    size = labelled.size(image.get("width"), image.get("height"))
    split = splits.mentioned(image.get("subset", ""))
    return Labels(image.get("name", ""), name, f"image {image.get('id')}", tuple(boxes), size, split)


def _corners(shape: etree._Element) -> Corners | None:
    degrees = shapes.number(shape.get("rotation", "0"))
    if shape.tag == "box":
        xtl, ytl, xbr, ybr = _numbers(shape, "xtl", "ytl", "xbr", "ybr")
        return shapes.turned((xtl, ytl, xbr, ybr), degrees) if degrees else (xtl, ytl, xbr, ybr)
    if shape.tag == "ellipse":
        cx, cy, rx, ry = _numbers(shape, "cx", "cy", "rx", "ry")
        return labelled.ellipse(cx, cy, rx, ry, degrees)
    if shape.tag == "mask":
        left, top, width, height = _numbers(shape, "left", "top", "width", "height")
        return shapes.enclosing([(left, top), (left + width, top + height)])
    if shape.tag == "polygon":
        pairs = [point.split(",") for point in shape.get("points", "").split(";")]
        return shapes.enclosing([(shapes.number(pair[0]), shapes.number(pair[-1])) for pair in pairs])
    return None


def _numbers(shape: etree._Element, *names: str) -> list[float]:
    return [shapes.number(shape.get(name)) for name in names]
