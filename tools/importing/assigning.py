"""Which photos of a dataset go to train/ and which to test/: as its folders or lists say, else by chance.

Validation photos go to train/, from which make train takes its own validation split.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from detector.annotations import splitting
from detector.base.errors import MOST_NAMES, UserError, counted, few
from tools.importing import left_out, splits
from tools.importing.datasets import Dataset
from tools.importing.splits import TEST, TRAIN, VALIDATION

HASH = "hash of the file name"
REST = "in no test split"


@dataclass
class Assigned:
    """splits: {photo, or label without one: (train or test, what decided)}. left_out: {photo: reason}."""

    splits: dict[PurePosixPath, tuple[str, str]] = field(default_factory=dict)
    left_out: dict[PurePosixPath, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def assign(dataset: Dataset, others: Collection[PurePosixPath]) -> Assigned:
    """The splits that the source gives the photos of a dataset; without any, all are for train.

    Args:
        others: photos without a label and labels without a photo, beside those of the dataset.
    """
    done = Assigned()
    for path in sorted([*dataset.photos, *others]):
        given = dataset.given.get(path)
        if not given and not dataset.lists:
            given = splits.by_folder(path.parent, dataset.root)
        if given:
            done.splits[path] = (TEST if given.split == TEST else TRAIN), str(given.by)
        elif TRAIN in dataset.splits:
            done.left_out[path] = left_out.NO_LIST if dataset.lists else left_out.NO_SPLIT
        else:
            done.splits[path] = TRAIN, REST
    labelled = Counter(split for path, (split, _) in done.splits.items() if path in dataset.photos)
    done.notes = _found(dataset) if labelled[TRAIN] and labelled[TEST] else _validation(dataset)
    return done


def by_chance(
    done: Assigned,
    stems: Mapping[PurePosixPath, str],
    classes: Mapping[PurePosixPath, Collection[str]],
    share: float,
    group_of: Mapping[str, str],
) -> None:
    """Take the test split from all photos, by a hash of their names; copies of one picture go to one side.

    Args:
        classes: of the labelled photos.
        group_of: {name: the first name of its copies}.

    Raises:
        UserError: there are too few.
    """
    if len(classes) < 2:
        reason = counted(len(classes), "labelled photo")
        raise UserError("SRC", reason, "a dataset needs at least one for train and one for test")
    test, rare = splits.by_chance({stems[photo]: classes[photo] for photo in classes}, share, group_of)
    if not test:
        reason = f"{counted(len(classes), 'labelled photo')}, all of one picture"
        raise UserError("SRC", reason, "a dataset needs other photos for test than for train")
    for path in done.splits:
        is_test = stems[path] in test if path in classes else splitting.fraction(stems[path], TEST) < share
        done.splits[path] = (TEST if is_test else TRAIN), HASH
    done.notes.append(f"found no test split: {share:.0%} for test/, by a hash of the file name")
    if copies := sum(name in group_of for name in stems.values()):
        pictures = counted(len({group_of[name] for name in stems.values() if name in group_of}), "picture")
        done.notes.append(f"{copies} photos are copies of {pictures}: those of one picture are in one split")
    if rare:
        done.notes.append(f"kept in train, as no other photo shows them: {few(rare)}")


def has_both(done: Assigned, photos: Collection[PurePosixPath]) -> bool:
    """Whether there is a labelled photo in each split."""
    return len({done.splits[photo][0] for photo in photos if photo in done.splits}) == 2


def _found(dataset: Dataset) -> list[str]:
    """What the splits were taken from, and what lists name that is not there."""
    folders = {split: _places(dataset, split) for split in (TRAIN, VALIDATION, TEST)}
    named = [*folders[TRAIN], *folders[TEST]]
    notes = [f"splits found: {', '.join(named)}"] if named else []
    notes += _validation(dataset)
    if unknown := sorted({line for one in dataset.lists for line in one.unknown}):
        notes.append(f"{counted(len(unknown), 'line')} of the lists named no photo: {few(unknown)}")
    in_lists = {
        split: {photo for one in dataset.lists if one.split == split for photo in one.photos} for split in folders
    }
    twice = len(in_lists[TEST] & (in_lists[TRAIN] | in_lists[VALIDATION]))
    return notes + ([f"{counted(twice, 'photo')} of test are in a list of train, too: taken for test"] if twice else [])


def _validation(dataset: Dataset) -> list[str]:
    """What becomes of a validation split."""
    if not (places := _places(dataset, VALIDATION)):
        return []
    goes = "go" if len(places) > 1 else "goes"
    return [f"{few(places)} {goes} into train/, from which make train takes its own validation split"]


def _places(dataset: Dataset, split: str) -> list[str]:
    """The folders or lists that name a split."""
    if dataset.lists:
        shared = {one.path for one in dataset.lists if one.split != split}  # split.json
        paths = [one.path for one in dataset.lists if one.split == split]
        return [f"{split} of " * (path in shared) + str(splits.below(path, dataset.root)) for path in paths]
    given = {photo: one for photo, one in dataset.given.items() if one.split == split}
    folders = {one.by for photo, one in given.items() if one.by in photo.parents}
    files = {one.by for one in given.values()} - folders  # labels that name a split; one for each photo has a folder
    shown = files if len(files) <= MOST_NAMES else {path.parent for path in files}
    ends = {*(f"{splits.below(one, dataset.root)}/" for one in folders | (shown - files))}
    return sorted(ends | {str(splits.below(one, dataset.root)) for one in shown & files})
