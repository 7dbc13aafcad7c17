"""PASCAL VOC XML, written as LabelImg lays it out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lxml import etree


@dataclass(frozen=True)
class LabelledBox:
    """A class and its box (xmin, ymin, xmax, ymax) in pixels, as numbers or as text. truncated: cut by the edge."""

    name: str
    box: tuple[object, object, object, object]
    truncated: bool = False


def voc_xml(
    filename: str, size: tuple[int, int], boxes: Iterable[LabelledBox], *, folder: str, database: str = "Unknown"
) -> bytes:
    """The annotation of one RGB image of `size` (width, height). folder, database: where the image comes from."""
    root = etree.Element("annotation")
    _add(root, {"folder": folder, "filename": filename, "source": {"database": database}})
    _add(root, {"size": {"width": size[0], "height": size[1], "depth": 3}, "segmented": 0})
    for one in boxes:
        xmin, ymin, xmax, ymax = one.box
        corners = {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}
        flags = {"pose": "Unspecified", "truncated": int(one.truncated), "difficult": 0}
        _add(root, {"object": {"name": one.name, **flags, "bndbox": corners}})
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
