"""What becomes of a source: which files go where in the dataset's folder, under which names, and what is left out."""

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from detector.annotations import voc
from detector.annotations.shapes import Box
from detector.base.errors import counted, few
from detector.storage import zip_archive
from tools.importing import assigning, copies, datasets, label_maps, left_out, name_lists, names, reading, voc_files
from tools.importing.assigning import Assigned
from tools.importing.datasets import Dataset
from tools.importing.labelled import Found
from tools.importing.tree import Tree

XML = ".xml"


@dataclass(frozen=True)
class Row:
    """A photo with or without a label, or a label without its photo, and the two files that come of it.

    split: train or test. stem: of their names. xml: the label, where it is not the content of a file. why: what decided
    on the split.
    """

    split: str
    stem: str
    photo: PurePosixPath | None
    label: PurePosixPath | None
    xml: bytes | None
    why: str

    @property
    def photo_target(self) -> Path | None:
        return Path(self.split, self.stem + self.photo.suffix) if self.photo else None

    @property
    def label_target(self) -> Path | None:
        if not self.label:
            return None
        return Path(self.split, self.stem + (self.label.suffix if self.label.suffix.lower() == XML else XML))


@dataclass(frozen=True)
class Plan:
    """What to import. label_map: its text. left_out: {file: reason}. notes: for the user."""

    tree: Tree
    rows: Sequence[Row]
    annotations: Mapping[PurePosixPath, voc.Annotation | None]
    label_map: str
    left_out: Mapping[PurePosixPath, str]
    notes: Sequence[str]

    def photos_of_classes(self, split: str) -> dict[str, int]:
        """{class: how many photos of a split show it}, for every class of the dataset."""
        shown = {row.photo: row.split for row in self.rows if row.photo and row.label}
        classes = {photo: set(one.class_names) for photo, one in self.annotations.items() if one and photo in shown}
        counts = Counter(name for photo, names in classes.items() if shown[photo] == split for name in names)
        return {name: counts[name] for name in sorted(set().union(*classes.values()))}

    @property
    def targets(self) -> dict[Path, Path | bytes]:
        """{target below the dataset's folder: the file to copy, or the content}, sorted."""
        found: dict[Path, Path | bytes] = {}
        for row in self.rows:
            if row.photo and row.photo_target:
                found[row.photo_target] = self.tree.files[row.photo]
            if row.label and row.label_target:
                found[row.label_target] = self.tree.files[row.label] if row.xml is None else row.xml
        return dict(sorted(found.items()))


def make(tree: Tree, share: float, temporary: Path) -> Plan:
    """The plan for a source; `share` of its photos are for test, where it has no test split.

    Args:
        temporary: a folder to be made, for what is in archives of the source; it must last as long as the plan.

    Raises:
        UserError: it has no labelled photos, too few, or several datasets; or no label map can be chosen.
    """
    source = read(tree, temporary)
    dataset, found, done = source.dataset, source.found, source.assigned
    photos = [photo for photo in sorted(dataset.photos) if photo in done.splits]
    stems = names.unique(source.taken)
    if not assigning.has_both(done, photos):
        prints = copies.fingerprints(source.tree, photos)
        group_of = copies.groups(prints, stems, found.annotations)
        assigning.by_chance(done, stems, {photo: found.classes(photo) for photo in photos}, share, group_of)
        done.notes.extend(_unreadable([photo for photo in photos if photo not in prints]))
    label_map, origin = label_maps.choose(source.tree, source.maps, dataset.root, found.sorted_classes(photos))
    return of(source, stems, label_map, [origin])


@dataclass(frozen=True)
class Source:
    """What a source holds. others: photos without a label and labels without a photo, beside those of the dataset.

    maps: {label map: its content}. assigned: the splits that the source gives; it is changed on the way.
    """

    tree: Tree
    found: Found
    dataset: Dataset
    others: Sequence[PurePosixPath]
    maps: Mapping[PurePosixPath, bytes]
    assigned: Assigned

    @property
    def taken(self) -> list[PurePosixPath]:
        """The photos, and labels without one, that have a split."""
        return [path for path in [*sorted(self.dataset.photos), *self.others] if path in self.assigned.splits]


def read(tree: Tree, temporary: Path) -> Source:
    """The one dataset of a source, its labels, and the splits that it gives. Errors as of `make`."""
    tree, found = reading.read(tree, temporary)
    maps = label_maps.find(tree)
    drawn = {path.parent for path in found.descriptions if path.name == voc_files.ORDER}  # what is saved there has XML
    free = [photo for photo in tree.photos if photo not in found.labels and photo not in found.left_out]
    free = [photo for photo in free if photo.parent not in drawn]
    dataset = datasets.find(
        tree, found.labels.values(), [*free, *found.alone], label_maps.meanings(maps), _signatures(found)
    )
    others = [*_beside(dataset, found, free), *_beside(dataset, found, found.alone)]
    return Source(tree, found, dataset, others, maps, assigning.assign(dataset, others))


def of(source: Source, stems: Mapping[PurePosixPath, str], label_map: str, notes: Sequence[str]) -> Plan:
    """The plan that takes the files that have a stem, to the splits that they have."""
    found, done = source.found, source.assigned
    reasons = done.left_out | _left_out(source.tree, found, source.dataset, stems)
    reasons |= {path: why for path, why in done.left_out.items() if why in (left_out.KNOWN, left_out.COPY)}
    rows = sorted((row(source, path, stem) for path, stem in stems.items()), key=lambda row: (row.split, row.stem))
    notes = [*done.notes, *found.notes, *_renamed(stems), *notes, *left_out.lines(reasons)]
    return Plan(source.tree, rows, found.annotations, label_map, reasons, notes)


def _signatures(found: Found) -> dict[PurePosixPath, Hashable]:
    """What two versions of a labelled photo have in common: its name, its classes and where its boxes are.

    Boxes around the whole picture are in too many photos to say anything.
    """
    signatures: dict[PurePosixPath, Hashable] = {}
    for photo, annotation in found.annotations.items():
        if annotation and annotation.size:
            boxes = [(one.name, _shares(one.box, *annotation.size)) for one in annotation.objects]
            if telling := sorted(box for box in boxes if not _is_whole(box[1])):
                signatures[photo] = (photo.stem.casefold(), *telling)
    return signatures


def _shares(box: Box, width: int, height: int) -> tuple[float, ...]:
    """The corners of a box as shares of the sides, so coarse that a resized photo has the same."""
    return tuple(round(value / side, 2) for value, side in zip(box, (width, height, width, height), strict=True))


def _is_whole(shares: tuple[float, ...]) -> bool:
    return max(shares[:2]) <= 0.05 and min(shares[2:]) >= 0.95


def _beside(dataset: Dataset, found: Found, paths: Collection[PurePosixPath]) -> list[PurePosixPath]:
    """Those of the photos or XML files that are in a folder with a photo of the dataset, or with its XML."""
    folders = {photo.parent for photo in dataset.photos}
    folders |= {one.label.parent for photo in dataset.photos if not (one := found.labels[photo]).xml}
    return [path for path in paths if path.parent in folders]


def row(source: Source, path: PurePosixPath, stem: str) -> Row:
    """What becomes of a file under that stem."""
    (split, why), label = source.assigned.splits[path], source.found.labels.get(path)
    if path in source.found.alone:
        return Row(split, stem, None, path, None, why)
    if not label:
        return Row(split, stem, path, None, None, why)
    xml = label.xml(stem + path.suffix) if label.xml else None
    return Row(split, stem, path, label.label, xml, why)


def _renamed(stems: Mapping[PurePosixPath, str]) -> Iterator[str]:
    changed = [f"{path} is {stem}{path.suffix}" for path, stem in stems.items() if stem != path.stem]
    if changed:
        why = "whose names are used twice, too long, or not allowed"
        yield f"renamed: {counted(len(changed), 'file')}, {why} ({few(changed)})"


def _unreadable(photos: Sequence[PurePosixPath]) -> Iterator[str]:
    """Known only where the photos were read to look for copies."""
    if photos:
        them = "it" if len(photos) == 1 else "them"
        named = few([str(photo) for photo in photos])
        yield f"{counted(len(photos), 'image')} that cannot be read ({named}): make train will report {them}"


def _left_out(tree: Tree, found: Found, dataset: Dataset, taken: Collection[PurePosixPath]) -> dict[PurePosixPath, str]:
    """Everything that looks like an image or a label and is not taken, and why."""
    reasons = {path: f"file that {fault}" for path, fault in tree.odd.items() if left_out.matters(path, fault)}
    reasons |= dict.fromkeys(tree.other_images, left_out.NOT_READ)
    reasons |= dict.fromkeys(tree.ending(*zip_archive.SUFFIXES), left_out.PACKED)
    labelled = {photo.stem for photo in found.labels}
    reasons |= {one: left_out.of_photo(one, labelled, tree.is_mask) for one in tree.photos if one not in found.labels}
    reasons |= dict.fromkeys(found.alone, left_out.NO_PHOTO)
    stems = {photo.stem for photo in tree.photos}
    read = found.files | found.descriptions | {one.label for one in found.labels.values()}
    reasons |= {
        path: left_out.OTHER_FORMAT
        for path in tree.files
        if path not in read and left_out.is_other_format(tree, path, stems) and not name_lists.entries(tree, path)
    }
    for inner in dataset.inner:
        reasons |= dict.fromkeys(
            inner.photos, f"photos of a dataset of its own, which SRC={tree.shown(inner.root)} takes"
        )
    return {path: reason for path, reason in (reasons | found.left_out).items() if path not in taken}
