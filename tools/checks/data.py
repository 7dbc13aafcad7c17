"""The dataset: there, its label map and its XML files against each other."""

import difflib
import math
import re
import shlex
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detector import labels, paths
from detector.dataset import DatasetParams
from tools.checks.lines import Line, error, note, ok
from tools.checks.settings import Sample, Train

LOOK_SECONDS = 4  # at most, for XML files: a large dataset is looked at in part


def label_map(dataset: DatasetParams) -> Iterator[Line]:
    """The dataset is there, and its label map makes sense."""
    folder = Path(dataset.dir)
    if folder.exists():
        yield ok(f"{folder}: label map has {', '.join(labels.read(folder / paths.LABEL_MAP))}")
    elif folder == paths.SAMPLE:
        yield ok(f"{folder}: not drawn yet, make train does it")
    elif Path(f"{folder}.dvc").exists():
        yield error(f"{folder}: tracked by DVC, but not here", f"run: dvc pull {shlex.quote(f'{folder}.dvc')}")
    else:
        yield error(f"{folder} (dataset.dir): not found", f"run: make dataset SRC=photos.zip NAME={folder.name}")


@dataclass
class Content:
    """What the XML files of a split hold, as far as time allowed."""

    total: int = 0
    seen: int = 0
    boxes: Counter[str] = field(default_factory=Counter)
    unknown: dict[str, list[Path]] = field(default_factory=dict)  # by class
    faults: list[str] = field(default_factory=list)


def annotations(dataset: DatasetParams) -> Iterator[Line]:
    """The label map against the classes in the XML files; the files' other faults are counted."""
    folder = Path(dataset.dir)
    if not (folder / paths.LABEL_MAP).is_file():
        return  # said by `label_map`
    classes, deadline = list(labels.read(folder / paths.LABEL_MAP)), time.monotonic() + LOOK_SECONDS
    contents = {split: _content(folder / split, classes, deadline) for split in ("train", "test")}
    for split, content in contents.items():
        if not content.total:
            yield error(
                f"{folder / split}: no image with an XML beside it", "run: make dataset SRC=photos.zip NAME=new"
            )
    for name in sorted({name for content in contents.values() for name in content.unknown}):
        files = [path for content in contents.values() for path in content.unknown.get(name, [])]
        yield _unknown(name, files, classes, folder)
    if faults := [line for content in contents.values() for line in content.faults]:
        yield error(
            f"{_count(faults, 'fault')} in XML files, first {faults[0]}", "run: dvc repro xml2csv, which names all"
        )
    train = contents["train"]
    if train.seen == train.total and (without := [name for name in classes if not train.boxes[name]]):
        what = f"{folder}: no box in train/ is a {' or a '.join(without)}, which the label map has"
        yield note(what, f"label some, or take it out: {folder / paths.LABEL_MAP}")
    seen, total = (sum(getattr(content, name) for content in contents.values()) for name in ("seen", "total"))
    yield ok(f"{folder}: looked at {seen} of {total} XML files, {train.boxes.total()} boxes in train/")


def _content(folder: Path, classes: list[str], deadline: float) -> Content:
    from detector import annotations as images_and_xml
    from detector import voc

    stems = images_and_xml.pairs(folder) if folder.is_dir() else {}
    files = [folder / xml_names[0] for image_names, xml_names in stems.values() if image_names and xml_names]
    content = Content(total=len(files))
    for path in files:
        if time.monotonic() > deadline:
            break
        annotation, problems = voc.parse(path.read_bytes(), None)
        content.seen += 1
        content.faults += [f"{path}: {problem.reason}" for problem in problems if problem.action == voc.ERROR]
        for name in {found.name for found in annotation.objects} if annotation else ():
            if name and name not in classes:
                content.unknown.setdefault(name, []).append(path)
        content.boxes.update(found.name for found in (annotation.objects if annotation else ()))
    return content


def _count(found: list[Any], what: str) -> str:
    return f"{len(found)} {what}{'s' if len(found) > 1 else ''}"


def _unknown(name: str, files: list[Path], classes: list[str], folder: Path) -> Line:
    what = (
        f"{folder}: class {name} of {files[0]} ({_count(files, 'file')}) is not in the label map ({', '.join(classes)})"
    )
    if meant := difflib.get_close_matches(name, classes, n=1):
        change = shlex.quote(f"s|<name>{name}</name>|<name>{meant[0]}</name>|")
        if re.fullmatch(r"[\w -]+", name + meant[0]):  # nothing that sed, or XML, reads another way
            names = shlex.quote(folder.as_posix())
            return error(what, f"is {meant[0]} meant? run: sed -i {change} {names}/*/*.xml")
    item = shlex.quote(f"item {{ id: {len(classes) + 1} name: {name!r} }}")
    return error(what, f"add it: echo {item} >> {shlex.quote((folder / paths.LABEL_MAP).as_posix())}")


def large_batch(train: Train, dataset: DatasetParams, sample: Sample) -> Iterator[Line]:
    """A batch that holds an image more than once."""
    folder, images = Path(dataset.dir), sample.train_images
    if folder.exists():
        images = sum(path.suffix.lower() == ".xml" for path in (folder / "train").glob("*"))
    images = round(images * (1 - dataset.val_fraction))
    if 0 < images < train.batch_size:
        what = f"train.batch_size: {train.batch_size} is more than the {images} images or so to train on"
        yield note(what, f"run: make train BATCH={2 ** int(math.log2(images))}")
