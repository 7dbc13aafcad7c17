"""Draw the detections in photos, and list them as COCO JSON and as CSV.

    make predict IMAGES=holiday                    a user's photos: one folder, one file or one glob, 'holiday/*.png'
    python -m stages.predict IMAGES... [--output predictions] [--threshold 0.3] [--xml]     as many as you like
    python -m stages.predict                       the DVC stage: <dataset.dir>/test -> results/predict

In:  the photos, of any size and kind; the exported model in model/export
Out: detections.json   COCO results: [{image_id, category_id, bbox: [x, y, width, height] in pixels, score}, ...]
     images.json       the COCO dataset to it: images {id, file_name, width, height} and categories {id, name}
     detections.csv    filename,width,height,class,xmin,ymin,xmax,ymax,score; empty cells for a photo without detections
     pictures/         the photos with boxes, labels and scores
     annotations/      with --xml: the detections as PASCAL VOC XML

Only detections with a score of at least predict.score_threshold. Pictures that an earlier run wrote to the same folder,
and this one does not, are removed; nothing else is. A photo that cannot be read is reported and the others are still
done; the exit code is then 2. Where none can be read, the last results stay as they are.

A run that was stopped or killed resumes with the same command: what is done is in a journal. Ctrl-C and SIGTERM let the
photo at hand end, and the results of those that are done are written; a second one ends it at once.
"""

import argparse
import io
import itertools
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import TypeVar

from PIL import Image
from tqdm import tqdm

from detector.annotations.voc_writer import LabelledBox, voc_xml
from detector.base import errors, files, params, paths
from detector.base.errors import UserError
from detector.data import score_threshold
from detector.data.params import DatasetParams
from detector.data.tables import ImageBoxes
from detector.pictures import draw, images
from detector.prediction import journal, photos, predictions
from detector.prediction.detector import Detector
from detector.prediction.detector import load as load_detector
from detector.prediction.journal import Journal
from detector.prediction.params import PredictParams
from detector.prediction.photos import Photo
from detector.prediction.stops import Stops

PICTURES, ANNOTATIONS = "pictures", "annotations"
Result = TypeVar("Result")


def detect_all(
    detector: Detector,
    inputs: Sequence[Photo],
    pictures: Mapping[str, Path],
    done: Journal,
    threshold: float,
    stops: Stops,
) -> list[UserError]:
    """Detect in every photo that is not done yet, and draw its picture; returns the errors of unreadable photos.

    Args:
        pictures: {photo name: its picture}.
        stops: ends it after the photos at hand.
    """

    def detect(photo: Photo) -> tuple[ImageBoxes, float] | UserError:
        try:
            image = images.open_upright(photo.path)
        except UserError as error:
            return error
        found = detector.detect(image, photo.name)
        result = found.above(threshold)
        files.write_bytes(pictures[photo.name], jpeg(draw.draw_boxes(image, result, detector.names)))
        return result, float(found.scores.max(initial=0))

    problems = []
    waiting = (photo for photo in inputs if photo not in done)
    progress = tqdm(total=len(inputs), initial=done.resumed, desc="predict", unit="image", disable=None)
    with progress, closing(in_threads(detect, waiting, lambda: bool(stops.requested))) as outcomes:
        for photo, outcome in outcomes:
            if isinstance(outcome, UserError):
                problems.append(outcome)
            else:
                done.add(photo, *outcome)
            progress.update()
    return problems


def in_threads(
    work: Callable[[Photo], Result], photos: Iterable[Photo], stopped: Callable[[], bool]
) -> Generator[tuple[Photo, Result], None, None]:
    """Each photo with the result of `work`, in order; a thread a core works on the next ones.

    stopped: whether to end with those that are being worked on.
    """
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[Photo, Future[Result]]] = deque()
        for photo in itertools.takewhile(lambda _: not stopped(), photos):
            waiting.append((photo, pool.submit(work, photo)))
            if len(waiting) > threads:
                first, result = waiting.popleft()
                yield first, result.result()
        for photo, result in waiting:
            if not (stopped() and result.cancel()):
                yield photo, result.result()


def jpeg(picture: Image.Image) -> bytes:
    """A picture as the bytes of a JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def summary(results: Iterable[ImageBoxes], names: Mapping[int, str], speed: str, output: Path) -> tuple[str, int]:
    """One line: images, detections of each class, speed and the output folder; and how many detections there are."""
    number, counts = 0, Counter[str]()
    for result in results:
        number += 1
        counts.update(names[class_id] for class_id in result.classes.tolist())
    classes = ", ".join(f"{name} {counts[name]}" for name in names.values())
    totals = f"{errors.counted(number, 'image')}, {errors.counted(counts.total(), 'detection')}"
    return f"{totals} ({classes}), {speed} -> {output}", counts.total()


def predict(
    detector: Detector,
    inputs: Sequence[Photo],
    output: Path,
    shown: Path,
    threshold: float,
    pictures: Mapping[str, Path],
    xml: Mapping[str, Path],
) -> tuple[set[str], list[UserError], int]:
    """Detect in the photos and write everything below `output` (`shown` to the user); unreadable ones are errors.

    pictures: {photo name: its picture}. xml: {photo name: the VOC XML to write}, for those that are to have one.
    Where nothing could be read, nothing is written. Returns the names of the photos that are done, the errors, and the
    signal that ended it early, or 0.
    """
    start = time.monotonic()
    run = {"model": detector.digest, "threshold": threshold}
    with Stops() as stops, Journal(output / journal.NAME, run, inputs, pictures) as done:
        if done.resumed:
            errors.say(f"resumes: {done.resumed} of {errors.counted(len(inputs), 'photo')} are done")
        problems = detect_all(detector, inputs, pictures, done, threshold, stops)
        ready = {photo.name for photo in inputs if photo in done}
        if ready:
            predictions.write(output, lambda: done.results(inputs), detector.names)
            write_xml(done.results(photo for photo in inputs if photo.name in xml), detector.names, xml)
            speed = (
                f"{(len(ready) - done.resumed) / (time.monotonic() - start):.1f} images/s, scores from {threshold:g} up"
            )
            line, detections = summary(done.results(inputs), detector.names, speed, shown)
            errors.say(line)
            if not detections:
                errors.say(f"nothing has a score of {threshold:g}: the highest is {done.best(inputs):.3f}")
        if not stops.requested:
            done.remove()
    return ready, problems, stops.requested


def write_xml(results: Iterable[ImageBoxes], names: Mapping[int, str], xml: Mapping[str, Path]) -> None:
    """Write the detections as PASCAL VOC, for LabelImg and `make dataset`. xml: {photo name: its file}."""
    for result in map(predictions.rounded, results):
        boxes = [LabelledBox(names[class_id], (box[0], box[1], box[2], box[3])) for class_id, box, _ in result.rows()]
        name = PurePosixPath(result.filename).name
        content = voc_xml(name, (result.width, result.height), boxes, folder="", database="Passo")
        files.write_bytes(xml[result.filename], content)


def own_photos(arguments: Sequence[str], output: Path, precision: str, threshold: float, *, with_xml: bool) -> None:
    """`make predict`: photos in any folder -> `output`, where no file of the user is touched."""
    inputs, problems = photos.find(arguments, skip=photos.written(output))
    outcome = "nothing was written"
    if others := photos.passed_over(arguments):
        what = errors.counted(len(others), "file")
        errors.say(f"passed over: {what} of a format that is not read ({errors.few(others)})")
    if not inputs and not problems:
        raise UserError(" ".join(arguments), "only predict's own pictures there", "give the folder of photos")
    if inputs:
        detector = load_detector(precision=precision)
        pictures = {name: f"{PICTURES}/{picture}" for name, picture in photos.picture_names(inputs).items()}
        xml = {name: f"{ANNOTATIONS}/{file}" for name, file in photos.xml_names(inputs).items()} if with_xml else {}
        photos.claim(output, [*predictions.RESULTS, journal.NAME, *pictures.values(), *xml.values()], inputs)
        below = ({name: output / file for name, file in kind.items()} for kind in (pictures, xml))
        ready, unreadable, stopped_by = predict(detector, inputs, output, output, threshold, *below)
        if stopped_by:
            errors.say(
                f"stopped: {len(ready)} of {errors.counted(len(inputs), 'photo')} are done; to resume, run it again",
                file=sys.stderr,
            )
            sys.exit(128 + stopped_by)
        if ready:
            written = [kind[name] for kind in (pictures, xml) for name in ready if name in kind]
            photos.release(output, [*predictions.RESULTS, *written])
        else:
            photos.withdraw(output)
        problems += unreadable
        outcome = f"{output} has the others" if ready else f"{output} has no others"
    report(problems, outcome)


def test_split(precision: str, threshold: float) -> None:
    """The DVC stage: the dataset's test images -> results/predict, atomically."""
    folder = paths.images(params.load("dataset", DatasetParams).dir, "test")
    inputs, problems = photos.find([folder])
    with files.whole_folder(paths.PREDICT) as output:
        if inputs:
            pictures = {name: output / PICTURES / file for name, file in photos.picture_names(inputs).items()}
            detector = load_detector(precision=precision)
            _, unreadable, stopped_by = predict(detector, inputs, output, paths.PREDICT, threshold, pictures, {})
            problems += unreadable
            if stopped_by:
                raise KeyboardInterrupt
        report(problems, "nothing was written")


def report(problems: Sequence[UserError], outcome: str) -> None:
    """Print each error on its own line; raises the last one, if any."""
    for problem in problems[:-1]:
        errors.say(f"error: {problem.line()}", file=sys.stderr)
    if problems:
        count = f"{len(problems)} in all; " if len(problems) > 1 else ""
        raise UserError(problems[-1].line(), count + outcome)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser("python -m stages.predict", description=(__doc__ or "").partition("\n")[0])
    result.add_argument("images", nargs="*", metavar="IMAGES", help="folders, files or globs; none: the test split")
    result.add_argument("--output", type=Path, help="folder for the results (default: predictions)")
    result.add_argument("--xml", action="store_true", help="write PASCAL VOC XML, too")
    result.add_argument("--threshold", help="the lowest score, for this run (default: predict.score_threshold)")
    return result


def given(threshold: str) -> float:
    """Raises: UserError: it is no score."""
    try:
        if 0 <= (score := float(threshold)) <= 1:
            return score
    except ValueError:
        pass
    raise UserError("THRESHOLD", f"{threshold} is not a score", "give a number from 0 to 1, such as 0.3")


def main() -> None:
    """Load, detect, write."""
    arguments = parser().parse_args()
    settings = params.load("predict", PredictParams)
    threshold = score_threshold.of(settings.score_threshold, paths.EXPORT / "model.json")
    if arguments.images:
        lowest = given(arguments.threshold) if arguments.threshold else threshold
        output = files.expanded(arguments.output or "predictions")
        own_photos(arguments.images, output, settings.precision, lowest, with_xml=arguments.xml)
    elif arguments.output or arguments.threshold or arguments.xml:
        parser().error("these options need IMAGES; without them the results go to results/predict")
    else:
        test_split(settings.precision, threshold)


if __name__ == "__main__":
    errors.run(main)
