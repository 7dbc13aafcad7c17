"""The labelled photos of a source: by PASCAL VOC XML, or in another format; and why there are none."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from detector.base.errors import UserError, counted, few
from detector.pictures import images
from detector.storage import zip_archive
from tools.importing import left_out, other_formats, splits, voc_files
from tools.importing import tree as trees
from tools.importing.formats import reading as formats
from tools.importing.labelled import Found
from tools.importing.pairs import Photo
from tools.importing.tree import Tree

_FORMATS = "docs/formats.md lists the labels that are read"
_TOOL = "draw a box around each object, say with LabelImg"


def read(tree: Tree, temporary: Path) -> tuple[Tree, Found]:
    """The labelled photos of a source, and the source with its archives unpacked (in `temporary`) if that was needed.

    Raises:
        UserError: there are none.
    """
    found = _labelled(tree)
    if not found.labels and tree.ending(*zip_archive.SUFFIXES):
        tree = trees.with_archives(tree, temporary)
        found = _labelled(tree)
    if not found.labels:
        _refuse(tree, found)
    return tree, found


def _labelled(tree: Tree) -> Found:
    """By PASCAL VOC XML, or by the format that labels more photos; and photos that another one alone labels."""
    found = voc_files.read(tree)
    if len(found.labels) == len(tree.photos) > 0:
        return found
    contents = formats.read(tree)
    best = other_formats.best(contents)
    if not best or (found.labels and len(best.photos) <= len(found.labels)):
        taken = found
    else:
        taken = other_formats.taken(tree, best)
        left = found.left_out | dict.fromkeys(found.files, left_out.OTHER_FORMAT)
        taken.left_out |= {path: reason for path, reason in left.items() if path not in taken.files}
        _join(taken, found, "PASCAL VOC")
    for other in contents.datasets:
        if other is not best or taken is found:
            _join(taken, other_formats.without_doubt(tree, other), other.format)
    taken.notes += other_formats.notes(contents)
    return taken


def _join(taken: Found, more: Found, kind: str) -> None:
    """Take the photos that another format alone labels; those under the name of one that is taken may be copies."""
    stems = {photo.stem.casefold() for photo in taken.labels}
    others = [photo for photo in more.labels if photo not in taken.labels]
    new = [photo for photo in others if photo.stem.casefold() not in stems]
    doubted = {path for path in more.left_out if images.is_image(path.name)}
    taken.descriptions |= more.descriptions
    taken.left_out |= dict.fromkeys({*others, *doubted} - taken.labels.keys(), left_out.IN_OTHER_FORMAT)
    for photo in new:
        taken.labels[photo], taken.annotations[photo] = more.labels[photo], more.annotations[photo]
        del taken.left_out[photo]
        taken.left_out.pop(more.labels[photo].label, None)
    if new:
        taken.files |= {more.labels[photo].label for photo in new}
        taken.names = [*dict.fromkeys([*taken.names, *more.names])]
        taken.notes.append(f"labels read as {kind}, too: {counted(len(new), 'photo')} without another label")
    if left := [one.label for photo, one in more.labels.items() if photo not in new]:
        files = few(sorted({str(label) for label in left}))
        taken.notes.append(f"not taken: {kind}'s labels of {counted(len(left), 'photo')} ({files})")


def _refuse(tree: Tree, found: Found) -> None:
    """Raises: UserError: what the source holds in place of labelled photos, and what to do."""
    if unchecked := [*found.left_out.values()].count(left_out.UNCHECKED):
        reason = f"nobody has checked the labels that make prelabel wrote for {counted(unchecked, 'photo')}"
        raise UserError(tree.source, reason, "open them in LabelImg: Space says that a photo's boxes are right")
    photos, labels = tree.photos, sorted(found.alone) + list(found.left_out)
    if photos and labels:
        fault = found.left_out.get(labels[0], left_out.NO_PHOTO)
        both = f"{counted(len(photos), 'photo')} and {counted(len(labels), 'label file')}"
        raise UserError(tree.source, f"{both}, none of which fits: {labels[0]}: {fault}", "give both the same name")
    if found.notes:
        raise UserError(tree.source, f"no labels that can be taken: {'; '.join(found.notes)}", _FORMATS)
    if labels:
        without = f"{counted(len(labels), 'label file')} without a photo"
        raise UserError(tree.source, without, "put the photos there, too")
    others = [str(path) for path in tree.files if left_out.may_be_label(path, {photo.stem for photo in photos})]
    if photos and others:
        without = f"{counted(len(photos), 'photo')} and no label that can be taken ({few(others)})"
        raise UserError(tree.source, without, _FORMATS)
    if photos:
        raise UserError(tree.source, *_unlabelled(tree, photos))
    hint = f"; {few(list(map(str, tree.other_images)))}: {left_out.NOT_READ}" if tree.other_images else ""
    raise UserError(tree.source, f"holds no photo and no label{hint}", f"give photos with labels: {_FORMATS}")


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
