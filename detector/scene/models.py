"""The animals and things of the drawn scenes, as rounded cones (`detector.scene.render`): proportions, poses, coats.

What tells a cat from a dog is its build: ears, muzzle, eyes, whiskers, tail, limbs. Coats come from one distribution.
The unit is the height of the shoulder of an animal that stands.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from detector.scene.render import (
    FUR,
    HEAD,
    NO_COLOUR,
    SMOOTH,
    Blob,
    Coat,
    Colour,
    Eye,
    Model,
    Point,
    moved,
    place,
    rotation,
)

POSES = ("stand", "sit", "lie", "face")
POSE_SHARES = (0.32, 0.30, 0.18, 0.20)

FUR_COLOURS: tuple[Colour, ...] = (
    (0.80, 0.50, 0.24),  # ginger
    (0.45, 0.30, 0.19),  # brown
    (0.52, 0.51, 0.50),  # grey
    (0.17, 0.16, 0.17),  # black
    (0.86, 0.82, 0.75),  # cream
    (0.73, 0.58, 0.40),  # tan
    (0.33, 0.22, 0.16),  # chocolate
    (0.42, 0.46, 0.53),  # blue-grey
    (0.85, 0.68, 0.42),  # golden
)
WHITE: Colour = (0.90, 0.88, 0.85)
PATTERNS = ("plain", "tabby", "patches", "spots", "points", "saddle")
PATTERN_SHARES = (0.26, 0.20, 0.18, 0.10, 0.14, 0.12)
CAT_IRISES: tuple[Colour, ...] = ((0.80, 0.72, 0.20), (0.45, 0.68, 0.28), (0.82, 0.52, 0.14), (0.36, 0.62, 0.82))
DOG_IRISES: tuple[Colour, ...] = ((0.30, 0.16, 0.07), (0.42, 0.24, 0.10), (0.20, 0.11, 0.06))
BRIGHT: tuple[Colour, ...] = (
    (0.80, 0.20, 0.18),
    (0.20, 0.42, 0.74),
    (0.93, 0.74, 0.20),
    (0.24, 0.60, 0.36),
    (0.58, 0.32, 0.62),
    (0.92, 0.50, 0.22),
    (0.25, 0.66, 0.68),
)


@dataclass(frozen=True)
class Build:
    """An animal's proportions, in shoulder heights; `tail` is its length, `curl` how it bends (radians in all)."""

    species: str
    length: float
    chest: float
    waist: float
    limb: float
    head: float
    neck: float
    tail: float
    tail_radius: float
    tail_rise: float
    curl: float


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """One number in [low, high)."""
    return float(rng.uniform(low, high))


def choice(rng: np.random.Generator, items: Sequence[object], shares: Sequence[float] | None = None) -> int:
    """The index of one item."""
    return int(rng.choice(len(items), p=shares))


def coat(rng: np.random.Generator) -> Coat:
    """A coat of fur; cats, dogs and furry distractors all draw from here."""
    base = FUR_COLOURS[choice(rng, FUR_COLOURS)]
    pattern = PATTERNS[choice(rng, PATTERNS, PATTERN_SHARES)]
    darker: Colour = (base[0] * 0.42, base[1] * 0.40, base[2] * 0.40)
    other = FUR_COLOURS[choice(rng, FUR_COLOURS)]
    second = other if pattern == "patches" else darker
    if pattern in ("tabby", "spots", "points", "saddle") and sum(base) < 0.7:
        base = (base[0] * 2.0, base[1] * 1.9, base[2] * 1.8)
    tint = uniform(rng, 0.88, 1.12)
    shade: Colour = (min(base[0] * tint, 0.95), min(base[1] * tint, 0.95), min(base[2] * tint, 0.95))
    bicolour = rng.random() < 0.45
    return Coat(
        base=shade,
        second=second,
        white=WHITE,
        pattern=pattern,
        belly=uniform(rng, 0.35, 0.6) if bicolour else 0.0,
        socks=uniform(rng, 0.45, 0.8) if bicolour and rng.random() < 0.7 else 2.0,
        blaze=uniform(rng, 0.08, 0.3) if bicolour and rng.random() < 0.7 else 0.0,
        length=uniform(rng, 0.6, 1.8),
    )


def animal(rng: np.random.Generator, species: str, pose: str, body_yaw: float, head_yaw: float) -> Model:
    """A cat or a dog; the angles are those of `scene_render.camera`, the head's may differ from the body's."""
    build = _cat_build(rng) if species == "cat" else _dog_build(rng)
    blobs, neck_top = _BODIES[pose](rng, build)
    turn = rotation(head_yaw - body_yaw, uniform(rng, -0.25, 0.2), uniform(rng, -0.25, 0.25))
    centre = place(turn, (0.45 * build.head, 0.45 * build.head, 0), neck_top)
    face, whiskers = _cat_head(rng) if species == "cat" else _dog_head(rng)
    head = [moved(blob, turn, centre, build.head) for blob in face]
    hairs = tuple((_at(turn, centre, build.head, p), _at(turn, centre, build.head, q)) for p, q in whiskers)
    if rng.random() < 0.35:
        blobs.append(_collar(rng, build, neck_top))
    return Model(tuple(blobs + head), coat(rng), turn, centre, build.head, hairs)


def _at(turn: object, centre: Point, scale: float, point: Point) -> Point:
    return place(turn, [scale * c for c in point], centre)  # type: ignore[arg-type]


def _cat_build(rng: np.random.Generator) -> Build:
    stout = uniform(rng, 0.9, 1.15)
    return Build(
        species="cat",
        length=uniform(rng, 1.15, 1.4),
        chest=0.25 * stout,
        waist=0.245 * stout,
        limb=0.085 * stout,
        head=uniform(rng, 0.235, 0.275),
        neck=uniform(rng, 0.2, 0.3),
        tail=uniform(rng, 1.0, 1.3),
        tail_radius=uniform(rng, 0.05, 0.075),
        tail_rise=uniform(rng, -0.5, 1.5),
        curl=uniform(rng, -1.6, 1.8),
    )


def _dog_build(rng: np.random.Generator) -> Build:
    stout = uniform(rng, 0.85, 1.2)
    return Build(
        species="dog",
        length=uniform(rng, 0.95, 1.3),
        chest=0.255 * stout,
        waist=0.185 * stout,
        limb=0.095 * stout,
        head=uniform(rng, 0.205, 0.245),
        neck=uniform(rng, 0.36, 0.5),
        tail=uniform(rng, 0.4, 0.75),
        tail_radius=uniform(rng, 0.05, 0.08),
        tail_rise=uniform(rng, -0.3, 1.3),
        curl=uniform(rng, 0.0, 2.4),
    )


def _chain(points: Sequence[Point], radii: Sequence[float], tips: tuple[float, float], **paint: object) -> list[Blob]:
    """Rounded cones from point to point; the tip rises evenly from tips[0] to tips[1]."""
    pieces = len(points) - 1
    share = [(i + 1) / pieces for i in range(pieces)]
    return [
        Blob(points[i], points[i + 1], radii[i], radii[i + 1], tip=tips[0] + (tips[1] - tips[0]) * share[i], **paint)  # type: ignore[arg-type]
        for i in range(pieces)
    ]


def _tail(rng: np.random.Generator, build: Build, root: Point, rise: float, floor: float = 0.06) -> list[Blob]:
    """A tail of seven pieces that starts backwards, lifted by `rise`, bends by `curl` and stays above the floor."""
    points, pieces = [root], 7
    sway = uniform(rng, -0.5, 0.5)
    for i in range(pieces):
        angle = rise + build.curl * i / pieces
        reach = build.tail / pieces
        x, y, z = points[-1]
        points.append((x - math.cos(angle) * reach, max(y + math.sin(angle) * reach, floor), z + sway * reach))
    end = build.tail_radius * (0.75 if build.species == "cat" else 0.5)
    start = build.tail_radius * (1.0 if build.species == "cat" else 1.35)
    radii = [start + (end - start) * i / pieces for i in range(pieces + 1)]
    return _chain(points, radii, (0.0, 0.95))


def _leg(points: Sequence[Point], build: Build, thick: float) -> list[Blob]:
    """Thigh or shoulder, shank, pastern and paw through four joints, the last on the ground."""
    limb = build.limb
    radii = [thick, limb * 1.15, limb * 0.85, limb * 0.9]
    ankle = points[-1]
    toe = (ankle[0] + 0.10, ankle[1] - 0.01, ankle[2])
    return [*_chain(points, radii, (0.0, 0.8)), Blob(ankle, toe, limb * 0.95, limb * 0.95, tip=0.9)]


def _stand(rng: np.random.Generator, build: Build) -> tuple[list[Blob], Point]:
    half, paw = build.length / 2 - 0.1, build.limb
    hip, chest = (-half, 0.84, 0.0), (half, 0.82, 0.0)
    wide = build.chest * 0.5
    blobs = [
        Blob(hip, (0.0, 0.80, 0.0), build.waist * 1.06, build.waist),
        Blob((0.0, 0.80, 0.0), chest, build.waist, build.chest),
        Blob((half - 0.12, 0.74, 0.0), (half + 0.05, 0.76, 0.0), build.chest, build.chest * 0.9),
    ]
    for side in (-wide, wide):
        swing = uniform(rng, -0.16, 0.16)
        front = [(half, 0.72, side), (half - 0.05 + swing * 0.4, 0.45, side), (half + swing * 0.8, 0.22, side)]
        blobs += _leg([*front, (half + swing, paw, side)], build, build.chest * 0.6)
        swing = uniform(rng, -0.16, 0.16)
        back = [(-half, 0.74, side), (-half + 0.08 + swing * 0.5, 0.46, side), (-half - 0.13 + swing, 0.26, side)]
        blobs += _leg([*back, (-half - 0.08 + swing, paw, side)], build, build.waist * 0.85)
    blobs += _tail(rng, build, (-half - build.waist * 0.8, 0.9, 0.0), build.tail_rise)
    top = (half + build.neck * 0.75, 0.92 + build.neck * 0.62, 0.0)
    blobs.append(Blob((half, 0.86, 0.0), top, build.chest * 0.8, build.head * 0.62))
    return blobs, top


def _sit(rng: np.random.Generator, build: Build) -> tuple[list[Blob], Point]:
    wide, paw = build.chest * 0.5, build.limb
    hip, chest = (-0.3, 0.28, 0.0), (0.16, 0.80, 0.0)
    blobs = [
        Blob(hip, (-0.05, 0.56, 0.0), build.waist * 1.2, build.waist * 1.1),
        Blob((-0.05, 0.56, 0.0), chest, build.waist * 1.1, build.chest * 0.95),
    ]
    for side in (-wide, wide):
        outside = side * 1.5
        blobs += [
            Blob((-0.25, 0.26, outside), (0.0, 0.24, outside * 1.15), build.waist, build.waist * 0.72, tip=0.2),
            Blob((-0.12, paw, outside * 1.3), (0.2, paw, outside * 1.3), build.limb * 1.1, build.limb, tip=0.85),
        ]
        reach = uniform(rng, 0.22, 0.32)
        leg: list[Point] = [(0.2, 0.68, side), (0.2, 0.42, side * 0.9), (reach - 0.03, 0.2, side * 0.9)]
        blobs += _leg([*leg, (reach, paw, side * 0.9)], build, build.chest * 0.5)
    bend = uniform(rng, 0.3, 1.6) if build.species == "cat" else uniform(rng, 0.0, 1.2)
    blobs += _tail(rng, replace(build, curl=bend), (-0.5, 0.16, 0.0), uniform(rng, -0.1, 0.5))
    top = (0.18 + build.neck * 0.35, 0.90 + build.neck * 0.8, 0.0)
    blobs.append(Blob(chest, top, build.chest * 0.86, build.head * 0.66))
    return blobs, top


def _lie(rng: np.random.Generator, build: Build) -> tuple[list[Blob], Point]:
    half, wide, paw = build.length / 2 - 0.08, build.chest * 0.62, build.limb
    low = build.chest * 0.95
    blobs = [
        Blob((-half, low, 0.0), (0.0, low, 0.0), build.waist * 1.15, build.waist * 1.1),
        Blob((0.0, low, 0.0), (half, low + 0.05, 0.0), build.waist * 1.1, build.chest),
    ]
    for side in (-wide, wide):
        reach = half + uniform(rng, 0.28, 0.5)
        blobs += _chain(
            [(half, 0.22, side), (half + 0.12, paw, side), (reach, paw, side * 0.9)],
            [build.chest * 0.55, build.limb * 1.1, build.limb],
            (0.2, 0.9),
        )
        blobs += [
            Blob(
                (-half, low, side * 1.1),
                (-half + 0.22, 0.16, side * 1.5),
                build.waist * 0.9,
                build.waist * 0.6,
                tip=0.2,
            ),
            Blob((-half + 0.1, paw, side * 1.7), (-half + 0.4, paw, side * 1.7), paw * 1.1, paw, tip=0.85),
        ]
    blobs += _tail(rng, replace(build, curl=build.curl * 0.3), (-half - build.waist * 0.9, 0.2, 0.0), 0.0)
    top = (half + build.neck * 0.5, 0.40 + build.neck * 0.75, 0.0)
    blobs.append(Blob((half, low + 0.05, 0.0), top, build.chest * 0.88, build.head * 0.66))
    return blobs, top


def _face(rng: np.random.Generator, build: Build) -> tuple[list[Blob], Point]:
    """Head, neck and chest alone: a portrait, whose lower end the image's edge cuts off."""
    del rng
    top = (0.10 + build.neck * 0.2, 0.98 + build.neck * 0.35, 0.0)
    broad = build.head * 0.95
    blobs = [
        Blob((0.0, 0.86, 0.0), top, broad * 0.95, build.head * 0.72),
        Blob((-0.06, 0.70, 0.0), (0.04, 0.86, 0.0), broad * 1.1, broad),
        Blob((0.0, 0.70, -0.10), (0.06, 0.64, -0.12), broad * 0.9, broad * 0.8),
        Blob((0.0, 0.70, 0.10), (0.06, 0.64, 0.12), broad * 0.9, broad * 0.8),
    ]
    return blobs, top


_BODIES = {"stand": _stand, "sit": _sit, "lie": _lie, "face": _face}


def _collar(rng: np.random.Generator, build: Build, top: Point) -> Blob:
    """A band about the neck: a short cone a little wider than the neck where it stands."""
    colour = BRIGHT[choice(rng, BRIGHT)]
    centre = (top[0] - 0.04, top[1] - build.head * 0.42, 0.0)
    return Blob(centre, (centre[0] + 0.02, centre[1] + 0.03, 0.0), build.head * 0.70, build.head * 0.68, SMOOTH, colour)


def _pair(blob: Blob) -> list[Blob]:
    """The blob and its mirror image on the head's other side."""
    flipped = replace(blob, a=(blob.a[0], blob.a[1], -blob.a[2]), b=(blob.b[0], blob.b[1], -blob.b[2]))
    if flipped.eye:
        gaze = flipped.eye.gaze
        flipped = replace(flipped, eye=replace(flipped.eye, gaze=(gaze[0], gaze[1], -gaze[2])))
    return [blob, flipped]


def _eyes(at: Point, radius: float, eye: Eye) -> list[Blob]:
    rim = replace(
        Blob(at, at, radius * 1.22, radius * 1.22, SMOOTH, (0.06, 0.05, 0.05)), a=(at[0] - 0.06, at[1], at[2])
    )
    rim = replace(rim, b=rim.a)
    return _pair(rim) + _pair(Blob(at, at, radius, radius, "eye", (0.0, 0.0, 0.0), eye=eye))


def _cat_head(rng: np.random.Generator) -> tuple[list[Blob], list[tuple[Point, Point]]]:
    """Round skull, short muzzle with pads, tall pointed ears, large eyes with slits, whiskers (unit: head radius)."""
    tall, spread = uniform(rng, 1.45, 1.75), uniform(rng, 0.66, 0.86)
    iris = CAT_IRISES[choice(rng, CAT_IRISES)]
    nose: Colour = (0.80, 0.48, 0.46) if rng.random() < 0.6 else (0.20, 0.15, 0.15)
    eye = Eye((0.94, 0.05, 0.34), iris, uniform(rng, 0.10, 0.24), 0.72)
    blobs = [
        Blob((0.0, 0.05, -0.22), (0.0, 0.05, 0.22), 0.86, 0.86, HEAD),
        Blob((0.18, -0.30, -0.42), (0.18, -0.30, 0.42), 0.52, 0.52, HEAD, tip=0.2),
        Blob((0.62, 0.10, 0.0), (0.90, -0.18, 0.0), 0.26, 0.17, HEAD, tip=0.6),
        Blob((0.62, -0.62, 0.0), (0.74, -0.60, 0.0), 0.26, 0.20, HEAD, tip=0.8),
        Blob((1.05, -0.20, -0.05), (1.05, -0.20, 0.05), 0.085, 0.085, SMOOTH, nose),
        Blob((1.04, -0.28, 0.0), (1.0, -0.46, 0.0), 0.03, 0.03, SMOOTH, (0.25, 0.15, 0.14)),
    ]
    blobs += _pair(Blob((0.74, -0.42, 0.16), (0.84, -0.40, 0.17), 0.26, 0.22, HEAD, tip=0.75))
    blobs += _pair(Blob((-0.10, 0.55, 0.50), (-0.06, tall, spread), 0.42, 0.04, HEAD, tip=0.85))
    pink: Colour = (0.72, 0.48, 0.44)
    blobs += _pair(Blob((0.12, 0.66, 0.54), (0.02, tall - 0.2, spread - 0.02), 0.27, 0.02, SMOOTH, pink))
    blobs += _eyes((0.64, 0.10, 0.42), 0.25, eye)
    hairs: list[tuple[Point, Point]] = []
    for side in (-1.0, 1.0):
        hairs += [((0.95, -0.36 - 0.05 * i, side * 0.3), (0.9, -0.10 - 0.28 * i, side * 1.5)) for i in range(3)]
    return blobs, hairs


def _dog_head(rng: np.random.Generator) -> tuple[list[Blob], list[tuple[Point, Point]]]:
    """Longer muzzle with a big nose, hanging or half-raised ears, round dark eyes, at times a tongue."""
    muzzle, girth = uniform(rng, 1.25, 1.75), uniform(rng, 0.34, 0.44)
    iris = DOG_IRISES[choice(rng, DOG_IRISES)]
    eye = Eye((0.93, 0.10, 0.34), iris, 0.55, 0.55)
    dark: Colour = (0.06, 0.05, 0.05)
    blobs = [
        Blob((-0.05, 0.08, -0.16), (-0.05, 0.08, 0.16), 0.84, 0.84, HEAD),
        Blob((0.05, -0.25, -0.2), (0.05, -0.25, 0.2), 0.62, 0.62, HEAD, tip=0.1),
        Blob((0.35, -0.12, 0.0), (muzzle, -0.28, 0.0), girth * 1.45, girth * 0.92, HEAD, tip=0.6),
        Blob((0.30, -0.52, 0.0), (muzzle - 0.15, -0.58, 0.0), girth * 0.95, girth * 0.6, HEAD, tip=0.8),
        Blob((muzzle + girth * 0.75, -0.10, -0.09), (muzzle + girth * 0.75, -0.10, 0.09), 0.19, 0.19, SMOOTH, dark),
    ]
    blobs += _pair(Blob((0.55, -0.58, girth * 0.62), (muzzle + 0.02, -0.50, girth * 0.5), 0.07, 0.05, SMOOTH, dark))
    if rng.random() < 0.4:
        tongue: Colour = (0.85, 0.42, 0.44)
        blobs.append(Blob((muzzle - 0.1, -0.62, 0.0), (muzzle + 0.12, -1.15, 0.0), 0.16, 0.19, SMOOTH, tongue))
    blobs += _half_raised_ears(rng) if rng.random() < 0.3 else _hanging_ears(rng)
    return blobs + _eyes((0.64, 0.24, 0.40), 0.175, eye), []


def _hanging_ears(rng: np.random.Generator) -> list[Blob]:
    drop, out = uniform(rng, -0.95, -0.35), uniform(rng, 0.92, 1.08)
    points = [(-0.05, 0.62, 0.55), (-0.05, 0.42, 0.88), (0.02, drop * 0.45, out), (0.08, drop, out - 0.02)]
    ear = _chain(points, [0.20, 0.24, 0.30, 0.22], (0.4, 0.95), paint=HEAD)
    return [blob for piece in ear for blob in _pair(piece)]


def _half_raised_ears(rng: np.random.Generator) -> list[Blob]:
    """Up and out, then folded over to the front."""
    high = uniform(rng, 0.95, 1.15)
    points = [(-0.05, 0.55, 0.55), (0.0, high, 0.78), (0.22, high - 0.12, 0.95), (0.36, high - 0.50, 1.0)]
    ear = _chain(points, [0.30, 0.20, 0.19, 0.06], (0.4, 0.95), paint=HEAD)
    return [blob for piece in ear for blob in _pair(piece)]


def ball(rng: np.random.Generator) -> Model:
    """A coloured ball with a band."""
    colour, band = (BRIGHT[choice(rng, BRIGHT)] for _ in range(2))
    tilt = uniform(rng, -0.25, 0.25)
    blobs = [Blob((0.0, 0.5, 0.0), (0.0, 0.5, 0.0), 0.5, 0.5, SMOOTH, colour)]
    ring = [(0.43 * math.cos(t), 0.43 * math.sin(t)) for t in (2 * math.pi * i / 16 for i in range(17))]
    for (x, z), (x_next, z_next) in itertools.pairwise(ring):
        a, b = (x, 0.5 + tilt * x + 0.3 * z, z), (x_next, 0.5 + tilt * x_next + 0.3 * z_next, z_next)
        blobs.append(Blob(a, b, 0.105, 0.105, SMOOTH, band))
    return Model(tuple(blobs))


def bowl(rng: np.random.Generator) -> Model:
    """A feeding bowl: a rim and a wider foot, each a ring of short pieces, about something brown."""
    colour = BRIGHT[choice(rng, BRIGHT)]
    blobs = [Blob((-0.12, 0.2, 0.0), (0.12, 0.2, 0.0), 0.3, 0.3, SMOOTH, (0.40, 0.26, 0.16))]
    for height, reach, thick in ((0.12, 0.56, 0.13), (0.24, 0.54, 0.12), (0.36, 0.52, 0.08)):
        ring = [(reach * math.cos(t), height, reach * math.sin(t)) for t in (2 * math.pi * i / 16 for i in range(17))]
        blobs += [Blob(a, b, thick, thick, SMOOTH, colour) for a, b in itertools.pairwise(ring)]
    return Model(tuple(blobs))


def rabbit(rng: np.random.Generator) -> Model:
    """A furry distractor with long ears: neither a cat nor a dog."""
    lop = uniform(rng, -0.1, 0.25)
    blobs = [
        Blob((-0.25, 0.34, 0.0), (0.10, 0.34, 0.0), 0.34, 0.28),
        Blob((-0.62, 0.30, 0.0), (-0.60, 0.30, 0.0), 0.11, 0.11),
        Blob((-0.25, 0.08, 0.22), (0.1, 0.08, 0.24), 0.1, 0.08, tip=0.9),
        Blob((0.32, 0.08, 0.12), (0.42, 0.07, 0.12), 0.08, 0.07, tip=0.9),
        Blob((0.38, 0.62, 0.0), (0.56, 0.55, 0.0), 0.22, 0.14, tip=0.3),
        Blob((0.69, 0.57, 0.0), (0.69, 0.57, 0.0), 0.03, 0.03, SMOOTH, (0.75, 0.5, 0.48)),
    ]
    blobs += _pair(Blob((0.30, 0.78, 0.09), (0.15 - lop, 1.25, 0.15), 0.07, 0.05, tip=0.8))
    blobs.append(Blob((0.50, 0.66, 0.17), (0.50, 0.66, 0.17), 0.05, 0.05, SMOOTH, (0.05, 0.04, 0.04)))
    return Model(tuple(blobs), coat(rng))


def bird(rng: np.random.Generator) -> Model:
    """A round bird in fur colours."""
    beak: Colour = (0.90, 0.62, 0.18)
    blobs = [
        Blob((-0.15, 0.42, 0.0), (0.12, 0.50, 0.0), 0.24, 0.24),
        Blob((-0.30, 0.45, 0.0), (-0.75, 0.36, 0.0), 0.14, 0.06, tip=0.8),
        Blob((-0.05, 0.46, 0.2), (-0.42, 0.36, 0.16), 0.15, 0.05, tip=0.6),
        Blob((0.25, 0.76, 0.0), (0.25, 0.76, 0.0), 0.17, 0.17),
        Blob((0.38, 0.75, 0.0), (0.54, 0.72, 0.0), 0.06, 0.01, SMOOTH, beak),
        Blob((0.32, 0.80, 0.13), (0.32, 0.80, 0.13), 0.035, 0.035, SMOOTH, (0.04, 0.04, 0.04)),
    ]
    blobs += [Blob((x, 0.22, 0.05), (x, 0.02, 0.05), 0.02, 0.02, SMOOTH, beak) for x in (-0.06, 0.08)]
    return Model(tuple(blobs), coat(rng))


def cushion(rng: np.random.Generator) -> Model:
    """A soft lump of cloth or, half of the time, of fur."""
    colour = BRIGHT[choice(rng, BRIGHT)] if rng.random() < 0.5 else NO_COLOUR
    paint = SMOOTH if colour != NO_COLOUR else FUR
    blobs = [
        Blob((-0.38, 0.2 + 0.26 * row, -0.06 * row), (0.38, 0.2 + 0.26 * row, -0.06 * row), 0.2, 0.2, paint, colour)
        for row in range(3)
    ]
    blobs.append(Blob((-0.12, 0.46, 0.02), (0.12, 0.46, 0.02), 0.36, 0.36, paint, colour))
    return Model(tuple(blobs), coat(rng))


def plant(rng: np.random.Generator) -> Model:
    """A potted plant with drooping leaves."""
    pot: Colour = (0.68, 0.38, 0.25) if rng.random() < 0.6 else BRIGHT[choice(rng, BRIGHT)]
    blobs = [
        Blob((0.0, 0.14, 0.0), (0.0, 0.26, 0.0), 0.14, 0.19, SMOOTH, pot),
        Blob((0.0, 0.34, 0.0), (0.0, 0.38, 0.0), 0.19, 0.18, SMOOTH, pot),
    ]
    for _ in range(12):
        turn, reach, rise = uniform(rng, 0, 2 * math.pi), uniform(rng, 0.15, 0.5), uniform(rng, 0.35, 0.95)
        green = (uniform(rng, 0.12, 0.30), uniform(rng, 0.36, 0.58), uniform(rng, 0.12, 0.26))
        middle = (reach * 0.6 * math.cos(turn), 0.4 + rise * 0.8, reach * 0.6 * math.sin(turn))
        end = (reach * math.cos(turn), 0.35 + rise * 0.72, reach * math.sin(turn))
        blobs += _chain([(0.0, 0.42, 0.0), middle, end], [0.03, 0.075, 0.015], (0, 0), paint=SMOOTH, colour=green)
    return Model(tuple(blobs))


DISTRACTORS = (ball, bowl, rabbit, bird, cushion, plant)
DISTRACTOR_SIZES = (0.45, 0.45, 0.45, 0.40, 0.36, 0.90)  # of the unit
