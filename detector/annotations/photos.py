"""The photos of a split's folder with their XML: each file read once, with everything that is wrong in it."""

import os
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from detector.annotations import duplicates, folders, partners, voc
from detector.annotations.duplicates import Fingerprint
from detector.annotations.folders import Listing
from detector.annotations.partners import Label
from detector.annotations.report import FileProblem
from detector.annotations.voc import ERROR, SKIPPED, Annotation, Problem
from detector.base import errors
from detector.base.errors import UserError
from detector.pictures.images import ImageInfo

OTHER_LABELS = (".json", ".txt")  # labelme's, and YOLO's


@dataclass(frozen=True)
class Photo:
    """A photo of a split, as far as the rules have come with it.

    label: its XML's name, empty where it has none. other_label: of a label file of another kind beside it.
    fingerprint: to find the same picture elsewhere. group: the first name of its copies in train, or empty.
    info, fingerprint, annotation: None where they cannot be used.
    """

    split: str
    path: Path
    label: str
    other_label: str = ""
    info: ImageInfo | None = None
    fingerprint: Fingerprint | None = None
    annotation: Annotation | None = None
    problems: tuple[FileProblem, ...] = ()
    group: str = ""

    @property
    def sha256(self) -> str:
        """Of the file; empty where it is no photo."""
        return self.fingerprint.sha256 if self.fingerprint else ""

    @property
    def is_refused(self) -> bool:
        return any(one.problem.action == ERROR for one in self.problems)

    @property
    def is_left_out(self) -> bool:
        return any(one.problem.action == SKIPPED and not one.problem.item for one in self.problems)

    @property
    def is_sound(self) -> bool:
        return self.info is not None and self.annotation is not None and not (self.is_refused or self.is_left_out)

    def noting(self, *problems: Problem) -> "Photo":
        """The photo with further problems of its own."""
        return self._noting(self.path, problems)

    def noting_in_label(self, *problems: Problem) -> "Photo":
        """The photo with further problems of its XML."""
        return self._noting(self.path.with_name(folders.shown(self.label)), problems)

    def _noting(self, path: Path, problems: Iterable[Problem]) -> "Photo":
        return replace(self, problems=(*self.problems, *(FileProblem(self.split, path, one) for one in problems)))


def read_split(folder: Path, split: str, classes: Collection[str] | None) -> tuple[list[Photo], list[FileProblem]]:
    """The photos of one folder in the order of their names, and the problems of its other files.

    Args:
        folder: may be missing, which is a problem.
        split: its name in the problems.
        classes: the names in the label map; None where they are not known.
    """
    try:
        listing = folders.listing(folder)
    except FileNotFoundError:
        listing = Listing()
    except OSError as error:
        return [], [FileProblem(split, folder, Problem("", f"cannot be read: {error.strerror}", "fix its permissions"))]
    if not listing.photos:
        problem = Problem("", "empty split: no images here", "put images and their XML there")
        return [], [FileProblem(split, folder, problem)]
    labels = {name: _read_label(folder / name, listing.faults.get(name), classes) for name in listing.labels}
    pairing = partners.pair(listing.photos, labels)
    others = {PurePath(name).stem: name for name in listing.others if name.lower().endswith(OTHER_LABELS)}

    def read(name: str) -> Photo:
        label = pairing.labels.get(name, "")
        photo = Photo(split, folder / folders.shown(name), label, others.get(PurePath(name).stem, ""))
        fault = listing.faults.get(name) or pairing.doubtful.get(name)
        return _with_label(_read_image(photo, fault), labels.get(label))

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside of the interpreter lock
        photos = list(pool.map(read, listing.photos))
    problems = [*listing.problems, *((folders.shown(name), problem) for name, problem in pairing.problems)]
    return photos, [FileProblem(split, folder / name, problem) for name, problem in problems]


def _read_label(path: Path, fault: Problem | None, classes: Collection[str] | None) -> Label:
    if fault:
        return Label(None, (fault,))
    try:
        with path.open("rb") as file:
            content = file.read(voc.MAX_BYTES + 1)
    except OSError as error:
        if error.errno in errors.OF_THE_MACHINE:
            raise
        return Label(None, (Problem("", f"cannot be read: {error.strerror}", "fix its permissions", SKIPPED),))
    annotation, problems = voc.parse(content, classes)
    return Label(annotation, tuple(problems))


def _read_image(photo: Photo, fault: Problem | None) -> Photo:
    if fault:
        return photo.noting(fault)
    try:
        info, fingerprint = duplicates.read(photo.path, photo.path.name)
        return replace(photo, info=info, fingerprint=fingerprint)
    except UserError as error:
        return photo.noting(Problem("", error.reason, error.remedy, SKIPPED))


def _with_label(photo: Photo, label: Label | None) -> Photo:
    if label is None:
        return photo
    labelled = replace(photo, annotation=label.annotation)
    return labelled.noting_in_label(*label.problems) if label.problems else labelled
