"""COCO's detection metrics, computed by pycocotools in memory.

AP is the mean over the IoU thresholds 0.50, 0.55, ..., 0.95 and the classes of the interpolated precision at 101
recalls; AR1, AR10 and AR100 count that many detections of an image. Small is under 32² pixels of the original image,
large from 96² up. What has no groundtruth has no number: its key is missing, and no mean counts it. A crowd
(`ImageBoxes.is_crowd`) is no groundtruth, and detections of its class that lie in it do not count, as in COCO.
"""

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detector.data.tables import ImageBoxes

MOST_DETECTIONS = 100  # of an image that AP counts, as COCO defines it
NAMES = (  # in the order of `COCOeval.stats`
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large"),
)


def coco(
    groundtruth: Sequence[ImageBoxes], detections: Sequence[ImageBoxes], names: Mapping[int, str]
) -> dict[str, Any]:
    """COCO's twelve numbers, and `per_class: {name: {AP, AP50, AR100}}`; each in [0, 1], missing without groundtruth.

    Args:
        groundtruth, detections: the same images, matched by file name; their order does not matter.
        names: class id -> name.

    Raises:
        ValueError: an image is twice or in one of the two only, a class is unknown, or a score or box is not finite.
    """
    evaluation = matched(groundtruth, detections, names)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports its progress by print
        evaluation.accumulate()
        evaluation.summarize()
    result: dict[str, Any] = _present(zip(NAMES, evaluation.stats, strict=True))
    result["per_class"] = _per_class(evaluation, names)
    return result


def matched(
    groundtruth: Sequence[ImageBoxes], detections: Sequence[ImageBoxes], names: Mapping[int, str], *, sizes: bool = True
) -> Any:
    """pycocotools' `COCOeval` after its `evaluate`: the detections of each image matched, images sorted by file name.

    `sizes`: whether small, medium and large objects are measured separately too. Arguments and errors as `coco`.
    """
    pairs = paired(groundtruth, detections)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_dataset((t for t, _ in pairs), names), _dataset((d for _, d in pairs), names), "bbox")
        if not sizes:
            evaluation.params.areaRng, evaluation.params.areaRngLbl = evaluation.params.areaRng[:1], ["all"]
        evaluation.evaluate()
    return evaluation


def paired(groundtruth: Sequence[ImageBoxes], detections: Sequence[ImageBoxes]) -> list[tuple[ImageBoxes, ImageBoxes]]:
    """(groundtruth, detections) of each image, sorted by file name so that equal scores always rank alike.

    Raises:
        ValueError: an image is twice, or in one of the two only.
    """
    truth, detected = _by_filename(groundtruth), _by_filename(detections)
    if truth.keys() != detected.keys():
        raise ValueError(f"images without groundtruth or without detections: {sorted(truth.keys() ^ detected.keys())}")
    return [(truth[name], detected[name]) for name in sorted(truth)]


def _by_filename(images: Sequence[ImageBoxes]) -> dict[str, ImageBoxes]:
    by_name = {image.filename: image for image in images}
    if len(by_name) != len(images):
        raise ValueError(f"{len(images)} images share {len(by_name)} file names")
    return by_name


def _dataset(images: Iterable[ImageBoxes], names: Mapping[int, str]) -> Any:
    """The images as a `COCO` object; image ids are 1, 2, ... in their order."""
    images = list(images)
    data = COCO()
    data.dataset = {
        "images": [{"id": number, "file_name": image.filename} for number, image in enumerate(images, start=1)],
        "categories": [{"id": number, "name": name} for number, name in sorted(names.items())],
        "annotations": [one for number, image in enumerate(images, start=1) for one in _annotations(number, image)],
    }
    for number, annotation in enumerate(data.dataset["annotations"], start=1):  # to COCOeval an id of 0 is "no match"
        annotation["id"] = number
        if annotation["category_id"] not in names:
            raise ValueError(f"unknown class id {annotation['category_id']}")
    data.createIndex()
    return data


def _annotations(image_id: int, image: ImageBoxes) -> Iterable[dict[str, Any]]:
    if not (np.isfinite(image.boxes).all() and np.isfinite(image.scores).all()):
        raise ValueError(f"{image.filename}: a box or score is not finite")
    columns = (image.boxes, image.classes, image.scores, image.is_crowd)
    for (xmin, ymin, xmax, ymax), class_id, score, is_crowd in zip(*columns, strict=True):
        width, height = float(xmax - xmin), float(ymax - ymin)
        yield {
            "image_id": image_id,
            "category_id": int(class_id),
            "bbox": [float(xmin), float(ymin), width, height],
            "area": width * height,
            "iscrowd": int(is_crowd),
            "score": float(score),
        }


def _per_class(evaluation: Any, names: Mapping[int, str]) -> dict[str, dict[str, float]]:
    precision = evaluation.eval["precision"][..., 0, -1]  # (10 IoUs, 101 recalls, classes): all areas, 100 detections
    recall = evaluation.eval["recall"][..., 0, -1]  # (10 IoUs, classes)
    result = {}
    for k, class_id in enumerate(evaluation.params.catIds):
        numbers = (("AP", precision[:, :, k]), ("AP50", precision[0, :, k]), ("AR100", recall[:, k]))
        if present := _present((name, values.mean()) for name, values in numbers):
            result[names[class_id]] = present
    return result


def _present(numbers: Iterable[tuple[str, Any]]) -> dict[str, float]:
    """Without COCO's -1, which stands for "no groundtruth of that kind"."""
    return {name: float(value) for name, value in numbers if value > -1}
