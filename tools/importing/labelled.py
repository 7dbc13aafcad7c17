"""The labelled photos of a source, whatever the format of their labels."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from detector.annotations import voc
from detector.base.errors import counted
from tools.importing.pairs import Photo


@dataclass(frozen=True)
class Labelled:
    """A photo and the file that has its label.

    xml: makes the label for a file name of the photo, where it is not the content of that file. split: what the label
    file says (train, val or test), or empty.
    """

    photo: Photo
    label: PurePosixPath
    xml: Callable[[str], bytes] | None = None
    split: str = ""


@dataclass
class Found:
    """Labelled photos, and the labels of none.

    annotations: of each photo; None where its label cannot be read. alone: VOC XML whose photo is missing. left_out:
    other label files, and photos that must not be taken for such without labels, with the reason. names: the classes in
    the order of the format's ids, if it has one. files: all label files that were read. descriptions: files that only
    say what classes are called, or which photos are in a split.
    """

    labels: dict[Photo, Labelled] = field(default_factory=dict)
    annotations: dict[Photo, voc.Annotation | None] = field(default_factory=dict)
    alone: set[PurePosixPath] = field(default_factory=set)
    left_out: dict[PurePosixPath, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    names: Sequence[str] = ()
    files: frozenset[PurePosixPath] = frozenset()
    descriptions: frozenset[PurePosixPath] = frozenset()

    def classes(self, photo: Photo) -> Collection[str]:
        """The classes of a photo's objects, whether or not their boxes are sound."""
        annotation = self.annotations[photo]
        return set(annotation.class_names) if annotation else set()

    def sorted_classes(self, photos: Iterable[Photo]) -> list[str]:
        """The classes of some photos, in the order of the format's ids, or by name."""
        classes = {name for photo in photos for name in self.classes(photo)}
        return [name for name in self.names if name in classes] + sorted(classes.difference(self.names))


def respelled(problems: Iterable[voc.Problem]) -> list[str]:
    """A line for each class that is written otherwise than the labels have it."""
    counts = Counter(one.remedy for one in problems if one.reason == voc.ANGLES)
    return [f"{counted(count, 'object')} with {voc.ANGLES}, {done}" for done, count in counts.items()]
