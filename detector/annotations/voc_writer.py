"""PASCAL VOC XML, written as LabelImg lays it out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lxml import etree

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class LabelledBox:
    """A class and its box (xmin, ymin, xmax, ymax) in pixels, as numbers or as text; None: an object without a box.

    truncated: cut by the edge. difficult: hard to tell, or many objects in one box.
    """

    name: str
    box: tuple[object, object, object, object] | None
    truncated: bool = False
    difficult: bool = False


def voc_xml(
    filename: str, size: tuple[int, int], boxes: Iterable[LabelledBox], *, folder: str, database: str = "Unknown"
) -> bytes:
    """The annotation of one RGB image of `size` (width, height). folder, database: where the image comes from."""
    root = etree.Element("annotation")
    _add(root, {"folder": folder, "filename": filename, "source": {"database": database}})
    _add(root, {"size": {"width": size[0], "height": size[1], "depth": 3}, "segmented": 0})
    for one in boxes:
        flags = {"pose": "Unspecified", "truncated": int(one.truncated), "difficult": int(one.difficult)}
        box = {"bndbox": dict(zip(_CORNERS, one.box, strict=True))} if one.box else {}
        _add(root, {"object": {"name": one.name, **flags, **box}})
    etree.indent(root, space="\t")
    return bytes(etree.tostring(root, encoding="utf-8")) + b"\n"


def _add(parent: etree._Element, content: Mapping[str, object]) -> None:
    """Append an element for each key; a mapping becomes its children."""
    for tag, value in content.items():
        element = etree.SubElement(parent, tag)
        if isinstance(value, Mapping):
            _add(element, value)
        else:
            element.text = str(value)
