"""What a conversion changes: PASCAL VOC -> COCO, YOLO, CSV, VOC -> PASCAL VOC again, compared box by box.

    python -m tools.lab.round_trips ../shared/asirra/dataset.zip ../shared/real/BCCD_Dataset.zip

Takes folders or archives that hold photos with VOC XML of the same name anywhere; prints the table of docs/formats.md.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from detector.annotations import voc
from detector.annotations.shapes import Box
from detector.base import errors
from detector.base.errors import UserError
from detector.pictures import images
from detector.storage import zip_archive
from tools.converting import writers
from tools.converting.writers import Picture
from tools.importing import tree as trees
from tools.importing.formats import reading

_SPLIT = {False: "train", True: "test"}  # every fifth photo is one of the test split


@dataclass(frozen=True)
class Difference:
    """What came back, compared with what was written. corner: the largest difference of one, in pixels."""

    photos: tuple[int, int]
    boxes: tuple[int, int]
    same_classes: bool
    corner: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.lab.round_trips", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("sources", nargs="+", type=Path, help="folders or archives")
    print("| dataset | format | photos | boxes | classes | largest difference of a corner |")
    print("| --- | --- | --- | --- | --- | --- |")
    for source in parser.parse_args().sources:
        for line in _lines(source):
            print(line)


def _lines(source: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = zip_archive.unpack(source, Path(temporary) / "in", str(source)) if source.is_file() else source
        for to in writers.WRITERS:
            splits = with_splits(labelled(folder))
            found = difference(splits, to, Path(temporary) / to)
            counts = [f"{before} -> {after}" for before, after in (found.photos, found.boxes)]
            classes = "the same" if found.same_classes else "others"
            yield f"| {source.stem} | {to} | {' | '.join(counts)} | {classes} | {found.corner:.2g} px |"


def labelled(folder: Path) -> list[Picture]:
    """The photos of a tree that have a VOC XML of the same name anywhere, with its sound boxes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    xml = {path.stem: path for path in files if path.suffix == ".xml"}
    pictures = []
    for path in files:
        if images.is_image(path) and path.stem in xml:
            annotation, _ = voc.parse(xml[path.stem].read_bytes(), None)
            if annotation:
                size = annotation.size or images.check(path).size
                pictures.append(Picture(path, path.name, size, annotation.objects))
    if not pictures:
        raise UserError(str(folder), "holds no photo with an XML of its name", "give another, or the zip in it")
    return pictures


def with_splits(pictures: list[Picture]) -> dict[str, list[Picture]]:
    return {name: [one for i, one in enumerate(pictures) if (i % 5 == 0) == test] for test, name in _SPLIT.items()}


def difference(splits: Mapping[str, list[Picture]], to: str, folder: Path) -> Difference:
    """Write to a new folder, read it again, compare."""
    before = {(split, one.name): one for split, many in splits.items() for one in many}
    names = sorted({one.name for picture in before.values() for one in picture.objects})
    folder.mkdir()
    writers.write(folder, to, splits, {name: number for number, name in enumerate(names, start=1)})
    after = list(_voc(folder)) if to == "voc" else list(_others(folder))
    corner, is_same = 0.0, True
    for split, name, objects in after:
        own = before[split, name].objects
        is_same &= [one.name for one in own] == [word for word, _ in objects]
        pairs = zip(own, objects, strict=False)
        corner = max([corner, *(abs(a - b) for one, (_, box) in pairs for a, b in zip(one.box, box, strict=True))])
    count = sum(len(objects) for _, _, objects in after)
    boxes = sum(len(picture.objects) for picture in before.values())
    return Difference((len(before), len(after)), (boxes, count), is_same, corner)


Read = tuple[str, str, list[tuple[str, Box]]]  # split, photo, its classes and boxes


def _voc(folder: Path) -> Iterator[Read]:
    splits = {
        stem: path.stem for path in (folder / "ImageSets/Main").iterdir() for stem in path.read_text().splitlines()
    }
    for picture in labelled(folder):
        yield splits[picture.stem], picture.name, [(one.name, one.box) for one in picture.objects]


def _others(folder: Path) -> Iterator[Read]:
    (dataset,) = reading.read(trees.walk(folder)).datasets
    errors.exit_with([error.line() for error in dataset.errors])
    for photo in dataset.photos:
        annotation, _ = voc.parse(photo.xml(photo.path.name), None)
        objects = annotation.objects if annotation else ()
        yield photo.split, photo.path.name, [(one.name, one.box) for one in objects]


if __name__ == "__main__":
    errors.run(main)
