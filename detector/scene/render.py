"""Draws models made of rounded cones: a z-buffer, soft light, fur and coat patterns, in numpy.

A model is a list of `Blob`s in its own frame (x forward, y up, z sideways). It is seen without perspective:
screen x to the right, y down, z towards the viewer. Rays meet the rounded cones exactly (after Inigo Quilez,
"rounded cone - intersection", iquilezles.org/articles/intersectors, MIT).

Only + - * / and square roots touch pixels: these are the same on every processor, while numpy's sin, exp and power
are not, so that the same seed gives the same bytes elsewhere.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage  # type: ignore[import-untyped]

Floats = npt.NDArray[np.float32]
Point = tuple[float, float, float]  # model frame: forward, up, left
Colour = tuple[float, float, float]  # RGB in [0, 1]

TILE = 512  # pixels a side of the noise tiles
FUR, HEAD, SMOOTH, EYE = "fur", "head", "smooth", "eye"  # how a blob is painted
NO_COLOUR: Colour = (-1.0, -1.0, -1.0)


@dataclass(frozen=True)
class Eye:
    """What an eyeball shows: where it looks, its iris, and a pupil that is a slit (cat) or round (dog)."""

    gaze: Point
    iris: Colour
    pupil_width: float  # of the eyeball's radius
    pupil_height: float


@dataclass(frozen=True)
class Blob:
    """A rounded cone: a ball of radius `ra` at `a`, one of `rb` at `b`, and the hull of both.

    colour: `NO_COLOUR` takes the coat's. tip: 0 on the trunk to 1 at the end of a limb, an ear, a muzzle, a tail.
    """

    a: Point
    b: Point
    ra: float
    rb: float
    paint: str = FUR
    colour: Colour = NO_COLOUR
    tip: float = 0.0
    eye: Eye | None = None


@dataclass(frozen=True)
class Coat:
    """Colours and pattern of the fur; drawn from one distribution, whatever animal wears it."""

    base: Colour
    second: Colour
    white: Colour
    pattern: str  # plain, tabby, patches, spots, points, saddle
    belly: float  # height (model units) under which the coat turns white; 0 for none
    socks: float  # tip above which limbs turn white; 2 for none
    blaze: float  # half width of the white stripe on the face, in head radii; 0 for none
    length: float  # of the hair, relative


@dataclass(frozen=True)
class Light:
    """Direction to the lamp or sun (screen frame, length 1), its colour, and the light from all sides."""

    direction: Point
    key: Colour
    ambient: Colour


@dataclass(frozen=True)
class Model:
    """Blobs, and the head's own frame (rotation rows, centre, radius) for what is painted on a face."""

    blobs: tuple[Blob, ...]
    coat: Coat | None = None
    head_rotation: npt.NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    head_centre: Point = (0.0, 0.0, 0.0)
    head_radius: float = 1.0
    whiskers: tuple[tuple[Point, Point], ...] = ()


@dataclass(frozen=True)
class Sprite:
    """A drawn model: `rgba` (h, w, 4) uint8 with its upper left corner at image pixel (left, top).

    head: (h, w) bool, the pixels of the head.
    """

    rgba: npt.NDArray[np.uint8]
    head: npt.NDArray[np.bool_]
    left: int
    top: int


@functools.cache
def noise(scale: float, number: int = 0, stretch: float = 1.0) -> Floats:
    """A (512, 512) seamless tile: smooth noise of mean 0 and deviation 1, blobs of `scale` pixels."""
    rng = np.random.default_rng([number, round(scale * 10), round(stretch * 10)])
    white = rng.standard_normal((TILE, TILE))
    smooth = ndimage.gaussian_filter(white, (scale * stretch, scale), mode="wrap") if scale else white
    return np.asarray((smooth - smooth.mean()) / smooth.std(), dtype=np.float32)


def cut_out(rng: np.random.Generator, tile: Floats, height: int, width: int) -> Floats:
    """A (height, width) piece of a tile, from a random place."""
    rows = (np.arange(height) + int(rng.integers(TILE))) % TILE
    columns = (np.arange(width) + int(rng.integers(TILE))) % TILE
    return tile[rows[:, None], columns[None, :]]


def texture(rng: np.random.Generator, height: int, width: int, scale: float, stretch: float = 1.0) -> Floats:
    """A (height, width) piece of noise (see `noise`)."""
    return cut_out(rng, noise(scale, 0, stretch), height, width)


@functools.cache
def _tangle() -> Floats:
    """How far each pixel of fur looks aside: single hairs and tufts, (512, 512)."""
    return _f32(noise(1.2, 4) + np.float32(0.7) * noise(4.0, 4))


def look_up(tile: Floats, u: Floats, v: Floats) -> Floats:
    """The tile's value at (u, v) pixels, repeated without end; same shape as `u`."""
    return tile[np.asarray(v, dtype=np.int64) % TILE, np.asarray(u, dtype=np.int64) % TILE]


def _f32(value: npt.ArrayLike) -> Floats:
    return np.asarray(value, dtype=np.float32)


def step(value: Floats, low: float, high: float) -> Floats:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def rotation(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> npt.NDArray[np.float64]:
    """Rows are the frame's axes: yaw turns forward towards +z, pitch lifts it, roll tilts about it (radians)."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    forward = (cy * cp, sp, sy * cp)
    up = (-cy * sp * cr - sy * sr, cp * cr, -sy * sp * cr + cy * sr)
    left = (
        forward[1] * up[2] - forward[2] * up[1],
        forward[2] * up[0] - forward[0] * up[2],
        forward[0] * up[1] - forward[1] * up[0],
    )
    return np.array([forward, up, left])


def place(frame: npt.NDArray[np.float64], point: Sequence[float], origin: Sequence[float] = (0, 0, 0)) -> Point:
    """A point given in `frame` (rows are its axes) at `origin`, in the frame outside."""
    x, y, z = (origin[i] + sum(point[k] * float(frame[k, i]) for k in range(3)) for i in range(3))
    return x, y, z


def moved(blob: Blob, frame: npt.NDArray[np.float64], origin: Sequence[float], scale: float) -> Blob:
    """The blob taken out of `frame`, its sizes multiplied by `scale`."""
    a, b = (place(frame, [scale * c for c in p], origin) for p in (blob.a, blob.b))
    eye = replace(blob.eye, gaze=place(frame, blob.eye.gaze)) if blob.eye else None
    return replace(blob, a=a, b=b, ra=blob.ra * scale, rb=blob.rb * scale, eye=eye)


class _Screen(NamedTuple):
    """From the model to the canvas: turned by `matrix`, then scaled, then moved by `shift`."""

    matrix: npt.NDArray[np.float64]
    shift: Point
    scale: float


@dataclass
class _Canvas:
    """The z-buffer: `z`, the normals (3, h, w) and the number of the blob in front, -1 where there is no blob."""

    z: Floats
    normal: Floats
    blob: npt.NDArray[np.int16]


def _depth(x: Floats, y: Floats, b: Point, ra: float, rb: float) -> Floats:
    """z of the rounded cone from the origin to `b`, -1e9 where the ray (x, y) misses it."""
    bx, by, bz = b
    z = _ball_depth(x, y, ra)
    shrink = ra - rb
    d2 = bx * bx + by * by + bz * bz - shrink * shrink
    if d2 <= 1e-12:
        return z
    z = np.maximum(z, _ball_depth(x - bx, y - by, rb) + bz)
    m1 = bx * x + by * y - shrink * ra
    k2 = d2 - bz * bz
    if abs(k2) < 1e-9:
        return np.asarray(z, np.float32)
    k1 = bz * m1
    k0 = d2 * (x * x + y * y) - m1 * m1 + (shrink * ra) ** 2 - (d2 + shrink * shrink) * ra * ra
    h = k1 * k1 - k0 * k2
    root = np.sqrt(np.maximum(h, 0))
    for sign in (1.0,) if k2 > 0 else (1.0, -1.0):
        side = (k1 + sign * root) / k2
        along = m1 + side * bz
        hit = (h >= 0) & (along > 0) & (along < d2)
        z = np.where(hit, np.maximum(side, z), z)
    return np.asarray(z, np.float32)


def _ball_depth(x: Floats, y: Floats, radius: float) -> Floats:
    h = radius * radius - x * x - y * y
    return np.asarray(np.where(h > 0, np.sqrt(np.maximum(h, 0)), np.float32(-1e9)), np.float32)


def _draw(canvas: _Canvas, number: int, blob: Blob, x: Floats, y: Floats) -> None:
    """Put one blob (screen frame, pixels of the canvas) into the z-buffer; x, y: (h, w) where each pixel looks."""
    margin = 3 + max(blob.ra, blob.rb) * 0.08
    height, width = canvas.z.shape
    spans = []
    for axis, size in ((1, height), (0, width)):
        low = min(blob.a[axis] - blob.ra, blob.b[axis] - blob.rb) - margin
        high = max(blob.a[axis] + blob.ra, blob.b[axis] + blob.rb) + margin
        spans.append(slice(max(0, math.floor(low)), min(size, math.ceil(high))))
    window = (spans[0], spans[1])
    if canvas.z[window].size == 0:
        return
    ox, oy = x[window] - blob.a[0], y[window] - blob.a[1]
    b = (blob.b[0] - blob.a[0], blob.b[1] - blob.a[1], blob.b[2] - blob.a[2])
    z = _depth(ox, oy, b, blob.ra, blob.rb)
    front = (z > -1e8) & (z + blob.a[2] > canvas.z[window])
    shrink = blob.ra - blob.rb
    d2 = max(b[0] * b[0] + b[1] * b[1] + b[2] * b[2] - shrink * shrink, 1e-9)
    t = np.clip((ox * b[0] + oy * b[1] + z * b[2] - blob.ra * shrink) / d2, 0, 1)
    radius = blob.ra - t * shrink
    for axis, at in enumerate((ox, oy, z)):
        np.copyto(canvas.normal[axis][window], (at - t * b[axis]) / radius, where=front)
    np.copyto(canvas.z[window], z + np.float32(blob.a[2]), where=front, casting="same_kind")
    np.copyto(canvas.blob[window], number, where=front)


def _to_screen(
    model: Model, view: npt.NDArray[np.float64], scale: float, mirror: bool
) -> tuple[list[Blob], npt.NDArray[np.float64]]:
    """The blobs in pixels about the model's origin, and (3, 3): the rows are screen x, y, z in its frame."""
    matrix = np.array([-view[0] if mirror else view[0], -view[1], view[2]])
    blobs = []
    for blob in model.blobs:
        a, b = (_times(matrix, p, scale) for p in (blob.a, blob.b))
        eye = replace(blob.eye, gaze=_times(matrix, blob.eye.gaze, 1.0)) if blob.eye else None
        blobs.append(replace(blob, a=a, b=b, ra=blob.ra * scale, rb=blob.rb * scale, eye=eye))
    return blobs, matrix


def _times(matrix: npt.NDArray[np.float64], point: Sequence[float], scale: float) -> Point:
    x, y, z = (scale * sum(float(matrix[i, k]) * point[k] for k in range(3)) for i in range(3))
    return x, y, z


def camera(yaw: float, pitch: float) -> npt.NDArray[np.float64]:
    """Rows are screen x, up and towards the viewer, in the model's frame.

    yaw: 0 sees the model from its right side, facing right; pi/2 sees its face. pitch: the camera looks down by it.
    """
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    right = (cy, 0.0, -sy)
    towards = (sy * cp, sp, cy * cp)
    up = (-sy * sp, cp, -cy * sp)
    return np.array([right, up, towards])


def extent(model: Model, view: npt.NDArray[np.float64], mirror: bool) -> tuple[float, float, float, float]:
    """[xmin, ymin, xmax, ymax] of the model on the screen, in its own unit, y down."""
    blobs, _ = _to_screen(model, view, 1.0, mirror)
    return _extent(blobs)


def _extent(blobs: Sequence[Blob]) -> tuple[float, float, float, float]:
    ends = [(p[0], p[1], r) for blob in blobs for p, r in ((blob.a, blob.ra), (blob.b, blob.rb))]
    return (
        min(x - r for x, _, r in ends),
        min(y - r for _, y, r in ends),
        max(x + r for x, _, r in ends),
        max(y + r for _, y, r in ends),
    )


def draw(
    model: Model,
    view: npt.NDArray[np.float64],
    *,
    scale: float,
    mirror: bool,
    origin: tuple[float, float],
    light: Light,
    rng: np.random.Generator,
) -> Sprite:
    """Draw a model; `scale` is in image pixels per unit, `origin` is the place of its (0, 0, 0) in the image."""
    left_f, top_f, right_f, bottom_f = (scale * side for side in extent(model, view, mirror))
    left, top = math.floor(origin[0] + left_f) - 4, math.floor(origin[1] + top_f) - 4
    width, height = math.ceil(right_f - left_f) + 9, math.ceil(bottom_f - top_f) + 9
    fine = min(1.6, max(1.15, 200 / max(width, height)))  # canvas pixels per image pixel
    rows, columns = math.ceil(height * fine), math.ceil(width * fine)
    blobs, matrix = _to_screen(model, view, scale * fine, mirror)
    shift = ((origin[0] - left) * fine, (origin[1] - top) * fine, 0.0)
    blobs = [replace(blob, a=_add(blob.a, shift), b=_add(blob.b, shift)) for blob in blobs]
    canvas = _z_buffer(blobs, rows, columns, rng, scale * fine, model.coat.length if model.coat else 0.0)
    screen = _Screen(matrix, shift, scale * fine)
    rgb = _painted(model, blobs, canvas, screen, light, rng)
    hairs = _hairs(model, canvas, screen)
    rgb += (0.92 - rgb) * 0.75 * hairs[..., None]
    alpha = np.maximum(canvas.blob >= 0, 0.45 * hairs)  # under one half: no box reaches out for a whisker
    rgba = np.clip(np.dstack([rgb, alpha]) * 255 + 0.5, 0, 255).astype(np.uint8)
    size = (width, height)
    exact = (0, 0, min(width * fine, columns), min(height * fine, rows))
    small = Image.fromarray(rgba).resize(size, Image.Resampling.BOX, box=exact)
    on_head = np.array([blob.paint in (HEAD, EYE) for blob in blobs] + [False])[canvas.blob]
    head = Image.fromarray(on_head.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)
    return Sprite(np.asarray(small), np.asarray(head) > 0, left, top)


def _hairs(model: Model, canvas: _Canvas, screen: _Screen) -> Floats:
    """(h, w) in [0, 1]: the whiskers whose root is not behind the face."""
    image = Image.new("L", (canvas.z.shape[1], canvas.z.shape[0]))
    pen = ImageDraw.Draw(image)
    for root, end in model.whiskers:
        (x, y, z), (end_x, end_y, _) = (
            _add(_times(screen.matrix, point, screen.scale), screen.shift) for point in (root, end)
        )
        inside = 0 <= int(y) < canvas.z.shape[0] and 0 <= int(x) < canvas.z.shape[1]
        if inside and canvas.z[int(y), int(x)] < z + 0.25 * screen.scale * model.head_radius:
            pen.line((x, y, end_x, end_y), fill=220, width=max(1, round(screen.scale * model.head_radius * 0.03)))
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def _add(a: Point, b: Point) -> Point:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def _z_buffer(
    blobs: Sequence[Blob], rows: int, columns: int, rng: np.random.Generator, scale: float, hair: float
) -> _Canvas:
    """All blobs drawn. Fur looks a little aside of its pixel, at random, so that every edge of it is frayed."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32) + np.float32(0.5)
    fray = min(0.0055 * scale * hair, 1.6)
    fur_x, fur_y = (at + np.float32(fray) * cut_out(rng, _tangle(), rows, columns) for at in (x, y))
    canvas = _Canvas(
        np.full((rows, columns), -1e8, np.float32),
        np.zeros((3, rows, columns), np.float32),
        np.full((rows, columns), -1, np.int16),
    )
    for number, blob in enumerate(blobs):
        furry = blob.paint in (FUR, HEAD) and blob.colour == NO_COLOUR
        _draw(canvas, number, blob, fur_x if furry else x, fur_y if furry else y)
    return canvas


def _painted(
    model: Model,
    blobs: Sequence[Blob],
    canvas: _Canvas,
    screen: _Screen,
    light: Light,
    rng: np.random.Generator,
) -> Floats:
    """(h, w, 3) colours in [0, 1] of the canvas, lit."""
    albedo = np.array([blob.colour for blob in blobs] + [(0, 0, 0)], np.float32)[canvas.blob]
    if model.coat is not None:
        ys, xs = np.mgrid[0 : canvas.z.shape[0], 0 : canvas.z.shape[1]].astype(np.float32)
        shift, scale = screen.shift, screen.scale
        pixels = [(xs - shift[0]) / scale, (ys - shift[1]) / scale, canvas.z / scale]
        at = [sum(float(screen.matrix[i, k]) * pixels[i] for i in range(3)) for k in range(3)]
        fur = albedo[..., 0] < 0
        coloured = _coat_colours(model, model.coat, blobs, canvas, at, rng)
        albedo = np.where(fur[..., None], coloured, albedo)
    for number, blob in enumerate(blobs):
        if blob.eye:
            seen = canvas.blob == number
            albedo[seen] = _eye_colours(blob.eye, canvas.normal[:, seen])
    return _lit(albedo, blobs, canvas, light, screen.scale)


def _coat_colours(
    model: Model, coat: Coat, blobs: Sequence[Blob], canvas: _Canvas, at: list[Floats], rng: np.random.Generator
) -> Floats:
    """(h, w, 3) fur colours; at: model coordinates of every pixel, three of (h, w)."""
    shape = canvas.z.shape
    tips = np.array([blob.tip for blob in blobs] + [0], np.float32)[canvas.blob]
    head = np.array([blob.paint == HEAD for blob in blobs] + [False])[canvas.blob]
    offset = rng.integers(TILE, size=4)
    rough = look_up(noise(8.0), at[0] * 120 + offset[0], (at[1] + at[2]) * 120 + offset[1])
    second = _pattern(coat.pattern, at, tips, rough, offset)
    white = np.zeros(shape, np.float32)
    if coat.belly:
        white = np.maximum(white, ~head * step(_f32(-at[1] + 0.05 * rough + coat.belly), -0.02, 0.06))
    white = np.maximum(white, ~head * step(_f32(tips + 0.06 * rough - coat.socks), -0.02, 0.05))
    if coat.blaze:
        local = [(at[i] - model.head_centre[i]) / model.head_radius for i in range(3)]
        ahead, up, side = (_f32(sum(float(model.head_rotation[k, i]) * local[i] for i in range(3))) for k in range(3))
        width = coat.blaze + 0.6 * step(-up, 0.0, 0.6)
        white = np.maximum(white, head * (ahead > 0) * step(_f32(width - np.abs(side) + 0.1 * rough), -0.06, 0.06))
    hair = texture(rng, shape[0], shape[1], 1.2, 3.0)
    base, other, pale = (np.array(c, np.float32) for c in (coat.base, coat.second, coat.white))
    colour = base + (other - base) * second[..., None]
    colour = colour + (pale - colour) * white[..., None]
    return np.asarray(colour * (1 + 0.09 * hair + 0.05 * rough)[..., None], dtype=np.float32)


def _pattern(pattern: str, at: list[Floats], tips: Floats, rough: Floats, offset: npt.NDArray[np.int64]) -> Floats:
    """(h, w) share of the coat's second colour."""
    if pattern == "tabby":
        phase = at[0] * 6.5 + 3.0 * tips + 0.25 * rough + 0.8 * np.abs(at[2])
        wave = np.abs(phase - np.floor(phase) - 0.5) * 2
        return 0.8 * step(wave, 0.45, 0.75)
    if pattern == "patches":
        return step(look_up(noise(24.0), at[0] * 130 + offset[2], (at[1] + 0.6 * at[2]) * 130 + offset[3]), 0.15, 0.3)
    if pattern == "spots":
        return step(look_up(noise(8.0, 1), at[0] * 170 + offset[2], (at[1] + 0.6 * at[2]) * 170 + offset[3]), 0.9, 1.15)
    if pattern == "points":
        return step(tips + 0.08 * rough, 0.45, 0.8)
    if pattern == "saddle":
        return step(at[1] + 0.05 * rough - 0.25 * tips, 0.72, 0.85)
    return np.zeros_like(tips)


def _eye_colours(eye: Eye, normal: Floats) -> Floats:
    """(n, 3) colours of an eyeball; normal: (3, n). The pupil's long axis stands upright in the image."""
    gaze = np.array(eye.gaze, np.float32)
    u, v, ahead = normal[0] - gaze[0], normal[1] - gaze[1], sum(normal[i] * gaze[i] for i in range(3))
    pupil = (u / eye.pupil_width) ** 2 + (v / eye.pupil_height) ** 2
    iris = np.array(eye.iris, np.float32)
    rim = step(_f32(ahead), 0.22, 0.40)[:, None]
    colours = iris * (0.75 + 0.35 * step(v, -0.6, 0.6))[:, None] * rim + 0.05 * (1 - rim)
    colours = np.where((pupil < 1)[:, None], 0.02, colours)
    glint = (u + 0.28) ** 2 + (v + 0.3) ** 2 < 0.045
    return np.asarray(np.where(glint[:, None], 1.6, colours), dtype=np.float32)


def _lit(albedo: Floats, blobs: Sequence[Blob], canvas: _Canvas, light: Light, scale: float) -> Floats:
    """Soft light on smoothed normals (so that blobs flow into one body), darker where something stands in front."""
    hit = (canvas.blob >= 0).astype(np.float32)
    size = max(3, int(scale * 0.06) | 1)
    weight = np.maximum(ndimage.uniform_filter(hit, size), 0.05)
    normal = [ndimage.uniform_filter(axis, size) / weight for axis in canvas.normal]
    depth = np.where(hit > 0, canvas.z, 0)
    wide = max(5, int(scale * 0.22) | 1)
    around = ndimage.uniform_filter(depth, wide) / np.maximum(ndimage.uniform_filter(hit, wide), 0.05)
    hollow = step(around - depth, 0.0, 0.30 * scale)
    facing = sum(normal[i] * light.direction[i] for i in range(3))
    key = np.clip(0.25 + 0.75 * np.asarray(facing, np.float32), 0, 1)[..., None]
    sky = (0.65 - 0.35 * normal[1])[..., None] * (1 - 0.55 * hollow)[..., None]
    shade = key * (1 - 0.45 * hollow)[..., None] * np.array(light.key, np.float32)
    fringe = 0.22 * (1 - step(canvas.normal[2], 0.0, 0.5))[..., None]  # hair at the outline lets light through
    return _f32(albedo * (shade + (sky + fringe) * np.array(light.ambient, np.float32)))
