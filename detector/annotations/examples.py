"""One image and its boxes -> one `tf.train.Example` with the feature keys of the Object Detection API's decoder."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

from detector.base.errors import UserError
from detector.data import boxes, records
from detector.data.tables import ImageBoxes
from detector.pictures import images

JPEG_QUALITY = 95  # of a JPEG that has to be encoded again


def example(image: ImageBoxes, folder: Path, names: Mapping[int, str]) -> records.Example:
    """The features of an image in `folder`; boxes are fractions of its width and height.

    `image/object/is_crowd` is there only where a box is one.

    Args:
        names: {id of the label map: class name}.

    Raises:
        UserError: the image is missing or damaged, or has another size than in the CSV.
    """
    path = folder / image.filename
    encoded, kind = picture(path, (image.width, image.height))
    try:
        ymin, xmin, ymax, xmax = boxes.voc_to_normalized(image.boxes, image.width, image.height).T.tolist()
    except ValueError as error:
        raise UserError(str(path), f"in the CSV: {error}", "run: dvc repro xml2csv") from error
    crowds = {"image/object/is_crowd": image.is_crowd.astype(int).tolist()} if image.is_crowd.any() else {}
    return {
        "image/height": [image.height],
        "image/width": [image.width],
        "image/filename": [image.filename.encode()],
        "image/source_id": [image.filename.encode()],
        "image/key/sha256": [hashlib.sha256(encoded).hexdigest().encode()],
        "image/encoded": [encoded],
        "image/format": [kind],
        "image/object/bbox/xmin": xmin,
        "image/object/bbox/xmax": xmax,
        "image/object/bbox/ymin": ymin,
        "image/object/bbox/ymax": ymax,
        "image/object/class/text": [names[number].encode() for number in image.classes.tolist()],
        "image/object/class/label": image.classes.tolist(),
        **crowds,
    }


def picture(path: Path, size: tuple[int, int]) -> tuple[bytes, bytes]:
    """(bytes, `jpeg` or `png`) of a picture of `size` (width, height) that TensorFlow decodes as people see it.

    They are the file's own bytes where possible. Where EXIF turns the picture, `size` tells which is meant: the picture
    as seen, or the pixels as stored.
    """
    content = images.read_bytes(path)
    info = images.check(path, content)
    if size not in (info.size, info.raw_size):
        reason = "is {}x{}, the CSV says {}x{}".format(*info.size, *size)
        raise UserError(str(path), reason, "run: dvc repro xml2csv")
    upright = size == info.size
    if info.plain and not (upright and info.turned):
        return content, info.format.lower().encode()
    pixels = images.open_upright(path, content) if upright else images.open_raw(path, content)
    kind = "JPEG" if info.format in ("AVIF", "HEIF", "JPEG") else "PNG"  # photos: a PNG would be 6 times their size
    buffer = io.BytesIO()
    pixels.save(buffer, format=kind, quality=JPEG_QUALITY)
    return buffer.getvalue(), kind.lower().encode()
