"""Small trees of photos with label files of any format, and what is read from them."""

import json
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from tools.importing import tree as trees
from tools.importing.formats import labelled, reading
from tools.importing.formats.reading import Dataset

SIZE = (100, 50)  # of every photo
Boxes = dict[str, list[tuple[str, tuple[float, float, float, float] | None]]]


def tree(root: Path, *photos: str, files: Mapping[str, object] | None = None) -> Path:
    """A folder with grey photos and files: bytes, text, or anything else as JSON."""
    for name in photos:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE, "grey").save(root / name)
    for name, content in (files or {}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def only(root: Path) -> Dataset:
    """The only dataset of a tree, with the notes of the tree in its own."""
    contents = reading.read(trees.walk(root))
    (dataset,) = contents.datasets
    return dataset


def boxes(root: Path, dataset: Dataset) -> Boxes:
    """{photo: its classes and corners}."""
    return {
        photo.path.relative_to(root).as_posix(): [(box.name, box.corners) for box in photo.boxes]
        for photo in dataset.photos
    }


def splits(root: Path, dataset: Dataset) -> dict[str, str]:
    return {photo.path.relative_to(root).as_posix(): photo.split for photo in dataset.photos}


def errors(dataset: Dataset) -> list[str]:
    return [error.line() for error in dataset.errors]


def notes(dataset: Dataset) -> list[str]:
    return labelled.summary(dataset.notes)
