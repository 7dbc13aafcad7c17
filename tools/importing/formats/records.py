"""Records made elsewhere, as a dataset.

    make dataset SRC=folder NAME=pets       where the folder holds train.record, and maybe val.record, test.record

Records (of tf.train.Example, with the Object Detection API's feature keys) become what they were made from: images,
byte for byte, and PASCAL VOC XML whose boxes give the same fractions again. So every stage, report and picture works as
with any other dataset. Their names end in .record or .tfrecord, or in that and the number of a shard: train.record,
pets_val.tfrecord-00000-of-00010, train/pets.tfrecord. The name, or that of a folder, says the split.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from detector.annotations.voc_writer import LabelledBox, voc_xml
from detector.base import errors, files, naming, paths
from detector.base.bars import bar
from detector.base.errors import UserError
from detector.data import labels, records
from detector.pictures import images
from detector.pictures.images import ImageInfo
from detector.storage import archives
from tools.importing import splits
from tools.importing.tree import Tree

OTHER_LABEL_MAP = f"put the {paths.LABEL_MAP} of these records beside them"
_RECORD = re.compile(r"[._-](?:tf)?records?(?:-\d{5}-of-\d{5})?$", re.IGNORECASE)
_LARGEST_LABEL_MAP = 1 << 20  # bytes
_SUFFIXES = {  # of the formats with several
    "HEIF": (".heic", ".heif", ".hif"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "TIFF": (".tif", ".tiff"),
}
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_DIFFICULT = ("is_crowd", "difficult", "group_of")  # ours, and the Object Detection API's
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("image/encoded", "image/filename", "image/source_id", "image/object/class/text"), (bytes,)),
    **dict.fromkeys((f"image/object/bbox/{corner}" for corner in _CORNERS), (float, int)),
    "image/object/class/label": (int,),
}
_READ = {
    f"image/object/{key}"
    for key in (*(f"bbox/{corner}" for corner in _CORNERS), "class/text", "class/label", "truncated", *_DIFFICULT)
}
# EXIF's entry for the orientation (tag 0x0112, one 16-bit number), big-endian or little-endian.
_ORIENTATION = re.compile(
    rb"(\x01\x12\x00\x03\x00\x00\x00\x01|(\x12\x01\x03\x00\x01\x00\x00\x00))(?:\x00[\x02-\x08]|[\x02-\x08]\x00)"
)
_CONTROL = re.compile(r"[\x00-\x1f\ufffe\uffff]")  # what XML cannot hold, or not as it is
_MOST_DECIMALS = 17  # that tell every float64 from its neighbours


def find(tree: Tree) -> dict[Path, str]:
    """{record: train, valid, test, or empty} of a tree; none where it has images or XML, too: those go first."""
    if tree.photos or tree.ending(".xml"):
        return {}
    found = {file: splits.of_file(str(path)) for path, file in tree.files.items() if _RECORD.search(path.name)}
    return {file: "valid" if split == splits.VALIDATION else split for file, split in found.items()}


def _label_map(sources: Iterable[Path]) -> Path | None:
    """The label map beside the records, or the one in their folders; those of several splits must be the same.

    Raises:
        UserError: there are several.
    """
    folders = dict.fromkeys(path.parent for path in sources)
    inside = [path for folder in folders for path in sorted(folder.iterdir()) if path.is_file()]
    found = [path for path in inside if path.name == paths.LABEL_MAP] or [
        path for path in inside if labels.may_be_label_map(path.name) and labels.is_label_map(path.name, _head(path))
    ]
    if len({path.read_bytes() for path in found}) > 1:
        shown = ", ".join(path.name for path in found)
        raise UserError(str(found[0].parent), f"several label maps: {shown}", f"keep one, as {paths.LABEL_MAP}")
    return found[0] if found else None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LARGEST_LABEL_MAP)


def unpack(sources: Mapping[Path, str], folder: Path) -> tuple[Path, list[str]]:
    """Write the images of some records, their XML, and the label map beside them into `folder`.

    Returns: the folder, and notes on what was unpacked and what was left out.

    Raises:
        UserError: a record is damaged, or an example has no image, no class, or wrong boxes.
    """
    label_map = _label_map(sources)
    names = labels.load(label_map).by_own_id() if label_map else {}  # records hold the ids of the file
    taken: set[str] = set()
    left_out: set[str] = set()
    for path, split in sources.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        for number, example in _examples(path):
            where = f"{path}: record {number}"
            content, info = _image(example, where)
            name = _name(example, info, f"{split or 'photo'}_{number:06}", taken)
            boxes = _boxes(example, where, info.raw_size, names)
            (folder / split / name).write_bytes(content)
            (folder / split / name).with_suffix(".xml").write_bytes(voc_xml(name, info.raw_size, boxes, folder=split))
            left_out |= {key for key in example if key.startswith("image/object/")} - _READ
    if label_map:
        files.write_bytes(folder / paths.LABEL_MAP, label_map.read_bytes())
    notes = [f"unpacked {len(taken)} images from {', '.join(path.name for path in sources)}"]
    return folder, notes + ([f"left out: {', '.join(sorted(left_out))}"] if left_out else [])


def _examples(path: Path) -> Iterator[tuple[int, dict[str, list[Any]]]]:
    try:
        shown = errors.printable(path.name)
        examples = bar(records.read(path), shown)
        for number, example in enumerate(examples, start=1):
            for key, kinds in _KINDS.items():
                if not all(isinstance(value, kinds) for value in example.get(key, [])):
                    raise UserError(str(path), f"{key} holds values of another kind", item=f"record {number}")
            yield number, example
    except UserError as error:
        raise UserError(error.where, error.reason, "fetch that record again", error.item) from error


def _image(example: Mapping[str, list[Any]], where: str) -> tuple[bytes, ImageInfo]:
    """The image's bytes, changed only where EXIF would silently turn the image but not its boxes.

    Boxes of records refer to the pixels as stored, because TensorFlow ignores EXIF. In VOC data <size> tells, but not
    where the picture is square, or turned by 180 degrees.
    """
    content = next(iter(example.get("image/encoded", [])), b"")
    if not content:
        raise UserError(where, "has no image/encoded", "records must hold whole images, as JPEG or PNG")
    info = images.check(where, content)
    if info.turned and info.size == info.raw_size:
        content = _ORIENTATION.sub(lambda match: match[1] + (b"\1\0" if match[2] else b"\0\1"), content, count=1)
        info = images.check(where, content)
        if info.turned:
            raise UserError(where, "its EXIF turns the image", "turn its pixels, or remove the EXIF")
    return content, info


def _name(example: Mapping[str, list[Any]], info: ImageInfo, default: str, taken: set[str]) -> str:
    """The image's file name, its own where possible; no other image has the same stem."""
    own = next((example[key][0] for key in ("image/filename", "image/source_id") if example.get(key)), b"")
    name = PurePosixPath(own.decode(errors="replace").replace("\\", "/")).name
    if not name or archives.is_hidden(name) or archives.path_fault(name, {}) or naming.fault(name):
        name = default
    suffixes = _SUFFIXES.get(info.format, (f".{info.format.lower()}",))
    stem, suffix = (name[: -len(Path(name).suffix)], Path(name).suffix) if images.is_image(name) else (name, "")
    while stem.casefold() in taken:
        stem += "_"
    taken.add(stem.casefold())
    return stem + (suffix if suffix.lower() in suffixes else suffixes[0])


def _boxes(
    example: Mapping[str, list[Any]], where: str, size: tuple[int, int], names: Mapping[int, str]
) -> list[LabelledBox]:
    """The boxes of an example in pixels of the image as stored, (width, height) `size`."""
    fractions = [example.get(f"image/object/bbox/{corner}", []) for corner in _CORNERS]
    classes = _classes(example, where, names)
    if {len(values) for values in fractions} != {len(classes)}:
        counts = ", ".join(str(len(values)) for values in (*fractions, classes))
        raise UserError(where, f"xmin, ymin, xmax, ymax and class have {counts} values", "make that record again")
    difficult, truncated = (_flags(example, where, keys, len(classes)) for keys in (_DIFFICULT, ("truncated",)))
    width, height = size
    return [
        LabelledBox(
            name, (pixels(xmin, width), pixels(ymin, height), pixels(xmax, width), pixels(ymax, height)), *flags
        )
        for name, xmin, ymin, xmax, ymax, *flags in zip(classes, *fractions, truncated, difficult, strict=True)
    ]


def _flags(example: Mapping[str, list[Any]], where: str, keys: Iterable[str], count: int) -> list[bool]:
    """For each of `count` objects, whether any of these features is set."""
    found = {key: example[f"image/object/{key}"] for key in keys if example.get(f"image/object/{key}")}
    for key, values in found.items():
        if len(values) != count:
            raise UserError(where, f"{key} has {len(values)} values for {count} objects", "make that record again")
    return [any(values[number] == 1 for values in found.values()) for number in range(count)]


def _classes(example: Mapping[str, list[Any]], where: str, names: Mapping[int, str]) -> list[str]:
    """The class of each object: its text, or the name of its id; where it has both, they must agree."""
    texts = [text.decode(errors="replace") for text in example.get("image/object/class/text", [])]
    numbers = example.get("image/object/class/label", [])
    unknown = sorted(set(numbers) - set(names))
    if unknown and (names or not texts):
        raise UserError(where, f"class {unknown[0]} is not in {paths.LABEL_MAP}", OTHER_LABEL_MAP)
    by_id = [names[number] for number in numbers] if names else []
    if texts and by_id and texts != by_id:
        reason = f"its classes are {', '.join(texts)}, but {paths.LABEL_MAP} says {', '.join(by_id)}"
        raise UserError(where, reason, OTHER_LABEL_MAP)
    if unfit := [name for name in texts or by_id if _CONTROL.search(name)]:
        raise UserError(where, f"class {unfit[0]!r} holds a control character", "make that record again")
    return texts or by_id


def pixels(fraction: float, side: int) -> str:
    """A fraction of a side (pixels) as the shortest decimal number of pixels that gives that float32 again."""
    exact = float(fraction) * side
    for decimals in range(_MOST_DECIMALS):
        text = f"{exact:.{decimals}f}"
        if np.float32(float(text) / side) == np.float32(fraction):
            return text
    return repr(exact)
