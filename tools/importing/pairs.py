"""Which label file is of which photo, wherever the two lie; the surest sign first, each only where it means one photo.

1. the same folder and name: day1/x.jpg and day1/x.xml, or day1/x.jpg.xml
2. parallel folders: JPEGImages/day1/x.jpg and Annotations/day1/x.xml, whatever the outer ones are called
3. the same name elsewhere: the photo that <filename> names, then the one in the nearest folder, then the one that is no
   segmentation mask, then the one whose size is <size>
4. another name: the photo that <filename> names

Names are compared as `detector/annotations/pairing.py` has it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import PurePosixPath
from typing import TypeAlias, TypeVar
from urllib.parse import unquote

from detector.annotations import pairing, partners
from detector.pictures import images

# Folders that say what kind of file is in them, and nothing of which.
ROLES = frozenset(
    (
        *("annotation", "annotations", "annots", "bboxes", "boxes", "data", "dataset", "files", "image", "images"),
        *("img", "imgs", "jpeg", "jpegimages", "jpegs", "jpg", "jpgs", "label", "labels", "pascal", "pascal_voc"),
        *("pascalvoc", "photo", "photos", "pic", "pics", "picture", "pictures", "png", "pngs", "voc", "xml", "xmls"),
    )
)
BY_FILENAME = "<filename>, the names of the files differ"
_MOST_CANDIDATES = 100  # photos of one name, among which a label looks for its own

Label: TypeAlias = PurePosixPath
Photo: TypeAlias = PurePosixPath
Size = tuple[int, int]
T = TypeVar("T")


@dataclass(frozen=True)
class Tag:
    """What an XML says of its photo: <filename>, or nothing; and <size>, where it makes sense."""

    filename: str = ""
    size: Size | None = None


@dataclass(frozen=True)
class Pair:
    """A label's photo; differs_by: in which respect the names of the two differ, in words, or empty."""

    photo: Photo
    differs_by: str = ""


@dataclass(frozen=True)
class Looks:
    """What is asked of a photo's content where its name does not decide."""

    is_mask: Callable[[Photo], bool]
    sizes: Callable[[Photo], Collection[Size]]


def match(tags: Mapping[Label, Tag], photos: Collection[Photo], looks: Looks) -> dict[Label, Pair]:
    """{label: its photo}, each used once; labels without one, or with several that could be meant, are left out."""
    pairs: dict[Label, Pair] = {}
    rules: tuple[Callable[[list[Label], list[Photo]], dict[Label, Pair]], ...] = (
        lambda labels, free: _in_places(labels, free, lambda path: path.parent),
        lambda labels, free: _in_places(labels, free, place),
        *(
            partial(_in_places, place_of=partial(_last_folders, count=count))
            for count in range(_deepest(photos), 0, -1)
        ),
        lambda labels, free: _nearest({label: tags[label] for label in labels}, free, looks, _own_name),
        lambda labels, free: _nearest({label: tags[label] for label in labels}, free, looks, _tagged_name),
    )
    for rule in rules:
        used = {pair.photo for pair in pairs.values()}
        pairs |= rule([label for label in tags if label not in pairs], [one for one in photos if one not in used])
    return dict(sorted(pairs.items()))


def place(path: PurePosixPath) -> tuple[str, ...]:
    """The folders of a file, but for those that only say of what kind it is."""
    return tuple(part for part in path.parent.parts if part.casefold() not in ROLES)


def _last_folders(path: PurePosixPath, count: int) -> Hashable:
    """The innermost folders of a file; itself where it has not so many, so that it is alone."""
    parts = path.parent.parts
    return parts[-count:] if len(parts) >= count else path


def _deepest(paths: Iterable[PurePosixPath]) -> int:
    return max((len(path.parent.parts) for path in paths), default=0)


def _in_places(
    labels: list[Label], photos: list[Photo], place_of: Callable[[PurePosixPath], Hashable]
) -> dict[Label, Pair]:
    """Pairs by name within each place."""
    pairs: dict[Label, Pair] = {}
    offered = pairing.grouped(photos, place_of)
    for where, inside in pairing.grouped(labels, place_of).items():
        pairs |= _in_one_place(inside, offered.get(where, []))
    return pairs


def _in_one_place(labels: list[Label], photos: list[Photo]) -> dict[Label, Pair]:
    """Pairs by name of labels and photos; those that share theirs with another one are left out."""
    wanted = pairing.unique(labels, lambda path: path.stem)
    by_name = pairing.unique(photos, lambda path: path.name)
    whole = {label: Pair(by_name[name]) for name, label in wanted.items() if _means_whole(name, by_name, wanted)}
    used = {pair.photo for pair in whole.values()}
    names = [name for name, label in wanted.items() if label not in whole]
    available = pairing.unique([photo for photo in photos if photo not in used], lambda path: path.stem)
    matches = pairing.match(names, available)
    return whole | {wanted[name]: Pair(available[one.name], one.differs_by) for name, one in matches.items()}


def _means_whole(name: str, by_name: Mapping[str, Photo], wanted: Collection[str]) -> bool:
    """Whether `x.jpg.xml` is of x.jpg: there is no x.xml."""
    return name in by_name and PurePosixPath(name).stem not in wanted


def _own_name(label: Label, _: Tag) -> str:
    return label.stem


def _tagged_name(_: Label, tag: Tag) -> str:
    return partners.base_name(tag.filename)


def _nearest(
    tags: Mapping[Label, Tag], photos: list[Photo], looks: Looks, name_of: Callable[[Label, Tag], str]
) -> dict[Label, Pair]:
    """Pairs by name wherever the two lie; of several photos the one that `_ranks` prefers."""
    offered = pairing.grouped(photos, lambda path: pairing.loosest(path.stem))
    choices: dict[Label, Photo] = {}
    for label, tag in tags.items():
        name = name_of(label, tag)
        candidates = offered.get(pairing.loosest(name), []) if name else []
        if photo := _choose(label, tag, candidates, looks):
            choices[label] = photo
    pairs: dict[Label, Pair] = {}
    for photo, labels in pairing.grouped(choices, choices.__getitem__).items():
        likeliest = best(labels, lambda label: _rank(label, tags[label], choices[label]))
        if len(likeliest) == 1:
            name = name_of(likeliest[0], tags[likeliest[0]])
            pairs[likeliest[0]] = Pair(photo, BY_FILENAME if name_of is _tagged_name else _difference(name, photo))
    return pairs


def _choose(label: Label, tag: Tag, candidates: list[Photo], looks: Looks) -> Photo | None:
    """The photo that a label means, or None where several could be meant."""
    if len(candidates) > _MOST_CANDIDATES:
        return None
    left = best(candidates, lambda photo: _rank(label, tag, photo))
    if len(left) > 1:
        left = best(left, looks.is_mask)
    if len(left) > 1:
        left = best(left, lambda photo: tag.size not in looks.sizes(photo))
    return left[0] if len(left) == 1 else None


def _rank(label: Label, tag: Tag, photo: Photo) -> tuple[int, int]:
    """The smaller, the likelier: how much of <filename> the photo's path has, then how far apart the folders are."""
    named = PurePosixPath(unquote(tag.filename.replace("\\", "/"))).parts
    return -shared_end(named, photo.parts), distance(label.parent, photo.parent)


def shared_end(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many parts at the end of two paths are equal."""
    count = 0
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left != right:
            break
        count += 1
    return count


@lru_cache(2**20)
def distance(one: PurePosixPath, other: PurePosixPath) -> int:
    """How many folders of two paths the other one does not have."""
    left, right = Counter(one.parts), Counter(other.parts)
    return ((left - right) + (right - left)).total()


def best(values: list[T], rank: Callable[[T], int | tuple[int, int]]) -> list[T]:
    """The values with the smallest rank."""
    ranks = [rank(value) for value in values]
    smallest = min(ranks, default=None)
    return [value for value, one in zip(values, ranks, strict=True) if one == smallest]


def _difference(name: str, photo: Photo) -> str:
    own = photo.name if images.is_image(name) else photo.stem
    return next((words for words, key in pairing.KEYS.items() if key(name) == key(own)), "an image suffix")
