"""`index.html` of a prediction: all photos with their boxes on one page, to filter, sort and search, offline.

It shows `thumbnails/` with the boxes drawn over them, and opens `pictures/`, both beside it. The page's data are JSON
in it, a line for each photo: [name, its picture if that has another name, width, height], and of each detection class,
xmin, ymin, width, height, score. Names are data to the page, never markup; its one script and its style are allowed by
their hashes. Without a script it is a list of the first photos.
"""

import base64
import hashlib
import html
import io
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from detector.base import errors, files
from detector.data.tables import ImageBoxes
from detector.pictures import draw
from detector.prediction.predictions import SCORE_DIGITS

NAME = "index.html"
PICTURES, THUMBNAILS, VIDEOS = "pictures", "thumbnails", "videos"  # the folders, beside it
LISTED = 300  # photos, where no script runs
SIDE = 480  # pixels, the longer one of a thumbnail at most; it has half of them or more
QUALITY = 75  # of its JPEG
_TEMPLATE = Path(__file__).with_suffix(".html")


def thumbnail(image: Image.Image) -> bytes:
    """A picture made smaller by a whole factor, which is quick, as a JPEG."""
    factor = -(-max(image.size) // SIDE)
    small = image.reduce((min(factor, image.width), min(factor, image.height))) if factor > 1 else image
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def write(
    path: Path,
    results: Callable[[], Iterable[ImageBoxes]],
    names: Mapping[int, str],
    pictures: Mapping[str, str],
    videos: Mapping[str, str],
    threshold: float,
) -> None:
    """Write the page. Memory does not grow with the number of photos.

    Args:
        results: gives all of them, each time that it is called.
        names: class id -> name.
        pictures: photo name -> name of its picture, below `PICTURES`, and of its thumbnail, below `THUMBNAILS`.
        videos: video name -> name of the one with boxes, below `VIDEOS`.
        threshold: the lowest score of the results.
    """
    style, script = (_TEMPLATE.with_suffix(suffix).read_text(encoding="utf-8") for suffix in (".css", ".js"))
    links = " and ".join(f'<a href="{name}">{name}</a>' for name in ("detections.csv", "detections.json"))
    about = f"Scores from {threshold:g} up. The same as tables: {links}."
    if videos:
        about += f" Videos: {', '.join(_link(f'{VIDEOS}/{file}', name) for name, file in videos.items())}."
    marks = {"policy": _policy(style, script), "about": about, "style": style, "script": script}
    parts = re.split("@(list|data)@", _TEMPLATE.read_text(encoding="utf-8"))[::2]
    start, middle, end = (re.sub(f"@({'|'.join(marks)})@", lambda found: marks[found[1]], part) for part in parts)
    with files.whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(start)
        file.writelines(_list(results(), names, pictures))
        file.write(middle)
        file.writelines(_data(results(), names, pictures, threshold))
        file.write(end)


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy for a page that loads pictures beside it and nothing else, from a disk or a server."""
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script))
    rules = "img-src 'self' file: data:; style-src 'sha256-{}'; script-src 'sha256-{}'".format(*hashes)
    return f"default-src 'none'; {rules}; base-uri 'none'; form-action 'none'"


def _data(
    results: Iterable[ImageBoxes], names: Mapping[int, str], pictures: Mapping[str, str], threshold: float
) -> Iterator[str]:
    colours = {class_id: "#{:02x}{:02x}{:02x}".format(*draw.colour(class_id)) for class_id in names}
    classes = {class_id: {"name": name, "colour": colours[class_id]} for class_id, name in sorted(names.items())}
    yield f'{{"threshold":{_json(threshold)},"classes":{_json(classes)},"photos":[\n'
    before = ""
    for result in results:
        picture = pictures[result.filename]
        row = [result.filename, "" if picture == result.filename else picture, result.width, result.height]
        for class_id, (xmin, ymin, xmax, ymax), score in result.rows():
            row += [
                class_id,
                *(round(value, 1) for value in (xmin, ymin, xmax - xmin, ymax - ymin)),
                round(score, SCORE_DIGITS),
            ]
        yield before + _json(row)
        before = ",\n"
    yield "\n]}"


def _link(path: str, text: str) -> str:
    return f'<a href="{quote(path)}">{html.escape(text)}</a>'


def _json(value: object) -> str:
    """JSON that cannot end the element that it is in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _list(results: Iterable[ImageBoxes], names: Mapping[int, str], pictures: Mapping[str, str]) -> Iterator[str]:
    """The first photos with their detections, as links to their pictures, and how many more there are."""
    rest = iter(results)
    yield "<ol>\n"
    for result in itertools.islice(rest, LISTED):
        rows = ((html.escape(names[class_id]), score) for class_id, _, score in result.rows())
        found = ", ".join(f"<bdi>{name}</bdi> {score:.2f}" for name, score in rows) or "no detection"
        yield f"<li>{_link(f'{PICTURES}/{pictures[result.filename]}', result.filename)}: {found}</li>\n"
    yield "</ol>"
    if more := sum(1 for _ in rest):
        yield f"\n<p>{errors.counted(more, 'photo')} more, in detections.csv and, with its script, on this page</p>"
