"""The page's verdict in plain sentences, and what to look at first."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from detector.annotations.report import FileProblem
from detector.base import paths
from detector.base.errors import counted, few
from tools.checks import enough
from tools.inspecting import left_out
from tools.inspecting.counts import ClassCount, Fit
from tools.inspecting.dataset import Dataset, is_error
from tools.inspecting.findings import LOOK, STOP, Finding

FIRST = 6  # findings that the top of the page lists
KINDS = 3  # of problems, or classes, in one sentence
POOR = 0.75  # of a class's boxes with an anchor that fits: less is worth a word
BEGINNINGS = {"error": "A training stops at", "skipped": "Left out", "repaired": "Repaired", "warning": "Warned about"}
Splits = Mapping[str, tuple[int, int, int]]


def headline(content: Dataset) -> str:
    """The verdict in one line."""
    boxes, stops = sum(len(photo.boxes) for photo in content.photos), sum(map(is_error, content.problems))
    classes = counted(len(content.classes), "class")
    what = f"{counted(len(content.photos), 'photo')}, {counted(boxes, 'box')}, {classes}"
    if stops:
        return f"{what}: {counted(stops, 'error')} would stop a training"
    return f"{what}: nothing stops a training" if boxes else f"{what}: there is nothing to learn"


def sentences(splits: Splits, problems: Iterable[FileProblem], fits: Sequence[Fit], size: int) -> list[str]:
    """Splits; what was left out or repaired, and why; whether the boxes suit the network's input of `size` pixels."""
    shown = (
        f"{counted(photos, 'photo')} with {counted(boxes, 'box')} in {name}"
        for name, (photos, boxes, _) in splits.items()
    )
    result = [f"{', '.join(shown)}."]
    if empty := sum(without for _, _, without in splits.values()):
        result.append(f"{counted(empty, 'photo')} without a box: used as showing no object.")
    result += _of_problems(problems)
    if fits:
        side = f"Half of the boxes are larger than {fits[0].side:.0f} × {fits[0].side:.0f}"
        result.append(f"{side} of the network's {size} × {size} pixels{_matched(fits)}.")
    return result


def first(findings: Iterable[Finding]) -> list[Finding]:
    """What to look at first: what stops a training, then the rest in the order of the page, without mere notes."""
    worth = [one for one in findings if one.weight in (STOP, LOOK)]
    return sorted(worth, key=lambda one: one.weight != STOP)[:FIRST]


def scarce(classes: Sequence[ClassCount], dataset: Path) -> list[Finding]:
    """Classes with too few photos to learn from, to choose a checkpoint by, or to measure."""
    photos = {split: {one.name: one.splits[split][0] for one in classes} for split in paths.SPLITS}
    words = [str(one) for one in enough.too_few(photos["train"], photos["test"], dataset)]
    if none := [name for name, number in photos["val"].items() if not number]:
        words.append(f"no validation photo shows {few(none)}: it has no say in which checkpoint is the best")
    text = " ".join(f"{sentence[:1].upper()}{sentence[1:]}." for sentence in words)
    return [Finding("scarce", LOOK, "Few photos of some classes", text, "")] if words else []


def _of_problems(problems: Iterable[FileProblem]) -> list[str]:
    kinds: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for action, title, members in left_out.kinds(problems):
        kinds[action].append((title, len(members)))
    result = []
    for action, found in kinds.items():
        rest = sum(count for _, count in found[KINDS:])
        listed = [title for title, _ in found[:KINDS]] + ([f"{rest:,} others"] if rest else [])
        result.append(f"{BEGINNINGS[action]}: {'; '.join(listed)}.".replace("….", "…"))
    return result


def _matched(fits: Sequence[Fit]) -> str:
    if fits[0].matched is None:
        return ""
    poor = [f"{one.name} {_percent(one.matched)}" for one in fits[1:] if one.matched is not None and one.matched < POOR]
    few = f" ({', '.join(poor[:KINDS])})" if poor else ""
    return f"; {_percent(fits[0].matched)} have an anchor that fits{few}"


def _percent(share: float) -> str:
    """Never 100 % where one is missing, never 0 % where there is one."""
    return f"{100 * (share if share in (0, 1) else min(max(share, 0.01), 0.99)):.0f} %"
