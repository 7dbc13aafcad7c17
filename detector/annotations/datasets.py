"""A dataset's rules: what becomes of each photo of `train` and `test`, and why.

    <filename>    may be stale or missing, but must not name another photo of the dataset (filenames.py)
    frames        boxes at another scale, photos that EXIF turns (frames.py)
    edges         boxes over the edge are clipped, by a share of the photo at most
    left out      what cannot be used: files, boxes, and photos that have lost all of their boxes
    unlabelled    photos without an XML: left out, taken as without objects, or an error
    copies        a training photo that is in `test`, too, is left out (copies.py)

So each photo is sound, left out by name, or an error. Where too many are left out, the dataset is refused.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from detector.annotations import class_names, copies, filenames, frames, photos, report, splitting
from detector.annotations.left_out import PHOTOS
from detector.annotations.photos import Photo
from detector.annotations.report import FileProblem
from detector.annotations.shapes import EMPTY
from detector.annotations.voc import ERROR, REPAIRED, SKIPPED, WARNING, Annotation, Problem
from detector.base import errors, paths
from detector.base.errors import UserError
from detector.data import labels
from detector.data.params import DatasetParams

SPLITS = ("test", "train")
UNLABELLED = "has no label"


@dataclass(frozen=True)
class LabelledImage:
    """A sound image with its sound annotation. sha256: of the file. group: the first name of its copies in train."""

    filename: str
    sha256: str
    annotation: Annotation
    group: str


def read(settings: DatasetParams) -> tuple[dict[str, list[LabelledImage]], list[FileProblem]]:
    """The sound images of each split by file name, and all problems, sorted by split and file."""
    folder = Path(settings.dir)
    classes, problems = _read_classes(folder / paths.LABEL_MAP)
    everything: list[Photo] = []
    for split in SPLITS:
        in_split, in_folder = photos.read_split(paths.images(folder, split), split, classes)
        everything += in_split
        problems += [replace(one, problem=_by_policy(one.problem, settings)) for one in in_folder]
    everything = ruled(everything, settings)
    problems += [problem for photo in everything for problem in photo.problems]
    problems += refusals(everything, settings)
    if not any(one.problem.action == ERROR for one in problems):
        problems += of_classes(everything, classes or (), folder / paths.LABEL_MAP)
    return {split: _sound(everything, split) for split in SPLITS}, report.in_order(problems)


def validation(train: Sequence[LabelledImage], fraction: float, folder: Path) -> tuple[set[str], list[FileProblem]]:
    """The names of the training photos for validation, of which copies are all chosen or none; and what was changed.

    A class keeps a photo to learn from: one that chance would have taken whole is given back.
    """
    group_of = {image.filename: image.group for image in train}
    chosen = splitting.choose(group_of, fraction, "", group_of)
    classes = {image.filename: {one.name for one in image.annotation.objects if not one.is_crowd} for image in train}
    kept = splitting.keep_classes(chosen, classes, "", group_of)
    problem = Problem("", "not for validation: the last photos of a class", "taken to learn from", WARNING)
    return kept, [FileProblem("train", folder / name, problem) for name in sorted(chosen - kept)]


def ruled(everything: Sequence[Photo], settings: DatasetParams) -> list[Photo]:
    """The photos of all splits after all rules."""
    everything = filenames.checked(everything)
    read = [(photo.annotation, photo.info) for photo in everything]
    evident = {frame for one, info in read if one and info and (frame := frames.evident(one.size, info))}
    everything = [_placed(photo, evident, settings) for photo in everything]
    everything = [_unlabelled(_without_use(photo), settings.unlabelled) for photo in everything]
    return _named_twice(copies.settled(everything))


def refusals(everything: Sequence[Photo], settings: DatasetParams) -> Iterator[FileProblem]:
    """Splits of which nothing is left, or a dataset of which too much was left out."""
    for split in SPLITS:
        inside = _of(everything, split)
        if inside and all(photo.is_left_out for photo in inside):
            reason = f"no photo is left of {len(inside)}: {_reasons(inside)}"
            yield FileProblem(split, paths.images(settings.dir, split), Problem("", reason, _remedy(inside)))
    skipped = [photo for photo in everything if photo.is_left_out]
    if len(skipped) > settings.max_skipped * len(everything):
        reason = f"{len(skipped)} of {len(everything)} photos cannot be used: {_reasons(skipped)}"
        remedy = f"{_remedy(skipped)}, or raise dataset.max_skipped in params.yaml"
        yield FileProblem("", Path(settings.dir), Problem("", reason, remedy))


def of_classes(everything: Iterable[Photo], classes: Iterable[str], label_map: Path) -> Iterator[FileProblem]:
    """The classes that no training photo shows, and class names that may be a slip."""
    boxes = {split: Counter[str]() for split in SPLITS}
    for photo in everything:
        if photo.is_sound and photo.annotation:
            boxes[photo.split].update(one.name for one in photo.annotation.objects)
    untaught = [name for name in classes if not boxes["train"][name]]
    if tested := [name for name in untaught if boxes["test"][name]]:
        yield _warning(label_map, "classes in test/ alone", tested, "move photos of them to train/, to learn them")
    if unused := [name for name in untaught if not boxes["test"][name]]:
        yield _warning(label_map, "classes in no photo", unused, "label some, or take them out of the label map")
    for doubt in class_names.doubts(boxes["train"] + boxes["test"]):
        yield _warning(label_map, "class names", [doubt], "rename them in the labels, if that is a slip")


def _warning(path: Path, kind: str, names: Sequence[str], remedy: str) -> FileProblem:
    return FileProblem("", path, Problem("", f"{kind}: {errors.few(names)}", remedy, WARNING))


def _read_classes(path: Path) -> tuple[list[str] | None, list[FileProblem]]:
    try:
        label_map = labels.load(path)
    except UserError as error:
        return None, [FileProblem("", path, Problem(error.item, " ".join(error.reason.split()), error.remedy))]
    problems = (Problem("", repair, f"in {path.name}", REPAIRED) for repair in label_map.repairs)
    return label_map.names, [FileProblem("", path, problem) for problem in problems]


def _of(everything: Iterable[Photo], split: str) -> list[Photo]:
    return [photo for photo in everything if photo.split == split]


def _sound(everything: Iterable[Photo], split: str) -> list[LabelledImage]:
    read = [(photo, photo.annotation) for photo in _of(everything, split) if photo.is_sound]
    return [
        LabelledImage(photo.path.name, photo.sha256, annotation, photo.group or photo.path.name)
        for photo, annotation in read
        if annotation
    ]


def _placed(photo: Photo, evident: Collection[str], settings: DatasetParams) -> Photo:
    """The photo with its boxes in its own frame, and inside of it; what cannot be used is an error, or left out."""
    if photo.annotation and photo.info:
        annotation, moved = frames.place(photo.annotation, photo.info, evident)
        if any(problem.action == ERROR for problem in moved):
            return photo.noting_in_label(*moved)
        annotation, clipped = frames.fit(annotation, annotation.size or photo.info.size, settings.clip_tolerance)
        photo = replace(photo, annotation=annotation).noting_in_label(*moved, *clipped)
    by_policy = (replace(one, problem=_by_policy(one.problem, settings)) for one in photo.problems)
    return replace(photo, problems=tuple(by_policy))


def _by_policy(problem: Problem, settings: DatasetParams) -> Problem:
    is_error = problem.action == SKIPPED and settings.unusable == ERROR
    return replace(problem, action=ERROR) if is_error else problem


def _without_use(photo: Photo) -> Photo:
    """A photo whose XML, or whose every box, was left out is left out itself: it is not one without objects."""
    own = [one.problem for one in photo.problems if one.path == photo.path and one.problem.action == SKIPPED]
    skipped = [one.problem for one in photo.problems if one.problem.action == SKIPPED]
    if photo.is_refused or own or not photo.label:
        return photo
    if photo.annotation is None:
        return photo.noting(_left_out("its XML cannot be used", skipped))
    boxes = [problem for problem in skipped if problem.kind != EMPTY]
    if boxes and not photo.annotation.objects:
        return photo.noting(_left_out("none of its boxes can be used", boxes))
    return photo


def _left_out(kind: str, because: Iterable[Problem]) -> Problem:
    return Problem("", f"{kind}: {', '.join(dict.fromkeys(one.kind for one in because))}", "left out", SKIPPED)


def _unlabelled(photo: Photo, policy: str) -> Photo:
    if photo.label or photo.info is None or photo.is_left_out or photo.is_refused:
        return photo
    if policy == "background" and photo.other_label:
        remedy = "import the dataset with make dataset, which reads other formats"
        return photo.noting(Problem("", f"labelled in another format: {photo.other_label}", remedy, SKIPPED))
    if policy == "background":
        problem = Problem("", UNLABELLED, "taken as a photo without objects", WARNING)
        return replace(photo, annotation=Annotation("", photo.info.size, ())).noting(problem)
    remedy = "label it; if it shows no object, with an XML that has no <object>"
    return photo.noting(Problem("", UNLABELLED, remedy, ERROR if policy == ERROR else SKIPPED))


def _named_twice(everything: Sequence[Photo]) -> list[Photo]:
    """One name for two pictures, in train and in test, is only reported."""
    names = {photo.path.name for photo in _of(everything, "test") if photo.is_sound}
    problem = Problem("", "another photo in test/ has the same name", "both are taken", WARNING)
    return [
        photo.noting(problem) if photo.split == "train" and photo.is_sound and photo.path.name in names else photo
        for photo in everything
    ]


def _reasons(skipped: Iterable[Photo]) -> str:
    """Why photos were left out, in words, with counts."""
    problems = [one for photo in skipped for one in photo.problems if one.path == photo.path]
    return ", ".join(f"{kind} {count}" for kind, count in report.count(problems)[PHOTOS].items())


def _remedy(skipped: Iterable[Photo]) -> str:
    kinds = {one.problem.kind for photo in skipped for one in photo.problems if one.path == photo.path}
    if kinds == {UNLABELLED}:
        return "label them; or, if they show no object, set dataset.unlabelled to background in params.yaml"
    return f"fix them, {report.PATH} lists them all"
