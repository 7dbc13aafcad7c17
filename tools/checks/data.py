"""The dataset: that it exists, and its label map against its XML files."""

import difflib
import math
import re
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from detector.base import paths
from detector.base.errors import UserError, counted
from detector.data import labels
from detector.data.params import DatasetParams
from detector.scene.params import SampleParams
from detector.training.params import TrainParams
from tools.checks.lines import Line, error, note, ok
from tools.cloud import dvc_add

MOST_SECONDS = 4  # for XML files: of a large dataset only a part is read


def label_map(dataset: DatasetParams) -> Iterator[Line]:
    """The dataset exists, and its label map is valid."""
    folder = Path(dataset.dir)
    dvc_add.refuse_missing(folder)
    if folder.exists():
        yield ok(f"{folder}: label map has {', '.join(classes_of(folder / paths.LABEL_MAP))}")
    elif folder == paths.SAMPLE:
        yield ok(f"{folder}: not drawn yet, make train does it")
    else:
        yield error(f"{folder} (dataset.dir): not found", f"run: make dataset SRC=photos.zip NAME={folder.name}")


def classes_of(label_map: Path) -> list[str]:
    """The names in a label map. Raises: UserError: with the command that opens it in an editor."""
    try:
        return list(labels.read(label_map))
    except UserError as refused:
        remedy = f"{refused.remedy}: {_edit(label_map)}"
        raise UserError(refused.where, refused.reason, remedy, refused.item) from refused


def _edit(file: Path) -> str:
    return f"$EDITOR {shlex.quote(file.as_posix())}"


class Labels(NamedTuple):
    """What an XML file holds."""

    path: Path
    classes: list[str]  # of its boxes
    shares: list[tuple[float, float]]  # widths and heights of its boxes, of those of the photo
    faults: list[str]


def annotations(dataset: DatasetParams, train_params: TrainParams) -> Iterator[Line]:
    """The label map against the classes in the XML files; the files' other faults are counted. Whether it is enough."""
    label_map = Path(dataset.dir) / paths.LABEL_MAP
    if not label_map.is_file():
        return  # reported by `label_map`
    known, train, test = classes_of(label_map), label_map.with_name("train"), label_map.with_name("test")
    files = {folder: _xml_files(folder) for folder in (train, test)}
    for folder in (folder for folder in files if not files[folder]):
        yield error(f"{folder}: no image with an XML", "run: make dataset SRC=photos.zip NAME=new")
    read = list(_read([*files[train], *files[test]]))
    for name in sorted({name for xml in read for name in xml.classes} - {*known, ""}):
        yield _unknown(name, [xml.path for xml in read if name in xml.classes], known, label_map)
    if faults := [f"{xml.path}: {fault}" for xml in read for fault in xml.faults]:
        what = f"{counted(len(faults), 'fault')} in XML files, first {faults[0]}"
        if dataset.unusable == "error":
            yield error(what, "run: dvc repro xml2csv, to see all")
        else:
            yield note(f"{what}: left out in training", "run: dvc repro xml2csv, to see all")
    boxes = Counter(name for xml in read if xml.path.parent == train for name in xml.classes)
    if len(read) >= len(files[train]) and (without := [name for name in known if not boxes[name]]):
        what = f"{label_map}: no box in {train} is a {' or a '.join(without)}"
        yield note(what, f"label some, or take it out: {_edit(label_map)}")
    total = len(files[train]) + len(files[test])
    if len(read) == total:
        yield from _enough(read, known, label_map.parent, train_params)
    yield ok(f"{dataset.dir}: read {len(read)} of {total} XML files, {boxes.total()} boxes in train/")


def _enough(read: Sequence[Labels], classes: Sequence[str], folder: Path, train: TrainParams) -> Iterator[Line]:
    """Whether there are photos enough of each class, and the objects large enough."""
    from detector.model import pipeline_config  # late: the fast part of the doctor needs neither
    from tools.checks import enough

    counts = {"train": dict.fromkeys(classes, 0), "test": dict.fromkeys(classes, 0)}
    for xml in read:
        for name in set(xml.classes) & set(classes):
            counts[xml.path.parent.name][name] += 1
    shares = [share for xml in read for share in xml.shares]
    size = pipeline_config.TEMPLATES[train.model][1]
    few = enough.too_few(counts["train"], counts["test"], folder)
    for words in (*few, *enough.too_small(shares, train.model, size)):
        what, _, remedy = str(words).rpartition("; ")
        yield note(what, remedy)


def _xml_files(folder: Path) -> list[Path]:
    """The XML files of images."""
    from detector.annotations import folders, partners

    listing = folders.listing(folder) if folder.is_dir() else folders.Listing()
    labels = {name: partners.Label(None) for name in listing.labels if name not in listing.faults}
    return [folder / name for name in partners.pair(listing.photos, labels).labels.values()]


def _read(files: list[Path]) -> Iterator[Labels]:
    """As many of the files as can be read in time."""
    from detector.annotations import voc

    deadline = time.monotonic() + MOST_SECONDS
    for path in files:
        if time.monotonic() > deadline:
            return
        annotation, problems = voc.parse(path.read_bytes(), None)
        objects, (width, height) = (annotation.objects, annotation.size or (0, 0)) if annotation else ((), (0, 0))
        boxes = [one.box for one in objects] if width else []
        shares = [((xmax - xmin) / width, (ymax - ymin) / height) for xmin, ymin, xmax, ymax in boxes]
        faults = [problem.reason for problem in problems if problem.action == voc.SKIPPED]
        yield Labels(path, [one.name for one in objects], shares, faults)


def _unknown(name: str, files: list[Path], classes: list[str], label_map: Path) -> Line:
    where = f"{files[0]}: class {name} ({counted(len(files), 'file')})"
    what = f"{where} is not in the label map, which has {', '.join(classes)}"
    similar = difflib.get_close_matches(name, classes, n=1)
    if similar and re.fullmatch(r"[\w -]+", name + similar[0]):  # nothing that sed or XML would change
        change = f"s|<name>{name}</name>|<name>{similar[0]}</name>|"
        folder = shlex.quote(label_map.parent.as_posix())
        return error(what, f"is {similar[0]} meant? run: sed -i {shlex.quote(change)} {folder}/*/*.xml")
    item = f"item {{ id: {len(classes) + 1} name: {name!r} }}"
    return error(what, f"run: echo {shlex.quote(item)} >> {shlex.quote(label_map.as_posix())}, or rename it in the XML")


def large_batch(train: TrainParams, dataset: DatasetParams, sample: SampleParams) -> Iterator[Line]:
    """A batch that holds an image more than once."""
    folder, images = Path(dataset.dir), sample.train_images
    if folder.exists():
        images = sum(path.suffix.lower() == ".xml" for path in (folder / "train").glob("*"))
    images = round(images * (1 - dataset.val_fraction))
    if 0 < images < train.batch_size:
        what = f"train.batch_size: {train.batch_size} is more than the {images} images or so to train on"
        yield note(what, f"run: make train BATCH={2 ** int(math.log2(images))}")
