"""Bring a user's VOC data into the project: dataset/<name>/{train,test}/ and label_map.pbtxt, tracked by DVC.

    make dataset SRC=<folder, zip or tar, https://..., gs://..., kaggle:owner/name> NAME=pets [SHA256=...]
    python -m tools.dataset --src=... --name=pets [--sha256=...] [--test-fraction=0.1]

importing/sources.py lists what SRC may be, importing/layouts.py the layouts of the data, importing/formats/records.py
what is made of TFRecords. The source is only read. An image keeps its name and its bytes; images without XML, and XML
without image, are copied too, so that xml2csv can report them. The folder appears atomically, and an existing one is
never written to.
"""

import argparse
import filecmp
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from detector.annotations import voc
from detector.base import errors, files, paths
from detector.base.errors import UserError
from detector.data import labels
from tools.cloud import dvc_add
from tools.importing import layouts, sources, zip_archive
from tools.importing.formats import records
from tools.importing.layouts import Plan

RESERVED = ("sample", "data")  # the embedded dataset, and the stages' own folder
DATASETS = Path("dataset")


def main() -> None:
    arguments = parse_arguments()
    target = dvc_add.folder(DATASETS, arguments.name, RESERVED, "pets")
    with readable(sources.shown(arguments.src)), opened(arguments.src, arguments.sha256) as (folder, source_notes):
        plan = layouts.find(folder, arguments.test_fraction)
        content = {path: voc.parse(read(plan.targets[path]), None)[0] for path in plan.targets if is_xml(path)}
        label_map, origin = find_label_map(plan.root, class_names(content))
        is_new = copy(plan, label_map, target)
        notes = [*source_notes, *plan.notes, f"label map {origin}", *descriptions(plan, content)]
    dvc_add.track(target)
    print(f"{target}: {'imported' if is_new else 'exists already, with the same content'}")
    print("".join(f"  {note}\n" for note in notes), end="")
    print(f"next: make train DATASET={target.name}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.dataset", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--src", default="", help="a folder or an archive with images and PASCAL VOC XML, or its address"
    )
    parser.add_argument("--name", default="", help="of the dataset: it goes to dataset/<name>")
    parser.add_argument("--sha256", default="", help="of the archive")
    parser.add_argument(
        "--test-fraction", type=float, default=0.1, help="for test/, where the source has none (default 0.1)"
    )
    arguments = parser.parse_args()
    for option, value in (("SRC", arguments.src), ("NAME", arguments.name)):
        if not value:
            raise UserError(option, "is empty", "run: make dataset SRC=<folder or archive> NAME=pets")
    if not 0 < arguments.test_fraction < 1:
        raise UserError(
            "--test-fraction", f"{arguments.test_fraction:g} is not allowed", "give a share between 0 and 1"
        )
    return arguments


@contextmanager
def opened(source: str, sha256: str) -> Iterator[tuple[Path, list[str]]]:
    """The source as a folder of images and XML, and notes on it; unpacked archives and records are removed again."""
    DATASETS.mkdir(exist_ok=True)
    notes: list[str] = []
    with (
        sources.opened(source, sha256) as path,
        tempfile.TemporaryDirectory(dir=DATASETS, prefix=".import.") as temporary,
        errors_of(source, temporary),
    ):
        if path.is_file():
            if sources.is_web(source) and not sha256:
                notes.append(f"its sha256 is {files.sha256(path)}; SHA256=... refuses any other")
            path = zip_archive.unpack(path, Path(temporary) / "archive", sources.shown(source))
        if tfrecords := records.find(path):
            path, record_notes = records.unpack(tfrecords, Path(temporary) / "records")
            notes += record_notes
        yield path, notes


@contextmanager
def errors_of(source: str, temporary: str) -> Iterator[None]:
    """Errors about files in a temporary folder become errors about files in the source."""
    try:
        yield
    except UserError as error:
        where = re.sub(re.escape(temporary) + r"/(archive|records)", lambda _: sources.shown(source), error.where)
        raise UserError(where, error.reason, error.remedy, error.item) from error


@contextmanager
def readable(path: Path | str) -> Iterator[None]:
    """An error of the operating system becomes a `UserError` about the file that it names, or `path`."""
    try:
        yield
    except OSError as error:
        reason = f"cannot be read or copied: {error.strerror}"
        raise UserError(str(error.filename or path), reason, "fix that and run the command again") from error


def read(path: Path) -> bytes:
    with readable(path):
        return path.read_bytes()


def is_xml(path: Path) -> bool:
    return path.suffix.lower() == ".xml"


def class_names(content: Mapping[Path, voc.Annotation | None]) -> list[str]:
    """The classes of all objects, sorted; xml2csv will report objects without one."""
    names = {labelled.name for annotation in content.values() if annotation for labelled in annotation.objects}
    if labels.BACKGROUND in names:
        raise UserError("SRC", f"{labels.BACKGROUND} is not allowed as a class name", "rename it in the XML")
    return sorted(names - {""})


def find_label_map(root: Path, classes: list[str]) -> tuple[str, str]:
    """The text of the source's label map, or of one derived from its classes; and where it comes from, in words."""
    everywhere = {
        path: content for path in layouts.label_maps(root) if labels.is_label_map(path.name, content := read(path))
    }
    found = {path: everywhere[path] for path in everywhere if path == root / paths.LABEL_MAP} or everywhere
    if not found:
        return derived_label_map(classes)
    parsed = {path: labels.parse(content, shown(path, root), classes) for path, content in found.items()}
    if len({tuple(label_map.names) for label_map in parsed.values()}) > 1:
        several = ", ".join(shown(path, root) for path in parsed)
        raise UserError(several, "several label maps", f"keep one, or put yours beside train/ as {paths.LABEL_MAP}")
    path, label_map = min(parsed.items(), key=lambda one: (len(one[1].repairs), one[0]))
    if missing := [name for name in classes if name not in label_map.names]:
        reason = f"{errors.few(missing)} of the XML files is missing; it has {errors.few(label_map.names)}"
        raise UserError(shown(path, root), reason, "add it there, or rename it in the XML")
    listed = ", ".join(f"{name} {number}" for name, number in label_map.numbered().items())
    unused = [name for name in label_map.names if name not in classes]
    more = [f"without an object, but kept: {errors.few(unused)}"] if unused else []
    if not label_map.repairs:
        text = found[path].decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
        return text, "; ".join([f"copied from {shown(path, root)}: {listed}", *more])
    return labels.render(label_map.names), "; ".join(
        [f"made from {shown(path, root)}: {listed}", *label_map.repairs, *more]
    )


def derived_label_map(classes: list[str]) -> tuple[str, str]:
    if not classes:
        raise UserError("SRC", "no object with a class in any XML", "label some, or put a label map beside them")
    for reason in filter(None, map(labels.fault, classes)):
        raise UserError("SRC", reason, "rename it in the XML")
    numbered = ", ".join(f"{name} {n}" for n, name in enumerate(classes, 1))
    return labels.render(classes), f"made from the XML: {numbered}"


def shown(path: Path, root: Path) -> str:
    """A file of the source, fit for a terminal."""
    return str(path.relative_to(root)).encode(errors="backslashreplace").decode()


def copy(plan: Plan, label_map: str, target: Path) -> bool:
    """Copy the files to a new folder; False where it exists already with exactly that content."""
    if target.exists():
        if is_same(plan, label_map, target):
            return False
        raise UserError(str(target), "exists, with other content", "choose another NAME, or move it away")
    with files.whole_folder(target) as folder:
        for name in ("train", "test"):
            (folder / name).mkdir()
        for path, source in tqdm(plan.targets.items(), unit="file", disable=None, leave=False):
            with readable(source):
                shutil.copyfile(source, folder / path)
        files.write_text(folder / paths.LABEL_MAP, label_map)
        if sum(1 for path in folder.rglob("*") if path.is_file()) != len(plan.targets) + 1:
            raise UserError(str(target), "two names differ in upper and lower case alone", "rename one, with its XML")
    return True


def is_same(plan: Plan, label_map: str, target: Path) -> bool:
    """Whether the folder holds exactly the files of the plan and the label map, byte for byte."""
    expected = {target / path for path in plan.targets} | {target / paths.LABEL_MAP}
    return (
        {path for path in target.rglob("*") if path.is_file()} == expected
        and (target / paths.LABEL_MAP).read_bytes() == label_map.encode()
        and all(filecmp.cmp(source, target / path, shallow=False) for path, source in plan.targets.items())
    )


def descriptions(plan: Plan, content: Mapping[Path, voc.Annotation | None]) -> Iterator[str]:
    """Lines on the content: images and boxes of each split, and what xml2csv is going to report."""
    for split in ("train", "test"):
        inside = [content[path] for path in content if path.parts[0] == split]
        objects = [labelled for annotation in inside if annotation for labelled in annotation.objects]
        boxes = Counter(labelled.name or "without a class" for labelled in objects)
        pictures = sum(path.parts[0] == split and not is_xml(path) for path in plan.targets)
        empty = sum(annotation is not None and not annotation.objects for annotation in inside)
        classes = ", ".join(f"{name} {boxes[name]}" for name in sorted(boxes)) or "none"
        yield f"{split}: {pictures} images, {boxes.total()} boxes ({classes}), {empty} images without objects"
    annotated = {path.with_suffix("") for path in content}
    pictured = {path.with_suffix("") for path in plan.targets if not is_xml(path)}
    for count, what in (
        (len(pictured - annotated), "images without XML"),
        (len(annotated - pictured), "XML files without image"),
        (sum(annotation is None for annotation in content.values()), "XML files that cannot be read"),
    ):
        if count:
            yield f"{count} {what}: xml2csv will report them"


if __name__ == "__main__":
    errors.run(main)
