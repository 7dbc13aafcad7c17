"""The PASCAL VOC XML of a source and the photos that they are of; what else is XML is passed over."""

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

from detector.annotations import pairing, partners, voc
from detector.base.bars import bar
from detector.base.errors import UserError, counted, few
from detector.pictures import images
from tools.importing import left_out, pairs
from tools.importing.labelled import Found, Labelled, respelled
from tools.importing.pairs import Looks, Photo, Size, Tag
from tools.importing.tree import Tree

ORDER = "order.csv"  # of make prelabel: it names the photos, and is no label file
_HEAD = 256  # bytes


def read(tree: Tree) -> Found:
    """Every XML of a source that is an annotation, or cannot be read as any XML, with its photo.

    Files without a suffix are taken, too, if they begin as an annotation does: Stanford Dogs has such.
    """
    found = Found()
    annotations: dict[PurePosixPath, voc.Annotation | None] = {}
    faults: list[voc.Problem] = []
    unchecked = set()
    candidates = [*_candidates(tree)]
    for path in bar(candidates, "labels", len(candidates)):
        is_small = tree.files[path].stat().st_size <= voc.MAX_BYTES
        annotation, problems = voc.parse(tree.read(path) if is_small else b"", None)
        if path.name.lower().endswith(partners.SIDECAR) or any(one.kind == voc.NOT_VOC for one in problems):
            found.left_out[path] = left_out.NO_ANNOTATION
        else:
            annotations[path] = annotation
            faults += problems
            unchecked |= {path for one in problems if one.kind == voc.UNCHECKED}
    tags = {path: Tag(one.filename, one.size) if one else Tag() for path, one in annotations.items()}
    matches = pairs.match(tags, tree.photos, Looks(tree.is_mask, lambda photo: sizes(tree, photo)))
    for label, pair in sorted(matches.items(), key=lambda one: one[1].photo):
        if label in unchecked:
            found.left_out[pair.photo] = left_out.UNCHECKED
            continue
        found.labels[pair.photo] = Labelled(pair.photo, label)
        found.annotations[pair.photo] = annotations[label]
    found.notes = [*_notes(matches), *respelled(faults)]
    found.files = frozenset(annotations)
    found.descriptions = frozenset(
        path for path in tree.files if path.name == ORDER and tree.head(path).startswith(b"rank,filename")
    )
    _explain(found, annotations.keys() - matches.keys(), tree.photos)
    return found


def _candidates(tree: Tree) -> Iterator[PurePosixPath]:
    for path, file in tree.files.items():
        if path.suffix.lower() == ".xml":
            yield path
        elif not path.suffix:
            with file.open("rb") as stream:
                if stream.read(_HEAD).lstrip().startswith(b"<annotation"):
                    yield path


def sizes(tree: Tree, photo: Photo) -> Collection[Size]:
    """The (width, height) of a photo as seen and as stored; none where it cannot be read."""
    try:
        info = images.check(tree.files[photo])
    except UserError:
        return ()
    return info.size, info.raw_size


def _explain(found: Found, unpaired: Collection[PurePosixPath], photos: Collection[Photo]) -> None:
    """Sort the labels without a photo into those that have none at all, and those that are left out."""
    stems = pairing.grouped(photos, lambda photo: pairing.loosest(photo.stem))
    for label in sorted(unpaired):
        candidates = stems.get(pairing.loosest(label.stem), [])
        if not candidates:
            found.alone.add(label)
        else:
            is_second = found.labels.keys() >= set(candidates)
            found.left_out[label] = left_out.ANOTHER_LABEL if is_second else left_out.SEVERAL_PHOTOS


def _notes(matches: dict[PurePosixPath, pairs.Pair]) -> list[str]:
    counts = Counter(pair.differs_by for pair in matches.values() if pair.differs_by)
    return [
        f"{counted(count, 'photo')} paired though the name differs in {differs_by}: "
        + few([f"{label} with {pair.photo}" for label, pair in matches.items() if pair.differs_by == differs_by])
        for differs_by, count in counts.items()
    ]
