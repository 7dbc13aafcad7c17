"""What `make dataset` says of the content that it brings in, and of what a training will make of it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from detector.annotations import datasets
from detector.annotations.photos import Photo
from detector.annotations.voc import ERROR, SKIPPED, Problem
from detector.base import params
from detector.base.errors import UserError, counted, few
from detector.data.params import DatasetParams
from detector.model import pipeline_config
from detector.training.params import TrainParams
from tools.checks import enough
from tools.importing.plan import Plan, Row
from tools.page.language import Message


def lines(planned: Plan, target: Path) -> Iterator[str]:
    """Lines on what is imported to `target`: images and boxes of each split, and what make train will say."""
    yield from counts(planned)
    yield from _refusals(planned, target)
    scarce = enough.too_few(planned.photos_of_classes("train"), planned.photos_of_classes("test"), target)
    yield from map(str, (*scarce, *_small_objects(planned)))


def counts(planned: Plan) -> Iterator[str]:
    """Images and boxes of each split, and what make train will report."""
    for split in ("train", "test"):
        rows = [row for row in planned.rows if row.split == split]
        inside = [planned.annotations[row.photo] for row in rows if row.photo and row.label]
        boxes = Counter(
            one.name or "without a class" for annotation in inside if annotation for one in annotation.objects
        )
        pictures = counted(sum(row.photo is not None for row in rows), "image")
        empty = counted(sum(one is not None and not one.objects and not one.class_names for one in inside), "image")
        classes = ", ".join(f"{name} {boxes[name]}" for name in sorted(boxes)) or "none"
        yield f"{split}: {pictures}, {counted(boxes.total(), 'box')} ({classes}), {empty} without objects"
    for paths, noun, what in (
        ([row.photo for row in planned.rows if not row.label], "image", "without a label"),
        ([row.label for row in planned.rows if not row.photo], "label", "without an image"),
        ([row.label for row in planned.rows if row.label and _is_broken(planned, row)], "label", "that cannot be read"),
    ):
        if paths:
            them = "it" if len(paths) == 1 else "them"
            named = few([str(path) for path in paths])
            yield f"{counted(len(paths), noun)} {what} ({named}): make train will report {them}"


def _is_broken(planned: Plan, row: Row) -> bool:
    return row.photo is not None and planned.annotations[row.photo] is None


def _refusals(planned: Plan, target: Path) -> Iterator[str]:
    """Why xml2csv is going to refuse the dataset, by the policy of params.yaml; nothing where that cannot be read.

    It may refuse more: what only decoding the photos shows is not known here.
    """
    try:
        settings = replace(params.load("dataset", DatasetParams), dir=str(target))
    except UserError:
        return
    photos = [_as_known(planned, row, settings) for row in planned.rows if row.photo]
    if stops := sum(photo.is_refused for photo in photos):
        policy = "as dataset.unlabelled or dataset.unusable in params.yaml is error"
        yield f"make train will stop at {counted(stops, 'photo')} without a label that can be used, {policy}"
    for problem in datasets.refusals(photos, settings):
        yield f"make train will refuse this: {problem.line()}"


def _as_known(planned: Plan, row: Row, settings: DatasetParams) -> Photo:
    """A photo of the plan as xml2csv will see it, as far as that is known from its label."""
    annotation = planned.annotations.get(row.photo) if row.photo else None
    photo = Photo(row.split, Path(settings.dir, row.photo_target or ""), str(row.label_target or ""))
    if not row.label:
        reason, policy = datasets.UNLABELLED, settings.unlabelled
    elif annotation and (annotation.objects or not annotation.class_names):
        return photo
    else:
        reason, policy = "its label cannot be used", settings.unusable
    if policy == "background":
        return photo
    return photo.noting(Problem("", reason, "", ERROR if policy == ERROR else SKIPPED))


def _small_objects(planned: Plan) -> Iterator[Message]:
    """Whether the network of params.yaml sees the objects; without a word where that names none: doctor reports it."""
    try:
        train = params.load("train", TrainParams)
    except UserError:
        return
    shares = [
        ((xmax - xmin) / width, (ymax - ymin) / height)
        for annotation in planned.annotations.values()
        if annotation and annotation.size
        for width, height in [annotation.size]
        for xmin, ymin, xmax, ymax in [one.box for one in annotation.objects]
    ]
    size = pipeline_config.TEMPLATES[train.model][1]
    yield from enough.too_small(shares, train.model, size)
