"""A tree of photos with labels in any format but PASCAL VOC's XML -> for each photo its boxes, as VOC XML.

    for dataset in read(trees.walk(Path("photos"))).datasets: ...

A label file is known by its content, its photos by pairing.py's rules. Unsound boxes are passed on as they are: whoever
reads the XML decides about them, for all formats alike. What is left out is listed.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from detector.annotations.voc_writer import LabelledBox, voc_xml
from detector.base.errors import UserError
from detector.pictures import images
from tools.importing.formats import (
    coco,
    create_ml,
    cvat,
    label_studio,
    labelled,
    labelme,
    matching,
    pixels,
    sniffing,
    tables,
    via,
    yolo,
)
from tools.importing.formats.folder import Folder
from tools.importing.formats.labelled import Box, Finding, Findings, Labels, Reading, Size
from tools.importing.tree import Tree

Reader = Callable[[Folder, list[str], Findings], Reading]
READERS: dict[str, Reader] = {  # in the order of what they keep: of two that label the same photos, take the first
    "COCO": coco.read,
    "CVAT": cvat.read,
    "VIA": via.read,
    "LabelMe": labelme.read,
    "Label Studio": label_studio.read,
    "CreateML": create_ml.read,
    "KITTI": pixels.kitti,
    "OIDv4": pixels.oidv4,
    "YOLO": yolo.read,
    "CSV": tables.read,
}
_UNFIT = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")  # what XML cannot hold, or not as it is
_ORDER = ("test", "val", "train", "")  # of a photo in two splits: the first is its own


@dataclass(frozen=True)
class Photo:
    """A photo with its labels.

    path: of its file. size: (width, height) in pixels of the picture that the boxes were drawn on. boxes: in pixels.
    file: its label file, below the root. source: that, and where in it.
    split: train, val or test; empty where nothing says it.
    """

    path: Path
    size: Size
    boxes: tuple[Box, ...]
    file: str
    source: str
    split: str

    def xml(self, filename: str) -> bytes:
        """Its VOC XML, under the name that the photo is going to have; numbers keep all their digits."""
        boxes = [
            LabelledBox(box.name, box.corners and _texts(box.corners), box.truncated, box.difficult)
            for box in self.boxes
        ]
        return voc_xml(filename, self.size, boxes, folder="")


@dataclass(frozen=True)
class Dataset:
    """The labels of one format.

    format: its name. files: its label files, below the root. photos: sorted by path. unusable: {photo: why its labels
    cannot be used}, which must not be taken for photos without labels. names: classes in the order of the format's ids.
    descriptions: files that only say what classes are called, or which photos are in a split.
    errors: the meaning is in doubt; nothing may be imported. notes: what was left out, or taken otherwise than written.
    """

    format: str
    files: tuple[str, ...]
    photos: tuple[Photo, ...]
    unusable: Mapping[Path, UserError]
    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    errors: tuple[UserError, ...]
    notes: tuple[Finding, ...]


@dataclass(frozen=True)
class Contents:
    """What a tree holds. datasets: one for each format, those that keep most first. notes: what cannot be taken."""

    datasets: tuple[Dataset, ...]
    notes: tuple[Finding, ...]


def read(tree: Tree) -> Contents:
    """All labels in a tree that are not VOC XML. Raises nothing: see `Dataset.errors`."""
    folder = Folder(tree)
    files = sniffing.by_format(folder)
    datasets = [_dataset(kind, reader, folder, files[kind]) for kind, reader in READERS.items() if kind in files]
    notes = [
        Finding(names[0], f"and {len(names) - 1} more" if len(names) > 1 else "", f"{kind}, which is not read", remedy)
        for kind, remedy in sniffing.UNSUPPORTED.items()
        if (names := files.get(kind))
    ]
    empty = [one for one in datasets if not (one.photos or one.errors or one.unusable)]
    notes += [note for one in empty for note in one.notes]
    return Contents(tuple(one for one in datasets if one not in empty), tuple(notes))


def _dataset(kind: str, reader: Reader, folder: Folder, files: list[str]) -> Dataset:
    findings = Findings()
    reading = reader(folder, files, findings)
    _check_names(reading, findings)
    matches = matching.photos(reading.labels, folder.photos)
    of_photo: dict[str, list[Labels]] = defaultdict(list)
    for index, one in enumerate(reading.labels):
        if index in matches:
            of_photo[matches[index].name].append(one)
            if matches[index].differs_by and images.is_image(one.photo):
                reason = f"a photo whose name differs by {matches[index].differs_by}"
                findings.note(one.file, one.photo, reason, f"taken as {matches[index].name}")
        else:
            findings.note(
                one.file, one.photo.lstrip("/"), "no photo of this name, or several", "its labels are left out"
            )
    unusable = {
        folder.path(name): one.fault for name, many in of_photo.items() for one in many if one.fault is not None
    }
    labels = {
        name: _one(many, findings) for name, many in sorted(of_photo.items()) if folder.path(name) not in unusable
    }
    photos, undecodable = _photos(folder, labels)
    for photo in photos:
        if not photo.boxes:
            findings.note(photo.file, photo.path.name, "a photo without a box", "taken as one without objects")
    return Dataset(
        format=kind,
        files=tuple(files),
        photos=tuple(photos),
        unusable=unusable | undecodable,
        names=tuple(name for name in reading.names if not _UNFIT.search(name)),
        descriptions=tuple(reading.descriptions),
        errors=tuple(findings.errors),
        notes=tuple(findings.notes),
    )


def _check_names(reading: Reading, findings: Findings) -> None:
    """A class name that XML cannot hold is an error, once for each."""
    unfit = {box.name: one for one in reading.labels for box in one.boxes if _UNFIT.search(box.name)}
    for name, one in unfit.items():
        findings.error(one.file, one.item, f"class {name[:40]!r} holds a control character", "rename it")


def _one(many: Sequence[Labels], findings: Findings) -> Labels:
    """The labels of a photo that is labelled in several places: those must agree, or be of one file."""
    first, *others = sorted(many, key=lambda one: (_ORDER.index(one.split), one.file))
    for other in others:
        where, item = other.file, other.item or other.photo
        if _same(first, other):
            both = f"in {first.split or 'no split'} and in {other.split or 'no split'}"
            done = f"taken once, {'in ' + first.split if first.split else 'without a split'}"
            findings.note(where, item, f"a photo labelled twice alike, {both}", done)
        elif first.file == other.file and (first.size, first.fractions) == (other.size, other.fractions):
            findings.note(where, item, "a photo listed twice", "its boxes are taken together")
            first = replace(first, boxes=tuple(dict.fromkeys(first.boxes + other.boxes)))
        else:
            findings.error(where, item, f"the labels of its photo differ from those in {first.source}", "keep one")
    return first


def _same(first: Labels, other: Labels) -> bool:
    return first.fractions == other.fractions and sorted(map(repr, first.boxes)) == sorted(map(repr, other.boxes))


def _photos(folder: Folder, labels: Mapping[str, Labels]) -> tuple[list[Photo], dict[Path, UserError]]:
    """The photos, with the size of those whose labels do not say it; and those that cannot be read for it."""

    def photo(name: str) -> Photo | UserError:
        one, path = labels[name], folder.path(name)
        try:
            size = one.size or images.check(path).size
        except UserError as error:
            return error
        boxes = tuple(_in_pixels(box, size) for box in one.boxes) if one.fractions else one.boxes
        return Photo(path, size, boxes, one.file, one.source, one.split)

    unsized = [name for name, one in labels.items() if one.size is None]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside of the interpreter lock
        decoded = dict(zip(unsized, pool.map(photo, unsized), strict=True))
    made = {name: decoded.get(name) or photo(name) for name in labels}
    found = [one for one in made.values() if isinstance(one, Photo)]
    return found, {folder.path(name): one for name, one in made.items() if isinstance(one, UserError)}


def _in_pixels(box: Box, size: Size) -> Box:
    if box.corners is None:
        return box
    (xmin, ymin, xmax, ymax), (width, height) = box.corners, size
    return replace(box, corners=(xmin * width, ymin * height, xmax * width, ymax * height))


def _texts(corners: labelled.Corners) -> tuple[str, str, str, str]:
    """Numbers with all their digits, whole ones without `.0`."""
    xmin, ymin, xmax, ymax = (repr(value).removesuffix(".0") for value in corners)
    return xmin, ymin, xmax, ymax
