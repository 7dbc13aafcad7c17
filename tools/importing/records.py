"""Records made elsewhere come in, and records made here go out to a bucket.

    make dataset SRC=folder NAME=pets       where the folder holds train.record, and maybe val.record, test.record
    make push-records BUCKET=my-bucket      dataset/data/*.record and the label map -> gs://my-bucket/records/
    python -m tools.importing.records --bucket=my-bucket

Records (of tf.train.Example, with the Object Detection API's feature keys) become what they were made from: images,
byte for byte, and PASCAL VOC XML whose boxes give the same fractions again. So every stage, report and picture works as
with any other dataset. Names: {train,val,test}.record or .tfrecord, shards (train.record-00000-of-00010) too.

Only records that csv2record has made of the dataset which params.yaml names are pushed, as dvc.lock tells.
An object in the bucket is replaced only if nobody else has replaced it meanwhile, and is verified by its crc32c.
"""

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from lxml import etree
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from tqdm import tqdm

from detector.base import errors, files, params, paths
from detector.base.errors import UserError
from detector.data import labels, records
from detector.data.params import DatasetParams
from detector.pictures import images
from detector.pictures.images import ImageInfo
from detector.storage import archives
from tools.cloud import bucket_settings, cache
from tools.importing import gs

FOLDER = "records"  # in the bucket
REMAKE = "run: dvc repro csv2record"
_RECORD = re.compile(r"(train|val|valid|validation|test)\.(?:tf)?records?(?:-\d{5}-of-\d{5})?")
_SPLITS = {"train": "train", "test": "test"}  # all others are for validation
_SUFFIXES = {"JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "TIFF": (".tif", ".tiff")}  # of the formats with several
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_READ = {f"image/object/{key}" for key in (*(f"bbox/{corner}" for corner in _CORNERS), "class/text", "class/label")}
# EXIF's entry for the orientation (tag 0x0112, one 16-bit number), big-endian or little-endian.
_ORIENTATION = re.compile(
    rb"(\x01\x12\x00\x03\x00\x00\x00\x01|(\x12\x01\x03\x00\x01\x00\x00\x00))(?:\x00[\x02-\x08]|[\x02-\x08]\x00)"
)
_MOST_DECIMALS = 17  # that tell every float64 from its neighbours


def find(root: Path) -> dict[Path, str]:
    """{record: train, valid or test} of a folder without XML; none where it holds no records, or other folders too."""
    while True:
        inside = sorted(path for path in root.iterdir() if not path.name.startswith("."))
        found = [path for path in inside if path.is_file() and _RECORD.fullmatch(path.name)]
        if found and not any(path.suffix.lower() == ".xml" for path in inside):
            return {path: _SPLITS.get(path.name.partition(".")[0], "valid") for path in found}
        folders = [path for path in inside if path.is_dir()]
        if len(folders) != 1:
            return {}
        root = folders[0]


def unpack(found: Mapping[Path, str], folder: Path) -> tuple[Path, list[str]]:
    """Write the images of some records, their XML, and the label map beside the first into `folder`.

    Returns: the folder, and notes on what was found and what does not come along.

    Raises:
        UserError: a record is damaged, or an example holds no image, no class, or boxes that make no sense.
    """
    label_map = next(iter(found)).with_name(paths.LABEL_MAP)
    names = {number: name for name, number in labels.read(label_map).items()} if label_map.exists() else {}
    taken: set[str] = set()
    left_out: set[str] = set()
    for path, split in found.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        for number, example in _examples(path):
            where = f"{path}: record {number}"
            content, info = _image(example, where)
            name = _name(example, info, f"{split}_{number:06}", taken)
            (folder / split / name).write_bytes(content)
            (folder / split / name).with_suffix(".xml").write_bytes(_voc(example, where, name, info.raw_size, names))
            left_out |= {key for key in example if key.startswith("image/object/")} - _READ
    if names:
        files.write_bytes(folder / paths.LABEL_MAP, label_map.read_bytes())
    notes = [f"unpacked {len(taken)} images from {', '.join(path.name for path in found)}"]
    return folder, notes + ([f"left out: {', '.join(sorted(left_out))}"] if left_out else [])


def _examples(path: Path) -> Iterator[tuple[int, dict[str, list[Any]]]]:
    try:
        yield from enumerate(tqdm(records.read(path), desc=path.name, unit="image", disable=None, leave=False), start=1)
    except UserError as error:
        raise UserError(error.where, error.reason, "fetch that record again", error.item) from error


def _image(example: Mapping[str, list[Any]], where: str) -> tuple[bytes, ImageInfo]:
    """The image's bytes; they are changed only where EXIF would turn it unnoticed away from under its boxes.

    Boxes of records are of the pixels as they are stored, for TensorFlow knows no EXIF. In VOC data <size> says so, but
    not where the picture is square, or turned by half.
    """
    content = next(iter(example.get("image/encoded", [])), b"")
    if not content:
        raise UserError(where, "holds no image/encoded", "records must hold whole images, as JPEG or PNG")
    info = images.check(where, content)
    if info.turned and info.size == info.raw_size:
        content = _ORIENTATION.sub(lambda found: found[1] + (b"\1\0" if found[2] else b"\0\1"), content, count=1)
        info = images.check(where, content)
        if info.turned:
            raise UserError(where, "its EXIF turns the image", "turn its pixels, or take the EXIF away")
    return content, info


def _name(example: Mapping[str, list[Any]], info: ImageInfo, default: str, taken: set[str]) -> str:
    """The image's file name, its own where that can be; its stem is one that no other image has."""
    given = next((example[key][0] for key in ("image/filename", "image/source_id") if example.get(key)), b"")
    name = PurePosixPath(given.decode(errors="replace").replace("\\", "/")).name
    if not name or archives.is_hidden(name) or archives.path_fault(name, {}):
        name = default
    suffixes = _SUFFIXES.get(info.format, (f".{info.format.lower()}",))
    stem, suffix = (name[: -len(Path(name).suffix)], Path(name).suffix) if images.is_image(name) else (name, "")
    while stem.casefold() in taken:
        stem += "_"
    taken.add(stem.casefold())
    return stem + (suffix if suffix.lower() in suffixes else suffixes[0])


def _voc(
    example: Mapping[str, list[Any]], where: str, name: str, size: tuple[int, int], names: Mapping[int, str]
) -> bytes:
    """The XML of an example: its boxes in pixels of the image as it is stored, (width, height) `size`."""
    root = etree.Element("annotation")
    etree.SubElement(root, "filename").text = name
    frame = etree.SubElement(root, "size")
    for tag, value in zip(("width", "height", "depth"), (*size, 3), strict=True):
        etree.SubElement(frame, tag).text = str(value)
    fractions = [example.get(f"image/object/bbox/{corner}", []) for corner in _CORNERS]
    classes = _classes(example, where, names)
    if {len(values) for values in fractions} != {len(classes)}:
        counts = ", ".join(str(len(values)) for values in (*fractions, classes))
        raise UserError(where, f"xmin, ymin, xmax, ymax and class have {counts} values", "make that record again")
    for label, *box in zip(classes, *fractions, strict=True):
        found = etree.SubElement(root, "object")
        etree.SubElement(found, "name").text = label
        element = etree.SubElement(found, "bndbox")
        for corner, fraction, side in zip(_CORNERS, box, (*size, *size), strict=True):
            etree.SubElement(element, corner).text = pixels(fraction, side)
    return bytes(etree.tostring(root, pretty_print=True, encoding="utf-8"))


def _classes(example: Mapping[str, list[Any]], where: str, names: Mapping[int, str]) -> list[str]:
    """The class of each object: its text, or its number's name; where there are both, they must agree."""
    texts = [text.decode(errors="replace") for text in example.get("image/object/class/text", [])]
    numbers = example.get("image/object/class/label", [])
    unknown = sorted(set(numbers) - set(names))
    if unknown and (names or not texts):
        reason = f"class {unknown[0]} is not in {paths.LABEL_MAP}"
        raise UserError(where, reason, f"put the records' own {paths.LABEL_MAP} beside them")
    named = [names[number] for number in numbers] if names else []
    if texts and named and texts != named:
        reason = f"its classes are {', '.join(texts)}, but {paths.LABEL_MAP} says {', '.join(named)}"
        raise UserError(where, reason, f"put the records' own {paths.LABEL_MAP} beside them")
    return texts or named


def pixels(fraction: float, side: int) -> str:
    """A fraction of a side (pixels) as the shortest decimal number of pixels that gives that float32 again."""
    exact = float(fraction) * side
    for decimals in range(_MOST_DECIMALS):
        text = f"{exact:.{decimals}f}"
        if np.float32(float(text) / side) == np.float32(fraction):
            return text
    return repr(exact)


def _check_made(sources: Iterable[Path], folder: str) -> None:
    """Refuse files other than csv2record's last run had and made, or a run of another dataset than `folder`.

    The numbers in one dataset's records mean nothing in another one's label map, and nothing else would tell.
    """
    try:
        locked = YAML(typ="safe", pure=True).load(Path("dvc.lock").read_text(encoding="utf-8"))["stages"]["csv2record"]
        made_of = locked["params"][params.PARAMS_FILE]["dataset.dir"]
        known = {Path(entry["path"]): entry["md5"] for entry in (*locked["deps"], *locked["outs"]) if "md5" in entry}
    except (OSError, ValueError, YAMLError, KeyError, TypeError):
        raise UserError("dvc.lock", f"does not say what {paths.DATA} was made of", REMAKE) from None
    if made_of != folder:
        raise UserError(str(paths.DATA), f"was made of {made_of}, and dataset.dir is {folder}", REMAKE)
    for path in sources:
        if known.get(path) != cache.md5(path):
            raise UserError(str(path), "is not as csv2record left it", REMAKE)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.importing.records", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--bucket", default="", help="the records go to gs://BUCKET/records/")
    bucket = bucket_settings.bucket_name(parser.parse_args().bucket)
    dataset = params.load("dataset", DatasetParams)
    sources = [*(paths.record(split) for split in paths.SPLITS), Path(dataset.dir) / paths.LABEL_MAP]
    for path in sources:
        if not path.is_file():
            raise UserError(str(path), "not found", REMAKE)
    _check_made(sources, dataset.dir)
    for path in sources:
        print(gs.upload(path, bucket, f"{FOLDER}/{path.name}"))


if __name__ == "__main__":
    errors.run(main)
