"""The labelled photos of a source, whatever the format of their labels."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from detector.annotations import voc
from tools.importing.pairs import Photo


@dataclass(frozen=True)
class Labelled:
    """A photo and the file that has its label.

    xml: the label, where it is not the content of that file. split: what the label file says (train, val or test), or
    empty.
    """

    photo: Photo
    label: PurePosixPath
    xml: bytes | None = None
    split: str = ""


@dataclass
class Found:
    """Labelled photos, and the labels of none.

    annotations: of each photo; None where its label cannot be read. alone: VOC XML whose photo is missing. left_out:
    other label files, with the reason.
    """

    labels: dict[Photo, Labelled] = field(default_factory=dict)
    annotations: dict[Photo, voc.Annotation | None] = field(default_factory=dict)
    alone: list[PurePosixPath] = field(default_factory=list)
    left_out: dict[PurePosixPath, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def classes(self, photo: Photo) -> Collection[str]:
        """The classes of a photo's objects, where the label has names for them."""
        annotation = self.annotations[photo]
        return {one.name for one in annotation.objects} - {""} if annotation else set()
