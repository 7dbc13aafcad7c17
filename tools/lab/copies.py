"""Measure how copies of photos are recognised: which a folder holds, how many of planted ones are found, and how long.

    python -m tools.lab.copies FOLDER [--planted 200] [--sheet copies.png] [--crowd 20000]

In:  a folder of photos, searched with its subfolders
Out: the pairs that `detector.annotations.duplicates` calls copies, on the console and side by side in --sheet;
     for each change of a photo, the share of planted copies that were found, and pairs that were not planted;
     milliseconds to fingerprint a photo; with --crowd, seconds to search so many pictures blended from the folder's
"""

import argparse
import hashlib
import io
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from tqdm import tqdm

from detector.annotations import duplicates
from detector.annotations.duplicates import Copy, Fingerprint
from detector.annotations.likeness import SIDE
from detector.base import errors
from detector.pictures import images
from detector.prediction import photos

Change = Callable[[Image.Image, random.Random], Image.Image]
CELL = (240, 180)  # pixels of a photo on the sheet


def scaled(share: float) -> Change:
    return lambda photo, _: photo.resize((max(1, int(photo.width * share)), max(1, int(photo.height * share))))


def cropped(photo: Image.Image, draw: random.Random) -> Image.Image:
    """A tenth less of both sides, anywhere."""
    width, height = round(photo.width * 0.9), round(photo.height * 0.9)
    left, top = draw.randint(0, photo.width - width), draw.randint(0, photo.height - height)
    return photo.crop((left, top, left + width, top + height))


def one_side_cropped(photo: Image.Image, draw: random.Random) -> Image.Image:
    box = [0, 0, photo.width, photo.height]
    side = draw.randrange(4)
    box[side] += round(photo.size[side % 2] * (0.1 if side < 2 else -0.1))
    return photo.crop((box[0], box[1], box[2], box[3]))


def all_around_cropped(photo: Image.Image, _: random.Random) -> Image.Image:
    across, down = photo.width / 10, photo.height / 10
    return photo.crop((round(across), round(down), round(9 * across), round(9 * down)))


def all_at_once(photo: Image.Image, draw: random.Random) -> Image.Image:
    brighter = ImageEnhance.Brightness(cropped(photo, draw)).enhance(draw.uniform(0.8, 1.2))
    return ImageOps.mirror(brighter).resize((300, 300))


CHANGES: dict[str, tuple[Change, str, int]] = {  # name: (change, format, quality)
    "half the size": (scaled(0.5), "JPEG", 90),
    "a quarter of the size": (scaled(0.25), "JPEG", 90),
    "1.5 times the size": (scaled(1.5), "JPEG", 90),
    "stretched to 320x320": (lambda photo, _: photo.resize((320, 320)), "JPEG", 90),
    "JPEG of quality 30": (lambda photo, _: photo, "JPEG", 30),
    "WebP": (lambda photo, _: photo, "WEBP", 60),
    "PNG": (lambda photo, _: photo, "PNG", 0),
    "mirrored": (lambda photo, _: ImageOps.mirror(photo), "JPEG", 90),
    "upside down": (lambda photo, _: ImageOps.flip(photo), "JPEG", 90),
    "turned by 180 degrees": (lambda photo, _: photo.rotate(180), "JPEG", 90),
    "cropped by 10 % of its sides": (cropped, "JPEG", 90),
    "cropped by 10 % at one side": (one_side_cropped, "JPEG", 90),
    "cropped by 10 % at every side": (all_around_cropped, "JPEG", 90),
    "brighter or darker by 30 %": (
        lambda p, draw: ImageEnhance.Brightness(p).enhance(draw.choice((0.7, 1.3))),
        "JPEG",
        90,
    ),
    "contrast 30 % more or less": (
        lambda p, draw: ImageEnhance.Contrast(p).enhance(draw.choice((0.7, 1.3))),
        "JPEG",
        90,
    ),
    "grey": (lambda photo, _: photo.convert("L"), "JPEG", 90),
    "mirrored, cropped, brighter or darker, 300x300": (all_at_once, "JPEG", 70),
}


def main() -> None:
    arguments = _arguments()
    listed, problems = photos.find([arguments.folder])
    errors.show([problem.line() for problem in problems])
    paths = {photo.name: photo.path for photo in listed}
    started = time.process_time()
    prints = {name: duplicates.read(path, name)[1] for name, path in tqdm(paths.items(), disable=None, leave=False)}
    milliseconds = (time.process_time() - started) * 1000 / max(1, len(prints))
    copies, seconds = searched(prints)
    print(f"{len(prints)} photos: {milliseconds:.1f} ms each to decode and fingerprint, {seconds:.1f} s to search")
    for copy in copies:
        print(f"  {copy.first} and {copy.second}: {copy.reason}")
    if arguments.sheet and copies:
        sheet([(paths[copy.first], paths[copy.second]) for copy in copies]).save(arguments.sheet)
    chosen = random.Random(1).sample(sorted(paths), min(arguments.planted, len(paths)))  # noqa: S311
    for name in CHANGES if chosen else ():
        print(planted(name, prints, {one: paths[one] for one in chosen}, copies))
    if arguments.crowd:
        _, seconds = searched(crowd(list(prints.values()), arguments.crowd))
        print(f"{arguments.crowd} blended pictures: {seconds:.0f} s to search")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--planted", type=int, default=0, help="how many photos to copy with each change")
    parser.add_argument("--sheet", help="an image file for the pairs, side by side")
    parser.add_argument("--crowd", type=int, default=0, help="how many blended pictures to search")
    return parser.parse_args()


def read(name: str, content: bytes) -> Fingerprint:
    return duplicates.fingerprint(name, hashlib.sha256(content).hexdigest(), images.glance(name, content)[1])


def searched(prints: Mapping[str, Fingerprint]) -> tuple[list[Copy[str]], float]:
    """The copies, and the seconds of CPU that it took to find them."""
    started = time.process_time()
    copies = duplicates.find(prints)
    return copies, time.process_time() - started


def changed(name: str, path: Path) -> bytes:
    """The bytes of a photo's planted copy; the same at every call."""
    change, kind, quality = CHANGES[name]
    buffer = io.BytesIO()
    change(images.open_upright(path), random.Random(path.name)).save(buffer, kind, quality=quality)  # noqa: S311
    return buffer.getvalue()


def planted(
    name: str, prints: Mapping[str, Fingerprint], chosen: Mapping[str, Path], known: Sequence[Copy[str]]
) -> str:
    """One line: the share of planted copies that were found, and the pairs that were neither planted nor known."""
    added = {f"{one} {name}": read("", changed(name, path)) for one, path in chosen.items()}
    members = {one: group for group, listed in enumerate(duplicates.groups(known)) for one in listed}
    copies, _ = searched({**prints, **added})
    groups = {one: number for number, group in enumerate(duplicates.groups(copies)) for one in group}
    found = sum(groups.get(one, -1) == groups.get(f"{one} {name}", -2) for one in chosen)
    origin = {f"{one} {name}": one for one in chosen}
    pairs = [(origin.get(copy.first, copy.first), origin.get(copy.second, copy.second)) for copy in copies]
    wrong = [pair for pair in pairs if pair[0] != pair[1] and members.get(pair[0], -1) != members.get(pair[1], -2)]
    return f"  {name}: {found} of {len(chosen)} found ({found / len(chosen):.3f}); other pairs: {wrong or 'none'}"


def crowd(prints: Sequence[Fingerprint], count: int) -> dict[str, Fingerprint]:
    """So many different pictures with the look of photos: each the mean of two windows of the folder's own."""
    draw = np.random.default_rng(1)
    pictures = [Image.frombytes("L", (SIDE, SIDE), one.thumbnail) for one in prints]
    square = (images.THUMBNAIL, images.THUMBNAIL)

    def window() -> Image.Image:
        side = draw.uniform(0.5, 0.9) * SIDE
        left, top = draw.uniform(0, SIDE - side, 2)
        box = (left, top, left + side, top + side)
        return pictures[draw.integers(len(pictures))].resize(square, Image.Resampling.BICUBIC, box=box)

    return {
        f"{number:07}": duplicates.fingerprint("", str(number), np.asarray(Image.blend(window(), window(), 0.5)))
        for number in tqdm(range(count), disable=None, leave=False)
    }


def sheet(pairs: Sequence[tuple[Path, Path]]) -> Image.Image:
    """The pairs side by side, two pairs a row."""
    width, height = CELL
    result = Image.new("RGB", (4 * width + 12, (len(pairs) + 1) // 2 * (height + 6)), "white")
    for number, pair in enumerate(pairs):
        for side, path in enumerate(pair):
            left = number % 2 * (2 * width + 12) + side * width
            result.paste(images.open_upright(path).resize(CELL), (left, number // 2 * (height + 6)))
    return result


if __name__ == "__main__":
    errors.run(main)
