"""Image files of any kind -> upright 8-bit RGB pictures; and a cheap check that a file decodes to its end.

Pillow does the decoding, with libheif (the package pillow-heif) for the HEIC of phones. The bytes tell the kind, not
the suffix. What cannot be read becomes a `UserError` with the name of the file. TensorFlow's decoder knows fewer kinds
and ignores EXIF orientation; `ImageInfo.plain` tells which files it reads as Pillow does.

EXIF orientation turns a picture once: libheif and Pillow's TIFF reader apply it themselves, and then report 1.

A few kilobytes may hold `MAX_PIXELS`. No more than these are decoded at any time, however many threads there are, and a
picture is converted in strips: at most 12 bytes a pixel, 1.1 GB in all. `upright` counts a picture until it is done
with.
"""

import io
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from detector.base import errors
from detector.base.errors import UserError

SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png"),
    *(".tif", ".tiff", ".webp"),
)
NOT_READ = (  # images that Passo does not read
    *(".3fr", ".apng", ".arw", ".avifs", ".cr2", ".cr3", ".crw", ".dcr", ".dds", ".dib", ".dng", ".eps", ".erf"),
    *(".exr", ".hdr", ".heics", ".heifs", ".icns", ".ico", ".iiq", ".j2c", ".j2k", ".jp2", ".jpf", ".jpx", ".jxl"),
    *(".jxr", ".kdc", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pam", ".pbm", ".pcx", ".pef", ".pfm", ".pgm"),
    *(".pnm", ".ppm", ".psd", ".qoi", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".svg", ".tga", ".wdp"),
    *(".x3f", ".xcf"),
)
VIDEOS = (
    *(".3g2", ".3gp", ".asf", ".avi", ".divx", ".f4v", ".flv", ".m2t", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpe"),
    *(".mpeg", ".mpg", ".mts", ".ogm", ".ogv", ".qt", ".ts", ".vob", ".webm", ".wmv"),
)
VIDEOS_NOT_READ = (
    *(".264", ".265", ".amv", ".dv", ".h264", ".h265", ".hevc", ".ivf", ".m1v", ".m2v", ".mjpeg", ".mjpg", ".mxf"),
    *(".nut", ".rm", ".rmvb", ".wtv", ".y4m"),
)
MAX_PIXELS = 89_478_485  # a quarter of a GiB as RGB; above it Pillow warns of a decompression bomb
STRIP_PIXELS = 2**20  # that are converted at once
THUMBNAIL = 64  # pixels, the side of the grey square that stands for a picture where pictures are compared

Thumbnail = np.ndarray[tuple[int, int], np.dtype[np.uint8]]  # (THUMBNAIL, THUMBNAIL)

_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")  # no others: Pillow hands EPS to Ghostscript
_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1")
_MORE_FRAMES = "passo_more_frames"  # in the `info` of a picture
_BITS = 0x0102  # TIFF tag: bits of each value
_ORIENTATION = 0x0112  # EXIF tag; 1 is upright
_UPRIGHT = {  # EXIF orientation -> what sets it upright; 5 to 8 swap width and height
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FULL_SCALES = (1, 255, 65535)  # of pictures in float or 32-bit integers, which do not store theirs
_REMEDY = "save it again as JPEG or PNG, or leave it out"

# Pillow's warnings about odd metadata do not help the user; its limit on decompression bombs is checked below.
warnings.filterwarnings("ignore", module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@dataclass(frozen=True)
class ImageInfo:
    """What a file holds, known from decoding it to its end.

    size: (width, height) in pixels as seen, EXIF orientation applied. raw_size: as stored.
    format: Pillow's name (JPEG, PNG, ...). turned: whether EXIF turns or mirrors the stored pixels.
    plain: whether TensorFlow decodes these bytes to the same pixels: RGB or grey JPEG, 8-bit RGB or grey PNG.
    orientation: EXIF's, 1 to 8; 1 is upright.
    """

    size: tuple[int, int]
    raw_size: tuple[int, int]
    format: str
    turned: bool
    plain: bool
    orientation: int = 1


def is_image(path: str | Path) -> bool:
    """Whether the file's suffix is that of an image, in upper or lower case."""
    return Path(path).suffix.lower() in SUFFIXES


def is_video(path: str | Path) -> bool:
    """Whether the file's suffix is that of a video, in upper or lower case."""
    return Path(path).suffix.lower() in (*VIDEOS, *VIDEOS_NOT_READ)


def read_bytes(path: str | Path) -> bytes:
    """A file's bytes; a `UserError` where it is missing, no file (a pipe would never end), unreadable or empty."""
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise UserError(str(path), "is not a file", "leave it out")
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(str(path), "image not found", "put it there, or remove its line or XML") from None
    except OSError as error:
        if error.errno in errors.OF_THE_MACHINE:
            raise
        raise UserError(str(path), f"cannot be read: {error.strerror}", "fix its permissions") from error
    if not content:
        raise UserError(str(path), "is an empty file", _REMEDY)
    return content


def check(path: str | Path, content: bytes | None = None) -> ImageInfo:
    """Size, format and soundness of an image file; about 1 ms for a JPEG, which is decoded at 1/2 to 1/8 of its size.

    Args:
        path: the file; it names the image in errors.
        content: its bytes, where they were read already.

    Raises:
        UserError: missing, not an image, truncated, undecodable, or more than `MAX_PIXELS`.
    """
    content = read_bytes(path) if content is None else content
    with _decoded(path, content, cheaply=True) as (image, raw_size, orientation):
        return _info(image, raw_size, orientation, content)


def glance(path: str | Path, content: bytes | None = None) -> tuple[ImageInfo, Thumbnail]:
    """What `check` tells, and the picture as seen, shrunk to a grey square whatever its shape; errors as in `check`."""
    content = read_bytes(path) if content is None else content
    square = (THUMBNAIL, THUMBNAIL)
    with _decoded(path, content, cheaply=True) as (image, raw_size, orientation):
        info = _info(image, raw_size, orientation, content)
        small = _to_rgb(path, image).resize(square, Image.Resampling.BOX, reducing_gap=2).convert("L")
    return info, np.asarray(_turned(small, orientation))


def _info(image: Image.Image, raw_size: tuple[int, int], orientation: int, content: bytes) -> ImageInfo:
    size = (raw_size[1], raw_size[0]) if orientation >= 5 else raw_size
    return ImageInfo(size, raw_size, _format(image), orientation > 1, _is_plain(image, content), orientation)


def open_upright(
    path: str | Path, content: bytes | None = None, *, most_pixels: int = MAX_PIXELS, deep: bool = True
) -> Image.Image:
    """The picture as seen: RGB, EXIF orientation applied, transparency laid over white. Errors as in `check`.

    Args:
        most_pixels: that are decoded, up to `MAX_PIXELS`.
        deep: whether PNG and TIFF of more than 8 bits a value are taken, too; they need up to twelve bytes a pixel,
            others four.
    """
    content = read_bytes(path) if content is None else content
    with _decoded(path, content, cheaply=False, most_pixels=most_pixels, deep=deep) as (image, _, orientation):
        return _turned(_plain_rgb(path, content, image), orientation)


@contextmanager
def upright(path: str | Path) -> Iterator[Image.Image]:
    """Yields what `open_upright` returns. Until it is done with, its pixels are among those that are decoded."""
    content = read_bytes(path)
    with _decoded(path, content, cheaply=False) as (image, _, orientation):
        result = _turned(_plain_rgb(path, content, image), orientation)
        if result is not image:
            image.close()
        yield result


def open_raw(path: str | Path, content: bytes | None = None) -> Image.Image:
    """The picture as stored: RGB, EXIF orientation ignored, transparency laid over white. Errors as in `check`."""
    content = read_bytes(path) if content is None else content
    with _decoded(path, content, cheaply=False) as (image, _, _):
        return _plain_rgb(path, content, image)


def _plain_rgb(path: str | Path, content: bytes, image: Image.Image) -> Image.Image:
    rgb = _to_rgb(path, image)
    rgb.info = {_MORE_FRAMES: _has_more_frames(image, content)}  # no EXIF: its orientation is not applied twice
    return rgb


def has_more_frames(image: Image.Image) -> bool:
    """Whether the file of a picture that was opened here holds others behind it: only the first one is read."""
    return bool(image.info.get(_MORE_FRAMES))


def _has_more_frames(image: Image.Image, content: bytes) -> bool:
    if image.format == "GIF":  # its reader leaves the first frame to answer
        image = Image.open(io.BytesIO(content), formats=["GIF"])
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # what is damaged behind the first frame must not refuse it
        return True


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


class _InFlight:
    """So many pixels are decoded at a time, and no more, by all threads together."""

    def __init__(self, most: int) -> None:
        self._free, self._changed = most, threading.Condition()

    @contextmanager
    def __call__(self, pixels: int) -> Iterator[None]:
        """Wait until they have room; they give it back in the end. Pixels: no more than there are."""
        with self._changed:
            self._changed.wait_for(lambda: pixels <= self._free)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


_in_flight = _InFlight(MAX_PIXELS)


@contextmanager
def _decoded(
    path: str | Path, content: bytes, *, cheaply: bool, most_pixels: int = MAX_PIXELS, deep: bool = True
) -> Iterator[tuple[Image.Image, tuple[int, int], int]]:
    """The decoded image, its size as stored (width, height) and its EXIF orientation; it is to be gone afterwards."""
    with _errors_of(path, content):
        image = Image.open(io.BytesIO(content), formats=_formats(content))
        size = image.size
        if size[0] * size[1] > most_pixels:
            raise Image.DecompressionBombError(f"{size[0]}x{size[1]} pixels, the limit is {most_pixels:,}")
        if not deep and (_is_deep(image) or _has_deep_colours(image)):
            raise UserError(str(path), "has more than 8 bits a value", _REMEDY)
        if cheaply and _format(image) == "JPEG":
            image.draft(None, (THUMBNAIL, THUMBNAIL))
    with _in_flight(image.width * image.height):
        with _errors_of(path, content):
            image.load()
        yield image, size, _orientation(image)


@contextmanager
def _errors_of(path: str | Path, content: bytes) -> Iterator[None]:
    try:
        yield
    except (MemoryError, UserError):  # the first is not the picture's fault
        raise
    except UnidentifiedImageError:
        raise UserError(str(path), f"is not {_kind(content)} that can be read", _REMEDY) from None
    except ImportError as error:
        reason = f"is a HEIC photo, and libheif does not load: {error}"
        raise UserError(str(path), reason, "run make install, or save it again as JPEG") from error
    except Image.DecompressionBombError as error:
        raise UserError(str(path), f"is too large: {error}", "scale it down") from error
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        raise UserError(str(path), f"does not decode to its end: {str(error).strip()}", _REMEDY) from error


def _formats(content: bytes) -> tuple[str, ...]:
    """Pillow's names of the formats that the bytes may have; libheif is loaded for the first HEIC."""
    if _brand(content) not in _HEIF_BRANDS:
        return _FORMATS
    import pillow_heif

    pillow_heif.register_heif_opener()
    return (*_FORMATS, "HEIF")


def _brand(content: bytes) -> bytes:
    """What an ISO media file (HEIC, AVIF, MP4) calls itself; empty for others."""
    return content[8:12] if content[4:8] == b"ftyp" else b""


def _kind(content: bytes) -> str:
    brand = _brand(content)
    return "a HEIC photo" if brand in _HEIF_BRANDS else "an AVIF photo" if brand in _AVIF_BRANDS else "an image"


def _format(image: Image.Image) -> str:
    # A multi-picture JPEG is a JPEG with further pictures behind it.
    return "JPEG" if image.format == "MPO" else str(image.format)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8, of a loaded image (a PNG may carry it behind its pixels; a TIFF has been turned)."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged metadata must not refuse sound pixels
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _is_plain(image: Image.Image, content: bytes) -> bool:
    if _format(image) == "JPEG":
        ends = content.rfind(b"\xff\xd9") > content.rfind(b"\xff\xda")  # an end of image after the last start of scan
        return ends and image.mode in ("RGB", "L")
    if image.format == "PNG":  # in its header: byte 24 is the bit depth, byte 25 the colour type (0 grey, 2 RGB)
        return content[24] == 8 and content[25] in (0, 2) and not image.has_transparency_data
    return False


def _to_rgb(path: str | Path, image: Image.Image) -> Image.Image:
    try:
        return _over_white(image)
    except (ValueError, OSError) as error:
        raise UserError(str(path), f"mode {image.mode} has no RGB: {error}", _REMEDY) from error


def _over_white(image: Image.Image) -> Image.Image:
    scale = _full_scale(image) if _is_deep(image) else 0
    if not scale and not image.has_transparency_data:
        is_rgb = image.mode == "RGB" and _format(image) == "JPEG"  # others may decode again, when they are asked
        return image if is_rgb else image.convert("RGB")
    rgb = Image.new("RGB", image.size)
    for box in _strips(image.size):
        strip = image.crop(box)
        rgb.paste(_to_8_bits(strip, scale) if scale else _blended(strip), box[:2])
    return rgb


def _is_deep(image: Image.Image) -> bool:
    """Whether it is grey with 16 or 32 bits a value. (Of 16-bit colours Pillow keeps 8.)"""
    return image.mode.startswith("I") or image.mode == "F"


def _has_deep_colours(image: Image.Image) -> bool:
    """Whether a PNG or TIFF that was opened, and not loaded, holds colours with more than 8 bits a value."""
    if image.format == "PNG":  # not the bytes of its header, which need not come first for Pillow
        return any("16" in str(tile.args) for tile in image.tile)  # type: ignore[attr-defined]
    return image.format == "TIFF" and max(image.tag_v2.get(_BITS, (1,))) > 8  # type: ignore[attr-defined]


def _strips(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Boxes (left, upper, right, lower) of whole rows, which make up the picture."""
    width, height = size
    rows = max(1, STRIP_PIXELS // max(1, width))
    for top in range(0, height, rows):
        yield 0, top, width, min(top + rows, height)


def _blended(image: Image.Image) -> Image.Image:
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _full_scale(image: Image.Image) -> float:
    """The value of white in a grey picture of 16 or 32 bits: 65535, or the least usual full scale that fits."""
    if ";16" in image.mode:
        return 65535
    peak = max(float(_values(image.crop(box)).max()) for box in _strips(image.size))
    return next((full for full in _FULL_SCALES if peak <= full), peak)


def _values(image: Image.Image) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    return np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _to_8_bits(image: Image.Image, scale: float) -> Image.Image:
    """A grey picture of 16 or 32 bits in RGB; `scale` is white."""
    return Image.fromarray(np.rint(_values(image).clip(0, scale) * (255 / scale)).astype(np.uint8)).convert("RGB")
