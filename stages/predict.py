"""Draw the detections in photos, and list them as COCO JSON and as CSV.

    make predict IMAGES=holiday                    a user's photos: one folder, one file or one glob, 'holiday/*.png'
    python -m stages.predict IMAGES... [--output predictions]     as many as you like
    python -m stages.predict                       the DVC stage: <dataset.dir>/test -> results/predict

In:  the photos, of any size and kind; the exported model in model/export
Out: detections.json   COCO results: [{image_id, category_id, bbox: [x, y, width, height] in pixels, score}, ...]
     images.json       the COCO dataset to it: images {id, file_name, width, height} and categories {id, name}
     detections.csv    filename,width,height,class,xmin,ymin,xmax,ymax,score; empty cells for a photo without detections
     pictures/         the photos with boxes, labels and scores

Only detections with a score of at least predict.score_threshold. Pictures that an earlier run wrote to the same folder,
and this one does not, are removed; nothing else is. A photo that cannot be read is reported and the others are still
done; the exit code is then 2.
"""

import argparse
import io
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from detector.base import errors, files, params, paths
from detector.base.errors import UserError
from detector.data.params import DatasetParams
from detector.data.tables import ImageBoxes
from detector.pictures import draw, images
from detector.prediction import photos, predictions, saved_model
from detector.prediction.params import PredictParams
from detector.prediction.photos import Photo

PICTURES = "pictures"
AHEAD = 1  # photos decoded while the model runs: one may have 0.4 GB


def detect_all(
    detector: saved_model.Detector, inputs: Sequence[Photo], output: Path, threshold: float
) -> tuple[list[ImageBoxes], list[UserError]]:
    """Detect in every photo and draw its picture below `output`; returns results, and errors of unreadable photos."""
    results, problems = [], []
    names = photos.picture_names(inputs)
    for photo, image in tqdm(decoded(inputs), total=len(inputs), desc="predict", unit="image", disable=None):
        if isinstance(image, UserError):
            problems.append(image)
            continue
        result = detector.detect(image, photo.name).above(threshold)
        picture = draw.draw_boxes(image, result, detector.names)
        files.write_bytes(output / PICTURES / names[photo.name], jpeg(picture))
        results.append(result)
    return results, problems


def decoded(inputs: Iterable[Photo]) -> Iterator[tuple[Photo, Image.Image | UserError]]:
    """Each photo with its picture or its error, in order; the next ones are decoded in the background."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = []
        for photo in inputs:
            waiting.append((photo, pool.submit(read, photo.path)))
            if len(waiting) > AHEAD:
                first, image = waiting.pop(0)
                yield first, image.result()
        for photo, image in waiting:
            yield photo, image.result()


def read(path: Path) -> Image.Image | UserError:
    """The picture of a file, or its error."""
    try:
        return images.open_upright(path)
    except UserError as error:
        return error


def jpeg(picture: Image.Image) -> bytes:
    """A picture as the bytes of a JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def summary(results: Sequence[ImageBoxes], names: Mapping[int, str], seconds: float, output: Path) -> str:
    """One line: images, detections of each class, speed and the output folder."""
    counts = Counter(names[class_id] for result in results for class_id in result.classes.tolist())
    classes = ", ".join(f"{name} {counts[name]}" for name in names.values())
    speed = f"{len(results) / seconds:.1f} images/s"
    totals = f"{errors.counted(len(results), 'image')}, {errors.counted(counts.total(), 'detection')}"
    return f"{totals} ({classes}), {speed} -> {output}"


def predict(
    detector: saved_model.Detector, inputs: Sequence[Photo], output: Path, shown: Path, threshold: float
) -> tuple[list[ImageBoxes], list[UserError]]:
    """Detect in the photos and write everything below `output` (`shown` to the user); unreadable ones are errors."""
    start = time.monotonic()
    results, problems = detect_all(detector, inputs, output, threshold)
    predictions.write(output, results, detector.names)
    errors.say(summary(results, detector.names, time.monotonic() - start, shown))
    return results, problems


def own_photos(arguments: Sequence[str], output: Path, threshold: float) -> None:
    """`make predict`: photos in any folder -> `output`, where no file of the user is touched."""
    inputs, problems = photos.find(arguments, skip=photos.written(output))
    outcome = "nothing was written"
    if not inputs and not problems:
        raise UserError(" ".join(arguments), "only predict's own pictures there", "give the folder of photos")
    if inputs:
        detector = saved_model.load()
        pictures = {name: f"{PICTURES}/{picture}" for name, picture in photos.picture_names(inputs).items()}
        photos.claim(output, [*predictions.RESULTS, *pictures.values()], inputs)
        results, unreadable = predict(detector, inputs, output, output, threshold)
        photos.release(output, [*predictions.RESULTS, *(pictures[result.filename] for result in results)])
        problems += unreadable
        outcome = f"{output} has the others" if results else f"{output} has no others"
    report(problems, outcome)


def test_split(threshold: float) -> None:
    """The DVC stage: the dataset's test images -> results/predict, atomically."""
    folder = paths.images(params.load("dataset", DatasetParams).dir, "test")
    inputs, problems = photos.find([folder])
    with files.whole_folder(paths.PREDICT) as output:
        if inputs:
            problems += predict(saved_model.load(), inputs, output, paths.PREDICT, threshold)[1]
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
    return result


def main() -> None:
    """Load, detect, write."""
    arguments = parser().parse_args()
    threshold = params.load("predict", PredictParams).score_threshold
    if arguments.images:
        own_photos(arguments.images, files.expanded(arguments.output or "predictions"), threshold)
    elif arguments.output:
        parser().error("--output needs IMAGES; without them the results go to results/predict")
    else:
        test_split(threshold)


if __name__ == "__main__":
    errors.run(main)
