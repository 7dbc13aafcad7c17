"""The pictures of the report, small enough that the page can be mailed."""

import base64
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from detector.base import paths
from detector.base.errors import UserError
from detector.pictures import images
from tools.page.inputs import REMAKE, read_json

MOST = 24  # of each kind
SHEET_WIDTH, PHOTO_WIDTH = 1000, 520  # pixels, about twice what the page shows
PICTURE_BYTES = 85_000  # at most, so that the page with all its pictures stays under 5 MB
QUALITIES = (84, 74, 62, 48, 30)  # of a JPEG: the first that fits


def side_by_side() -> list[dict[str, str]]:
    """The side-by-side pictures, the worst first, with the errors in each."""
    folder = paths.EVALUATE / "pictures"
    entries = read_json(folder / "pictures.json", [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) and "file" in e for e in entries):
        raise UserError(str(folder / "pictures.json"), "is not a list of pictures", REMAKE)
    entries = sorted(entries, key=lambda entry: entry.get("rank", 0))[:MOST]
    files = [(entry, folder / Path(str(entry["file"])).name) for entry in entries]
    return [
        {
            "source": data_uri(path, SHEET_WIDTH),
            "name": str(entry.get("filename", entry["file"])),
            "errors": error_counts(entry),
        }
        for entry, path in files
        if os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for a name that no file can have
    ]


def error_counts(entry: Mapping[str, Any]) -> str:
    """The counts of an entry of pictures.json in words: `1 missed, 2 false`."""
    counts = {name: entry.get(name) or 0 for name in ("missed", "false", "wrong_class")}
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count) or "no error"


def predictions() -> list[dict[str, str]]:
    """Some photos with their predictions, picked evenly from all."""
    folder = paths.PREDICT / "pictures"
    files = sorted(path for path in folder.rglob("*") if images.is_image(path))
    if len(files) > MOST:
        files = [files[k * len(files) // MOST] for k in range(MOST)]
    return [{"source": data_uri(path, PHOTO_WIDTH), "name": path.relative_to(folder).as_posix()} for path in files]


def data_uri(path: Path, width: int) -> str:
    """A picture as a `data:` URI: a JPEG of at most `width` pixels and, as far as JPEG can, `PICTURE_BYTES`."""
    picture = images.open_upright(path)
    if picture.width > width:
        height = max(1, round(picture.height * width / picture.width))
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return jpeg_uri(picture, PICTURE_BYTES)


def jpeg_uri(picture: Image.Image, most: int) -> str:
    """A picture as a `data:` URI: a JPEG of, as far as JPEG can, at most so many bytes."""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= most:
            break
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
