"""A detector's results on a split: metrics.json, tables, curves and pictures of its detections. No TensorFlow."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from detector.base import errors, files, naming, paths
from detector.base.bars import bar
from detector.base.errors import UserError
from detector.data import labels, tables
from detector.data.tables import ImageBoxes
from detector.evaluation import curves, metrics, significance
from detector.evaluation.curves import BACKGROUND, Curve, ImageErrors
from detector.pictures import draw, images

DETECTIONS, PICTURES = "detections.csv", "pictures"
LOSSES = ("localization_loss", "classification_loss", "regularization_loss", "total_loss")
HEADLINES = ("AP", "AP50", "AP75", "AR100")
JPEG_QUALITY = 88
STEM_LENGTH = 60  # of a picture's name: with any letters under the 255 bytes that file systems allow
_MARKUP = re.compile(r"[^\w .()+-]")  # in its name: `dvc plots` puts that into HTML as it is


@dataclass(frozen=True)
class Evaluation:
    """Groundtruth and detections of the same images, and the thresholds of the errors.

    losses: averaged over the images. names: class id -> name, ordered by id.
    score_threshold: the least score of a detection in `errors` and in pictures. iou_threshold: of `errors` and curves.
    """

    groundtruth: Sequence[ImageBoxes]
    detections: Sequence[ImageBoxes]
    losses: Mapping[str, float]
    names: Mapping[int, str]
    score_threshold: float
    iou_threshold: float

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """What metrics.json holds: COCO's numbers, intervals, losses, counts; keys in a fixed order, 6 decimals.

        Boxes are counted as in `errors`; crowds by themselves, where there are any.
        """
        pairs = [pair for image in self.errors for pair in image.pairs]
        crowds = sum(int(image.is_crowd.sum()) for image in self.groundtruth)
        numbers = {
            **metrics.coco(self.groundtruth, self.detections, self.names),
            **significance.intervals(self.groundtruth, self.detections, self.names),
            "loss": {name: self.losses[name] for name in LOSSES},
            "images": len(self.groundtruth),
            "groundtruth_boxes": sum(actual != BACKGROUND for actual, _ in pairs),
            **({"crowd_boxes": crowds} if crowds else {}),
            "detected_boxes": sum(predicted != BACKGROUND for _, predicted in pairs),
        }
        return dict(_rounded(numbers))

    @property
    def headline(self) -> dict[str, float]:
        """The few of `numbers` that tell runs apart: AP, the ends of its interval if there is one, AP50."""
        ends = {f"AP_{end}": value for end, value in self.numbers.get("AP_interval", {}).items()}
        return {"AP": self.numbers["AP"], **ends, "AP50": self.numbers["AP50"]}

    @cached_property
    def class_curves(self) -> dict[int, Curve]:
        """The precision-recall curve of each class that has groundtruth."""
        every = {
            k: curves.precision_recall(self.groundtruth, self.detections, k, self.iou_threshold) for k in self.names
        }
        return {class_id: curve for class_id, curve in every.items() if curve is not None}

    @cached_property
    def errors(self) -> list[ImageErrors]:
        """The errors of every image, the worst image first."""
        return curves.image_errors(
            self.groundtruth,
            self.detections,
            score_threshold=self.score_threshold,
            iou_threshold=self.iou_threshold,
        )

    @cached_property
    def names_with_background(self) -> dict[int, str]:
        """`names`, and last that of the background."""
        return {**self.names, BACKGROUND: labels.BACKGROUND}


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    return round(value, 6)


def write_results(evaluation: Evaluation, folder: Path) -> None:
    """Write the numbers, the detections and their label map, the two tables and the two curves as PNG to `folder`."""
    from detector.evaluation import plots  # imports matplotlib

    _write_json(folder / "metrics.json", evaluation.numbers)
    _write_json(folder / "headline.json", evaluation.headline)
    detections = sorted(evaluation.detections, key=lambda image: image.filename)
    tables.write_csv(folder / DETECTIONS, detections, evaluation.names, scores=True)
    labels.write(folder / paths.LABEL_MAP, list(evaluation.names.values()))
    _write_csv(folder / "precision_recall.csv", ("class", "recall", "precision", "score"), _curve_rows(evaluation))
    _write_csv(folder / "confusion.csv", ("actual", "predicted"), _confusion_rows(evaluation))
    plots.precision_recall(
        folder / "precision_recall.png", evaluation.class_curves, evaluation.names, evaluation.iou_threshold
    )
    plots.confusion_matrix(
        folder / "confusion_matrix.png",
        curves.confusion_matrix(evaluation.errors, list(evaluation.names)),
        list(evaluation.names_with_background.values()),
        f"score ≥ {evaluation.score_threshold:g}, IoU ≥ {evaluation.iou_threshold:g}",
    )


def _curve_rows(evaluation: Evaluation) -> Iterable[tuple[str, float, float, float]]:
    for class_id, curve in evaluation.class_curves.items():
        for row in zip(curves.RECALLS, curve.interpolated, curve.thresholds, strict=True):
            recall, precision, score = (round(float(value), 6) for value in row)
            yield evaluation.names[class_id], recall, precision, score


def _confusion_rows(evaluation: Evaluation) -> Iterable[tuple[str, str]]:
    names = evaluation.names_with_background
    pairs = sorted(pair for image in evaluation.errors for pair in image.pairs)
    return ((names[actual], names[predicted]) for actual, predicted in pairs)


def write_pictures(evaluation: Evaluation, folder: Path, image_dir: Path, count: int) -> None:
    """Draw the `count` worst images side by side into `folder`/pictures, and list them in `folder`/pictures.json.

    (Not in the same folder: `dvc plots` takes all in it for plots.)
    """
    (folder / PICTURES).mkdir()
    groundtruth = {image.filename: image for image in evaluation.groundtruth}
    detections = {image.filename: image for image in evaluation.detections}
    index = []
    worst = evaluation.errors[:count]
    names = picture_names(groundtruth)
    for rank, wrong in enumerate(bar(worst, "pictures", len(worst)), start=1):
        file = names[wrong.filename]
        picture = draw.side_by_side(
            _open(image_dir, groundtruth[wrong.filename]),
            detections[wrong.filename],
            groundtruth[wrong.filename],
            evaluation.names,
            score_threshold=evaluation.score_threshold,
        )
        picture.save(folder / PICTURES / file, quality=JPEG_QUALITY)
        counts = {"missed": wrong.missed, "false": wrong.false, "wrong_class": wrong.wrong_class}
        index.append({"rank": rank, "file": file, "filename": wrong.filename, **counts})
    _write_json(folder / "pictures.json", index)


def picture_names(filenames: Iterable[str]) -> dict[str, str]:
    """The name of each image's picture, by file name: without its rank, so that it is the same in each run.

    Of names that are alike, or too long, a part of the file name's sha256 tells which is which.
    """
    stems = {name: re.sub(r"^\.", "_", _MARKUP.sub("_", Path(name).stem)) for name in filenames}
    count = Counter(stem.casefold() for stem in stems.values())
    return {
        name: f"{stem}.jpg"
        if count[stem.casefold()] == 1 and len(stem) <= STEM_LENGTH
        else f"{stem[:STEM_LENGTH]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}.jpg"
        for name, stem in stems.items()
    }


def _open(image_dir: Path, boxes: ImageBoxes) -> Image.Image:
    """The image as it was annotated: upright, or as stored where that is the size in the CSV."""
    path = image_dir / boxes.filename
    for opened in (images.open_upright, images.open_raw):
        image = opened(path)
        if image.size == (boxes.width, boxes.height):
            return image
    reason = f"is {image.width}x{image.height}, the CSV says {boxes.width}x{boxes.height}"
    raise UserError(str(path), reason, "run: dvc repro xml2csv")


def summary(evaluation: Evaluation) -> str:
    """The headline numbers as a table, for all classes and each; `no object` for a class without groundtruth."""
    per_class = evaluation.numbers["per_class"]
    rows = [("all", evaluation.numbers), *((name, per_class.get(name)) for name in evaluation.names.values())]
    width = max(len(name) for name, _ in rows)
    lines = [" " * width + "".join(f"{key:>8}" for key in HEADLINES)]
    for name, row in rows:
        cells = "".join(f"{row[key]:8.3f}" if key in row else " " * 8 for key in HEADLINES) if row else "  no object"
        lines.append((f"{name:{width}}" + cells).rstrip())
    return "\n".join([*lines, *_interval_line(evaluation.numbers), *_limit_line(evaluation.groundtruth)])


def _interval_line(numbers: Mapping[str, Any]) -> list[str]:
    intervals = {name: numbers.get(f"{name}_interval") for name in significance.METRICS}
    shown = [f"{name} {one['low']:.3f} to {one['high']:.3f}" for name, one in intervals.items() if one]
    return [f"{100 * significance.CONFIDENCE:g} % intervals: {', '.join(shown)}"] if shown else []


def _limit_line(groundtruth: Sequence[ImageBoxes]) -> list[str]:
    """Where AP cannot reach 1, whatever the detector."""
    most = metrics.MOST_DETECTIONS
    counts = [count for image in groundtruth if (count := len(image.objects.boxes)) > most]
    images = errors.counted(len(counts), "image")
    more = f"{images} with more objects, up to {max(counts, default=0):,}"
    return [f"AP counts {most} detections of an image, as COCO does, and cannot reach 1 here: {more}"] if counts else []


def _write_json(path: Path, content: object) -> None:
    files.write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    cells = [[naming.cell(one) if isinstance(one, str) else one for one in row] for row in rows]
    frame = pd.DataFrame(cells, columns=list(columns))
    files.write_text(path, frame.to_csv(index=False, lineterminator="\n"))
