"""Compare every exported format with the checkpoint, over the test images: what is measured is what ships.

    python -m stages.parity

    model/export, dataset/data/test.{csv,record}, results/evaluate/detections.csv (the checkpoint's)
    -> results/parity/metrics.json   of each format: AP, AP50, how much lower than the checkpoint's, with 95 %
                                     intervals; detections that were kept, lost and added at the score threshold; how
                                     far their boxes (pixels) and scores are apart, p95 and max
       results/parity/images.csv     format,filename,differences: the images with lost or added detections

A format whose AP is lower by more than parity.max_ap_drop of its precision ends the stage with an error, which names
the images with the most differences; both files are written before.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from detector.base import errors, files, params, paths
from detector.base.bars import bar
from detector.base.errors import UserError
from detector.data import labels, records, score_threshold, tables
from detector.data.tables import ImageBoxes
from detector.export import parity, runtimes
from detector.export.params import FORMATS, MEASURED, ExportParams, ParityParams
from detector.export.parity import Parity
from detector.pictures import images

RECORD = paths.EXPORT / paths.MODEL_RECORD


def main() -> None:
    limits = params.load("parity", ParityParams).max_ap_drop
    formats = [name for name in params.load("export", ExportParams).formats if name in MEASURED]
    label_map = labels.read(paths.EXPORT / paths.LABEL_MAP)
    groundtruth = tables.read_csv(paths.csv("test"), label_map)
    reference = tables.read_csv(paths.EVALUATE / "detections.csv", label_map, scores=True, remedy="run: dvc repro")
    threshold = score_threshold.of("auto", RECORD)
    measured = {
        name: parity.measure(groundtruth, reference, detections(name), labels.by_id(label_map), threshold)
        for name in formats
    }
    write(measured)
    errors.say(*table(measured, threshold))
    check(measured, limits)


def detections(name: str) -> list[ImageBoxes]:
    """What the format finds in the test images, with every score."""
    run = runtimes.load(name, paths.EXPORT)
    record = paths.record("test")
    examples = bar(records.read(record), name, len(records.offsets(record)))
    return [run(picture(example), filename_of(example)) for example in examples]


def filename_of(example: Mapping[str, Sequence[bytes]]) -> str:
    """The image's file name in the CSV."""
    return example["image/filename"][0].decode()


def picture(example: Mapping[str, Sequence[bytes]]) -> Image.Image:
    """The picture that training and evaluation see."""
    return images.open_raw(filename_of(example), example["image/encoded"][0])


def write(measured: Mapping[str, Parity]) -> None:
    """Write all of results/parity."""
    rows = (
        [name, filename, count] for name, one in measured.items() for filename, count in one.agreement.by_image.items()
    )
    with files.whole_folder(paths.PARITY) as folder:
        numbers = {name: rounded(one.numbers) for name, one in measured.items()}
        files.write_text(folder / "metrics.json", json.dumps(numbers, indent=2) + "\n")
        with (folder / "images.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([["format", "filename", "differences"], *rows])


def rounded(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers with six digits; more are noise."""
    return {
        key: rounded(value) if isinstance(value, Mapping) else round(value, 6) for key, value in sorted(numbers.items())
    }


def table(measured: Mapping[str, Parity], threshold: float) -> list[str]:
    """A line a format."""
    width = max(map(len, ["format", *measured]))
    heads = f"{'AP':>8}{'lower by':>10}{'AP50':>8}{'lost':>6}{'added':>7}{'box px':>8}{'score':>8}"
    lines = [f"{'format':{width}}{heads}"]
    for name, one in measured.items():
        found = one.numbers
        lines.append(
            f"{name:{width}}{found['AP']:8.3f}{found['AP_drop']:10.4f}{found['AP50']:8.3f}{found['lost']:6}"
            f"{found['added']:7}{found['box_p95']:8.2f}{found['score_p95']:8.4f}"
        )
    return [*lines, f"lost, added: detections from a score of {threshold:g} up; box, score: 95 % differ by no more"]


def check(measured: Mapping[str, Parity], limits: Mapping[str, float]) -> None:
    """Raises: UserError: a format has lost more AP than is allowed."""
    faults = []
    for name, one in measured.items():
        drop, limit = one.numbers["AP_drop"], limits[FORMATS[name][1]]
        if drop > limit:
            worst = errors.few(list(one.agreement.by_image)) or "no image by itself"
            faults.append(f"{name} loses {drop:.4f} AP, {limit:g} are allowed; it differs most in {worst}")
    if faults:
        remedy = "take it out of export.formats, or raise parity.max_ap_drop"
        raise UserError(str(paths.PARITY / "metrics.json"), "; ".join(faults), remedy)


if __name__ == "__main__":
    errors.run(main, __doc__)
