"""The label map of a dataset: the source's own, or one made of the classes in its labels."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from detector.base import paths
from detector.base.errors import UserError
from detector.data import labels
from tools.importing import pairs
from tools.importing.tree import Tree


def find(tree: Tree) -> dict[PurePosixPath, bytes]:
    """Every label map of a source, with its content."""
    return {path: tree.read(path) for path in tree.ending(".pbtxt")}


def choose(
    tree: Tree, maps: Mapping[PurePosixPath, bytes], root: PurePosixPath, classes: Sequence[str]
) -> tuple[str, str]:
    """The text of the label map for some classes, and where it comes from, in words.

    Of several with different content: the one beside the data, else the nearest that has all classes.

    Args:
        root: the folder of the data.

    Raises:
        UserError: none can be chosen, or the one that is has not all classes.
    """
    if not maps:
        return _made(tree, classes)
    path = _nearest(maps, root, classes)
    if path is None:
        shown = ", ".join(map(str, maps))
        raise UserError(shown, "several label maps", f"keep one, or put yours beside train/ as {paths.LABEL_MAP}")
    label_map = labels.read(tree.files[path])
    if missing := [name for name in classes if name not in label_map]:
        reason = f"{', '.join(missing)} of the labels is missing"
        raise UserError(str(path), reason, "add it there, or rename it in the labels")
    listed = ", ".join(f"{name} {number}" for name, number in label_map.items())
    return maps[path].decode(), f"label map copied from {path}: {listed}"


def _nearest(maps: Mapping[PurePosixPath, bytes], root: PurePosixPath, classes: Sequence[str]) -> PurePosixPath | None:
    if root / paths.LABEL_MAP in maps:
        return root / paths.LABEL_MAP
    left = list(maps)
    if len(set(maps.values())) > 1:
        left = pairs.best(left, lambda path: pairs.distance(path.parent, root))
    return left[0] if len({maps[path] for path in left}) == 1 else None


def _made(tree: Tree, classes: Sequence[str]) -> tuple[str, str]:
    if not classes:
        raise UserError(
            tree.source, "no object with a class in any label", "label some, or put a label map beside them"
        )
    if labels.BACKGROUND in classes:
        reason = f"{labels.BACKGROUND} is not allowed as a class name"
        raise UserError(tree.source, reason, "rename it in the labels")
    numbered = ", ".join(f"{name} {number}" for number, name in enumerate(classes, 1))
    return labels.render(classes), f"label map made from the labels: {numbered}"
