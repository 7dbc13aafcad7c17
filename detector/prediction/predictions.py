"""Predictions as files: COCO results with their COCO dataset, and CSV. Needs no TensorFlow.

A frame of a video is an image: in the dataset as in COCO-VID, with the id of its video and its own number there.

Numbers are rounded: more digits are noise, and differ from machine to machine. The files are written image by image, as
there may be a hundred thousand.
"""

import json
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from detector.base import files
from detector.data import tables
from detector.data.tables import Frame, ImageBoxes

PIXEL_DIGITS, SCORE_DIGITS = 2, 4  # behind the point
TIME_DIGITS = 3  # of seconds
RESULTS = ("detections.csv", "detections.json", "images.json")


def write(
    output: Path,
    results: Callable[[], Iterable[ImageBoxes]],
    names: Mapping[int, str],
    videos: Sequence[str] = (),
) -> None:
    """Write `RESULTS` into `output`; in COCO's, image ids are 1, 2, ... in the order of the results.

    Args:
        results: gives all of them, each time that it is called.
        names: class id -> name.
        videos: the names of those among the images that are videos.
    """
    tables.write_csv(output / "detections.csv", map(rounded, results()), names, scores=True, frames=bool(videos))
    _write_list(output / "detections.json", "[\n", _detections(results()), "\n]\n", empty="[]\n")
    categories = json.dumps([{"id": number, "name": name} for number, name in sorted(names.items())], indent=1)
    ids = {name: number for number, name in enumerate(videos, start=1)}
    images = (textwrap.indent(json.dumps(image, indent=1), "  ") for image in _images(results(), ids))
    listed = _indented(json.dumps([{"id": number, "name": name} for name, number in ids.items()], indent=1))
    start, end = '{\n "info": {},\n "images": [', f' "annotations": [],\n "categories": {_indented(categories)}\n}}\n'
    end = f' "videos": {listed},\n{end}' if videos else end
    _write_list(output / "images.json", f"{start}\n", images, f"\n ],\n{end}", empty=f"{start}],\n{end}")


def _write_list(path: Path, start: str, items: Iterable[str], end: str, *, empty: str) -> None:
    """The items with commas between them; `empty` in the place of all where there is none."""
    with files.whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        before = start
        for item in items:
            file.write(before + item)
            before = ",\n"
        file.write(empty if before == start else end)


def _detections(results: Iterable[ImageBoxes]) -> Iterator[str]:
    for number, result in enumerate(results, start=1):
        for class_id, (xmin, ymin, xmax, ymax), score in result.rows():
            box = [round(value, PIXEL_DIGITS) for value in (xmin, ymin, xmax - xmin, ymax - ymin)]
            detection = {"image_id": number, "category_id": class_id, "bbox": box, "score": round(score, SCORE_DIGITS)}
            yield json.dumps(detection)


def _images(results: Iterable[ImageBoxes], videos: Mapping[str, int]) -> Iterator[dict[str, object]]:
    for number, result in enumerate(results, start=1):
        image = {"id": number, "file_name": result.filename, "width": result.width, "height": result.height}
        if result.frame:
            seconds = round(result.frame.seconds, TIME_DIGITS)
            image |= {"video_id": videos[result.filename], "frame_id": result.frame.number, "time": seconds}
        yield image


def _indented(text: str) -> str:
    """A JSON text one level deeper, but for its first line."""
    return text.replace("\n", "\n ")


def rounded(result: ImageBoxes) -> ImageBoxes:
    """The result with the digits that are written."""
    boxes = [[round(value, PIXEL_DIGITS) for value in box] for box in result.boxes.tolist()]
    scores = [round(score, SCORE_DIGITS) for score in result.scores.tolist()]
    frame = result.frame and Frame(result.frame.number, round(result.frame.seconds, TIME_DIGITS))
    return replace(result, boxes=np.array(boxes).reshape(-1, 4), scores=np.array(scores), frame=frame)
