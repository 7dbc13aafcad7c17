"""The labelled photos of a source: by PASCAL VOC XML, or in another format; and why there are none."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from detector.base.errors import UserError, counted, few
from tools.importing import left_out, splits, voc_files
from tools.importing import tree as trees
from tools.importing.labelled import Found
from tools.importing.pairs import Photo
from tools.importing.tree import ARCHIVES, Tree

GIVE = "give photos with PASCAL VOC XML"
_TOOL = "draw a box around each object, say with LabelImg"


def read(tree: Tree, temporary: Path) -> tuple[Tree, Found]:
    """The labelled photos of a source, and the source with its archives unpacked (in `temporary`) if that was needed.

    Raises:
        UserError: there are none.
    """
    found = _labelled(tree)
    if not found.labels and tree.ending(*ARCHIVES):
        tree = trees.with_archives(tree, temporary)
        found = _labelled(tree)
    if not found.labels:
        _refuse(tree, found)
    return tree, found


def _labelled(tree: Tree) -> Found:
    """Where labels of other formats come in: PASCAL VOC's win where they are of at least as many photos."""
    return voc_files.read(tree)


def _refuse(tree: Tree, found: Found) -> None:
    """Raises: UserError: what the source holds in place of labelled photos, and what to do."""
    photos, labels = tree.photos, found.alone + list(found.left_out)
    if photos and labels:
        label = labels[0]
        reason = found.left_out.get(label, left_out.NO_PHOTO)
        shown = f"{counted(len(photos), 'photo')} and {counted(len(labels), 'label file')}, none of which fits: {label}"
        raise UserError(tree.source, shown, "give each label file its photo's name", reason)
    others = [path for path in tree.files if left_out.is_other_format(path, {photo.stem for photo in photos})]
    if photos and others:
        reason = f"{counted(len(photos), 'photo')} and no label that is understood ({few(list(map(str, others)))})"
        raise UserError(tree.source, reason, GIVE)
    if photos:
        raise UserError(tree.source, *_unlabelled(tree, photos))
    if labels:
        raise UserError(
            tree.source, f"{counted(len(labels), 'label file')} without a photo", "put the photos there, too"
        )
    hint = f"; {few(list(map(str, tree.other_images)))}: {left_out.NOT_READ}" if tree.other_images else ""
    raise UserError(tree.source, f"holds no photo and no label{hint}", GIVE)


def _unlabelled(tree: Tree, photos: Sequence[Photo]) -> tuple[str, str]:
    """What photos without any label are, and what to do."""
    masks = [photo for photo in photos if tree.is_mask(photo)]
    stems = {photo.stem for photo in photos if photo not in masks}
    folders = Counter(photo.parent.name for photo in photos)
    classes = [name for name in folders if name and not splits.named(name)]
    if masks and any(mask.stem in stems for mask in masks):
        return f"{counted(len(masks), 'segmentation mask')} and no boxes", f"{_TOOL}; masks are not read"
    if len(classes) > 1 and len(classes) == len([name for name in folders if not splits.named(name)]):
        listed = few([f"{name} {folders[name]}" for name in classes])
        return f"a folder for each class ({listed}) and no boxes: for image classification", _TOOL
    return f"{counted(len(photos), 'photo')} and no label file", _TOOL
