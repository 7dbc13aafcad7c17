"""Draw the detections in photos, and list them as COCO JSON and as CSV.

    make predict IMAGES=holiday                    a user's photos and videos: detector/prediction/sources.py
    python -m stages.predict IMAGES... [--output predictions] [--model FOLDER] [--threshold 0.3] [--xml] [--yolo]
    make predict IMAGES=holiday MODEL=running      by the best weights so far of a training that runs
    python -m stages.predict                       the DVC stage: <dataset.dir>/test -> results/predict

In:  the photos and videos, of any size and kind; the exported model in model/export, or --model
Out: detections.json   COCO results: [{image_id, category_id, bbox: [x, y, width, height] in pixels, score}, ...]
     images.json       the COCO dataset to it: images {id, file_name, width, height} and categories {id, name}
     detections.csv    filename,width,height,class,xmin,ymin,xmax,ymax,score; empty cells for a photo without detections
                       with videos, then frame,time: the frame's number from 0, and its second
     index.html        all photos on one page, offline, to filter, sort and search; it shows thumbnails/
     pictures/         the photos with boxes, labels and scores
     videos/           the videos with them, as MP4
     annotations/      with --xml: the detections as PASCAL VOC XML
     labels/           with --yolo: the detections as YOLO txt, and data.yaml with the names of the classes

Only detections with a score of at least predict.score_threshold; of boxes that overlap more than predict.agnostic_nms,
only the best. Pictures that an earlier run wrote to the same folder, and this one does not, are removed; nothing else
is. A photo that cannot be read is reported and the others are still done; the exit code is then 2 (of the test split 0,
as in the other stages). Where none can be read, the last results stay as they are.

A run that was stopped or killed resumes with the same command: what is done is in a journal. Ctrl-C and SIGTERM let the
photo at hand end, and the results of those that are done are written; a second one ends it at once.
"""

import argparse
import dataclasses
import functools
import io
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path, PurePosixPath

from PIL import Image

from detector.annotations.voc_writer import LabelledBox, voc_xml
from detector.base import errors, files, params, paths
from detector.base.errors import UserError
from detector.data.params import DatasetParams
from detector.data.tables import ImageBoxes
from detector.pictures import draw, images
from detector.prediction import journal, models, page, photos, predictions, sources, threads, yolo
from detector.prediction.detector import Detector
from detector.prediction.detector import load as load_detector
from detector.prediction.journal import Journal
from detector.prediction.params import PredictParams, given_threshold
from detector.prediction.photos import Photo
from detector.prediction.selection import Selection
from detector.prediction.sources import Sources
from detector.prediction.stops import Stops
from detector.prediction.video_detection import VideoDetection

ANNOTATIONS, VIDEOS = "annotations", page.VIDEOS
MOST_SIDE = 65_500  # pixels, of a JPEG as libjpeg writes it
TAKEN = (*images.SUFFIXES, *images.VIDEOS)  # of a folder, by their suffixes
NAMED = {  # what is written of each photo, and of each video: {folder: what names the files in it}
    page.PICTURES: photos.picture_names,
    page.THUMBNAILS: photos.picture_names,
    ANNOTATIONS: photos.xml_names,
    yolo.LABELS: photos.txt_names,
    VIDEOS: photos.video_names,
}
Places = Mapping[str, Mapping[str, Path]]  # {folder of NAMED: {photo name: its file}}, those that are asked for


def detect_all(
    detector: Detector,
    inputs: Sequence[Photo],
    places: Places,
    done: Journal,
    shown: Selection,
    stops: Stops,
) -> list[UserError]:
    """Detect in every photo that is not done yet, and draw its picture; returns the errors of unreadable photos.

    Args:
        places: where its picture and its thumbnail go.
        stops: ends it after the photos at hand.
    """
    from detector.base.bars import counter  # late: a tenth of the start, and of --help

    def detect(photo: Photo) -> tuple[ImageBoxes, float, int, bool] | UserError:
        done.begin(photo)
        with ExitStack() as stack:
            try:
                image = stack.enter_context(images.upright(photo.path))
            except UserError as error:
                return error
            found = detector.detect(image, photo.name)
            result = shown(found)
            files.write_bytes(places[page.THUMBNAILS][photo.name], page.thumbnail(image))
            draw.draw_on(image, result, detector.names)
            files.write_bytes(places[page.PICTURES][photo.name], jpeg(image))
        best, above = float(found.scores.max(initial=0)), len(found.above(shown.threshold).boxes)
        return result, best, above, images.has_more_frames(image)

    problems = []
    waiting = [photo for photo in inputs if photo not in done]
    before = len(inputs) - len(waiting)
    progress = counter("predict", len(inputs), initial=before)
    with progress, closing(threads.in_order(detect, waiting, lambda: bool(stops.requested))) as outcomes:
        for photo, outcome in outcomes:
            if isinstance(outcome, UserError):
                problems.append(outcome)
            else:
                result, best, above, has_more = outcome
                done.add(photo, result, best, above, has_more=has_more)
            progress.update()
    return problems


def jpeg(picture: Image.Image) -> bytes:
    """A picture as the bytes of a JPEG, which has sides of 65,500 pixels at most: larger ones are reduced."""
    if (factor := -(-max(picture.size) // MOST_SIDE)) > 1:
        picture = picture.reduce((min(factor, picture.width), min(factor, picture.height)))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def summary(results: Iterable[ImageBoxes], names: Mapping[int, str], speed: str, output: Path) -> tuple[str, int]:
    """One line: images, frames, detections of each class, speed and the page; and how many detections there are."""
    kinds, counts = Counter[str](), Counter[str]()
    for result in results:
        kinds["frame" if result.frame else "image"] += 1
        counts.update(names[class_id] for class_id in result.classes.tolist())
    classes = ", ".join(f"{name} {counts[name]}" for name in names.values())
    kinds["detection"] = counts.total()
    totals = ", ".join(errors.counted(number, kind) for kind, number in kinds.items())
    return f"{totals} ({classes}), {speed} -> {output / page.NAME}", counts.total()


def predict(
    detector: Detector,
    inputs: Sequence[Photo],
    output: Path,
    told: Path,
    shown: Selection,
    places: Places,
) -> tuple[set[str], list[UserError], int]:
    """Detect in the photos and write everything below `output` (`told` to the user); unreadable ones are errors.

    Where nothing could be read, nothing is written. Returns the names of the photos that are done, the errors, and the
    signal that ended it early, or 0.
    """
    start = time.monotonic()
    run = {"model": detector.digest, **dataclasses.asdict(shown)}
    stills, videos = photos.kinds(inputs)
    pictures = {**places[page.PICTURES], **places[VIDEOS]}
    with Stops() as stops, Journal(output / journal.NAME, run, inputs, pictures) as done:
        if before := done.count():
            frames = f", and {errors.counted(done.frames(), 'frame')}" if done.frames() else ""
            errors.say(f"resumes: {done.resumed} of {counted(inputs)} are done{frames}")
        problems = detect_all(detector, stills, places, done, shown, stops)
        problems += VideoDetection(detector, shown, done, stops).run(videos, places[VIDEOS])
        if many_frames := done.of_more_frames():
            several = f"{errors.counted(len(many_frames), 'file')} ({errors.few(many_frames)})"
            errors.say(f"several frames, of which the first was used: {several}")
        ready = {photo.name for photo in inputs if photo in done}
        if ready or done.frames():
            write(output, done, inputs, detector.names, places, shown.threshold)
            rate = (done.count() - before) / (time.monotonic() - start)
            speed = f"{rate:.1f} images/s{detector.how and f' in {detector.how}'}, scores from {shown.threshold:g} up"
            line, detections = summary(done.results(inputs), detector.names, speed, told)
            errors.say(line)
            if ids := draw.shown_as_ids(detector.names):
                errors.say(f"shown as ids in the pictures, whose font lacks their letters: {errors.few(ids)}")
            if not detections:
                errors.say(f"nothing has a score of {shown.threshold:g}: the highest is {done.best(inputs):.3f}")
            most = detector.most
            if most and (full := done.full(inputs, most)):
                remedy = "to raise it: max_total_detections in train.config_override"
                errors.say(f"{errors.counted(full, 'photo')} with {most} detections, this model's limit; {remedy}")
        stopped_by = stops.requested if len(ready) < len(inputs) else 0
        if not stopped_by:
            done.remove()
    return ready, problems, stopped_by


def write(
    output: Path,
    done: Journal,
    inputs: Sequence[Photo],
    names: Mapping[int, str],
    places: Places,
    threshold: float,
) -> None:
    """Write the results in every form that is asked for, and the page of them; of videos those that have a frame."""
    stills, videos = photos.kinds(inputs)
    readable = [video.name for video in videos if done.frame(video, 0)]

    def results() -> Iterable[ImageBoxes]:
        return done.results(stills)

    predictions.write(output, lambda: done.results(inputs), names, readable)
    if ANNOTATIONS in places:
        write_xml(results(), names, places[ANNOTATIONS])
    if yolo.LABELS in places:
        yolo.write(results(), names, places[yolo.LABELS], output / yolo.NAMES)
    filmed = [name for name in readable if places[VIDEOS][name].is_file()]
    pictures, films = (
        {name: places[folder][name].relative_to(output / folder).as_posix() for name in wanted}
        for folder, wanted in ((page.PICTURES, places[page.PICTURES]), (VIDEOS, filmed))
    )
    page.write(output / page.NAME, results, names, pictures, films, threshold)


def write_xml(results: Iterable[ImageBoxes], names: Mapping[int, str], xml: Mapping[str, Path]) -> None:
    """Write the detections as PASCAL VOC, for LabelImg and `make dataset`. xml: {photo name: its file}."""
    for result in map(predictions.rounded, results):
        boxes = [LabelledBox(names[class_id], (box[0], box[1], box[2], box[3])) for class_id, box, _ in result.rows()]
        name = PurePosixPath(result.filename).name
        content = voc_xml(name, (result.width, result.height), boxes, folder="", database="Passo")
        files.write_bytes(xml[result.filename], content)


def placed(inputs: Sequence[Photo], output: Path, folders: Iterable[str]) -> Places:
    """Where below `output` each photo's files go, of these folders of NAMED."""
    stills, videos = photos.kinds(inputs)
    return {
        folder: {
            name: output / folder / file for name, file in NAMED[folder](videos if folder == VIDEOS else stills).items()
        }
        for folder in folders
    }


def below(output: Path, places: Places, names: Collection[str]) -> list[str]:
    """All files of these photos, as paths below `output`."""
    return [str(of[name].relative_to(output)) for of in places.values() for name in names if name in of]


def own_photos(
    arguments: Sequence[str], output: Path, load: Callable[[], Detector], shown: Selection, folders: Collection[str]
) -> None:
    """`make predict`: photos and videos from anywhere -> `output`, where no file of the user is touched.

    folders: those of NAMED that are asked for.
    """
    with sources.opened(arguments) as found:
        found_photos(found, output, load, shown, folders)


def found_photos(
    found: Sources, output: Path, load: Callable[[], Detector], shown: Selection, folders: Collection[str]
) -> None:
    """Those that are on this machine by now."""
    inputs, problems = photos.find(found.places, TAKEN)
    inputs, problems = [*inputs, *found.webcams], [*found.problems, *problems]
    outcome = "nothing was written"
    if others := sorted([*found.passed_over, *photos.passed_over(found.places, TAKEN)]):
        what = errors.counted(len(others), "file")
        errors.say(f"passed over: {what} of a format that is not read ({errors.few(others)})")
    if not inputs and not problems:
        where = " ".join(map(str, found.places))
        raise UserError(where, "only predict's own pictures there", "give the folder of photos")
    if inputs:
        detector = load()
        places = placed(inputs, output, folders)
        tables = [*predictions.RESULTS, page.NAME, *([yolo.NAMES] if yolo.LABELS in folders else [])]
        names = [photo.name for photo in inputs]
        photos.claim(output, [*tables, journal.NAME, *below(output, places, names)], inputs)
        ready, unreadable, stopped_by = predict(detector, inputs, output, output, shown, places)
        if stopped_by:
            for problem in [*problems, *map(found.in_words, unreadable)]:
                errors.say(f"error: {problem.line()}", file=sys.stderr)
            errors.say(
                f"stopped: {len(ready)} of {counted(inputs)} are done; to resume, run it again",
                file=sys.stderr,
            )
            sys.exit(128 + stopped_by)
        if ready:
            photos.release(output, [*tables, *below(output, places, ready)])
        else:
            photos.withdraw(output)
        problems += map(found.in_words, unreadable)
        outcome = f"{output} has the others" if ready else f"{output} has no others"
    found.remove()
    report(problems, outcome)


def counted(inputs: Sequence[Photo]) -> str:
    """How many there are."""
    return errors.counted(len(inputs), "file" if any(photo.is_video for photo in inputs) else "photo")


def test_split(load: Callable[[], Detector], shown: Selection) -> None:
    """The DVC stage: the dataset's test images -> results/predict, atomically.

    What cannot be read is named and left out, for `dataset.unusable` has decided about it by now.
    """
    folder = paths.images(params.load("dataset", DatasetParams).dir, "test")
    inputs, problems = photos.find([folder])
    with files.whole_folder(paths.PREDICT) as output:
        if inputs:
            places = placed(inputs, output, (page.PICTURES, page.THUMBNAILS, VIDEOS))
            detector = load()
            ready, unreadable, stopped_by = predict(detector, inputs, output, paths.PREDICT, shown, places)
            problems += unreadable
            if stopped_by:
                raise KeyboardInterrupt
        if not inputs or not ready:
            report(problems, "nothing was written")
    if problems:
        why = errors.few([problem.line() for problem in problems])
        errors.say(f"left out: {errors.counted(len(problems), 'photo')}: {why}")


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
    kinds = "folders, files, globs, lists, archives, gs://..., a webcam's number; none: the test split"
    result.add_argument("images", nargs="*", metavar="IMAGES", help=kinds)
    result.add_argument("--output", type=Path, help="folder for the results (default: predictions)")
    result.add_argument("--model", help="an exported folder, a zip, https:, gs:, or: running (default: model/export)")
    result.add_argument("--bucket", help="with --model=running: the bucket that the training saves its work in")
    result.add_argument("--xml", action="store_true", help="write PASCAL VOC XML, too")
    result.add_argument("--yolo", action="store_true", help="write YOLO txt, too")
    result.add_argument("--threshold", default="", help="the lowest score (default: predict.score_threshold)")
    return result


def main() -> None:
    """Load, detect, write."""
    arguments = parser().parse_args()
    settings = params.load("predict", PredictParams)
    if arguments.images:
        output = files.expanded(arguments.output or "predictions")
        asked = {ANNOTATIONS: arguments.xml, yolo.LABELS: arguments.yolo}
        threshold = given_threshold(arguments.threshold)
        folders = [folder for folder in NAMED if asked.get(folder, True)]
        is_running = arguments.model == models.RUNNING
        if arguments.bucket and not is_running:
            raise UserError("BUCKET", "is for the model of a training that runs", "give MODEL=running, too")
        with models.opened(arguments.model, arguments.bucket) as export_dir:
            precision = "float32" if is_running else settings.precision  # int8 would have to be calibrated
            load = functools.partial(load_detector, export_dir, precision)
            shown = Selection(settings.threshold(export_dir, threshold), settings.agnostic_nms)
            own_photos(arguments.images, output, load, shown, folders)
    elif any(value for name, value in vars(arguments).items() if name != "images"):
        parser().error("these options need IMAGES; without them the results go to results/predict")
    else:
        shown = Selection(settings.threshold(paths.EXPORT), settings.agnostic_nms)
        test_split(functools.partial(load_detector, precision=settings.precision), shown)


if __name__ == "__main__":
    errors.run(main)
