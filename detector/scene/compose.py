"""One picture of the embedded dataset: a place, drawn cats and dogs in it, things that hide or imitate them, a camera.

`render(seed, split, index)` depends on these three alone: with more images the first ones stay the same.
Boxes come from the pixels in which each animal is really visible.
"""

import io
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from detector.scene import models
from detector.scene.backgrounds import CLOTHS, WOODS, Place, over, paint, pick, rgb
from detector.scene.models import choice, uniform
from detector.scene.render import Floats, Model, Sprite, camera, draw, extent, texture

# --- how hard the pictures are --------------------------------------------------------------------------------------
ANIMAL_SHARES = (0.04, 0.70, 0.18, 0.06, 0.02)  # of images with 0, 1, 2, 3, 4 animals
SIZE = (0.40, 0.92)  # an animal's longer side, of the image's shorter one (for one alone; more are smaller)
PORTRAIT_SIZE = (0.50, 0.95)  # the same for a head and shoulders
HEAD_TURN = (0.15, 1.50)  # the head's angle: 0 is a profile, pi/2 looks into the camera
THING_SHARES = (0.30, 0.35, 0.25, 0.10)  # of images with 0, 1, 2, 3 balls, bowls, rabbits, birds, cushions, plants
FOREGROUND_SHARE = 0.35  # of images with a fence, a plant or furniture before everything
MIN_VISIBLE = 0.45  # of an animal's outline: what would hide more is not placed
MIN_HEAD_VISIBLE = 0.85  # the same for the head: what tells a cat from a dog is seen in every animal
BLUR = (0.3, 0.8)  # pixels, of the camera
NOISE = (0.004, 0.022)  # deviation, of the sensor
EXPOSURE = (0.82, 1.16)
QUALITY = (70, 90)  # JPEG
# --------------------------------------------------------------------------------------------------------------------

SIDE = (320, 500)  # pixels
CLASSES = ("cat", "dog")
SPLITS = ("train", "test")
MIN_BOX = 14  # pixels a side; an animal of which less is seen is not placed
TRIES = 8

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SceneObject:
    """One annotated animal; the box is in pixels, `xmax` and `ymax` one past the last pixel."""

    name: str
    truncated: bool
    xmin: int
    ymin: int
    xmax: int
    ymax: int


@dataclass(frozen=True)
class Scene:
    """A picture and what is in it; `jpeg` holds the file's bytes."""

    jpeg: bytes
    width: int
    height: int
    objects: tuple[SceneObject, ...]


@dataclass
class _Animal:
    """`area` and `head_area` count pixels, those beyond the image's edges too; the masks have the image's size."""

    name: str
    area: int
    head_area: int
    visible: Mask
    head: Mask

    def stays_visible(self, hidden: Mask) -> bool:
        """Whether enough is left to see of it under `hidden`."""
        body, head = self.visible & ~hidden, self.head & ~hidden
        if body.sum() < MIN_VISIBLE * self.area or head.sum() < MIN_HEAD_VISIBLE * self.head_area:
            return False
        left, top, right, bottom = _bounds(body)
        return min(right - left, bottom - top) >= MIN_BOX

    def hide(self, hidden: Mask) -> None:
        """Something stands in front from now on."""
        self.visible &= ~hidden
        self.head &= ~hidden


@dataclass
class _Canvas:
    """The picture as it grows from the back to the front."""

    image: Floats
    place: Place
    animals: list[_Animal]


def render(seed: int, split: str, index: int) -> Scene:
    """The picture number `index` of a split (`train` or `test`), the same for the same three arguments."""
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    width, height = (int(side) for side in rng.integers(*SIDE, size=2, endpoint=True))
    place = paint(rng, width, height)
    canvas = _Canvas(place.image, place, [])
    for sprite, name, grounded in _cast(rng, canvas):
        _put(rng, canvas, sprite, name, grounded)
    if rng.random() < FOREGROUND_SHARE:
        _put_foreground(rng, canvas)
    return Scene(_photo(rng, canvas.image), width, height, tuple(_annotation(animal) for animal in canvas.animals))


def _annotation(animal: _Animal) -> SceneObject:
    height, width = animal.visible.shape
    left, top, right, bottom = _bounds(animal.visible)
    cut = left == 0 or top == 0 or right == width or bottom == height
    return SceneObject(animal.name, bool(cut or animal.visible.sum() < 0.97 * animal.area), left, top, right, bottom)


def _bounds(mask: Mask) -> tuple[int, int, int, int]:
    """[xmin, ymin, xmax, ymax] of the pixels that are set, the last two one past them."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


# --- who stands where -----------------------------------------------------------------------------------------------


def _cast(rng: np.random.Generator, canvas: _Canvas) -> list[tuple[Sprite, str, bool]]:
    """Animals and things from the back to the front, with their class ("" for things) and whether they stand there."""
    lift = uniform(rng, 0.55, 1.0)  # the camera's height, in shoulder heights
    tilt = uniform(rng, 0.04, 0.28)
    animals = choice(rng, ANIMAL_SHARES, ANIMAL_SHARES)
    cast = [_animal(rng, canvas.place, lift, tilt, animals) for _ in range(animals)]
    cast += [_thing(rng, canvas.place, lift, tilt) for _ in range(choice(rng, THING_SHARES, THING_SHARES))]
    return [(sprite, name, grounded) for _, sprite, name, grounded in sorted(cast, key=lambda item: item[0])]


def _animal(
    rng: np.random.Generator, place: Place, lift: float, tilt: float, count: int
) -> tuple[float, Sprite, str, bool]:
    """One animal: how near it is (rows), its sprite, its class, and whether its feet are on the ground."""
    height, width = place.image.shape[:2]
    name = CLASSES[int(rng.integers(2))]
    pose = models.POSES[choice(rng, models.POSES, models.POSE_SHARES)]
    yaw = uniform(rng, 0.0, 1.45)
    head_yaw = float(np.clip(yaw + uniform(rng, -0.5, 0.9), *HEAD_TURN))
    model = models.animal(rng, name, pose, yaw, head_yaw)
    view, mirror = camera(yaw, tilt), bool(rng.random() < 0.5)
    left, top, right, bottom = extent(model, view, mirror)
    low, high = PORTRAIT_SIZE if pose == "face" else SIZE
    crowd = 1.0 if count < 2 else 0.78
    side = min(width, height) * (low + (high - low) * uniform(rng, 0, 1)) * crowd
    scale = side / max(right - left, bottom - top)
    foot = min(place.horizon + lift * scale * 0.8, height + 0.18 * scale) + 0.03 * height
    if pose == "face":
        foot = height + uniform(rng, 0.02, 0.12) * side
        scale_foot = foot - bottom * scale
    else:
        scale_foot = foot - bottom * scale * 0.97
    sprite = draw(model, view, scale=scale, mirror=mirror, origin=(0.0, scale_foot), light=place.light, rng=rng)
    return foot, sprite, name, pose != "face"


def _thing(rng: np.random.Generator, place: Place, lift: float, tilt: float) -> tuple[float, Sprite, str, bool]:
    """One thing that is not annotated, as large as its place on the ground makes it."""
    height = place.image.shape[0]
    number = choice(rng, models.DISTRACTORS)
    model: Model = models.DISTRACTORS[number](rng)
    foot = uniform(rng, place.horizon + 0.12 * (height - place.horizon), height * 1.04)
    scale = (foot - place.horizon) / lift * models.DISTRACTOR_SIZES[number] * uniform(rng, 0.8, 1.2)
    scale = min(max(scale, 0.10 * height), 0.42 * height)
    view, mirror = camera(uniform(rng, 0.0, 1.2), max(tilt, 0.15)), bool(rng.random() < 0.5)
    bottom = extent(model, view, mirror)[3]
    origin = (0.0, foot - bottom * scale)
    return foot, draw(model, view, scale=scale, mirror=mirror, origin=origin, light=place.light, rng=rng), "", True


def _put(rng: np.random.Generator, canvas: _Canvas, sprite: Sprite, name: str, grounded: bool) -> None:
    """Lay a sprite over the picture where it hides nobody too much; without such a place it stays away."""
    height, width = canvas.image.shape[:2]
    opaque = sprite.rgba[..., 3] > 127
    area, head_area = int(opaque.sum()), int(sprite.head.sum())
    for _ in range(TRIES):
        centre = round(uniform(rng, -0.05, 1.05) * width)
        moved = replace(sprite, left=centre - sprite.rgba.shape[1] // 2)
        mask, head = _on_image(opaque, moved, height, width), _on_image(sprite.head, moved, height, width)
        candidate = _Animal(name, area, head_area, mask, head & mask)
        seen = mask.any() if not name else candidate.stays_visible(np.zeros_like(mask))
        if seen and all(animal.stays_visible(mask) for animal in canvas.animals):
            break
    else:
        return
    for animal in canvas.animals:
        animal.hide(mask)
    if grounded:
        canvas.image *= _shadow(canvas.place, moved)
    there, part = _windows(moved, height, width)
    canvas.image[there] = over(canvas.image[there], sprite.rgba[part])
    if name:
        canvas.animals.append(candidate)


def _windows(sprite: Sprite, height: int, width: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where the sprite is on the image, and which part of the sprite that is: rows, columns."""
    spans = []
    for low, size, limit in ((sprite.top, sprite.rgba.shape[0], height), (sprite.left, sprite.rgba.shape[1], width)):
        start, end = min(max(0, low), limit), max(0, min(limit, low + size))
        spans.append((slice(start, max(start, end)), slice(start - low, max(start, end) - low)))
    return (spans[0][0], spans[1][0]), (spans[0][1], spans[1][1])


def _on_image(part: Mask, sprite: Sprite, height: int, width: int) -> Mask:
    """A mask of the sprite's size as one of the image's size, cut at its edges."""
    mask = np.zeros((height, width), np.bool_)
    there, of_sprite = _windows(sprite, height, width)
    mask[there] = part[of_sprite]
    return mask


def _shadow(place: Place, sprite: Sprite) -> Floats:
    """(h, w, 1) factors: the outline laid flat on the ground, away from the light, and soft."""
    height, width = place.image.shape[:2]
    rows, _ = sprite.rgba.shape[:2]
    foot, lean, flat = sprite.top + rows - 4, place.light.direction[0] * 1.4, 4.0
    # A quarter of the resolution is enough: `transform` asks, for each (x, y) of the small shadow, where to look.
    outline = Image.fromarray(np.ascontiguousarray(sprite.rgba[..., 3]))
    drop = foot + 0.02 * rows
    shift_x = -sprite.left + lean * -drop
    data = (4.0, lean * 4.0, shift_x, 0.0, 4.0 * flat, rows - 4 - drop * flat)
    small = outline.transform(
        (width // 4 + 1, height // 4 + 1), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR
    )
    soft = small.filter(ImageFilter.GaussianBlur(1.6)).resize((width, height), Image.Resampling.BILINEAR)
    dark = np.asarray(soft, np.float32) / np.float32(255) * np.float32(0.5 if place.indoors else 0.58)
    dark[: place.horizon] *= np.float32(0.25)
    return np.asarray(1 - dark[..., None], np.float32)


# --- what stands in front -------------------------------------------------------------------------------------------


def _put_foreground(rng: np.random.Generator, canvas: _Canvas) -> None:
    """Something before everything, if it leaves enough of every animal to see."""
    height, width = canvas.image.shape[:2]
    kinds = (_sofa_arm, _table_edge, _leaves, _box) if canvas.place.indoors else (_pickets, _tufts, _leaves, _box)
    for _ in range(3):
        big = Image.new("RGBA", (width * 2, height * 2))
        kinds[choice(rng, kinds)](rng, ImageDraw.Draw(big), width * 2, height * 2)
        layer = np.array(big.reduce(2).filter(ImageFilter.BoxBlur(uniform(rng, 0.3, 1.0))))
        mask = layer[..., 3] > 127
        if all(animal.stays_visible(mask) for animal in canvas.animals):
            for animal in canvas.animals:
                animal.hide(mask)
            grain = 1 + 0.04 * texture(rng, height, width, 1.2) + 0.05 * texture(rng, height, width, 24.0)
            shaded = np.clip(layer[..., :3] * grain[..., None], 0, 255).astype(np.uint8)
            canvas.image = over(canvas.image, np.dstack([shaded, layer[..., 3]]))
            return


def _sofa_arm(rng: np.random.Generator, pen: ImageDraw.ImageDraw, width: int, height: int) -> None:
    cloth, wide = pick(rng, CLOTHS), uniform(rng, 0.14, 0.28) * width
    left = -wide * 0.2 if rng.random() < 0.5 else width - wide * 0.8
    top = uniform(rng, 0.55, 0.75) * height
    for inset, shade in ((0.0, 0.8), (0.05, 0.95), (0.12, 1.05), (0.22, 1.12)):
        near = left + wide * inset, top + wide * inset * 0.6
        pen.rounded_rectangle((*near, left + wide * (1 - inset), height * 1.2), wide * 0.3, rgb(cloth, shade))


def _table_edge(rng: np.random.Generator, pen: ImageDraw.ImageDraw, width: int, height: int) -> None:
    wood, top = pick(rng, WOODS), uniform(rng, 0.80, 0.92) * height
    lean = uniform(rng, -0.04, 0.04) * height
    pen.polygon([(0, top - lean), (width, top + lean), (width, height), (0, height)], rgb(wood, 0.8))
    thick = 0.025 * height
    pen.polygon(
        [(0, top - lean), (width, top + lean), (width, top + lean + thick), (0, top - lean + thick)], rgb(wood, 1.15)
    )


def _leaves(rng: np.random.Generator, pen: ImageDraw.ImageDraw, width: int, height: int) -> None:
    """Long leaves that reach in from a lower corner."""
    corner = -0.02 * width if rng.random() < 0.5 else 1.02 * width
    inwards = 1 if corner < 0 else -1
    for _ in range(int(rng.integers(6, 13))):
        reach, rise = uniform(rng, 0.08, 0.34) * width, uniform(rng, 0.05, 0.5) * height
        base, tip = (corner, height * 1.02), (corner + inwards * reach, height - rise)
        middle, broad = (
            ((base[0] + tip[0]) / 2, (base[1] + tip[1]) / 2 - 0.08 * height),
            uniform(rng, 0.012, 0.03) * width,
        )
        green = rgb((uniform(rng, 0.12, 0.32), uniform(rng, 0.36, 0.56), uniform(rng, 0.12, 0.26)))
        upper, lower = (middle[0] - broad, middle[1] - broad), (middle[0] + broad, middle[1] + broad)
        pen.polygon([base, upper, tip, lower], green)
        pen.line([base, middle, tip], fill=tuple(round(c * 0.75) for c in green), width=3)


def _box(rng: np.random.Generator, pen: ImageDraw.ImageDraw, width: int, height: int) -> None:
    """A cardboard box whose front and top are seen."""
    card, wide = (0.72, 0.56, 0.38), uniform(rng, 0.18, 0.36) * width
    left, top = uniform(rng, -0.1, 0.9) * width, uniform(rng, 0.72, 0.88) * height
    deep = uniform(rng, 0.03, 0.07) * height
    pen.polygon(
        [(left, top), (left + deep, top - deep), (left + wide - deep, top - deep), (left + wide, top)], rgb(card, 0.6)
    )
    pen.rectangle((left, top, left + wide, height), rgb(card, uniform(rng, 0.85, 1.05)))
    pen.rectangle((left + wide * 0.44, top, left + wide * 0.56, height), rgb(card, 1.18))


def _pickets(rng: np.random.Generator, pen: ImageDraw.ImageDraw, width: int, height: int) -> None:
    wood = (0.92, 0.91, 0.88) if rng.random() < 0.5 else pick(rng, WOODS)
    top, board = uniform(rng, 0.66, 0.84) * height, uniform(rng, 0.03, 0.06) * width
    gap = uniform(rng, 2.2, 3.4)
    pen.rectangle((0, top + 0.08 * height, width, top + 0.115 * height), rgb(wood, 0.85))
    start = uniform(rng, -board, board)
    for i in range(round(width / (board * gap)) + 2):
        x = start + i * board * gap
        shape = [(x, height), (x, top), (x + board / 2, top - board * 0.6), (x + board, top), (x + board, height)]
        pen.polygon(shape, rgb(wood, uniform(rng, 0.92, 1.05)))


def _tufts(rng: np.random.Generator, pen: ImageDraw.ImageDraw, width: int, height: int) -> None:
    """High grass along the lower edge."""
    tall, centre, spread = (
        uniform(rng, 0.10, 0.26) * height,
        uniform(rng, 0, 1) * width,
        uniform(rng, 0.15, 0.5) * width,
    )
    for _ in range(150):
        x, lean = centre + uniform(rng, -1, 1) * spread, uniform(rng, -0.4, 0.4)
        rise, wide = tall * uniform(rng, 0.4, 1.0), uniform(rng, 3, 8)
        shade = uniform(rng, 0.65, 1.15)
        green = rgb((0.34, 0.54, 0.20), shade)
        pen.polygon([(x - wide, height), (x + lean * rise, height - rise), (x + wide, height)], green)


# --- the camera -----------------------------------------------------------------------------------------------------


def _photo(rng: np.random.Generator, image: Floats) -> bytes:
    """Lens, exposure, colour cast, sensor and JPEG."""
    height, width = image.shape[:2]
    cast = np.array([uniform(rng, 0.94, 1.06), 1.0, uniform(rng, 0.92, 1.08)], np.float32)
    x, y = (np.linspace(-1, 1, side, dtype=np.float32) for side in (width, height))
    fall = np.float32(uniform(rng, 0.0, 0.08))
    corner = 1 - fall * (x[None, :] ** 2 + y[:, None] ** 2)
    image = image * (cast * np.float32(uniform(rng, *EXPOSURE))) * corner[..., None]
    bright = np.maximum(image - np.float32(0.8), 0)  # highlights roll off
    image = image - bright * bright / (bright + np.float32(0.2))
    lens = Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8))
    sharp = lens.filter(ImageFilter.BoxBlur(uniform(rng, *BLUR)))
    grain = rng.standard_normal((height, width, 1), dtype=np.float32) * np.float32(255 * uniform(rng, *NOISE))
    pixels = np.clip(np.asarray(sharp, np.float32) + grain + np.float32(0.5), 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=int(rng.integers(*QUALITY, endpoint=True)))
    return out.getvalue()
