"""Which labelled photos of a source are one dataset, and what its folders or lists say of their splits.

A folder with folders of splits, lists of names or a label map of its own is a dataset; plain folders of labelled photos
are batches of one. Two of which one has only train and the other only test belong together. Where a source has several
datasets, or one in several versions, the error names each, and the SRC= that takes it.
"""

import os
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from detector.annotations import pairing
from detector.base.errors import UserError, counted
from tools.importing import name_lists, splits
from tools.importing.labelled import Labelled
from tools.importing.name_lists import NameList
from tools.importing.pairs import Photo
from tools.importing.splits import Given
from tools.importing.tree import Tree

MOST_TWINS = 0.5  # the share of photos that are in another folder, too, beyond which these are versions of one dataset
_LISTS, _MAIN = "imagesets", "main"  # PASCAL VOC's folders of lists


@dataclass(frozen=True)
class Dataset:
    """The labelled photos below a folder, and the splits that the source gives some of them.

    inner: other datasets below that folder, whose photos are none of this one.
    """

    root: PurePosixPath
    photos: frozenset[Photo]
    given: Mapping[Photo, Given] = field(default_factory=dict)
    lists: Sequence[NameList] = ()
    inner: Sequence["Dataset"] = ()

    @property
    def splits(self) -> set[str]:
        return {one.split for one in self.given.values()}


def find(
    tree: Tree,
    labelled: Collection[Labelled],
    others: Collection[PurePosixPath],
    label_maps: Mapping[PurePosixPath, Hashable],
    signatures: Mapping[Photo, Hashable],
) -> Dataset:
    """The one dataset of a source.

    Args:
        others: photos and labels without a partner, which a list may name, too.
        label_maps: the content of each.
        signatures: what is the same for two versions of a labelled photo.

    Raises:
        UserError: the source has several.
    """
    base = common(path for one in labelled for path in (one.photo.parent, one.label.parent))
    found = by_folders(labelled, base) or by_lists(tree, labelled, others)
    if not found:
        _refuse_several(tree, labelled, _roots_of_maps(label_maps, labelled), "datasets with a label map each")
        found = _versions(signatures, labelled, base)
    outer = united([one for one in found if not any(_is_below(one.root, other.root) for other in found)], base)
    rest = [one for one in labelled if not any(_is_in(one.photo, dataset.root) for dataset in outer)]
    if len(outer) > 1 or rest:
        what = "datasets" if any(one.given for one in outer) else "versions of a dataset"
        refuse(tree, [*outer, *_plain(rest, base)], what)
    inner = [one for one in found if _is_below(one.root, outer[0].root)] if outer[0] in found else []
    inside = frozenset(one.photo for one in labelled) - {photo for one in inner for photo in one.photos}
    return Dataset(outer[0].root, inside, outer[0].given, outer[0].lists, inner)


def common(folders: Iterable[PurePosixPath]) -> PurePosixPath:
    """The innermost folder that holds all of these; the root of the source without any."""
    paths = {str(folder) for folder in folders}
    return PurePosixPath(os.path.commonpath(paths)) if paths and "." not in paths else PurePosixPath()


def refuse(tree: Tree, datasets: Sequence[Dataset], what: str) -> None:
    """Raises: UserError: which datasets there are, with their counts and the SRC= of each."""
    listed = ", ".join(f"SRC={tree.shown(one.root)} takes {_counts(one)}" for one in datasets)
    raise UserError(tree.source, f"holds {len(datasets)} {what}: {listed}", "give one of them")


def _counts(dataset: Dataset) -> str:
    inside = Counter(one.split for one in dataset.given.values())
    listed = [f"{name} {inside[name]}" for name in (splits.TRAIN, splits.VALIDATION, splits.TEST) if inside[name]]
    return counted(len(dataset.photos), "labelled photo") + (f" ({', '.join(listed)})" if listed else "")


def _is_in(path: PurePosixPath, folder: PurePosixPath) -> bool:
    return path.parts[: len(folder.parts)] == folder.parts


def _is_below(path: PurePosixPath, folder: PurePosixPath) -> bool:
    return path != folder and _is_in(path, folder)


def by_folders(labelled: Collection[Labelled], base: PurePosixPath) -> list[Dataset]:
    """A dataset for each folder that has folders of splits, or label files that say their split.

    Where all say the one that a folder around all of them is named after, they say nothing.
    """
    found: dict[PurePosixPath, dict[Photo, Given]] = {}
    do_say = {one.split for one in labelled} != {splits.of_file(str(base))}
    for one in labelled:
        folders = one.photo.parent, one.label.parent
        of_photo, of_label = (splits.by_folder(folder, base) for folder in folders)
        if given := of_photo or of_label or (Given(one.split, one.label) if one.split and do_say else None):
            above = [of.by.parent if of else folder for of, folder in zip((of_photo, of_label), folders, strict=True)]
            found.setdefault(common(above), {})[one.photo] = given
    return [Dataset(root, frozenset(given), given) for root, given in sorted(found.items())]


def by_lists(tree: Tree, labelled: Collection[Labelled], others: Collection[PurePosixPath]) -> list[Dataset]:
    """A dataset for each folder of lists; of several that name the same photos, Main is taken, else the longest."""
    label_of = {one.photo: one.label for one in labelled}
    folders = pairing.grouped(name_lists.find(tree, [*label_of], others), lambda one: one.path.parent)
    given = {folder: name_lists.joined(lists) for folder, lists in folders.items()}
    found: list[Dataset] = []
    for folder in sorted(given, key=lambda one: (one.name.casefold() != _MAIN, -len(given[one]), one)):
        photos = frozenset(given[folder].keys() & label_of.keys())
        if photos and not any(photos & one.photos for one in found):
            root = common([_above(folder), *(path.parent for photo in photos for path in (photo, label_of[photo]))])
            found.append(Dataset(root, photos, given[folder], folders[folder]))
    return found


def _above(folder: PurePosixPath) -> PurePosixPath:
    """The folder that ImageSets is in; of other lists, their own."""
    names = [part.casefold() for part in folder.parts]
    return PurePosixPath(*folder.parts[: names.index(_LISTS)]) if _LISTS in names else folder


def united(datasets: Sequence[Dataset], base: PurePosixPath) -> Sequence[Dataset]:
    """One dataset of several that have different splits each, or of which none has train; else they themselves."""
    every = [name for one in datasets for name in one.splits]
    if not every or (splits.TRAIN in every and (len(datasets) < 2 or len(every) > len(set(every)))):
        return datasets
    return [
        Dataset(
            base if splits.TRAIN not in every else common(one.root for one in datasets),
            frozenset(photo for one in datasets for photo in one.photos),
            {photo: given for one in datasets for photo, given in one.given.items()},
            [one for dataset in datasets for one in dataset.lists],
        )
    ]


def _plain(labelled: Sequence[Labelled], base: PurePosixPath) -> list[Dataset]:
    """The photos outside of all other datasets, as one for each folder that is next to theirs."""
    depth = len(base.parts) + 1
    folders = pairing.grouped(labelled, lambda one: one.photo.parent.parts[:depth])
    return [Dataset(PurePosixPath(*parts), frozenset(one.photo for one in ones)) for parts, ones in folders.items()]


def _refuse_several(tree: Tree, labelled: Iterable[Labelled], roots: Collection[PurePosixPath], what: str) -> None:
    if len(roots) > 1:
        photos = [one.photo for one in labelled]
        inside = {root: frozenset(photo for photo in photos if _is_in(photo, root)) for root in roots}
        refuse(tree, [Dataset(root, inside[root]) for root in sorted(roots)], what)


def _roots_of_maps(label_maps: Mapping[PurePosixPath, Hashable], labelled: Iterable[Labelled]) -> set[PurePosixPath]:
    """The folders that have a label map and labelled photos each, if the maps differ; none holds another."""
    photos = [one.photo for one in labelled]
    roots = {}
    for path, content in label_maps.items():
        folders = [folder for folder in path.parents if any(_is_in(photo, folder) for photo in photos)]
        roots[folders[0]] = content
    if len(set(roots.values())) < 2 or any(_is_below(one, other) for one in roots for other in roots):
        return set()
    return set(roots)


def _versions(signatures: Mapping[Photo, Hashable], labelled: Iterable[Labelled], base: PurePosixPath) -> list[Dataset]:
    """A dataset for each folder in which most of the photos are again and again; else one of all photos."""
    roots: Counter[PurePosixPath] = Counter()
    twins = 0
    for photos in pairing.grouped(signatures, signatures.__getitem__).values():
        folders = {photo.parent for photo in photos}
        if len(folders) > 1:
            twins += len(photos)
            depth = len(common(folders).parts) + 1
            roots.update({PurePosixPath(*folder.parts[:depth]) for folder in folders})
    chosen = sorted(roots) if twins > MOST_TWINS * len(signatures) else [base]
    return [Dataset(root, frozenset(one.photo for one in labelled if _is_in(one.photo, root))) for root in chosen]
