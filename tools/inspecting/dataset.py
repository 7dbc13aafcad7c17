"""The dataset as `make inspect` wants it: the one module of the room that knows how annotations are read and split."""

import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from detector.annotations import datasets, report, voc
from detector.annotations.datasets import LabelledImage
from detector.annotations.report import FileProblem
from detector.base import paths
from detector.base.bars import bar
from detector.base.errors import UserError
from detector.data import labels
from detector.data.boxes import Floats
from detector.data.params import DatasetParams
from detector.pictures import images

_ORIENTATION = 0x0112  # EXIF tag
_SIDEWAYS = (5, 6, 7, 8)  # of its values: width and height are swapped


@dataclass(frozen=True)
class Photo:
    """A photo that is used, with its boxes.

    split: train, val or test. group: the same for all copies of a picture. size: (width, height) of the frame of the
    boxes. classes: the name of each box. boxes: (N, 4) pixels, [xmin, ymin, xmax, ymax]. format: Pillow's name.
    orientation: EXIF's, 1 is upright. stored: whether the boxes are on the pixels as stored, not as EXIF turns them.
    """

    split: str
    path: Path
    group: str
    size: tuple[int, int]
    classes: tuple[str, ...]
    boxes: Floats
    crowd: npt.NDArray[np.bool_]
    format: str
    orientation: int
    stored: bool


@dataclass(frozen=True)
class Dataset:
    """photos: by split and name. problems: what was left out, repaired or warned about. classes: of the label map."""

    photos: list[Photo]
    problems: list[FileProblem]
    classes: list[str]


def read(settings: DatasetParams) -> Dataset:
    """The dataset as the stages take it: the same photos, boxes, problems and splits.

    Raises:
        UserError: its folder is missing.
    """
    folder = Path(settings.dir)
    if not folder.is_dir():
        remedy = "run: dvc repro sample" if folder == paths.SAMPLE else f"run: make dataset SRC=... NAME={folder.name}"
        raise UserError(str(folder), "not found", remedy)
    labelled, problems = datasets.read(settings)
    chosen, changes = datasets.validation(labelled["train"], settings.val_fraction, paths.images(folder, "train"))
    splits: dict[str, list[tuple[Path, LabelledImage]]] = {split: [] for split in paths.SPLITS}
    for split, found in labelled.items():
        for image in found:
            name = "val" if split == "train" and image.filename in chosen else split
            splits[name].append((paths.images(folder, name) / image.filename, image))
    photos = list(_photos(splits))
    return Dataset(photos, report.in_order([*problems, *changes]), _classes(folder / paths.LABEL_MAP, photos))


def picture_of(problem: FileProblem) -> Path | None:
    """The photo that a problem is about, or whose label file has it; None where there is none."""
    if images.is_image(problem.path):
        return problem.path if problem.path.is_file() else None
    beside = problem.path.parent.glob(f"{glob.escape(problem.path.stem)}.*")
    return next((path for path in sorted(beside) if images.is_image(path) and path.is_file()), None)


def is_error(problem: FileProblem) -> bool:
    """Whether training stops at it."""
    return problem.problem.action == voc.ERROR


def _photos(splits: Mapping[str, Sequence[tuple[Path, LabelledImage]]]) -> Iterator[Photo]:
    found = [(split, path, image) for split in splits for path, image in sorted(splits[split], key=lambda one: one[0])]
    with ThreadPoolExecutor() as pool:
        headers = pool.map(_header, [path for _, path, _ in found])
        shown = bar(found, "photos", len(found))
        for (split, path, image), header in zip(shown, headers, strict=True):
            yield _photo(split, path, image, header)


def _photo(split: str, path: Path, image: LabelledImage, header: tuple[str, int, tuple[int, int]]) -> Photo:
    objects, (kind, orientation, stored) = image.annotation.objects, header
    size = image.annotation.size or stored
    return Photo(
        split=split,
        path=path,
        group=image.sha256 if split == "test" else image.group,
        size=size,
        classes=tuple(one.name for one in objects),
        boxes=np.array([one.box for one in objects], dtype=np.float64).reshape(-1, 4),
        crowd=np.array([one.is_crowd for one in objects], dtype=bool),
        format=kind,
        orientation=orientation,
        stored=orientation in _SIDEWAYS and size == stored,
    )


def _header(path: Path) -> tuple[str, int, tuple[int, int]]:
    """Format, EXIF orientation and stored size of a photo that was decoded before; its pixels are left alone."""
    try:
        with Image.open(path) as image:
            orientation = image.getexif().get(_ORIENTATION, 1)
            kind = "JPEG" if image.format == "MPO" else str(image.format)
            return kind, orientation if orientation in range(1, 9) else 1, image.size
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError):
        return "unknown", 1, (1, 1)


def _classes(label_map: Path, photos: Iterable[Photo]) -> list[str]:
    try:
        return list(labels.read(label_map))
    except UserError:  # a problem of the dataset, which is listed
        return sorted({name for photo in photos for name in photo.classes})
