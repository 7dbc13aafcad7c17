"""Corners in pixels, in a .txt for each photo with an object a line.

Cat 10 20 110.5 220                                             OIDv4's toolkit, mAP: class, xmin, ymin, xmax, ymax
Car 0.00 0 -1.58 587.0 173.3 614.1 200.1 1.65 1.67 3.64 ...     KITTI: class, truncated, occluded, angle, then these

A class of OIDv4's may have spaces; its files are in a folder Label beside the photos. An image of Open Images lies in
the folder of each of its classes, with the boxes of that class alone: it is taken once, with all. KITTI's label_2/x.txt
is of image_2/x.png; its regions DontCare are left out. An empty file is a photo without objects.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from detector.annotations import shapes
from detector.base.errors import UserError
from tools.importing import splits
from tools.importing.formats import labelled, text
from tools.importing.formats.folder import Folder
from tools.importing.formats.labelled import Box, Findings, Labels, Reading

_NUMBER = labelled.NUMBER
_FOUR = rf"(?P<corners>{_NUMBER}(?:\s+{_NUMBER}){{3}})"
_LINES = {
    "KITTI": re.compile(
        rf"(?P<name>[A-Za-z]\S*)\s+(?P<truncated>{_NUMBER})\s+-?\d\s+{_NUMBER}\s+{_FOUR}(?:\s+{_NUMBER}){{7,8}}"
    ),
    "OIDv4": re.compile(rf"(?P<name>\S.*?)\s+{_FOUR}(?P<difficult>\s+difficult)?"),
}
_MOST_SHARE = 4  # of a photo's side: a larger number is in pixels
_LONGEST = 500  # letters of a line
_IMAGE_ID = re.compile("[0-9a-f]{16}")  # of Open Images
_DONT_CARE = "DontCare"
_TAKEN = "the same image is taken, with all its boxes, from the folder of another class"


def kind(lines: list[str]) -> str:
    """KITTI or OIDv4, where most of the first lines of a text are so, and one is surely in pixels; else empty."""
    some = [line.strip() for line in lines[:50] if line.strip()]
    for name in _LINES:
        matches = [match for line in some if (match := _match(name, line))]
        if len(matches) * 2 > len(some) and any(max(_corners(match)) > _MOST_SHARE for match in matches):
            return name
    return ""


def _match(name: str, line: str) -> re.Match[str] | None:
    """The parts of a line; a number behind the class is a score, or a polygon's."""
    match = _LINES[name].fullmatch(line) if len(line) < _LONGEST else None
    return match if match and math.isnan(shapes.number(match["name"].split()[-1])) else None


def _corners(match: re.Match[str]) -> labelled.Corners:
    xmin, ymin, xmax, ymax = map(float, match["corners"].split())
    return xmin, ymin, xmax, ymax


def kitti(folder: Folder, files: list[str], findings: Findings) -> Reading:
    """The labels of KITTI's files."""
    return _read("KITTI", folder, files, findings)


def oidv4(folder: Folder, files: list[str], findings: Findings) -> Reading:
    """The labels of files as OIDv4's toolkit writes them."""
    return _read("OIDv4", folder, files, findings)


def _read(kind: str, folder: Folder, files: list[str], findings: Findings) -> Reading:
    places = {name.rpartition("/")[0] for name in files}
    texts = (name for name in folder.others if name.lower().endswith(".txt") and name.rpartition("/")[0] in places)
    empty = [name for name in texts if not folder.head(name).strip()]
    labels = [_labels(kind, folder, name, findings) for name in sorted({*files, *empty})]
    boxes = [box.corners for one in labels for box in one.boxes if box.corners]
    inverted = [one.file for one in labels for box in one.boxes if box.corners and _is_inverted(box.corners)]
    if len(inverted) * 10 > len(boxes):
        reason = f"the last two numbers are smaller than the two before them in {len(inverted)} of {len(boxes)} boxes"
        findings.error(inverted[0], "", reason, "write each line as: class xmin ymin xmax ymax, in pixels")
    labels = list(_of_all_classes(labels))
    return Reading(labels, labelled.sorted_names(labels))


def _is_inverted(corners: labelled.Corners) -> bool:
    xmin, ymin, xmax, ymax = corners
    return xmax < xmin or ymax < ymin


def _labels(kind: str, folder: Folder, name: str, findings: Findings) -> Labels:
    photo, split = _photo(name), splits.of_folders(name)
    try:
        content = text.read(folder.path(name), name)
    except UserError as error:
        return Labels(photo, name, "", (), split=split, fault=error)
    boxes = []
    for number, line in enumerate(content.splitlines(), start=1):
        if not (line := line.strip()):
            continue
        if not (match := _match(kind, line)):
            findings.note(name, f"line {number}", "not a class and its numbers", labelled.LOST)
            boxes.append(Box("", None))
        elif match["name"] == _DONT_CARE:
            findings.note(name, f"line {number}", f"a region {_DONT_CARE}", "left out")
        else:
            parts = match.groupdict()
            is_truncated = shapes.number(parts.get("truncated")) > 0
            boxes.append(Box(match["name"], _corners(match), bool(parts.get("difficult")), is_truncated))
    return Labels(photo, name, "", tuple(boxes), split=split)


def _photo(name: str) -> str:
    """The photo of a label file, from its folder: beside it, beside its folder Label, or in image_2/ for label_2/."""
    above, _, file = name.rpartition("/")
    own, stem = above.rpartition("/")[2], file.rpartition(".")[0]
    if own.lower() == "label":
        return f"../{stem}"
    images = own.replace("label", "image").replace("Label", "Image")
    return f"../{images}/{stem}" if images != own else stem


def _of_all_classes(labels: list[Labels]) -> Iterator[Labels]:
    """The labels; of an image of Open Images in several folders of classes, all its boxes are those of the first."""
    same: dict[tuple[str, str], list[Labels]] = defaultdict(list)
    for one in labels:
        folder, _, stem = one.photo.rpartition("/")
        is_image = folder == ".." and _IMAGE_ID.fullmatch(stem)
        same[(one.split, stem) if is_image else (one.file, "")].append(one)
    for first, *others in same.values():
        yield replace(first, boxes=tuple(box for one in (first, *others) for box in one.boxes))
        for one in others:
            yield replace(one, boxes=(), fault=UserError(one.file, _TAKEN, f"see {first.file}"))
