"""A dataset's folders of images with a VOC XML beside each: one pass gives all boxes and every problem.

An image is taken as it is seen (EXIF orientation applied), unless its <size> is that of the pixels as stored: then the
boxes were drawn on those, and the CSV has that size too.
"""

import csv
import hashlib
import io
import os
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from detector.annotations import voc
from detector.annotations.voc import ERROR, REPAIRED, Annotation, Problem
from detector.base import files, paths
from detector.base.errors import UserError
from detector.data import labels
from detector.pictures import images
from detector.pictures.images import ImageInfo

REPORT_COLUMNS = ["split", "filename", "object", "problem", "action"]
_UNWRITABLE = ("Cc", "Cs")  # Unicode's control characters, and surrogates: bytes that are not UTF-8

Pairs = dict[str, tuple[list[str], list[str]]]  # {stem: (image names, XML names)}


@dataclass(frozen=True)
class FileProblem:
    """One line of the annotation report: a problem and the file that has it."""

    split: str
    path: Path
    problem: Problem

    def line(self) -> str:
        """As the user reads it on the console."""
        return UserError(str(self.path), self.problem.reason, self.problem.remedy, self.problem.item).line()


@dataclass(frozen=True)
class LabelledImage:
    """A sound image with its sound annotation. sha256: of the file, to find the same picture elsewhere."""

    filename: str
    sha256: str
    annotation: Annotation


def read_dataset(folder: Path) -> tuple[dict[str, list[LabelledImage]], list[FileProblem]]:
    """The sound images of `train` and `test`, and what is wrong or was repaired, sorted by split and file."""
    classes, problems = _read_classes(folder / paths.LABEL_MAP)
    folders = {split: paths.images(folder, split) for split in ("test", "train")}
    content = {}
    for split, path in folders.items():
        content[split], in_split = read_split(path, split, classes)
        problems += in_split
    problems += leaks(folders, content)
    return content, sorted(problems, key=lambda one: (one.split, one.path.name))


def read_split(
    folder: Path, split: str, classes: Collection[str] | None
) -> tuple[list[LabelledImage], list[FileProblem]]:
    """The sound images of one folder in the order of their names, and its problems.

    Args:
        folder: may be missing, which is a problem.
        split: its name in the problems.
        classes: the names in the label map; None where they are not known.
    """
    stems = pairs(folder) if folder.is_dir() else {}
    if not any(image_names for image_names, _ in stems.values()):
        problem = Problem("", "empty split: no images here", "put images and their XML there")
        return [], [FileProblem(split, folder, problem)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside of the interpreter lock
        results = list(pool.map(lambda stem: _read_stem(folder, split, *stems[stem], classes), sorted(stems)))
    labelled = [image for image, _ in results if image]
    return labelled, [problem for _, problems in results for problem in problems]


def pairs(folder: Path) -> Pairs:
    """The images and XML files of a folder by their stem, sorted; other and hidden files are ignored."""
    names: Pairs = defaultdict(lambda: ([], []))
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if images.is_image(path):
            names[path.stem][0].append(path.name)
        elif path.suffix.lower() == ".xml":
            names[path.stem][1].append(path.name)
    return dict(names)


def leaks(folders: Mapping[str, Path], content: Mapping[str, Iterable[LabelledImage]]) -> Iterator[FileProblem]:
    """Test images that are in the training data too: the same name, or the same bytes, in both folders."""
    names = {image.filename for image in content["train"]}
    digests = {image.sha256: image.filename for image in content["train"]}
    for image in content["test"]:
        path = folders["test"] / image.filename
        if image.sha256 in digests:
            reason = f"the same picture as {folders['train'] / digests[image.sha256]}"
            yield FileProblem("test", path, Problem("", reason, "keep one; a test picture must be new to the detector"))
        elif image.filename in names:
            yield FileProblem("test", path, Problem("", "duplicate name: also in train", "rename one, with its XML"))


def write_report(path: Path, problems: Iterable[FileProblem]) -> None:
    """The problems as CSV; without any, its header alone."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(REPORT_COLUMNS)
    for one in problems:
        words = f"{one.problem.reason}; {one.problem.remedy}"
        writer.writerow([one.split, one.path.name, one.problem.item, words, one.problem.action])
    files.write_text(path, text.getvalue())


def _read_classes(path: Path) -> tuple[list[str] | None, list[FileProblem]]:
    try:
        return list(labels.read(path)), []
    except UserError as error:
        return None, [FileProblem("", path, Problem(error.item, " ".join(error.reason.split()), error.remedy))]


def _read_stem(
    folder: Path, split: str, image_names: list[str], xml_names: list[str], classes: Collection[str] | None
) -> tuple[LabelledImage | None, list[FileProblem]]:
    """The image and the annotation that share a stem; None for the image if either has an error."""
    names = (*image_names, *xml_names)
    if not all(map(_is_writable, names)):
        problem = Problem("", "its name holds a control character or is not UTF-8", "rename it")
        return None, [FileProblem(split, folder / repr(name), problem) for name in names]
    problems = [*_pairing_faults(image_names, xml_names)]
    digest, info, annotation = "", None, None
    if image_names:
        digest, info, faults = _read_image(folder / image_names[0])
        problems += [(image_names[0], fault) for fault in faults]
    if xml_names:
        annotation, faults = _read_xml(folder / xml_names[0], image_names[:1], info, classes)
        problems += [(xml_names[0], fault) for fault in faults]
    listed = [FileProblem(split, folder / name, problem) for name, problem in problems]
    if annotation is None or any(problem.action == ERROR for _, problem in problems):
        return None, listed
    return LabelledImage(image_names[0], digest, annotation), listed


def _is_writable(name: str) -> bool:
    """Whether a CSV and a record can hold the file name."""
    return not any(unicodedata.category(letter) in _UNWRITABLE for letter in name)


def _pairing_faults(image_names: list[str], xml_names: list[str]) -> Iterator[tuple[str, Problem]]:
    for names in (image_names, xml_names):
        for other in names[1:]:
            yield other, Problem("", f"duplicate name: {names[0]} has the same stem", "rename one, with its XML")
    if not xml_names:
        yield image_names[0], Problem("", "has no XML beside it", "label it; without objects, an XML without <object>")
    if not image_names:
        yield xml_names[0], Problem("", "its image is missing", "put the image beside it, under the same name")


def _read_image(path: Path) -> tuple[str, ImageInfo | None, list[Problem]]:
    try:
        content = images.read_bytes(path)
        return hashlib.sha256(content).hexdigest(), images.check(path, content), []
    except UserError as error:
        return "", None, [Problem("", error.reason, error.remedy)]


def _read_xml(
    path: Path, image_names: list[str], info: ImageInfo | None, classes: Collection[str] | None
) -> tuple[Annotation | None, list[Problem]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        return None, [Problem("", f"cannot be read: {error.strerror}", "fix its permissions")]
    annotation, problems = voc.parse(content, classes)
    if annotation is None:
        return None, problems
    if image_names and annotation.filename:
        problems += _filename_faults(annotation.filename, image_names[0])
    if info:
        size, faults = _frame(annotation.size, info)
        annotation, outside = voc.fit(annotation, size)
        problems += faults + outside
    return annotation, problems


def _filename_faults(filename: str, image_name: str) -> list[Problem]:
    """<filename> must be the image beside the XML: another image's name is a sign of swapped annotations.

    A folder before it, which some tools write, is ignored; a missing or changed suffix, or case, is repaired.
    """
    name = unicodedata.normalize("NFC", filename.replace("\\", "/")).rpartition("/")[2]
    expected = unicodedata.normalize("NFC", image_name)
    if name == expected:
        return []
    stem = expected.rpartition(".")[0].casefold()
    if stem in (name.casefold(), name.rpartition(".")[0].casefold()):
        return [Problem("", f"<filename> is {name}", f"taken as {image_name}", REPAIRED)]
    remedy = f"is it the annotation of another image? If not, write {image_name} there"
    return [Problem("", f"<filename> is {name}, the image beside it is {image_name}", remedy)]


def _frame(size: tuple[int, int] | None, info: ImageInfo) -> tuple[tuple[int, int], list[Problem]]:
    """The (width, height) that the boxes refer to: as seen, or as stored where that is the <size>."""
    if size and size in (info.size, info.raw_size):
        return size, []
    wrong = f"<size> is {size[0]}x{size[1]}" if size else "<size> is missing or makes no sense"
    width, height = info.size
    return info.size, [Problem("", wrong, f"taken from the image: {width}x{height}", REPAIRED)]
