"""The rule for copies of photos: none of a test photo in train, and all copies of a photo in one split.

in test and in train     the training photo is left out, where bytes or looks prove it
within train             `Photo.group` is the first name of the copies; the validation split takes all or none
not proved               a warning: names of a Roboflow export, frames of a camera that stands still
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from detector.annotations import duplicates
from detector.annotations.duplicates import LOOKS_SAME, MOST_COPIES, MOVED, SAME_BYTES, SAME_SCENE, SAME_SOURCE, Copy
from detector.annotations.photos import Photo
from detector.annotations.voc import SKIPPED, WARNING, Problem

Key = tuple[str, str]  # split and name

_PROVED = (SAME_BYTES, LOOKS_SAME)
_STILL_CAMERA = {
    SAME_SCENE: f"looks the same as more than {MOST_COPIES - 1} others",
    MOVED: "looks the same as others whose objects are elsewhere",
}
_BY_TIME = "all are taken; if the camera stood still, let test/ hold other days or places than train/"


def settled(everything: Sequence[Photo]) -> list[Photo]:
    """All photos: copies in train of test photos are left out, the others have their group."""
    photos = {_key(photo): photo for photo in everything}
    sound = [(key, one.fingerprint, one.annotation) for key, one in photos.items() if one.is_sound]
    copies = duplicates.find({key: one.labelled(annotation) for key, one, annotation in sound if one})
    for copy, tests in _across(_of(copies, _PROVED)):
        photos[copy] = photos[copy].noting(_left_out(photos[copy], [photos[test] for test in tests]))
    for copy, tests in _across(_of(copies, (*_PROVED, SAME_SOURCE))):
        if photos[copy].is_sound:
            reason = f"may show a test photo: {photos[tests[0]].path} has the same name before .rf."
            photos[copy] = photos[copy].noting(Problem("", reason, "both are taken", WARNING))
    for kind, words in _STILL_CAMERA.items():
        for group in duplicates.groups(_of(copies, (kind,))):
            problem = Problem("", f"{words}: {len(group)} photos", _BY_TIME, WARNING)
            photos |= {key: photos[key].noting(problem) for key in group}
    photos |= dict(_grouped(photos, duplicates.groups(_of(copies, (*_PROVED, SAME_SOURCE)))))
    return [photos[_key(photo)] for photo in everything]


def _key(photo: Photo) -> Key:
    return photo.split, photo.path.name


def _of(copies: Iterable[Copy[Key]], reasons: Collection[str]) -> list[Copy[Key]]:
    return [copy for copy in copies if copy.reason in reasons]


def _across(copies: Iterable[Copy[Key]]) -> Iterator[tuple[Key, list[Key]]]:
    """The training photos that have copies in test, each with those."""
    for group in duplicates.groups(copies):
        tests = [key for key in group if key[0] == "test"]
        yield from ((key, tests) for key in group if tests and key[0] == "train")


def _left_out(photo: Photo, tests: Sequence[Photo]) -> Problem:
    remedy = "left out: a test photo must be new to the detector"
    if equal := [test for test in tests if test.sha256 == photo.sha256]:
        return Problem("", f"is a test photo, too: {equal[0].path} is the same picture", remedy, SKIPPED)
    return Problem("", f"looks like a test photo: {tests[0].path}", remedy, SKIPPED)


def _grouped(photos: Mapping[Key, Photo], groups: Iterable[Sequence[Key]]) -> Iterator[tuple[Key, Photo]]:
    for group in groups:
        inside = [key for key in group if key[0] == "train" and photos[key].is_sound]
        yield from ((key, replace(photos[key], group=inside[0][1])) for key in inside)
