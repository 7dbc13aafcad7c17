"""What becomes of a source that is added to a dataset: which photos are new, and which split each of them is in.

known      a photo of the dataset, byte for byte: it stays where it is; another label for it is the user's decision
copy       of a photo of the dataset (detector/annotations/duplicates.py): left out, as it might change sides with it
new        as the source's folders or lists say, else by the rule of a first import: the hash of the name

Nothing that is in the dataset moves. Nor does it in xml2csv, whose validation split goes by the names, too, unless
there are few photos, or more copies of one than a picture has.
"""

import os
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from detector.annotations import datasets, duplicates, photos, splitting
from detector.annotations.photos import Photo
from detector.annotations.voc import Annotation
from detector.base import files, paths
from detector.base.bars import bar
from detector.base.errors import UserError, counted, few
from detector.data import labels
from tools.importing import assigning, copies, left_out, names, plan, splits
from tools.importing.assigning import Assigned
from tools.importing.plan import Plan, Row, Source
from tools.importing.splits import TEST, TRAIN
from tools.importing.tree import Tree

_OURS, _THEIRS = "dataset", "source"  # sorted, so that of copies a photo of the dataset is the first


@dataclass(frozen=True)
class Present:
    """A dataset that is there. photos: of train and test, as their files say, before any rule. classes: by id."""

    folder: Path
    photos: list[Photo]
    classes: list[str]

    @property
    def stems(self) -> list[str]:
        """Of all that lies in the splits' folders: a label without its photo, a broken link, has a name, too."""
        places = [paths.images(self.folder, split) for split in datasets.SPLITS]
        return [path.stem for place in places if place.is_dir() for path in place.iterdir()]

    @cached_property
    def by_content(self) -> dict[str, Photo]:
        """{sha256: photo}."""
        return {files.sha256(photo.path): photo for photo in self.photos if photo.path.is_file()}


@dataclass(frozen=True)
class Addition:
    """plan: of what is new. labels: of photos that are there, {XML below the dataset's folder: its new content}.

    replaced: those of them that take the place of another label.
    """

    plan: Plan
    labels: Mapping[Path, Row]
    replaced: Collection[Path]

    @property
    def is_empty(self) -> bool:
        return not self.plan.rows and not self.labels

    @property
    def targets(self) -> dict[Path, Path | bytes]:
        """{target below the dataset's folder: the file to copy, or the content}, sorted."""
        found = self.plan.targets
        for target, row in self.labels.items():
            if row.label:
                found[target] = self.plan.tree.files[row.label] if row.xml is None else row.xml
        return dict(sorted(found.items()))


def read(folder: Path) -> Present:
    """The dataset in a folder. Raises: UserError: there is none, a split is a link, or its label map cannot be read."""
    if not folder.is_dir():
        raise UserError(str(folder), "not found", "leave out ADD=1, to make a new dataset")
    for split in datasets.SPLITS:
        if (place := paths.images(folder, split)).is_symlink():  # what is written to it could not be taken back
            raise UserError(str(place), "is a link to a folder", f"move that folder here, or link {folder} as a whole")
    classes = labels.load(folder / paths.LABEL_MAP).names
    found: list[Photo] = []
    for split in bar(datasets.SPLITS, "splits", len(datasets.SPLITS)):
        found += photos.read_split(paths.images(folder, split), split, classes)[0]
    return Present(folder, found, classes)


def make(tree: Tree, share: float, temporary: Path, present: Present, *, relabel: bool) -> Addition:
    """What a source adds to a dataset; arguments as of `plan.make`.

    Args:
        relabel: whether other labels of photos that are there replace those.

    Raises:
        UserError: as of `plan.make`; a class is not in the dataset's label map; a label differs, and `relabel` is off.
    """
    source = plan.read(tree, temporary)
    done, found = source.assigned, source.found
    for label in found.alone:  # one of a photo of the dataset would claim that
        done.splits.pop(label, None)
    known = _known(source, present)
    changed, replaced = _other_labels(source, present, known)
    if replaced and not relabel:
        shown = few([f"{present.folder / target} ({row.label})" for target, row in replaced.items()])
        reason = f"{counted(len(replaced), 'photo')} that it has already, with other labels: {shown}"
        raise UserError(tree.source, reason, "RELABEL=1 takes these labels; else leave those photos out")
    _drop(done, known, left_out.KNOWN)
    groups = _copies(source, present)
    _drop(done, [photo for photo, first in groups.items() if first is None], left_out.COPY)
    stems = names.unique(source.taken, present.stems)
    _refuse_other_classes(source, present, [*stems, *(row.photo for row in changed.values() if row.photo)])
    if not source.dataset.splits and not _all_in_one_split(source.tree, done, stems):
        group_of = {stems[photo]: stems[first] for photo, first in groups.items() if first}
        _by_chance(source, stems, present, share, group_of)
    notes = [*_notes(changed, replaced)]
    return Addition(plan.of(source, stems, labels.render(present.classes), notes), changed, replaced)


def _known(source: Source, present: Present) -> dict[PurePosixPath, Photo]:
    """{photo of the source: the photo of the dataset that has its bytes}."""
    digests = {photo: files.sha256(source.tree.files[photo]) for photo in source.taken}
    return {photo: present.by_content[sha256] for photo, sha256 in digests.items() if sha256 in present.by_content}


def _other_labels(
    source: Source, present: Present, known: Mapping[PurePosixPath, Photo]
) -> tuple[dict[Path, Row], dict[Path, Row]]:
    """{XML in the dataset: its new label} of photos whose label differs or is missing, and those that differ alone.

    Raises: UserError: the source has one photo twice, with two labels.
    """
    changed: dict[Path, Row] = {}
    replaced: dict[Path, Row] = {}
    said: dict[Path, tuple[PurePosixPath, object]] = {}
    for path, photo in known.items():
        annotation = source.found.annotations.get(path)
        if annotation is None:
            continue
        first, meaning = said.setdefault(photo.path, (path, _meaning(annotation)))
        if _meaning(annotation) != meaning:
            reason = f"{first} and {path} are one photo ({photo.path}) with two labels"
            raise UserError(source.tree.source, reason, "leave one of them out")
        if meaning == _meaning(photo.annotation):
            continue
        target = photo.path.relative_to(present.folder).with_name(photo.label or _free_label(photo.path))
        if target not in changed:
            changed[target] = plan.row(source, path, photo.path.stem)
            replaced |= {target: changed[target]} if photo.label else {}
    return changed, replaced


def _free_label(photo: Path) -> str:
    """The name of a label for a photo that has none: cat.xml may be that of cat.png, and cat.jpg.xml is the photo's."""
    found = [f"{photo.stem}{plan.XML}", f"{photo.name}{plan.XML}"]
    free = [name for name in found if not os.path.lexists(photo.with_name(name))]
    if not free:
        raise UserError(str(photo), f"has no label, though {found[0]} and {found[1]} are there", "move them away")
    return free[0]


def _meaning(annotation: Annotation | None) -> object:
    """What a training sees of a label, whoever has written it; None where it cannot be read."""
    if annotation is None:
        return None
    return {(unicodedata.normalize("NFC", one.name), one.box, one.is_crowd) for one in annotation.objects}


def _drop(done: Assigned, dropped: Collection[PurePosixPath], reason: str) -> None:
    for path in dropped:
        done.splits.pop(path, None)
        done.left_out[path] = reason


def _copies(source: Source, present: Present) -> dict[PurePosixPath, PurePosixPath | None]:
    """{photo that has copies: the first of these; None where the dataset has one}."""
    prints = copies.fingerprints(source.tree, [path for path in source.taken if path not in source.found.alone])
    keyed = {(_THEIRS, str(path)): one.labelled(source.found.annotations.get(path)) for path, one in prints.items()} | {
        (_OURS, str(photo.path)): photo.fingerprint.labelled(photo.annotation)
        for photo in present.photos
        if photo.fingerprint
    }
    first_of = duplicates.first_of(duplicates.find(keyed))
    return {
        PurePosixPath(name): PurePosixPath(first[1]) if first[0] == _THEIRS else None
        for (where, name), first in first_of.items()
        if where == _THEIRS
    }


def _refuse_other_classes(source: Source, present: Present, taken: Collection[PurePosixPath]) -> None:
    """Raises: UserError: a class is not in the label map: a slip is more frequent than a new class."""
    known = {unicodedata.normalize("NFC", name) for name in present.classes}
    labelled = [path for path in taken if path in source.found.labels]
    if new := [name for name in source.found.sorted_classes(labelled) if name not in known]:
        files_of = [str(source.found.labels[path].label) for path in labelled if {*new} & {*source.found.classes(path)}]
        reason = f"{few(new)} in {few(files_of)}: not in {present.folder / paths.LABEL_MAP}, which has "
        remedy = f"rename it in the labels; or, for a new class, add it there with the id {len(present.classes) + 1}"
        raise UserError(source.tree.source, reason + few(present.classes), remedy)


def _all_in_one_split(tree: Tree, done: Assigned, stems: Mapping[PurePosixPath, str]) -> bool:
    """Whether all are in a folder that is called train, or test; then that is their split.

    For a first import that says nothing: it needs both.
    """
    own = splits.named(Path(tree.source).name) if tree.is_folder else ""  # SRC=second/train
    given = {path: splits.by_folder(path.parent, PurePosixPath()) for path in stems}
    if not own and not all(given.values()):
        return False
    for path, one in given.items():
        split, by = (one.split, str(one.by)) if one else (own, tree.source)
        done.splits[path] = (TEST if split == TEST else TRAIN), by
    return True


def _by_chance(
    source: Source, stems: Mapping[PurePosixPath, str], present: Present, share: float, group_of: Mapping[str, str]
) -> None:
    """Take the test photos from the new ones, by the hash of their names; a class keeps a photo in train."""
    done = source.assigned
    test = {stem for stem in stems.values() if splitting.fraction(group_of.get(stem, stem), TEST) < share}
    classes = {stem: source.found.classes(path) for path, stem in stems.items() if path in source.found.labels}
    taught: dict[str, Collection[str]] = {
        photo.path.stem: set(photo.annotation.class_names)
        for photo in present.photos
        if photo.annotation and photo.split != TEST
    }
    unlabelled = test - classes.keys()
    test = test & splitting.keep_classes(test - unlabelled, taught | classes, TEST, group_of) | unlabelled
    for path, stem in stems.items():
        done.splits[path] = (TEST if stem in test else TRAIN), assigning.HASH
    done.notes.append(f"found no test split: {share:.0%} for test/, by a hash of the file name")


def _notes(changed: Collection[Path], replaced: Collection[Path]) -> Iterator[str]:
    new = sorted(str(target) for target in changed if target not in replaced)
    if new:
        yield f"labels for {counted(len(new), 'photo')} that had none: {few(new)}"
    if replaced:
        yield f"labels replaced of {counted(len(replaced), 'photo')}: {few(sorted(map(str, replaced)))}"
