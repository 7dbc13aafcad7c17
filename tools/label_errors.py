"""List the labels of the dataset that may be wrong: where the trained detector is sure of something else.

    make label-errors       (or: python -m tools.label_errors)

In:  dataset/data/{train,val,test}.csv and the photos of dataset.dir; the exported model in model/export
Out: results/label_errors.csv    rank,suspicion,kind,split,filename
                                 class,xmin,ymin,xmax,ymax: the label
                                 detected,score,detected_xmin,detected_ymin,detected_xmax,detected_ymax,iou
     results/label_errors.html   pictures of the first 50

tools/labelling/suspicions.py has the kinds (missing, class, place, spurious) and how suspicion is computed. No label is
changed. The detector has learned the labels of train, wrong ones too, so it objects to them less: those of val and test
are judged by one that has not seen them.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from detector.base import errors, files, naming, params, paths
from detector.base.bars import bar
from detector.base.errors import UserError
from detector.data import labels, tables
from detector.data.params import DatasetParams
from detector.data.tables import ImageBoxes
from detector.pictures import images
from detector.prediction import threads
from detector.prediction.detector import Detector
from detector.prediction.detector import load as load_detector
from detector.prediction.params import PredictParams
from tools.cloud import lineage
from tools.inspecting import findings, gallery
from tools.inspecting.findings import Mark, Shot
from tools.labelling import suspicions
from tools.labelling.suspicions import Suspicion
from tools.page.rendering import render

TABLE = paths.REPORT.with_name("label_errors.csv")
PAGE = paths.REPORT.with_name("label_errors.html")
SHOWN = 50  # on the page
LEAST = 0.7  # nats; below it label and detector agree: a probability of a half is 0.69
DIGITS = 2  # behind the point, of pixels
COLUMNS = (
    *("rank", "suspicion", "kind", "split", "filename", "class", "xmin", "ymin", "xmax", "ymax"),
    *("detected", "score", "detected_xmin", "detected_ymin", "detected_xmax", "detected_ymax", "iou"),
)


@dataclass(frozen=True)
class Doubt:
    """A suspicion, and the photo that it is about. stored: whether its boxes are on the pixels as stored."""

    split: str
    path: Path
    labelled: ImageBoxes
    detected: ImageBoxes
    stored: bool
    suspicion: Suspicion


def main() -> None:
    dataset = Path(params.load("dataset", DatasetParams).dir)
    lineage.warn(lineage.stale(paths.EXPORT, paths.DATA))
    detector = load_detector(precision=params.load("predict", PredictParams).precision)
    label_map = labels.read(dataset / paths.LABEL_MAP)
    if labels.by_id(label_map) != dict(detector.names):
        raise UserError(str(paths.EXPORT), f"was trained with another label map than {dataset}'s", "run: make train")
    labelled = [(split, image) for split in paths.SPLITS for image in tables.read_csv(paths.csv(split), label_map)]
    doubts = find(detector, labelled, dataset)
    files.write_text(TABLE, table(doubts, detector))
    write_page(doubts[:SHOWN], dataset, label_map, len(labelled))
    kinds = Counter(one.suspicion.kind for one in doubts)
    listed = ", ".join(f"{kind} {kinds[kind]}" for kind in suspicions.KINDS)
    errors.say(f"{errors.counted(len(doubts), 'suspicion')} in {errors.counted(len(labelled), 'photo')}: {listed}")
    errors.say(f"  {TABLE}: all of them, the most suspicious first", f"  {PAGE}: pictures of the first {SHOWN}")


def find(detector: Detector, labelled: Sequence[tuple[str, ImageBoxes]], dataset: Path) -> list[Doubt]:
    """The suspicions of all photos, the greatest first."""

    def of_photo(photo: tuple[str, ImageBoxes]) -> list[Doubt]:
        split, image = photo
        path = paths.images(dataset, split) / image.filename
        picture, stored = opened(path, (image.width, image.height))
        detected = detector.detect(picture, image.filename)
        found = suspicions.find(image, detected)
        return [Doubt(split, path, image, detected, stored, one) for one in found if one.nats >= LEAST]

    doubts: list[Doubt] = []
    outcomes = threads.in_order(of_photo, labelled)
    for _, some in bar(outcomes, "label errors", len(labelled)):
        doubts += some
    return sorted(doubts, key=lambda one: -one.suspicion.nats)


def opened(path: Path, size: tuple[int, int]) -> tuple[Image.Image, bool]:
    """The picture as it was labelled, and whether that is as stored, without EXIF's turn."""
    upright = images.open_upright(path)
    if upright.size == size:
        return upright, False
    raw = images.open_raw(path)
    if raw.size != size:
        reason = f"is {upright.width}x{upright.height}, the CSV says {size[0]}x{size[1]}"
        raise UserError(str(path), reason, "run: dvc repro xml2csv")
    return raw, True


def table(doubts: Iterable[Doubt], detector: Detector) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for rank, one in enumerate(doubts, start=1):
        label = cells(one.labelled, one.suspicion.label, detector)
        detection = cells(one.detected, one.suspicion.detection, detector)
        score = "" if one.suspicion.detection is None else round(float(one.detected.scores[one.suspicion.detection]), 3)
        start = [rank, round(one.suspicion.nats, 3), one.suspicion.kind, one.split, naming.cell(one.path.name)]
        writer.writerow([*start, *label, detection[0], score, *detection[1:], round(one.suspicion.iou, 3)])
    return text.getvalue()


def cells(boxes: ImageBoxes, number: int | None, detector: Detector) -> list[object]:
    """Class and corners of a box; empty where there is none."""
    if number is None:
        return [""] * 5
    return [
        naming.cell(detector.names[int(boxes.classes[number])]),
        *(round(v, DIGITS) for v in boxes.boxes[number].tolist()),
    ]


def write_page(doubts: Sequence[Doubt], dataset: Path, label_map: dict[str, int], photos: int) -> None:
    names = labels.by_id(label_map)
    shots = [shot(one, names) for one in doubts]
    values = {
        "dataset": str(dataset),
        "headline": f"The first {len(doubts)} labels to check, of {errors.counted(photos, 'photo')}",
        "shots": shots,
        "drawings": gallery.drawings(shots, label_map),
        "colours": gallery.colours(list(label_map)),
        "numbers": label_map,
        "table": str(TABLE),
    }
    files.write_text(PAGE, render("label_errors.html.j2", values))


def shot(one: Doubt, names: dict[int, str]) -> Shot:
    """The photo with its labels, and the detection in dashes; small boxes enlarged."""
    labelled, detected, suspicion = one.labelled, one.detected, one.suspicion
    marks = [mark(labelled, number, names, odd=number == suspicion.label) for number in range(len(labelled.boxes))]
    said = suspicion.kind
    if suspicion.detection is not None:
        marks.append(mark(detected, suspicion.detection, names, odd=True, dashed=True))
        said += f": {marks[-1].name} {detected.scores[suspicion.detection]:.2f}?"
    odd = np.array([each.box for each in marks if each.odd][:1])
    size = labelled.width, labelled.height
    part, caption = findings.surroundings(odd, size), f"{one.split}/{one.path.name}"
    return Shot(one.path, size, part, caption, said, tuple(marks), one.stored)


def mark(boxes: ImageBoxes, number: int, names: dict[int, str], *, odd: bool, dashed: bool = False) -> Mark:
    xmin, ymin, xmax, ymax = boxes.boxes[number].tolist()
    return Mark((xmin, ymin, xmax, ymax), names[int(boxes.classes[number])], odd, dashed)


if __name__ == "__main__":
    errors.run(main, __doc__)
