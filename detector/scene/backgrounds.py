"""The places of the drawn scenes: rooms and gardens, painted with Pillow, textured and lit with numpy."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from detector.scene.models import BRIGHT, choice, uniform
from detector.scene.render import Colour, Floats, Light, look_up, noise, step, texture

Pen = ImageDraw.ImageDraw
Box = tuple[float, float, float, float]  # [xmin, ymin, xmax, ymax] in pixels

WALLS: tuple[Colour, ...] = (
    (0.86, 0.82, 0.74),
    (0.74, 0.80, 0.78),
    (0.80, 0.74, 0.72),
    (0.66, 0.72, 0.80),
    (0.88, 0.86, 0.82),
    (0.60, 0.66, 0.58),
    (0.82, 0.70, 0.56),
    (0.52, 0.50, 0.54),
)
WOODS: tuple[Colour, ...] = ((0.62, 0.44, 0.28), (0.48, 0.32, 0.20), (0.74, 0.58, 0.40), (0.36, 0.25, 0.18))
CLOTHS: tuple[Colour, ...] = (
    (0.45, 0.50, 0.58),
    (0.62, 0.30, 0.26),
    (0.36, 0.46, 0.38),
    (0.70, 0.62, 0.50),
    (0.34, 0.32, 0.38),
    (0.74, 0.52, 0.34),
)


@dataclass(frozen=True)
class Place:
    """A painted background: `image` (h, w, 3) float32 in [0, 1], the row where the ground begins, and the light."""

    image: Floats
    horizon: int
    light: Light
    indoors: bool


def rgb(colour: Colour, shade: float = 1.0) -> tuple[int, int, int]:
    """0..255, lighter or darker by `shade`."""
    red, green, blue = (min(255, max(0, round(255 * c * shade))) for c in colour)
    return red, green, blue


def pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """One colour, a little off."""
    red, green, blue = colours[choice(rng, colours)]
    shade = uniform(rng, 0.85, 1.1)
    return red * shade, green * shade, blue * shade


def paint(rng: np.random.Generator, width: int, height: int) -> Place:
    """A room or a garden of that size."""
    indoors = bool(rng.random() < 0.55)
    horizon = round(height * uniform(rng, 0.34, 0.6))
    light = _light(rng, indoors)
    blur = uniform(rng, 0.6, 2.4) * max(width, height) / 450
    back = (_room if indoors else _garden)(rng, width, height, horizon)
    wall = back.crop((0, 0, width, horizon)).filter(ImageFilter.GaussianBlur(blur))
    image = np.asarray(wall, dtype=np.float32) / np.float32(255)
    ground = (_floor if indoors else _meadow)(rng, width, height - horizon)
    soft = Image.fromarray((np.clip(ground, 0, 1) * 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(0.5))
    image = np.concatenate([image, np.asarray(soft, dtype=np.float32) / np.float32(255)])
    if indoors:
        image = _furnished(rng, image, horizon, blur * 0.8)
    grain = 1 + 0.025 * texture(rng, height, width, 1.2) + 0.03 * texture(rng, height, width, 24.0)
    return Place(
        np.asarray(image * grain[..., None] * _glow(light, width, height), np.float32), horizon, light, indoors
    )


def _light(rng: np.random.Generator, indoors: bool) -> Light:
    side, down, ahead = uniform(rng, -0.8, 0.8), uniform(rng, -0.8, -0.4), uniform(rng, 0.45, 0.9)
    size = (side * side + down * down + ahead * ahead) ** 0.5
    warm = uniform(rng, -0.05, 0.09) if indoors else uniform(rng, -0.03, 0.06)
    strength = uniform(rng, 0.62, 0.88) if indoors else uniform(rng, 0.72, 1.0)
    fill = uniform(rng, 0.38, 0.55)
    return Light(
        (side / size, down / size, ahead / size),
        (strength * (1 + warm), strength, strength * (1 - warm)),
        (fill * (1 + warm / 2), fill, fill * (1 + warm / 4)),
    )


def _glow(light: Light, width: int, height: int) -> Floats:
    """(h, w, 1): brighter towards the side the light comes from."""
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.float32(light.direction[0])
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(0.3)
    return np.asarray((0.93 + 0.16 * across - 0.10 * down)[..., None], np.float32)


def _gradient(top: Colour, bottom: Colour, width: int, height: int) -> Image.Image:
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    rows = np.array(top, np.float32) * (1 - share) + np.array(bottom, np.float32) * share
    return Image.fromarray(np.broadcast_to(np.clip(rows * 255, 0, 255), (height, width, 3)).astype(np.uint8))


# --- rooms ----------------------------------------------------------------------------------------------------------


def _room(rng: np.random.Generator, width: int, height: int, horizon: int) -> Image.Image:
    """The wall and what hangs on it."""
    wall = pick(rng, WALLS)
    image = _gradient((wall[0] * 0.95, wall[1] * 0.95, wall[2] * 0.95), wall, width, height)
    pen = ImageDraw.Draw(image)
    kind = rng.random()
    if kind < 0.25:
        _wallpaper(rng, pen, wall, width, horizon)
    elif kind < 0.4:
        _bricks(rng, pen, wall, width, horizon)
    for _ in range(int(rng.integers(1, 4))):
        left, size = uniform(rng, -0.1, 0.85) * width, uniform(rng, 0.2, 0.42) * width
        top = uniform(rng, -0.1, 0.25) * horizon
        thing = (_window, _picture, _shelf)[int(rng.integers(3))]
        thing(rng, pen, (left, top, left + size, top + min(size * uniform(rng, 0.8, 1.3), horizon * 0.75)))
    skirting = max(4, round(height * 0.022))
    pen.rectangle((0, horizon - skirting, width, horizon), fill=rgb((0.92, 0.90, 0.86)))
    pen.line((0, horizon - skirting, width, horizon - skirting), fill=rgb(wall, 0.7))
    return image


def _wallpaper(rng: np.random.Generator, pen: Pen, wall: Colour, width: int, horizon: int) -> None:
    gap, shade = int(rng.integers(14, 40)), uniform(rng, 0.88, 1.08)
    for x in range(0, width, gap):
        pen.rectangle((x, 0, x + gap // 2, horizon), fill=rgb(wall, shade))


def _bricks(rng: np.random.Generator, pen: Pen, wall: Colour, width: int, horizon: int) -> None:
    tall = int(rng.integers(10, 18))
    red = (wall[0] * 0.9, wall[1] * 0.68, wall[2] * 0.6) if rng.random() < 0.5 else wall
    for row, y in enumerate(range(0, horizon, tall)):
        for x in range(-(row % 2) * tall, width, tall * 2):
            pen.rectangle((x, y, x + tall * 2 - 2, y + tall - 2), fill=rgb(red, uniform(rng, 0.86, 1.04)))


def _window(rng: np.random.Generator, pen: Pen, box: Box) -> None:
    """Sky and treetops behind a cross of wood, with curtains at times."""
    left, top, right, bottom = box
    frame = max(3.0, (right - left) * 0.05)
    pen.rectangle(box, fill=rgb((0.93, 0.92, 0.90)))
    pen.rectangle((left + frame, top + frame, right - frame, bottom - frame), fill=rgb((0.80, 0.90, 0.98)))
    leaf = uniform(rng, 0.4, 0.8)
    for _ in range(6):
        x, size = uniform(rng, left + frame, right - frame * 2), (right - left) * uniform(rng, 0.05, 0.12)
        y = top + (bottom - top) * leaf
        pen.ellipse(
            (x - size, y - size, x + size, bottom - frame), fill=rgb((0.45, 0.62, 0.40), uniform(rng, 0.9, 1.2))
        )
    pen.rectangle((left, bottom - frame, right, bottom + frame), fill=rgb((0.90, 0.89, 0.86)))
    middle = (left + right) / 2
    pen.rectangle((middle - frame / 2, top, middle + frame / 2, bottom), fill=rgb((0.93, 0.92, 0.90)))
    if rng.random() < 0.6:
        cloth, wide = pick(rng, CLOTHS), (right - left) * 0.22
        for x in (left - wide / 2, right - wide / 2):
            for fold in range(4):
                near = x + wide * fold / 4
                pen.rectangle((near, top - 8, near + wide / 4, bottom + 20), fill=rgb(cloth, 0.95 + 0.15 * (fold % 2)))


def _picture(rng: np.random.Generator, pen: Pen, box: Box) -> None:
    """A framed abstract."""
    left, top, right, bottom = box
    edge = max(3.0, (right - left) * 0.06)
    pen.rectangle(box, fill=rgb(pick(rng, WOODS)))
    pen.rectangle((left + edge, top + edge, right - edge, bottom - edge), fill=rgb((0.93, 0.91, 0.86)))
    for _ in range(4):
        x0, x1 = sorted(uniform(rng, left + 2 * edge, right - 2 * edge) for _ in range(2))
        y0, y1 = sorted(uniform(rng, top + 2 * edge, max(bottom - 2 * edge, top + 2 * edge + 1)) for _ in range(2))
        (pen.ellipse if rng.random() < 0.5 else pen.rectangle)((x0, y0, x1, y1), fill=rgb(pick(rng, BRIGHT), 0.9))


def _shelf(rng: np.random.Generator, pen: Pen, box: Box) -> None:
    """Boards with books on them."""
    left, top, right, bottom = box
    wood = pick(rng, WOODS)
    boards = int(rng.integers(2, 4))
    room = (bottom - top) / boards
    pen.rectangle(box, fill=rgb(wood, 0.55))
    for board in range(boards):
        base = top + room * (board + 1)
        x = left + 4
        while x < right - 12:
            wide, tall = uniform(rng, 4, 10), room * uniform(rng, 0.55, 0.85)
            if rng.random() < 0.85:
                pen.rectangle((x, base - tall, x + wide, base), fill=rgb(pick(rng, BRIGHT), 0.85))
            x += wide + 1
        pen.rectangle((left, base - 3, right, base + 2), fill=rgb(wood))
    for x in (left, right - 4):
        pen.rectangle((x, top, x + 4, bottom), fill=rgb(wood))


def _ground_plane(width: int, rows: int, reach: float) -> tuple[Floats, Floats]:
    """(rows, width) coordinates across and along the ground, as perspective shows it; the nearest row is at 1."""
    depth = 1 / (np.arange(rows, dtype=np.float32) / rows * (1 - 1 / reach) + np.float32(1 / reach))
    across = (np.arange(width, dtype=np.float32) - width / 2) / width
    return np.asarray(across[None, :] * depth[:, None], np.float32), np.broadcast_to(depth[:, None], (rows, width))


def _floor(rng: np.random.Generator, width: int, rows: int) -> Floats:
    """(rows, width, 3): planks, tiles or a carpet, often with a rug."""
    across, along = _ground_plane(width, rows, 4.5)
    turn = rng.random() < 0.5
    u, v = (across * 9, along * 1.4) if turn else (along * 4.5, across * 3)
    kind = rng.random()
    if kind < 0.5:
        ground = _planks(rng, u, v)
    elif kind < 0.75:
        ground = _tiles(rng, across * 6, along * 5)
    else:
        cloth = np.array(pick(rng, CLOTHS), np.float32)
        ground = cloth * (1 + 0.07 * look_up(noise(1.2), across * 500, along * 300))[..., None]
    if rng.random() < 0.55:
        ground = _rug(rng, ground, across, along)
    far = np.linspace(0.86, 1.03, rows, dtype=np.float32)[:, None, None]
    return np.asarray(ground * far, np.float32)


def _planks(rng: np.random.Generator, u: Floats, v: Floats) -> Floats:
    wood = np.array(pick(rng, WOODS), np.float32)
    board = np.floor(u)
    shift = look_up(noise(0.0), board, board)
    piece = np.floor(v + shift)
    shade = (
        1 + 0.07 * look_up(noise(0.0), board + 7 * piece, piece) + 0.05 * look_up(noise(2.5, 0, 8.0), u * 40, v * 90)
    )
    seam = step(np.abs(u - board - 0.5), 0.44, 0.5)
    return np.asarray(wood * (shade - 0.35 * seam)[..., None], np.float32)


def _tiles(rng: np.random.Generator, u: Floats, v: Floats) -> Floats:
    first = np.array(pick(rng, WALLS), np.float32)
    second = first * uniform(rng, 0.55, 1.0)
    odd = ((np.floor(u) + np.floor(v)) % 2 > 0)[..., None]
    seam = np.maximum(step(np.abs(u - np.floor(u) - 0.5), 0.45, 0.5), step(np.abs(v - np.floor(v) - 0.5), 0.45, 0.5))
    return np.asarray(np.where(odd, first, second) * (1 - 0.25 * seam)[..., None], np.float32)


def _rug(rng: np.random.Generator, ground: Floats, across: Floats, along: Floats) -> Floats:
    """A rug with rings or stripes, round or square."""
    x, y = (
        (across - uniform(rng, -0.4, 0.4)) / uniform(rng, 0.5, 0.8),
        (along - uniform(rng, 1.2, 1.9)) / uniform(rng, 0.5, 0.9),
    )
    square = rng.random() < 0.5
    reach = np.maximum(np.abs(x), np.abs(y)) if square else np.sqrt(x * x + y * y)
    cloth, band = np.array(pick(rng, CLOTHS), np.float32), np.array(pick(rng, CLOTHS), np.float32)
    rings = reach * uniform(rng, 2.5, 5)
    inner = np.where(((rings - np.floor(rings)) < 0.3)[..., None], band, cloth)
    pile = 1 + 0.08 * look_up(noise(1.2), x * 260, y * 160)
    cover = step(1 - reach, 0.0, 0.015)[..., None]
    return np.asarray(ground * (1 - cover) + inner * pile[..., None] * cover, np.float32)


def _furnished(rng: np.random.Generator, image: Floats, horizon: int, blur: float) -> Floats:
    """A sofa or a cabinet before the wall, with its shadow on the floor."""
    if rng.random() < 0.25:
        return image
    height, width = image.shape[:2]
    layer = Image.new("RGBA", (width * 2, height * 2))
    pen = ImageDraw.Draw(layer)
    size = uniform(rng, 0.45, 0.8) * width
    left = uniform(rng, -0.2, 0.9) * width - size * 0.3
    base = horizon + uniform(rng, 0.03, 0.12) * height
    box = (2 * left, 2 * (base - size * uniform(rng, 0.36, 0.5)), 2 * (left + size), 2 * base)
    pen.ellipse((box[0] - 10, box[3] - 14, box[2] + 10, box[3] + 22), fill=(0, 0, 0, 90))
    (_sofa if rng.random() < 0.65 else _cabinet)(rng, pen, box)
    return over(image, np.asarray(layer.reduce(2).filter(ImageFilter.BoxBlur(blur))))


def _sofa(rng: np.random.Generator, pen: Pen, box: Box) -> None:
    left, top, right, bottom = box
    cloth, wide, tall = pick(rng, CLOTHS), right - left, bottom - top
    round_ = tall * 0.12
    seat = top + tall * 0.55
    pen.rounded_rectangle((left + wide * 0.05, top, right - wide * 0.05, bottom - tall * 0.1), round_, rgb(cloth, 0.8))
    for half in range(2):
        near = left + wide * (0.1 + 0.4 * half)
        pen.rounded_rectangle((near, top + tall * 0.08, near + wide * 0.395, seat), round_, rgb(cloth, 0.95))
        pen.rounded_rectangle(
            (near, seat - tall * 0.06, near + wide * 0.395, seat + tall * 0.2), round_ / 2, rgb(cloth, 1.12)
        )
        if rng.random() < 0.5:
            at = near + wide * uniform(rng, 0.05, 0.2)
            pen.rounded_rectangle((at, seat - tall * 0.3, at + wide * 0.14, seat), round_, rgb(pick(rng, BRIGHT), 0.9))
    pen.rectangle((left + wide * 0.08, seat + tall * 0.2, right - wide * 0.08, bottom - tall * 0.08), rgb(cloth, 0.85))
    for x in (left, right - wide * 0.11):
        pen.rounded_rectangle((x, top + tall * 0.35, x + wide * 0.11, bottom - tall * 0.05), round_, rgb(cloth, 1.02))
        pen.rectangle((x + wide * 0.03, bottom - tall * 0.06, x + wide * 0.06, bottom), rgb(WOODS[3]))


def _cabinet(rng: np.random.Generator, pen: Pen, box: Box) -> None:
    left, top, right, bottom = box
    wood, wide, tall = pick(rng, WOODS), right - left, bottom - top
    pen.rectangle((left, top, right, bottom - tall * 0.08), rgb(wood, 0.9))
    pen.rectangle((left - 6, top - 6, right + 6, top + tall * 0.06), rgb(wood, 1.12))
    doors = int(rng.integers(2, 5))
    for door in range(doors):
        near = left + wide * door / doors
        pen.rectangle((near + 6, top + tall * 0.13, near + wide / doors - 6, bottom - tall * 0.14), rgb(wood, 1.03))
        pen.ellipse((near + 14, top + tall * 0.45, near + 24, top + tall * 0.45 + 10), rgb((0.85, 0.80, 0.65)))
    for x in (left + 6, right - 20):
        pen.rectangle((x, bottom - tall * 0.08, x + 14, bottom), rgb(wood, 0.6))


# --- gardens --------------------------------------------------------------------------------------------------------


def _garden(rng: np.random.Generator, width: int, height: int, horizon: int) -> Image.Image:
    """Sky with clouds, hills, then a fence, a hedge, trees or a house."""
    blue = uniform(rng, 0.0, 1.0)
    image = _gradient((0.42 + 0.3 * blue, 0.62 + 0.16 * blue, 0.88), (0.84, 0.90, 0.95), width, height)
    clouds = step(texture(rng, height, width, 24.0, 0.5) + 0.4 * texture(rng, height, width, 8.0, 0.5), 0.4, 1.6)[
        ..., None
    ]
    sky = np.asarray(image, np.float32)
    image = Image.fromarray((sky + (246 - sky) * clouds * 0.85).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for layer in range(2):
        top = horizon * uniform(rng, 0.55, 0.8) + layer * horizon * 0.1
        _treeline(rng, pen, width, top, horizon, 0.75 - 0.2 * layer)
    for _ in range(int(rng.integers(0, 4))):
        _tree(rng, pen, uniform(rng, 0, width), horizon, horizon * uniform(rng, 0.6, 1.2))
    kind = rng.random()
    if kind < 0.35:
        _fence(rng, pen, width, horizon, horizon * uniform(rng, 0.25, 0.45))
    elif kind < 0.6:
        _treeline(rng, pen, width, horizon * uniform(rng, 0.6, 0.8), horizon, 0.45)
    elif kind < 0.75:
        _house(rng, pen, width, horizon)
    return image


def _treeline(rng: np.random.Generator, pen: Pen, width: int, top: float, bottom: int, pale: float) -> None:
    colour = (0.20 + 0.40 * pale, 0.40 + 0.32 * pale, 0.18 + 0.50 * pale)
    bush = uniform(rng, 12, 40)
    pen.rectangle((0, min(top + bush * 0.5, bottom), width, bottom), fill=rgb(colour, 0.92))
    for _ in range(round(width / bush * 3)):
        x, y, size = (
            uniform(rng, -bush, width + bush),
            top + uniform(rng, -0.3, 0.5) * bush,
            bush * uniform(rng, 0.5, 1.2),
        )
        pen.ellipse((x - size, y - size, x + size, bottom + size), fill=rgb(colour, uniform(rng, 0.88, 1.1)))


def _tree(rng: np.random.Generator, pen: Pen, x: float, base: int, tall: float) -> None:
    trunk = tall * uniform(rng, 0.05, 0.09)
    pen.polygon(
        [
            (x - trunk, base),
            (x - trunk * 0.6, base - tall * 0.7),
            (x + trunk * 0.6, base - tall * 0.7),
            (x + trunk, base),
        ],
        rgb((0.36, 0.26, 0.19)),
    )
    green: Colour = (uniform(rng, 0.18, 0.42), uniform(rng, 0.38, 0.52), uniform(rng, 0.14, 0.24))
    for i in range(26):
        near, size = x + uniform(rng, -0.32, 0.32) * tall, tall * uniform(rng, 0.08, 0.18)
        y = base - tall * uniform(rng, 0.5, 1.05)
        pen.ellipse((near - size, y - size, near + size, y + size), fill=rgb(green, 0.75 + 0.018 * i))


def _fence(rng: np.random.Generator, pen: Pen, width: int, base: int, tall: float) -> None:
    paint_: Colour = (0.90, 0.89, 0.86) if rng.random() < 0.4 else pick(rng, WOODS)
    board = uniform(rng, 12, 26)
    for rail in (0.3, 0.75):
        pen.rectangle((0, base - tall * rail - 4, width, base - tall * rail + 4), fill=rgb(paint_, 0.8))
    gap = uniform(rng, 1.08, 1.5)
    for i in range(round(width / (board * gap)) + 2):
        x = i * board * gap - board / 2
        shape = [
            (x, base),
            (x, base - tall),
            (x + board / 2, base - tall * 1.1),
            (x + board, base - tall),
            (x + board, base),
        ]
        pen.polygon(shape, fill=rgb(paint_, uniform(rng, 0.9, 1.05)))


def _house(rng: np.random.Generator, pen: Pen, width: int, base: int) -> None:
    wall, left = pick(rng, WALLS), uniform(rng, -0.3, 0.5) * width
    right, top = left + uniform(rng, 0.5, 0.9) * width, base * uniform(rng, 0.1, 0.4)
    pen.rectangle((left, top, right, base), fill=rgb(wall))
    for y in range(int(top), base, 9):
        pen.line((left, y, right, y), fill=rgb(wall, 0.88))
    pen.polygon(
        [(left - 20, top), (right + 20, top), ((left + right) / 2, top - base * 0.5)], fill=rgb((0.50, 0.26, 0.22))
    )
    size = (right - left) * 0.2
    _window(rng, pen, (left + size, top + size * 0.4, left + 2 * size, min(top + size * 1.5, base - 8)))
    pen.rectangle((right - 2 * size, top + size * 0.5, right - size, base), fill=rgb(pick(rng, WOODS), 0.9))


def _meadow(rng: np.random.Generator, width: int, rows: int) -> Floats:
    """(rows, width, 3): grass, often with a path, earth or paving, or flowers."""
    across, along = _ground_plane(width, rows, 7.0)
    green = np.array((uniform(rng, 0.26, 0.46), uniform(rng, 0.44, 0.58), uniform(rng, 0.16, 0.26)), np.float32)
    blades = look_up(noise(1.2, 0, 3.0), across * 420, along * 330 + across * 40)
    tufts = look_up(noise(8.0), across * 300, along * 160)
    ground = green * (1 + 0.17 * blades + 0.10 * tufts)[..., None]
    kind = rng.random()
    if kind < 0.4:
        middle, wide = uniform(rng, -0.4, 0.4), uniform(rng, 0.12, 0.35)
        bend = uniform(rng, -0.12, 0.12)
        edge = wide - np.abs(across - middle - bend * (along - 1) * along) + 0.02 * tufts
        ground = _mixed(ground, _stones(rng, across, along), step(np.asarray(edge, np.float32), 0.0, 0.03))
    elif kind < 0.55:
        ground = _mixed(
            ground, _stones(rng, across, along), step(tufts * 0.3 - along + uniform(rng, 2.0, 7.0), 0.0, 0.3)
        )
    if rng.random() < 0.4:
        petal = np.array(pick(rng, (*BRIGHT, (0.95, 0.95, 0.92))), np.float32)
        bloom = step(look_up(noise(1.2, 3), across * 300, along * 130), 2.3, 2.6)
        ground = _mixed(ground, np.broadcast_to(petal, ground.shape), bloom)
    far = np.linspace(1.08, 0.96, rows, dtype=np.float32)[:, None, None]
    return np.asarray(ground * far, np.float32)


def _stones(rng: np.random.Generator, across: Floats, along: Floats) -> Floats:
    """Earth, sand or paving."""
    if rng.random() < 0.4:
        return _tiles(rng, across * 10, along * 7)
    earth = np.array(pick(rng, ((0.62, 0.52, 0.40), (0.72, 0.66, 0.54), (0.56, 0.55, 0.54))), np.float32)
    return np.asarray(earth * (1 + 0.10 * look_up(noise(1.2), across * 330, along * 180))[..., None], np.float32)


def _mixed(under: Floats, cover: Floats, share: Floats) -> Floats:
    return np.asarray(under + (cover - under) * share[..., None], np.float32)


def over(image: Floats, rgba: npt.NDArray[np.uint8], shade: float = 1.0) -> Floats:
    """The image with an RGBA layer of the same size laid over it."""
    layer = rgba.astype(np.float32) / np.float32(255)
    return _mixed(image, layer[..., :3] * np.float32(shade), layer[..., 3])
