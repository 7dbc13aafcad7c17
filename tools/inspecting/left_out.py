"""What the stages leave out, repair or warn about, grouped by kind; the box at fault is drawn where its XML has one."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lxml import etree

from detector.annotations.report import FileProblem
from detector.annotations.shapes import CORNERS
from detector.base.errors import UserError
from detector.pictures import images
from tools.inspecting import dataset
from tools.inspecting.dataset import Photo
from tools.inspecting.findings import LOOK, NAMED, NOTE, SHOWN, STOP, Case, Finding, Mark, Shot, shot, whole

ACTIONS = {  # of a problem: weight on the page, and what it means there
    "error": (STOP, "Training stops here until this is fixed."),
    "skipped": (LOOK, "Left out of training and measurement."),
    "repaired": (NOTE, "Repaired by a rule, and used."),
    "warning": (LOOK, "Used as it is."),
}
_MOST_LETTERS = 1000  # of a reason, by which it is known: a class may be called anything, at any length
_ONLY_VALUES = re.compile(r": […, ]*$")  # at the end of a reason: nothing is left to say of them
_VALUES = re.compile(r"\[[^\]]*\]|'[^']*'|\S*/\S+|\S+\.[A-Za-z]{2,5}\b|-?\d[\d.x]*")


def find(problems: Sequence[FileProblem], photos: Iterable[Photo]) -> list[Finding]:
    """A finding for each kind of problem, in the order of `kinds`."""
    by_path = {photo.path: photo for photo in photos}
    return [
        _finding(f"problem-{number}", action, title, members, by_path)
        for number, (action, title, members) in enumerate(kinds(problems), start=1)
    ]


def kinds(problems: Iterable[FileProblem]) -> list[tuple[str, str, list[FileProblem]]]:
    """(action, title, problems) of each kind: what stops the training first, then what is left out; the most first."""
    groups: dict[tuple[str, str], list[FileProblem]] = defaultdict(list)
    for one in problems:
        groups[one.problem.action, kind(one.problem.reason)].append(one)
    actions = [*ACTIONS]
    order = sorted(groups, key=lambda key: (actions.index(key[0]), -len(groups[key]), key[1]))
    titles = {key: key[1] if len(groups[key]) > 1 else groups[key][0].problem.reason for key in order}
    return [(key[0], f"{len(groups[key]):,} × {titles[key]}", groups[key]) for key in order]


def kind(reason: str) -> str:
    """A reason without its numbers, names and boxes, so that the same mistake in other files reads the same."""
    return _ONLY_VALUES.sub("", _VALUES.sub("…", reason[:_MOST_LETTERS]))


def _finding(
    slug: str, action: str, title: str, members: Sequence[FileProblem], by_path: Mapping[Path, Photo]
) -> Finding:
    weight, why = ACTIONS[action]
    remedies = list(dict.fromkeys(one.problem.remedy for one in members if one.problem.remedy))
    remedy = f"{remedies[0][:1].upper()}{remedies[0][1:]}." if len(remedies) == 1 else ""
    shots = [[_shot(one, by_path)] for one in members[:SHOWN]]
    names = [f"{one.split}/{one.path.name}{one.problem.item and f' ({one.problem.item})'}" for one in members[SHOWN:]]
    return Finding(slug, weight, title, why, remedy, shots, names[:NAMED], max(0, len(names) - NAMED))


def _shot(one: FileProblem, by_path: Mapping[Path, Photo]) -> Shot:
    path = dataset.picture_of(one)
    note = ": ".join(part for part in (one.problem.item, one.problem.reason) if part)
    caption = f"{one.split}/{one.path.name}"
    size = _size(path)
    if path is None or size is None:
        return Shot(path or one.path, (1, 1), (0, 0, 1, 1), caption, note)
    raw = _raw_box(one, size)
    if path in by_path:
        base = shot(Case(by_path[path]))
        odd = (raw,) if raw and raw.box not in [mark.box for mark in base.marks] else ()
        return Shot(path, base.size, base.part, caption, note, (*base.marks, *odd), base.stored)
    return Shot(path, size, whole(size), caption, note, (raw,) if raw else ())


def _size(path: Path | None) -> tuple[int, int] | None:
    """(width, height) as seen; None for what cannot be read."""
    try:
        return images.check(path).size if path else None
    except UserError:
        return None


def _raw_box(one: FileProblem, size: tuple[int, int]) -> Mark | None:
    """The box of the object that a problem names, as far as its corners are numbers, inside the photo."""
    number = re.match(r"object (\d+)", one.problem.item)
    if not number or one.path.suffix.lower() != ".xml":
        return None
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)
    try:
        objects = etree.fromstring(one.path.read_bytes(), parser).findall("{*}object")
        element = objects[int(number[1]) - 1]
        xmin, ymin, xmax, ymax = (float(element.findtext(f"{{*}}bndbox/{{*}}{corner}") or "") for corner in CORNERS)
        name = element.findtext("{*}name") or ""
    except (OSError, ValueError, IndexError, etree.XMLSyntaxError):
        return None
    if not all(map(math.isfinite, (xmin, ymin, xmax, ymax))):
        return None
    left, right = sorted(_inside(value, size[0]) for value in (xmin, xmax))
    top, bottom = sorted(_inside(value, size[1]) for value in (ymin, ymax))
    return Mark((left, top, right, bottom), name.strip(), odd=True)


def _inside(value: float, end: int) -> float:
    return min(max(value, 0.0), float(end))
