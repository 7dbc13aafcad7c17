"""Pictures in a page, small enough that it can be mailed."""

import base64
import io

from PIL import Image

QUALITIES = (84, 74, 62, 48, 30)  # of a JPEG: the first that fits


def jpeg_uri(picture: Image.Image, most: int) -> str:
    """A picture as a `data:` URI: a JPEG of at most so many bytes, its sides halved until it fits."""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= most or picture.size == (1, 1):
            return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    return jpeg_uri(picture.reduce(2), most)
