"""A dataset in the form that another tool reads: COCO JSON, YOLO, the Object Detection API's CSV, or PASCAL VOC.

coco    images/{train,test}/  annotations/instances_{train,test}.json
yolo    images/{train,test}/  labels/{train,test}/  data.yaml
csv     {train,test}/  {train,test}_labels.csv  label_map.pbtxt
voc     JPEGImages/  Annotations/  ImageSets/Main/{train,test}.txt  label_map.pbtxt

Corners come back exactly from all of them but YOLO, whose fractions give them within 1e-9 pixels.
"""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.annotations.shapes import Box
from detector.annotations.voc import VocObject
from detector.annotations.voc_writer import LabelledBox, voc_xml
from detector.base import paths
from detector.data import labels

_DIGITS = 15  # behind the point of a fraction: of a side of 10,000 pixels that is 1e-11 pixels
_COLUMNS = ["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"]


@dataclass(frozen=True)
class Picture:
    """A photo. path: of its file. name: in the copy. size: (width, height) in pixels. is_turned: EXIF turns it."""

    path: Path
    name: str
    size: tuple[int, int]
    objects: tuple[VocObject, ...]
    is_turned: bool = False

    @property
    def stem(self) -> str:
        return Path(self.name).stem


Splits = Mapping[str, Sequence[Picture]]
Writer = Callable[[Path, Splits, Mapping[str, int]], None]


def write_coco(folder: Path, splits: Splits, label_map: Mapping[str, int]) -> None:
    """Ids from 1 on, in all files together; the categories' are those of the label map."""
    categories = [{"id": number, "name": name, "supercategory": "none"} for name, number in label_map.items()]
    image_id = annotation_id = 0
    for split, pictures in splits.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for image_id, picture in enumerate(pictures, start=image_id + 1):  # noqa: B020 (it goes on)
            width, height = picture.size
            images.append({"id": image_id, "file_name": picture.name, "width": width, "height": height})
            for annotation_id, one in enumerate(picture.objects, start=annotation_id + 1):  # noqa: B020
                annotations.append(_annotation(annotation_id, image_id, one, label_map))
        content = {"images": images, "annotations": annotations, "categories": categories}
        file = folder / "annotations" / f"instances_{split}.json"
        _write(file, json.dumps({"info": {}, "licenses": [], **content}, ensure_ascii=False) + "\n")


def _annotation(number: int, image_id: int, one: VocObject, label_map: Mapping[str, int]) -> dict[str, Any]:
    xmin, ymin, xmax, ymax = one.box
    width, height = _extent(xmin, xmax), _extent(ymin, ymax)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": label_map[one.name],
        "bbox": [xmin, ymin, width, height],
        "area": width * height,
        "iscrowd": int(one.is_crowd),
        "segmentation": [],
    }


def _extent(start: float, end: float) -> float:
    """What gives exactly `end`, when it is added to `start`."""
    extent = end - start
    near = (extent, math.nextafter(extent, math.inf), math.nextafter(extent, -math.inf))
    return next((value for value in near if start + value == end), extent)


def write_yolo(folder: Path, splits: Splits, label_map: Mapping[str, int]) -> None:
    """Class ids from 0 on. An object that counts as a crowd is left out: YOLO has no word for it."""
    for split, pictures in splits.items():
        for picture in pictures:
            lines = [_line(one, picture.size, label_map) for one in picture.objects if not one.is_crowd]
            _write(folder / "labels" / split / f"{picture.stem}.txt", "".join(lines))
    names = "".join(f"  {number - 1}: {json.dumps(name, ensure_ascii=False)}\n" for name, number in label_map.items())
    head = "train: images/train\nval: images/test # YOLO wants one; it is the test split, choose another to select by\n"
    _write(folder / "data.yaml", f"{head}test: images/test\nnames:\n{names}")


def _line(one: VocObject, size: tuple[int, int], label_map: Mapping[str, int]) -> str:
    (xmin, ymin, xmax, ymax), (width, height) = one.box, size
    centre = (xmin + xmax) / 2 / width, (ymin + ymax) / 2 / height
    extent = (xmax - xmin) / width, (ymax - ymin) / height
    numbers = (f"{value:.{_DIGITS}f}".rstrip("0").rstrip(".") for value in (*centre, *extent))
    return f"{label_map[one.name] - 1} {' '.join(numbers)}\n"


def write_csv(folder: Path, splits: Splits, label_map: Mapping[str, int]) -> None:
    """A row without a box for a photo without objects; a column is_crowd where there are such."""
    has_crowds = any(one.is_crowd for many in splits.values() for picture in many for one in picture.objects)
    for split, pictures in splits.items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*_COLUMNS, "is_crowd"] if has_crowds else _COLUMNS)
        for picture in pictures:
            for one in picture.objects:
                crowd = [int(one.is_crowd)] if has_crowds else []
                writer.writerow([picture.name, *picture.size, one.name, *map(_text, one.box), *crowd])
            if not picture.objects:
                writer.writerow([picture.name, *picture.size, *[""] * (6 if has_crowds else 5)])
        _write(folder / f"{split}_labels.csv", text.getvalue())
    labels.write(folder / paths.LABEL_MAP, list(label_map))


def write_voc(folder: Path, splits: Splits, label_map: Mapping[str, int]) -> None:
    for split, pictures in splits.items():
        for picture in pictures:
            boxes = [LabelledBox(one.name, _texts(one.box), difficult=one.is_crowd) for one in picture.objects]
            content = voc_xml(picture.name, picture.size, boxes, folder="JPEGImages")
            _write(folder / "Annotations" / f"{picture.stem}.xml", content.decode())
        names = "".join(f"{picture.stem}\n" for picture in pictures)
        _write(folder / "ImageSets" / "Main" / f"{split}.txt", names)
    labels.write(folder / paths.LABEL_MAP, list(label_map))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _text(value: float) -> str:
    """A number with all its digits, a whole one without `.0`."""
    return repr(float(value)).removesuffix(".0")


def _texts(box: Box) -> tuple[str, str, str, str]:
    xmin, ymin, xmax, ymax = map(_text, box)
    return xmin, ymin, xmax, ymax


WRITERS: dict[str, tuple[Writer, str]] = {  # and where the photos of a split go
    "voc": (write_voc, "JPEGImages"),
    "coco": (write_coco, "images/{split}"),
    "yolo": (write_yolo, "images/{split}"),
    "csv": (write_csv, "{split}"),
}


def write(folder: Path, to: str, splits: Splits, label_map: Mapping[str, int]) -> None:
    """Write labels and copies of the photos into an empty folder, which must be one that is not yet in its place.

    Args:
        to: a key of `WRITERS`.
        splits: the stems of a split's names differ; for `voc`, those of all splits.
        label_map: {class name: id}, ids from 1 on.
    """
    writer, place = WRITERS[to]
    writer(folder, splits, label_map)
    for split, pictures in splits.items():
        target = folder / place.format(split=split)
        target.mkdir(parents=True, exist_ok=True)
        for picture in pictures:
            (target / picture.name).write_bytes(picture.path.read_bytes())
