"""What lies in the folder of a split: photos, their XML files, and what only looks like one.

What is no file is never opened: a FIFO would wait for ever. What looks like a photo and is not taken is reported.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from detector.annotations.voc import SKIPPED, WARNING, Problem
from detector.base import errors, naming
from detector.base.errors import counted
from detector.pictures import images


@dataclass(frozen=True)
class Listing:
    """Names in a folder, sorted. faults: of photos and labels, why one cannot be used, known without opening it.

    others: files that are neither. problems: (name, problem) of what is not taken.
    """

    photos: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    faults: dict[str, Problem] = field(default_factory=dict)
    problems: list[tuple[str, Problem]] = field(default_factory=list)


def listing(folder: Path) -> Listing:
    """The content of a folder; macOS's shadows (._cat.jpg) are ignored. Raises: OSError."""
    result = Listing()
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if not entry.name.startswith("._"):
                result.problems.extend((shown(entry.name), problem) for problem in _not_taken(entry))
                _sort_in(entry, result)
    return result


def shown(name: str) -> str:
    """A file's name as a report can hold it."""
    return errors.escaped(name) if naming.unfit(name) else name


def _sort_in(entry: os.DirEntry[str], result: Listing) -> None:
    if entry.name.startswith("."):
        return
    if images.is_image(entry.name):
        place = result.photos
    else:
        place = result.labels if entry.name.lower().endswith(".xml") else result.others
    place.append(entry.name)
    if place is not result.others and (fault := _fault(entry)):
        result.faults[entry.name] = fault


def _not_taken(entry: os.DirEntry[str]) -> list[Problem]:
    """A folder with photos, or a hidden photo."""
    if _is_true(entry.is_dir) and (inside := _images_below(entry.path)):
        remedy = "not taken; move them out of it, or import the dataset: make dataset"
        return [Problem("", f"a folder with photos: {counted(inside, 'photo')}", remedy, WARNING)]
    if entry.name.startswith(".") and images.is_image(entry.name):
        return [Problem("", "hidden: its name begins with a dot", "not taken; rename it", WARNING)]
    return []


def _images_below(folder: str) -> int:
    return sum(images.is_image(name) for _, _, names in os.walk(folder) for name in names if not name.startswith("."))


def _fault(entry: os.DirEntry[str]) -> Problem | None:
    if fault := naming.fault(entry.name):
        return Problem("", f"its name is not allowed: it {fault}", "rename it", SKIPPED)
    if not _is_true(entry.is_file):
        is_broken = entry.is_symlink() and not Path(entry.path).exists()
        reason = "is a broken link" if is_broken else "is not a file"
        return Problem("", reason, "remove it, or rename it", SKIPPED)
    return None


def _is_true(question: Callable[[], bool]) -> bool:
    """No for a link that leads to itself."""
    try:
        return question()
    except OSError:
        return False
