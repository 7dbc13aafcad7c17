"""Videos for tests: a red rectangle that moves over a black ground."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from PIL import Image

SIZE = (160, 96)
SIDE = 32  # of the rectangle, which is a square


def place(number: int) -> tuple[int, int, int, int]:
    """Where the rectangle is in a frame: [xmin, ymin, xmax, ymax] in pixels."""
    left, top = 2 * number % (SIZE[0] - SIDE), 16
    return left, top, left + SIDE, top + SIDE


def pictures(count: int) -> Iterator[Image.Image]:
    for number in range(count):
        image = Image.new("RGB", SIZE)
        image.paste((255, 0, 0), place(number))
        yield image


def make(path: Path, count: int, *, codec: str = "libx264", rotation: int = 0, times: Any = None) -> Path:
    """A video of `count` frames at 30 a second, or at the times given, in 1/30 s.

    rotation: degrees against the clock, by which a player turns it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        options = {"crf": "8"} if codec == "libx264" else {}
        stream = container.add_stream(codec, rate=30, options=options)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if codec != "libx264":
            stream.bit_rate = 2_000_000
        stream.codec_context.time_base = Fraction(1, 30)
        if rotation:
            stream.set_display_rotation(rotation)
        for number, image in enumerate(pictures(count)):
            frame = av.VideoFrame.from_image(image).reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = (times[number] if times else number), Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
