"""detector.pictures.images: every mode and orientation gives the picture as seen; every damaged file gives one line."""

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from detector.base.errors import UserError
from detector.pictures import images
from tests.support.stage import REPOSITORY, child

RED, BLUE = (255, 0, 0), (0, 0, 255)
UNREADABLE_HEIC = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(64)

pillow_heif.register_heif_opener()  # so that Pillow writes HEIC too


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def pixel(path: Path, at: tuple[int, int] = (0, 0)) -> tuple[int, ...]:
    image = images.open_upright(path)
    assert image.mode == "RGB"
    return image.getpixel(at)


def oriented(path: Path, orientation: int) -> Path:
    """A 4x2 PNG, left half red and right half blue, with an EXIF orientation."""
    image = Image.new("RGB", (4, 2), RED)
    image.paste(BLUE, (2, 0, 4, 2))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(path, image, exif=exif)


@pytest.mark.parametrize(
    ("name", "mode", "colour", "expected"),
    [
        ("a.png", "L", 77, (77, 77, 77)),
        ("a.png", "LA", (0, 0), (255, 255, 255)),  # transparent: the white below shows
        ("a.png", "LA", (40, 255), (40, 40, 40)),
        ("a.png", "RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("a.png", "RGBA", (255, 0, 0, 51), (255, 204, 204)),  # 51 is a fifth: 0.2 red over white
        ("a.png", "1", 1, (255, 255, 255)),
        ("a.png", "I;16", 65535, (255, 255, 255)),
        ("a.png", "I;16", 257 * 100, (100, 100, 100)),
        ("a.png", "I;16", 256, (1, 1, 1)),  # a dark 16-bit picture stays dark
        ("a.tif", "F", 0.5, (128, 128, 128)),
        ("b.tif", "F", 200.0, (200, 200, 200)),
        ("a.tif", "I", 65535, (255, 255, 255)),
        ("b.tif", "I", 1_000_000, (255, 255, 255)),
        ("c.tif", "I", -5, (0, 0, 0)),
        ("d.tif", "F", float("nan"), (0, 0, 0)),
        ("a.tif", "CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("a.bmp", "RGB", RED, RED),
        ("a.gif", "RGB", RED, RED),
        ("a.webp", "RGBA", (0, 0, 0, 0), (255, 255, 255)),
        ("a.avif", "RGB", (9, 9, 9), (9, 9, 9)),
        ("a.avif", "RGBA", (0, 0, 0, 0), (255, 255, 255)),
        ("a.heic", "RGB", (9, 9, 9), (9, 9, 9)),
        ("a.heic", "RGBA", (0, 0, 0, 0), (255, 255, 255)),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, name, mode, colour, expected):
    path = saved(tmp_path / name, Image.new(mode, (3, 2), colour))
    assert pixel(path) == expected
    assert images.check(path).size == (3, 2)


def test_cmyk_jpeg(tmp_path):
    path = saved(tmp_path / "a.jpg", Image.new("CMYK", (16, 16), (0, 255, 255, 0)), quality=100)
    assert np.allclose(pixel(path), RED, atol=3)
    assert not images.check(path).plain


def test_palette_with_and_without_transparency(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    opaque = saved(tmp_path / "a.png", image)
    assert (pixel(opaque), pixel(opaque, (1, 0))) == (RED, BLUE)
    clear = saved(tmp_path / "b.png", image, transparency=1)
    assert (pixel(clear), pixel(clear, (1, 0))) == (RED, (255, 255, 255))


# Where the red half of the stored 4x2 picture (left) is seen, by the EXIF standard.
@pytest.mark.parametrize(
    ("orientation", "size", "red_at", "blue_at"),
    [
        (1, (4, 2), (0, 0), (3, 0)),
        (2, (4, 2), (3, 0), (0, 0)),  # mirrored
        (3, (4, 2), (3, 0), (0, 0)),  # upside down
        (4, (4, 2), (0, 0), (3, 0)),
        (5, (2, 4), (0, 0), (0, 3)),
        (6, (2, 4), (0, 0), (0, 3)),  # stored left is seen at the top
        (7, (2, 4), (0, 3), (0, 0)),
        (8, (2, 4), (0, 3), (0, 0)),  # stored left is seen at the bottom
        (9, (4, 2), (0, 0), (3, 0)),  # no such orientation: as stored
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_exif_orientation(tmp_path, orientation, size, red_at, blue_at, suffix):
    path = tmp_path / f"a{suffix}"
    options = (
        {"lossless": True} if suffix == ".webp" else {"quality": 100, "subsampling": 0} if suffix == ".jpg" else {}
    )
    stored = Image.open(oriented(tmp_path / "source.png", orientation))
    scaled = stored.resize((64, 32), Image.Resampling.NEAREST)
    scaled.save(path, exif=stored.getexif(), **options)
    info = images.check(path)
    assert info.raw_size == (64, 32)
    assert info.size == (size[0] * 16, size[1] * 16)
    assert info.turned == (2 <= orientation <= 8)
    upright = images.open_upright(path)
    assert upright.size == info.size
    for colour, (x, y) in ((RED, red_at), (BLUE, blue_at)):
        assert np.allclose(upright.getpixel((x * 16 + 8, y * 16 + 8)), colour, atol=8)
    assert images.open_raw(path).size == (64, 32)
    assert np.allclose(images.open_raw(path).getpixel((8, 8)), RED, atol=8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".avif", ".heic"])
def test_orientation_of_heic_and_avif(tmp_path, orientation, suffix):
    """The container turns the picture, and EXIF says so once more: it is turned once, as the same PNG is."""
    source = oriented(tmp_path / "source.png", orientation)
    stored = Image.open(source)
    exif = stored.getexif().tobytes()
    path = saved(tmp_path / f"a{suffix}", stored.resize((64, 32), Image.Resampling.NEAREST), exif=exif, quality=100)
    expected = images.open_upright(source)
    upright = images.open_upright(path)
    info, thumbnail = images.glance(path)
    assert info.size == upright.size == (expected.width * 16, expected.height * 16)
    assert info.raw_size == images.open_raw(path).size
    assert info.turned == (suffix == ".avif" and orientation > 1)  # libheif's pixels are upright already
    assert not info.plain
    for x, y in ((0, 0), (0, expected.height - 1), (expected.width - 1, 0), (expected.width - 1, expected.height - 1)):
        assert np.allclose(upright.getpixel((x * 16 + 8, y * 16 + 8)), expected.getpixel((x, y)), atol=12)
    assert np.abs(thumbnail.astype(int) - images.glance(source)[1]).mean() < 8


def test_exif_orientation_is_applied_once(tmp_path):
    upright = images.open_upright(oriented(tmp_path / "a.png", 6))
    again = saved(tmp_path / "b.png", upright)
    assert images.check(again).size == upright.size == (2, 4)
    assert not images.check(again).turned


def test_turned_tiff(tmp_path):
    path = tmp_path / "a.tif"
    Image.open(oriented(tmp_path / "a.png", 6)).save(path, exif=Image.open(tmp_path / "a.png").getexif())
    assert images.check(path).size == images.open_upright(path).size == (2, 4)
    assert pixel(path, (0, 0)) == RED
    assert pixel(path, (0, 3)) == BLUE


@pytest.mark.filterwarnings("ignore")  # of Pillow's; quiet outside of pytest
def test_damaged_exif_is_no_reason_to_refuse(tmp_path):
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (8, 8), RED), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert images.check(path).size == (8, 8)


@pytest.mark.parametrize(
    ("mode", "name", "options", "plain"),
    [
        ("RGB", "a.jpg", {}, True),
        ("L", "a.jpg", {}, True),
        ("RGB", "a.jpg", {"progressive": True}, True),
        ("RGB", "a.png", {}, True),
        ("L", "a.png", {}, True),
        ("L", "a.png", {"transparency": 3}, False),
        ("RGB", "a.png", {"transparency": (1, 2, 3)}, False),
        ("1", "a.png", {}, False),
        ("P", "a.png", {}, False),
        ("RGBA", "a.png", {}, False),
        ("I;16", "a.png", {}, False),
        ("CMYK", "a.jpg", {}, False),
        ("RGB", "a.webp", {}, False),
        ("RGB", "a.bmp", {}, False),
        ("RGB", "a.gif", {}, False),
    ],
)
def test_plain_is_what_tensorflow_reads_alike(tmp_path, mode, name, options, plain):
    assert images.check(saved(tmp_path / name, Image.new(mode, (8, 8)), **options)).plain is plain


def test_a_jpeg_without_its_end_marker_is_not_plain(tmp_path):
    """Pillow reads it, since all pixels are there; TensorFlow refuses it, so the record gets it re-encoded."""
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (8, 8)))
    content = path.read_bytes()
    assert content.endswith(b"\xff\xd9")
    path.write_bytes(content[:-2] + bytes(2))
    assert images.check(path).size == (8, 8)
    assert not images.check(path).plain


def test_format_is_read_from_the_bytes_not_from_the_suffix(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(saved(tmp_path / "a.png", Image.new("RGB", (8, 8))).read_bytes())
    assert images.check(path).format == "PNG"


@pytest.mark.parametrize(
    ("kind", "brand"), [("HEIF", b"heic"), ("HEIF", b"mif1"), ("AVIF", b"avif"), ("AVIF", b"mif1")]
)
def test_heic_and_avif_are_told_apart_by_their_bytes(tmp_path, kind, brand):
    """Under the name of a JPEG; and `mif1`, which some cameras write, may be either."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), RED).save(buffer, kind)
    path = tmp_path / "a.jpg"
    path.write_bytes(buffer.getvalue()[:8] + brand + buffer.getvalue()[12:])
    assert images.check(path).format == kind
    assert np.allclose(pixel(path), RED, atol=4)


def test_heic_without_libheif(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.heic", Image.new("RGB", (64, 48)))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as Python marks a module that cannot be imported
    with pytest.raises(UserError, match="is a HEIC photo, and libheif does not load") as error:
        images.check(path)
    assert error.value.remedy == "run make install, or save it again as JPEG"


def test_nothing_heavy_is_imported_before_it_is_needed():
    heavy = "{'scipy', 'imagehash', 'pillow_heif'}"
    code = f"import sys; import detector.annotations.duplicates; print({heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_thumbnail_is_the_picture_as_seen_in_grey(tmp_path):
    """Red is 76 of grey, blue 29: 0.299 and 0.114 of 255."""
    info, thumbnail = images.glance(oriented(tmp_path / "a.png", 6))
    assert info.size == (2, 4)
    assert (thumbnail.shape, thumbnail.dtype) == ((64, 64), np.uint8)
    assert (thumbnail[:32] == 76).all()
    assert (thumbnail[32:] == 29).all()


def noise(suffix: str) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format={".jpg": "JPEG", ".heic": "HEIF"}.get(suffix, suffix[1:].upper()))
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".gif", ".webp", ".avif", ".heic"])
@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_truncated(tmp_path, suffix, part):
    content = noise(suffix)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content[: int(len(content) * part)])
    for read in (images.check, images.open_upright):
        with pytest.raises(UserError) as error:
            read(path)
        assert error.value.line().startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is an empty file"),
        (b"<html>404</html>", "is not an image that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not an image that can be read"),
        (b"\xff\xd8\xff\xe0", "is not an image that can be read"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "not"),
        (UNREADABLE_HEIC, "is not a HEIC photo that can be read"),
        (UNREADABLE_HEIC.replace(b"ftypheic", b"ftypavif"), "is not an AVIF photo that can be read"),
        (UNREADABLE_HEIC.replace(b"ftypheic", b"ftypisom"), "is not an image that can be read"),
    ],
)
def test_not_an_image(tmp_path, content, reason):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason) as error:
        images.check(path)
    assert "save it again" in error.value.remedy


def test_missing_image_and_folder(tmp_path):
    with pytest.raises(UserError, match="image not found"):
        images.check(tmp_path / "a.jpg")
    with pytest.raises(UserError, match="is not a file"):
        images.check(tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_decompression_bomb(tmp_path):
    """A 12 kB PNG of 100 million pixels is refused from its header, before memory is taken for it."""
    path = saved(tmp_path / "a.png", Image.new("1", (10_000, 10_000)), optimize=True)
    with pytest.raises(UserError, match=r"is too large: 10000x10000 pixels.*; scale it down"):
        images.check(path)


def test_is_image():
    assert images.is_image("a.JPG")
    assert images.is_image(Path("x/a.b.png"))
    assert images.is_image("IMG_0001.HEIC")
    assert images.is_image("a.avif")
    assert not images.is_image("a.xml")
    assert not images.is_image("jpg")


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_picture_counts_as_decoded_until_it_is_done_with(tmp_path, monkeypatch, name):
    path = saved(tmp_path / name, Image.effect_noise((80, 40), 90).convert("RGB"))
    expected = images.open_upright(path)
    monkeypatch.setattr(images, "_in_flight", images._InFlight(80 * 40))
    with ThreadPoolExecutor(1) as pool:
        with images.upright(path) as picture:
            other = pool.submit(images.open_raw, path)
            with pytest.raises(TimeoutError):
                other.result(timeout=0.2)
            assert picture == expected
        assert other.result(timeout=10) == expected


@pytest.mark.long
@pytest.mark.parametrize("mode", ["I;16", "RGBA"])
def test_a_few_kilobytes_that_hold_all_the_pixels_that_are_allowed(tmp_path, mode):
    """In two threads: 4.5 GB once. One has 358 MB: a result, and the next on its way with its own, are 1.1 GB."""
    image = Image.new(mode, (9459, 9459), (1, 2, 3, 4) if mode == "RGBA" else 7)
    path = saved(tmp_path / "a.png", image)
    del image
    assert path.stat().st_size < 500_000
    code = """
import re, sys
from concurrent.futures import ThreadPoolExecutor
from detector.pictures import images
with ThreadPoolExecutor(2) as pool:
    sizes = list(pool.map(lambda read: read(sys.argv[1]) and None, (images.open_upright, images.glance)))
status = open("/proc/self/status").read()  # getrusage counts what the process that started this one had
print(int(re.search(r"VmHWM:\\s*(\\d+) kB", status)[1]) * 1024)
"""
    done = child("-c", code, str(path))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1.4e9


@pytest.mark.parametrize(("mode", "colours"), [("I;16", 65536), ("I", 70000), ("F", 256), ("RGBA", 256), ("LA", 256)])
def test_a_picture_in_strips_is_the_same_picture(tmp_path, monkeypatch, mode, colours):
    random = np.random.default_rng(0)
    if mode in ("RGBA", "LA"):
        values = random.integers(0, colours, (50, 30, len(mode)), dtype=np.uint8)
        image = Image.fromarray(values)
    else:
        values = random.integers(0, colours, (50, 30))
        image = Image.fromarray(values.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]))
    assert image.mode == mode
    path = saved(tmp_path / "a.tif", image)
    whole = images.open_upright(path)
    monkeypatch.setattr(images, "STRIP_PIXELS", 100)
    assert np.array_equal(images.open_upright(path), whole)


def test_no_memory_is_not_the_fault_of_the_picture(tmp_path, monkeypatch):
    """It would be left out of the dataset."""

    def refuse(*_):
        raise MemoryError

    path = saved(tmp_path / "a.jpg", Image.new("RGB", (8, 8)))
    monkeypatch.setattr(Image.core, "new", refuse)
    monkeypatch.setattr(Image.core, "fill", refuse)
    with pytest.raises(MemoryError):
        images.open_upright(path)
