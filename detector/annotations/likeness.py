"""How well the details of two pictures agree where one lies over the other: is one a copy or a crop of the other?

Two pictures of one kind share light and shade: a dark animal on a light floor. They do not share details. So each
picture is taken less its own blur, and one is shifted and scaled over the other by least squares first (the method of
Lucas and Kanade), because a shift of a twentieth already hides a copy.

Frames of a camera that stands still share all details but those of what moved. So no part of the pictures may differ
much: an animal of a tenth of the side that is elsewhere makes two photos of them. And a thing before a plain ground
fits itself anywhere: two photos of which neither is a crop of the other must share more than one thing.
"""

from typing import Any

import numpy as np

SIDE = 32  # pixels, of the squares that are compared

_OVERLAP = 0.6  # the least share of a picture that is compared
_LIKELY = 0.2  # agreement before the best fit: of copies 0.24 and more, of five in six others less
_STEPS = 3  # of Gauss and Newton; a fourth changes nothing
_PART = 4  # pixels, the side of the parts that may not differ
_DIFFERENCE = 1.0  # of a part, against the details of the whole; copies of whole pictures: 0.8 and less
_PER_SHIFT = 40.0  # more for each side of shift, which blurs: crops by a twentieth 2.8 and less, by a tenth 3.6
_MOST = 5.0
_STICKS_OUT = 0.02  # of a side; a crop out of its photo: 0.017 and less
_SHARED = 1 / 3  # of the parts; one square on grey 0.30 and less, a slide under the microscope, moved, 0.39 and more

_Floats = np.ndarray[Any, Any]  # of float32


def details(ones: _Floats, others: _Floats, windows: _Floats) -> _Floats:
    """(N,): the correlation of the details of N pairs at their best fit, -1 to 1.

    Args:
        ones, others: (N, SIDE, SIDE), grey.
        windows: (N, 4): left, top, right, bottom of the part of the one that the other shows, about, of a side of 1.
    """
    one, other = _smooth(ones.astype(np.float32)), _smooth(others.astype(np.float32))
    windows = windows.astype(np.float32)
    agreement = _correlation(*_laid_over(one, other, windows))
    likely = agreement >= _LIKELY
    one, other, windows = one[likely], other[likely], windows[likely]
    for _ in range(_STEPS):
        windows = windows + _step(one, other, windows)
    seen, target, inside = _laid_over(one, other, windows)
    differs = _differs_somewhere(seen, target, inside, windows) | _shows_one_thing(seen, target, windows)
    agreement[likely] = np.where(differs | (inside.mean((1, 2)) < _OVERLAP), -1, _correlation(seen, target, inside))
    return agreement


def _laid_over(one: _Floats, other: _Floats, windows: _Floats) -> tuple[_Floats, _Floats, _Floats]:
    """The details of the one as seen through the windows, those of the other, and where there are both."""
    seen, inside = _seen(one - _blurred(one), windows)
    return _centred(seen, inside), _centred(other - _blurred(other), inside), inside


def _differs_somewhere(seen: _Floats, target: _Floats, inside: _Floats, windows: _Floats) -> _Floats:
    """(N,) bool: whether a part differs by more than those of copies do."""
    energy = (seen**2).sum((1, 2)) / np.maximum(inside.sum((1, 2)), 1)
    gain = (seen * target).sum((1, 2)) / np.maximum((target**2).sum((1, 2)), 1e-6)
    squares = _means((seen - gain[:, None, None] * target) ** 2, _PART).max((1, 2))
    shift = np.abs(windows - np.array([0, 0, 1, 1], np.float32)).max(1)
    return np.asarray(squares > energy * (_DIFFERENCE + _PER_SHIFT * shift).clip(max=_MOST))


def _shows_one_thing(seen: _Floats, target: _Floats, windows: _Floats) -> _Floats:
    """(N,) bool: whether each shows what the other does not, and what they share is in a few parts.

    A crop lies within its photo. Where both stick out, two photos were taken, and one thing may lie on a plain table.
    """
    low, high = windows[:, :2], windows[:, 2:]
    sticks_out = np.minimum(np.maximum(-low, high - 1).max(1), np.maximum(low, 1 - high).max(1))
    shared = _means(seen * target, _PART)[:, ::_PART, ::_PART].clip(0)
    parts = shared.sum((1, 2)) ** 2 / np.maximum((shared**2).sum((1, 2)), 1e-6)  # as many as share evenly
    return np.asarray((sticks_out > _STICKS_OUT) & (parts < _SHARED * (SIDE // _PART) ** 2))


def _step(one: _Floats, other: _Floats, windows: _Floats) -> _Floats:
    """How the windows must move for a better fit: a step of Gauss and Newton, of a twentieth of a side at most."""
    down, right = np.gradient(one, axis=(1, 2))
    (seen, inside), (down, _), (right, _) = (_seen(part, windows) for part in (one, down, right))
    across = ((np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE)[None, None, :]
    along = across.transpose(0, 2, 1)
    slopes = np.stack([right * (1 - across), down * (1 - along), right * across, down * along], axis=-1) * SIDE
    slopes = _centred(slopes, inside[..., None]).reshape(-1, SIDE * SIDE, 4)
    seen, target = (_centred(part, inside).reshape(-1, SIDE * SIDE, 1) for part in (seen, other))
    gain = (seen * target).sum(1, keepdims=True) / ((target**2).sum(1, keepdims=True) + 1e-6)
    square = slopes.transpose(0, 2, 1) @ slopes
    damping = (np.trace(square, axis1=1, axis2=2) / 4000 + 1e-6)[:, None, None] * np.eye(4, dtype=np.float32)
    step = np.linalg.solve(square + damping, slopes.transpose(0, 2, 1) @ (target * gain - seen))
    return np.asarray(step[:, :, 0].clip(-0.05, 0.05))


def _seen(pictures: _Floats, windows: _Floats) -> tuple[_Floats, _Floats]:
    """The pictures through windows (left, top, right, bottom, of a side of 1), and 1 where there is picture, else 0."""
    places = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    weights, inside = [], []
    for low, high in ((windows[:, 1], windows[:, 3]), (windows[:, 0], windows[:, 2])):
        at = low[:, None] + places * (high - low)[:, None]
        pixels = (at * SIDE - 0.5).clip(0, SIDE - 1)
        weights.append((1 - np.abs(pixels[:, :, None] - np.arange(SIDE, dtype=np.float32))).clip(0))
        inside.append(((at >= 0) & (at <= 1)).astype(np.float32))
    seen = weights[0] @ pictures @ weights[1].transpose(0, 2, 1)
    return seen, inside[0][:, :, None] * inside[1][:, None, :]


def _centred(values: _Floats, inside: _Floats) -> _Floats:
    """The values inside less their mean; 0 outside."""
    mean = (values * inside).sum((1, 2), keepdims=True) / np.maximum(inside.sum((1, 2), keepdims=True), 1)
    return np.asarray((values - mean) * inside)


def _correlation(one: _Floats, other: _Floats, inside: _Floats) -> _Floats:
    one, other = _centred(one, inside), _centred(other, inside)
    spread = np.sqrt((one**2).sum((1, 2)) * (other**2).sum((1, 2)))
    return np.asarray((one * other).sum((1, 2)) / np.maximum(spread, 1e-6))


def _smooth(pictures: _Floats) -> _Floats:
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    return np.asarray((rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 4)


def _blurred(pictures: _Floats) -> _Floats:
    """The means of the 5 by 5 pixels around each."""
    return _means(np.pad(pictures, ((0, 0), (2, 2), (2, 2)), mode="edge"), 5)


def _means(pictures: _Floats, side: int) -> _Floats:
    """The means of all squares of `side` pixels."""
    across = pictures.shape[2] - side + 1
    rows = np.add.reduce([pictures[:, :, start : start + across] for start in range(side)])
    return np.asarray(np.add.reduce([rows[:, start : start + across] for start in range(side)]) / side**2)
