"""<filename> against the photo that an XML lies beside: it may be stale; it must not name another photo of the dataset.

Photos are renamed after labelling, tools write %s or a path of another machine. But an XML that names a photo which is
there, too, may have been swapped with that one's.
"""

from collections.abc import Mapping, Sequence

from detector.annotations import pairing, partners
from detector.annotations.photos import Photo
from detector.annotations.voc import REPAIRED, Problem


def checked(photos: Sequence[Photo]) -> list[Photo]:
    """The photos; whose XML has another <filename> than theirs, with a line on it."""
    by_name = pairing.grouped(photos, lambda photo: pairing.folded(photo.path.name))
    by_stem = pairing.grouped(photos, lambda photo: pairing.without_suffix(photo.path.name))
    return [_checked(photo, by_name, by_stem) for photo in photos]


def _checked(photo: Photo, by_name: Mapping[str, list[Photo]], by_stem: Mapping[str, list[Photo]]) -> Photo:
    if photo.annotation is None:
        return photo
    own, filename = photo.path.name, partners.base_name(photo.annotation.filename)
    if not filename:
        return photo.noting_in_label(Problem("", "<filename> is missing", f"taken as {own}", REPAIRED))
    if pairing.composed(filename) == pairing.composed(own):
        return photo
    stem = pairing.without_suffix(filename)
    others = by_name.get(pairing.folded(filename), [])
    if not others and stem != pairing.without_suffix(own):
        others = by_stem.get(stem, [])
    if another := next((other for other in others if _is_another(other, photo, filename)), None):
        reason = f"<filename> is {filename}, the image beside it is {own}"
        remedy = f"is it the annotation of {another.path}? If not, write {own} there"
        return photo.noting_in_label(Problem("", reason, remedy))
    return photo.noting_in_label(Problem("", f"another <filename>: {filename}", f"taken as {own}", REPAIRED))


def _is_another(other: Photo, photo: Photo, filename: str) -> bool:
    """Whether it is another picture, and not what `photo` was made of: pet_flip.jpg of pet.jpg, day1_pet.jpg."""
    if other.path == photo.path or (other.sha256 and other.sha256 == photo.sha256):
        return False
    name, part = pairing.without_suffix(photo.path.name), pairing.without_suffix(filename)
    if name == part:  # pet.png, which says pet.jpg
        return other.split == photo.split
    begins, ends = name.startswith(part), name.endswith(part)
    return not (begins and not name[len(part)].isalnum()) and not (ends and not name[-len(part) - 1].isalnum())
