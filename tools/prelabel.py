"""Label photos with the exported detector, for a person to correct: those that it is least sure of first.

    make prelabel IMAGES=folder [OUTPUT=prelabelled] [THRESHOLD=0.3]
    python -m tools.prelabel [--output=prelabelled] [--threshold=0.3] IMAGES...

In:  photos, of any size and kind; the exported model in model/export; dataset.dir
Out: a new folder, to be opened in LabelImg or another tool:
     0001_cat.jpg   a photo; the number is its rank, for tools show photos by name. A second name of the user's file,
                    which needs no room; or a copy, where the disk has no such names
     0001_cat.xml   PASCAL VOC: the boxes that make predict shows, or those with a score of at least THRESHOLD, the
                    least sure first. <database> says that nobody has checked it; a tool that saves it says otherwise
     order.csv      rank,filename,source,uncertainty,boxes,scores (tools/labelling/order.py explains the order)
     classes.txt    the names of the classes, which LabelImg offers

Left out, and counted: photos with an XML beside them, and those that dataset.dir has, with labels. The folder appears
as a whole, and an existing one is never written to. A run that was stopped or killed resumes with the same command:
what is done is in a journal beside the folder.
"""

import argparse
import csv
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath

import numpy as np

from detector.annotations import perceptual, voc
from detector.annotations.voc_writer import LabelledBox, voc_xml
from detector.base import errors, files, naming, params, paths
from detector.base.bars import counter
from detector.base.errors import UserError
from detector.data.params import DatasetParams
from detector.data.tables import ImageBoxes
from detector.pictures import images
from detector.prediction import photos, threads
from detector.prediction.detector import Detector
from detector.prediction.detector import load as load_detector
from detector.prediction.journal import Journal
from detector.prediction.params import PredictParams, given_threshold
from detector.prediction.photos import Photo
from detector.prediction.selection import Selection
from detector.prediction.stops import Stops
from tools.cloud import lineage
from tools.importing import linking, voc_files
from tools.labelling import order

FOLDER = "prelabelled"
LEAST_SCORE = 0.05  # of a box that counts, far below any threshold: the hundred boxes of a photo would fill the journal
LONGEST_NAME = 255  # bytes of a file name
LONGEST = 240  # bytes of a stem; a file name may have 255


def main() -> None:
    arguments = parse_arguments()
    output, dataset = files.expanded(arguments.output), Path(params.load("dataset", DatasetParams).dir)
    settings = params.load("predict", PredictParams)
    threshold = settings.threshold(paths.EXPORT, given_threshold(arguments.threshold))
    if os.path.lexists(output):
        remedy = "import what is checked there and move it away, or give another folder: OUTPUT=second"
        raise UserError(str(output), "exists", remedy)
    inputs, problems = photos.find(arguments.images)
    if others := photos.passed_over(arguments.images):
        what = errors.counted(len(others), "file")
        errors.say(f"passed over: {what} of a format that is not read ({errors.few(others)})")
    waiting, left_out = unlabelled(inputs, dataset)
    if not waiting:
        report(problems)
        errors.say(f"nothing to label: {'; '.join(left_out)}")
        return
    lineage.warn(lineage.stale(paths.EXPORT))
    detector = load_detector(precision=settings.precision)
    shown = Selection(threshold, settings.agnostic_nms)
    ready, boxes, unreadable = prelabel(detector, waiting, output, shown)
    problems += unreadable
    if not ready:
        report(problems)
    classes = ", ".join(f"{name} {boxes[name]}" for name in detector.names.values())
    what = f"{errors.counted(ready, 'photo')}, {errors.counted(boxes.total(), 'box')} ({classes})"
    errors.say(f"{output}: {what}, scores from {threshold:g} up", *(f"  left out: {one}" for one in left_out))
    name = f"NAME={dataset.name} ADD=1" if dataset != paths.SAMPLE and dataset.is_dir() else "NAME=pets"
    errors.say(
        f"next: correct them, say with: labelImg {output} {output}/classes.txt {output}",
        f"then: make dataset SRC={output} {name}",
    )
    report(problems)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.prelabel", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("images", nargs="+", metavar="IMAGES", help="folders, files or globs")
    parser.add_argument("--output", default=FOLDER, help=f"the new folder (default: {FOLDER})")
    parser.add_argument("--threshold", default="", help="the lowest score (default: predict.score_threshold)")
    return parser.parse_args()


def unlabelled(inputs: Sequence[Photo], dataset: Path) -> tuple[list[Photo], list[str]]:
    """The photos without a label, and how many have one, in words."""
    beside = {photo.name for photo in inputs if is_labelled(photo.path)}
    others = [photo for photo in inputs if photo.name not in beside and photo.path.is_file()]
    sizes = {photo.path.stat().st_size for photo in others}
    inside = [path for split in ("train", "test") for path in sorted(paths.images(dataset, split).glob("*"))]
    imported = {
        files.sha256(path)
        for path in inside
        if images.is_image(path) and path.is_file() and is_labelled(path) and path.stat().st_size in sizes
    }
    known = {photo.name for photo in others if imported and files.sha256(photo.path) in imported}
    left_out = [f"{errors.counted(len(beside), 'photo')} with an XML"] if beside else []
    left_out += [f"{errors.counted(len(known), 'photo')} that {dataset} has, with labels"] if known else []
    return [photo for photo in inputs if photo.name not in beside | known], left_out


def is_labelled(path: Path) -> bool:
    """Whether a file has an XML beside it, under its stem or its name."""
    names = {f"{name}{suffix}" for name in (path.stem, path.name) for suffix in (".xml", ".XML")}
    return any(path.with_name(name).exists() for name in names)


def prelabel(
    detector: Detector, inputs: Sequence[Photo], output: Path, shown: Selection
) -> tuple[int, Counter[str], list[UserError]]:
    """Detect in all photos, then write the folder; returns how many are in it, boxes by class, unreadable photos."""
    journal = output.with_name(f".{output.name}.passo-journal")
    if len(os.fsencode(journal.name)) > LONGEST_NAME:
        raise UserError(str(output), "its name is too long", "give a shorter one: OUTPUT=second")
    files.make_folder(output.parent)
    pictures = {photo.name: photo.path for photo in inputs}
    least = min(LEAST_SCORE, shown.threshold)
    run = {"model": detector.digest, "least": least}
    with Stops() as stops, Journal(journal, run, inputs, pictures) as done:
        if done.resumed:
            errors.say(f"resumes: {done.resumed} of {errors.counted(len(inputs), 'photo')} are done")
        unreadable = detect_all(detector, inputs, done, shown.threshold, least, stops)
        ready = [photo for photo in inputs if photo in done]
        if stops.requested:
            count = f"{len(ready)} of {errors.counted(len(inputs), 'photo')}"
            errors.say(f"stopped: {count} are done; to resume, run it again", file=sys.stderr)
            sys.exit(128 + stops.requested)
        boxes = write(ready, done, detector.names, output, shown) if ready else Counter[str]()
        done.remove()
    return len(ready), boxes, unreadable


def detect_all(
    detector: Detector, inputs: Sequence[Photo], done: Journal, threshold: float, least: float, stops: Stops
) -> list[UserError]:
    """Detect in every photo that is not done yet; returns the errors of unreadable ones."""

    def detect(photo: Photo) -> ImageBoxes | UserError:
        done.begin(photo)
        try:
            with images.upright(photo.path) as image:
                return detector.detect(image, photo.name)
        except UserError as error:
            return error

    unreadable = []
    waiting = (photo for photo in inputs if photo not in done)
    progress = counter("prelabel", len(inputs), initial=done.resumed)
    with progress, closing(threads.in_order(detect, waiting, lambda: bool(stops.requested))) as outcomes:
        for photo, found in outcomes:
            if isinstance(found, UserError):
                unreadable.append(found)
            else:
                best, above = float(found.scores.max(initial=0)), len(found.above(threshold).boxes)
                done.add(photo, found.above(least), best, above)
            progress.update()
    return unreadable


def write(
    ready: Sequence[Photo], done: Journal, names: Mapping[int, str], output: Path, shown: Selection
) -> Counter[str]:
    """Write the folder: photos and XML in their order, order.csv and classes.txt; returns the boxes of each class."""
    uncertainties = [order.uncertainty(found, shown.threshold) for found in done.results(ready)]
    ranked = order.least_sure_first(uncertainties, [look(photo) for photo in ready])
    boxes, lines = Counter[str](), []
    with files.whole_folder(output, is_new=True) as folder:
        for rank, number in enumerate(ranked, start=1):
            photo, digits = ready[number], max(4, len(str(len(ready))))
            name = ranked_name(f"{rank:0{digits}}", photo)
            (found,) = done.results([photo])
            chosen = shown(found)
            chosen = chosen.subset(np.argsort(-order.doubts(chosen.scores, shown.threshold), kind="stable"))
            linking.linked(photo.path.resolve(), folder / name)
            (folder / name).with_suffix(".xml").write_bytes(xml(chosen, names, name, output.name))
            boxes.update(names[class_id] for class_id in chosen.classes.tolist())
            source = naming.cell(errors.escaped(str(photo.path)))
            lines.append(
                [
                    rank,
                    name,
                    source,
                    f"{uncertainties[number]:.4f}",
                    len(chosen.boxes),
                    naming.cell(listed(chosen, names)),
                ]
            )
        write_csv(folder / voc_files.ORDER, lines)
        files.write_text(folder / "classes.txt", "".join(f"{name}\n" for name in names.values()))
    return boxes


def look(photo: Photo) -> bytes:
    """The perceptual hash of a photo."""
    return perceptual.hashes(images.glance(photo.path)[1])[: order.HASH_BYTES]


def ranked_name(rank: str, photo: Photo) -> str:
    path = PurePosixPath(photo.name)
    stem = path.stem.encode()[: LONGEST - len(rank) - 1].decode(errors="ignore")
    return f"{rank}_{stem}{path.suffix}"


def xml(shown: ImageBoxes, names: Mapping[int, str], filename: str, folder: str) -> bytes:
    """The boxes of a photo in whole pixels, as LabelImg has them, marked as checked by nobody."""
    low = np.minimum(np.rint(shown.boxes[:, :2]), [shown.width - 1, shown.height - 1]).astype(int)
    high = np.maximum(np.rint(shown.boxes[:, 2:]).astype(int), low + 1)
    boxes = [
        LabelledBox(names[class_id], (xmin, ymin, xmax, ymax))
        for class_id, (xmin, ymin), (xmax, ymax) in zip(
            shown.classes.tolist(), low.tolist(), high.tolist(), strict=True
        )
    ]
    return voc_xml(filename, (shown.width, shown.height), boxes, folder=folder, database=voc.PRELABEL)


def listed(shown: ImageBoxes, names: Mapping[int, str]) -> str:
    """The boxes that are in the XML, in its order, with their scores: `dog 0.52, cat 0.97`."""
    return ", ".join(f"{names[class_id]} {score:.2f}" for class_id, _, score in shown.rows())


def write_csv(path: Path, lines: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["rank", "filename", "source", "uncertainty", "boxes", "scores"])
        writer.writerows(lines)


def report(problems: Sequence[UserError]) -> None:
    """Print each error on its own line; raises the last one, if any."""
    errors.show([problem.line() for problem in problems[:-1]])
    for problem in problems[-1:]:
        raise problem


if __name__ == "__main__":
    errors.run(main)
