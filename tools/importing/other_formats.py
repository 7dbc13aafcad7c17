"""Labels of other formats than PASCAL VOC's, as labelled photos of a source: formats/ reads them."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from detector.annotations import voc
from detector.base import errors, naming
from detector.base.errors import UserError, counted, few
from tools.importing.formats import labelled as findings
from tools.importing.formats.reading import Contents, Dataset
from tools.importing.labelled import Found, Labelled, respelled
from tools.importing.tree import Tree


def best(contents: Contents) -> Dataset | None:
    """The format that labels the most photos; of two that label as many, the one that keeps more."""
    return max(contents.datasets, key=lambda one: len(one.photos), default=None)


def taken(tree: Tree, dataset: Dataset) -> Found:
    """The photos of a format.

    Raises:
        UserError: their meaning is in doubt.
    """
    _refuse(tree, dataset.errors)
    files, descriptions = (frozenset(map(PurePosixPath, one)) for one in (dataset.files, dataset.descriptions))
    names = [*dict.fromkeys(map(naming.fitted, dataset.names))]  # two may become one
    found = Found(names=names, files=files, descriptions=descriptions)
    problems: list[voc.Problem] = []
    for photo in dataset.photos:
        path = _below(tree, photo.path)
        label = next(name for name in (*dataset.files, photo.source) if photo.source.startswith(name))
        found.labels[path] = Labelled(path, PurePosixPath(label), photo.xml, photo.split)
        found.annotations[path], faults = voc.parse(photo.xml(path.name), None)
        problems += faults
    found.left_out = {
        _below(tree, path): f"photos that cannot be used: {fault.reason}" for path, fault in dataset.unusable.items()
    }
    found.notes = [f"labels read as {dataset.format}: {few(dataset.files)}", *findings.summary(dataset.notes)]
    found.notes += respelled(problems)
    return found


def without_doubt(tree: Tree, dataset: Dataset) -> Found:
    """The photos of a format that labels fewer; where its meaning is in doubt, all of them are left out."""
    if not dataset.errors:
        return taken(tree, dataset)
    doubted = [photo.path for photo in dataset.photos] + list(dataset.unusable)
    return Found(left_out=dict.fromkeys((_below(tree, path) for path in doubted), ""))


def notes(contents: Contents) -> list[str]:
    """Lines on the label files that cannot be read."""
    return findings.summary(contents.notes)


def _refuse(tree: Tree, faults: Sequence[UserError]) -> None:
    """Raises: UserError: the one fault, or how many there are, after a line for each."""
    if len(faults) == 1:
        raise faults[0]
    if faults:
        errors.show([fault.line() for fault in faults])
        raise UserError(tree.source, counted(len(faults), "error"), "fix them, and run the command again")


def _below(tree: Tree, path: Path) -> PurePosixPath:
    return PurePosixPath(path.relative_to(tree.root))
