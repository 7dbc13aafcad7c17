"""What a file is, by its content: which format's label file, or something that cannot be taken.

A suffix only says how to look: JSON by its keys, XML by its first tag, tables by their first line, .txt by its lines.
"""

import re
from collections import defaultdict
from pathlib import PurePosixPath

from detector.base.errors import UserError
from tools.importing.formats import pixels, tables, text, yolo
from tools.importing.formats.folder import Folder

_TAG = re.compile(r"<([A-Za-z_][\w.:-]*)")
_Keys = dict[str, list[tuple[str, ...]]]
_JSON: _Keys = {  # format: keys that must all be somewhere, or others that must
    "COCO": [("images", "annotations")],
    "LabelMe": [("shapes", "imagePath"), ("shapes", "imageData"), ("shapes", "imageHeight")],
    "VIA": [("_via_img_metadata",), ("filename", "regions", "file_attributes"), ("regions", "shape_attributes")],
    "VIA 3": [("vid", "xy", "av")],
    "Supervisely": [("classTitle", "objects")],
    "VoTT": [("assets", "regions"), ("asset", "regions")],
    "Datumaro": [("items", "media_type"), ("items", "categories", "annotations")],
}
_JSON_LISTS: _Keys = {
    "Label Studio": [("annotations", "data", "id"), ("original_width", "rectanglelabels")],
    "CreateML": [("coordinates", "image"), ("coordinates", "imagefilename"), ("annotations", "image")],
    "COCO results": [("image_id", "category_id", "bbox")],
}
_TEXTS = {  # format: how its text begins
    "DOTA": re.compile(r"(imagesource:.*\n)?(gsd:.*\n)?(-?[\d.]+\s+){8}[A-Za-z]\S*([ \t]+\d)?[ \t]*(\n|$)"),
    "WIDER FACE": re.compile(r".+\.(?i:jpe?g|png|bmp)[ \t]*\n[ \t]*\d+[ \t]*\n[ \t]*-?\d+([ \t]+-?\d+){3,}"),
    "keras-yolo3": re.compile(r"\S.*\.(?i:jpe?g|png|bmp)([ \t]+-?[\d.]+(,-?[\d.]+){4})+"),
    "VisDrone": re.compile(r"-?\d+(,-?\d+){7},?[ \t]*(\n|$)"),
    "MOT": re.compile(r"\d+(,[ ]*-?[\d.]+){8,9}[ \t]*(\n|$)"),
    "ICDAR": re.compile(r"-?\d+(,-?\d+){7},.+"),
}
UNSUPPORTED = {  # what to do with what is known, but not read
    "VIA 3": "export it as COCO from VIA",
    "Supervisely": "export it as COCO or PASCAL VOC from Supervisely",
    "VoTT": "export it as PASCAL VOC or CSV from VoTT",
    "Datumaro": "export it as COCO, VOC or YOLO: datum convert -f coco",
    "COCO results": "these are detections of a model; give the labels",
    **dict.fromkeys(_TEXTS, "convert it to COCO or PASCAL VOC"),
}


def by_format(folder: Folder) -> dict[str, list[str]]:
    """{format: its label files}, each sorted; formats of `UNSUPPORTED` among them, unknown files not."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in folder.others:
        if kind := _kind(folder, name):
            found[kind].append(name)
    return dict(found)


def _kind(folder: Folder, name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in (".json", ".geojson", ".csv", ".tsv", ".tab", ".txt", ".xml"):
        return ""
    head = folder.head(name)
    utf16 = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    start = head.decode("utf-16" if utf16 else "utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    if start[:1] in ("{", "["):
        return _json(folder, name, start[:1])
    if suffix == ".xml":
        tag = _TAG.search(re.sub("<!--.*?-->", "", start, flags=re.DOTALL))
        return "CVAT" if tag and tag[1] == "annotations" else ""
    return _text(name, start)


def _json(folder: Folder, name: str, bracket: str) -> str:
    try:
        content = text.read(folder.path(name), name)
    except UserError:
        content = folder.head(name).decode(errors="replace")  # its reader will say what is wrong
    kinds = _JSON if bracket == "{" else _JSON_LISTS
    return next((kind for kind, sets in kinds.items() if any(_holds(content, keys) for keys in sets)), "")


def _holds(content: str, keys: tuple[str, ...]) -> bool:
    return all(f'"{key}"' in content for key in keys)


def _text(name: str, start: str) -> str:
    """Of tables and label files in text: `start` may end within a line."""
    lines = start.splitlines()[: None if len(start) < 1000 else -1]
    first = lines[0] if lines else ""
    if "region_shape_attributes" in first:
        return "VIA"
    if tables.layout(start):
        return "CSV"
    if not name.lower().endswith(".txt") or yolo.is_names(name):
        return ""
    known = next((kind for kind, pattern in _TEXTS.items() if pattern.match("\n".join(lines))), "")
    return known or pixels.kind(lines) or ("YOLO" if yolo.is_labels("\n".join(lines)) else "")
