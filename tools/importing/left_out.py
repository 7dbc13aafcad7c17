"""What a source has that looks like an image or a label and is not taken: each file with the reason, in words."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import PurePosixPath

from detector.base.errors import MOST_NAMES, few, printable
from detector.pictures import images
from tools.importing import splits
from tools.importing.tree import Tree

MASK = "segmentation masks, which are no photos"
NO_LABEL = (
    "photos without a label file, in folders without any; to use them, label them or put them beside labelled ones"
)
NOT_READ = "images of a format that is not read; save them as JPEG"
NO_PHOTO = "label files without a photo"
ANOTHER_LABEL = "label files of photos that have one already"
SEVERAL_PHOTOS = "label files that could be of several photos; put each beside its photo"
NO_ANNOTATION = "XML files that are no annotations"
OTHER_FORMAT = "label files of another format than the one that is taken"
IN_OTHER_FORMAT = "photos with labels of another format than the one that is taken"
UNCHECKED = (
    "photos whose boxes nobody has checked since make prelabel drew them; in LabelImg, Space says they are right"
)
KNOWN = "photos that the dataset has already"
COPY = "copies of photos that the dataset has already: resized, mirrored, cropped or made from one photo"
PACKED = "archives, which were not unpacked, as the folder holds a dataset"
NO_LIST = "labelled photos that no list of a split names"
NO_SPLIT = "labelled photos outside of the folders of the splits"

NO_LABELS_IN = {
    splits.TEST: "photos of a test split without any label, which can measure nothing; test/ comes from the others",
    splits.VALIDATION: "photos of a validation split without any label, which can measure nothing",
}
_TEXTS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv")
_OTHER = (*_TEXTS, ".mat", ".parquet", ".record", ".tfrecord")
_BETWEEN_NAMES = re.compile(rb"[\r\n\t\"',;:|/\\\[\]{}()]+")


def may_be_label(path: PurePosixPath, stems: Collection[str]) -> bool:
    """Whether a file may hold labels of another format than VOC's, by its suffix; a text, if a photo has its stem."""
    suffix = path.suffix.lower()
    return suffix in _OTHER or (suffix == ".txt" and path.stem in stems)


def is_other_format(tree: Tree, path: PurePosixPath, stems: Collection[str]) -> bool:
    """Whether a file holds labels of another format than VOC's: it may, and has the name of a photo or names one.

    So README.json, classes.csv and dataset-metadata.json do not.

    Args:
        stems: of the photos.
    """
    if not may_be_label(path, stems):
        return False
    if path.stem in stems or path.suffix.lower() not in _TEXTS:
        return True
    words = (word.decode(errors="replace").strip() for word in _BETWEEN_NAMES.split(tree.head(path)))
    return any(word in stems or word.rpartition(".")[0] in stems for word in words)


def of_photo(photo: PurePosixPath, stems: Collection[str], is_mask: Callable[[PurePosixPath], bool]) -> str:
    """Why a photo without a label is left out.

    Args:
        stems: of the labelled photos.
    """
    if photo.stem in stems and is_mask(photo):
        return MASK
    named = {splits.named(part) for part in photo.parent.parts}
    return next((NO_LABELS_IN[split] for split in (splits.TEST, splits.VALIDATION) if split in named), NO_LABEL)


def matters(path: PurePosixPath, fault: str) -> bool:
    """Whether something that is no file to read is worth a line."""
    looks = images.is_image(path.name) or path.suffix.lower() in (".xml", *_OTHER)
    return looks or "folder" in fault or "cannot" in fault


def lines(reasons: Mapping[PurePosixPath, str]) -> list[str]:
    """A line for each reason: how many files, their folders, or their names if they are few."""
    counts = Counter(reasons.values())
    return [
        f"left out ({count:,}): {reason} ({_places([p for p in reasons if reasons[p] == reason])})"
        for reason, count in counts.items()
    ]


def _places(paths: Sequence[PurePosixPath]) -> str:
    if len(paths) <= MOST_NAMES:
        return ", ".join(printable(str(path)) for path in paths)
    folders = Counter(path.parent for path in paths)
    return few([f"{_named(folder)}: {count}" for folder, count in folders.most_common()])


def _named(folder: PurePosixPath) -> str:
    return f"{printable(str(folder))}/" if folder.parts else "the top folder"
