"""The label map of a dataset: the source's own, or one made of the classes in its labels."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import PurePosixPath

from detector.annotations import pairing
from detector.base import paths
from detector.base.errors import UserError, few
from detector.data import labels
from detector.data.labels import LabelMap
from tools.importing import pairs, splits
from tools.importing.tree import Tree


def find(tree: Tree) -> dict[PurePosixPath, bytes]:
    """Every label map of a source, with its content."""
    candidates = [path for path in tree.files if labels.may_be_label_map(path.name)]
    return {path: content for path in candidates if labels.is_label_map(path.name, content := tree.read(path))}


def meanings(maps: Mapping[PurePosixPath, bytes]) -> dict[PurePosixPath, Hashable]:
    """What is the same for two label maps that number the same classes alike."""
    found: dict[PurePosixPath, Hashable] = {}
    for path, content in maps.items():
        try:
            found[path] = tuple(labels.parse(content, str(path)).names)
        except UserError:
            found[path] = content
    return found


def choose(
    tree: Tree, maps: Mapping[PurePosixPath, bytes], root: PurePosixPath, classes: Sequence[str]
) -> tuple[str, str]:
    """The text of the label map for some classes, and where it comes from, in words.

    It is the one beside the data, else the nearest that has all classes.

    Args:
        root: the folder of the data.

    Raises:
        UserError: it cannot be read, has not all classes, or others that are as near mean something else.
    """
    if not maps:
        return _made(tree, classes)
    own = root / paths.LABEL_MAP
    near = pairing.grouped([own] if own in maps else sorted(maps), lambda path: pairs.distance(path.parent, root))
    for distance in sorted(near):
        parsed = {path: labels.parse(maps[path], tree.shown(path), classes) for path in near[distance]}
        whole = {path: one for path, one in parsed.items() if set(classes) <= set(one.names)}
        if len({tuple(one.names) for one in whole.values()}) > 1:
            remedy = f"keep one, or put yours beside train/ as {paths.LABEL_MAP}"
            raise UserError(", ".join(map(str, whole)), "several label maps", remedy)
        if whole:
            path = min(whole, key=lambda one: (len(whole[one].repairs), one))
            return _taken(str(splits.below(path, root)), maps[path], whole[path], classes)
    path = near[min(near)][0]
    names = labels.parse(maps[path], tree.shown(path), classes).names
    missing = few([name for name in classes if name not in names])
    reason = f"{missing} of the labels is missing; it has {few(names)}"
    raise UserError(tree.shown(path), reason, "add it there, or rename it in the labels")


def _taken(path: str, content: bytes, label_map: LabelMap, classes: Sequence[str]) -> tuple[str, str]:
    listed = ", ".join(f"{name} {number}" for name, number in label_map.numbered().items())
    unused = [name for name in label_map.names if name not in classes]
    more = [f"without an object, but kept: {few(unused)}"] if unused else []
    if not label_map.repairs:
        text = content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
        return text, "; ".join([f"label map copied from {path}: {listed}", *more])
    notes = [f"label map made from {path}: {listed}", *label_map.repairs, *more]
    return labels.render(label_map.names), "; ".join(notes)


def _made(tree: Tree, classes: Sequence[str]) -> tuple[str, str]:
    if not classes:
        reason = "no object with a class in any label"
        raise UserError(tree.source, reason, "label some, or put a label map beside them")
    if len(classes) > labels.MOST_CLASSES:
        reason = f"the labels have {len(classes):,} classes; at most {labels.MOST_CLASSES:,} are supported"
        raise UserError(tree.source, reason, "is the name of a class in the place of something else?")
    for fault in filter(None, map(labels.fault, classes)):
        raise UserError(tree.source, fault, "rename it in the labels")
    numbered = ", ".join(f"{name} {number}" for number, name in enumerate(classes, 1))
    return labels.render(classes), f"label map made from the labels: {numbered}"
