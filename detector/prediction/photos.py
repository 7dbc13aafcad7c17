"""A user's photos: found in any folder, and results written without harm to other files.

Folders are searched with all their subfolders, links to such among them; hidden files are ignored. Results never
replace a file that `predict` did not write: what it wrote is listed in the output folder's `.passo-files`.
"""

import glob
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from detector.base import files, naming
from detector.base.errors import UserError
from detector.pictures import images

_LONGEST = 255  # bytes of a file name, on most file systems
LIST = ".passo-files"  # in the output folder: the files below it that predict wrote, one a line


@dataclass(frozen=True)
class Photo:
    """path: the file, as the user named it. name: below the photos' common folder, with `/`; no two are the same."""

    path: Path
    name: str


def find(arguments: Iterable[str | Path], skip: Collection[Path] = ()) -> tuple[list[Photo], list[UserError]]:
    """The photos in `arguments` (folders, files, globs), each once, sorted by name; and the errors of some.

    Args:
        skip: absolute paths to leave out: results of an earlier run.
    """
    matched: dict[Path, Path] = {}  # {absolute path: as the user wrote it}
    problems = []
    for argument in map(str, arguments):
        matches = list(_expanded(argument))
        if not matches:
            problems.append(_no_images(argument))
        matched.update((_absolute(path), path) for path in matches)
    chosen = sorted(matched.keys() - set(skip))
    root = os.path.commonpath([path.parent for path in chosen]) if chosen else ""
    photos = [Photo(matched[path], path.relative_to(root).as_posix()) for path in chosen]
    faults = {photo.name: fault for photo in photos if (fault := naming.fault(photo.name))}
    problems += [
        UserError(repr(name), f"its name is not allowed: it {fault}", "rename it") for name, fault in faults.items()
    ]
    return [photo for photo in photos if photo.name not in faults], problems


def _no_images(argument: str) -> UserError:
    path = files.expanded(argument)
    is_glob = "*" in argument or "?" in argument  # a [ alone may be part of a name
    place = next(one for one in (path, *path.parents) if not (is_glob and glob.has_magic(str(one))))
    if place.exists():
        return UserError(argument, "no images there", f"images end in {', '.join(images.SUFFIXES)}")
    return UserError(argument, "not found", "give a folder, a file, or a glob in quotes")


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 (removes `..` but keeps links as they are)


def _expanded(argument: str) -> Iterator[Path]:
    path = files.expanded(argument)
    if path.is_file():  # with any suffix: the user means it
        yield path
    elif path.is_dir():
        yield from _below(path)
    else:
        for match in map(Path, glob.glob(str(path), recursive=True)):  # noqa: PTH207 (absolute patterns too)
            yield from _below(match) if match.is_dir() else [match] if images.is_image(match) else []


def _below(folder: Path) -> Iterator[Path]:
    return (path for path in _files_below(folder) if images.is_image(path))


def _files_below(folder: Path) -> Iterator[Path]:
    """Links to folders are followed; a folder that is reached again, as by a link to itself, is not entered again."""
    entered = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        place = Path(parent).stat()
        if (place.st_dev, place.st_ino) in entered:
            folders.clear()
            continue
        entered.add((place.st_dev, place.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def passed_over(arguments: Iterable[str | Path]) -> list[str]:
    """The images and videos in folders among the arguments that cannot be read, sorted."""
    folders = [path for path in map(files.expanded, map(str, arguments)) if path.is_dir()]
    found = {path for folder in folders for path in _files_below(folder)}
    return sorted(str(path) for path in found if path.suffix.lower() in (*images.NOT_READ, *images.VIDEOS))


def picture_names(photos: Sequence[Photo]) -> dict[str, str]:
    """Photo name -> name of its picture, a JPEG: `a/x.jpg` stays, `a/x.png` becomes `a/x.png.jpg`; no two are equal.

    What would be too long for a file name is cut, and ends in a digest of the whole.
    """
    is_jpeg = {photo.name: photo.name.lower().endswith((".jpg", ".jpeg")) for photo in photos}
    return _unique({name: name if is_jpeg[name] else f"{name}.jpg" for name in is_jpeg}, ".jpg")


def xml_names(photos: Sequence[Photo]) -> dict[str, str]:
    """Photo name -> name of its XML: `a/x.jpg` becomes `a/x.xml`, and `a/x.png` beside it `a/x.xml.xml`."""
    return _unique({photo.name: str(PurePosixPath(photo.name).with_suffix(".xml")) for photo in photos}, ".xml")


def txt_names(photos: Sequence[Photo]) -> dict[str, str]:
    """Photo name -> name of its YOLO txt, made as `xml_names` makes them."""
    return _unique({photo.name: str(PurePosixPath(photo.name).with_suffix(".txt")) for photo in photos}, ".txt")


def _unique(wanted: Mapping[str, str], suffix: str) -> dict[str, str]:
    """{photo: a name}, with the suffix once more where another photo has that name already."""
    taken: set[str] = set()
    names = {}
    for photo, name in wanted.items():
        while (fitting := _cut(name, suffix)).lower() in taken:  # some file systems take X.jpg and x.jpg for one
            name += suffix
        taken.add(fitting.lower())
        names[photo] = fitting
    return names


def _cut(name: str, suffix: str) -> str:
    folder, slash, file = name.rpartition("/")
    if len(file.encode()) <= _LONGEST:
        return name
    end = f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}{suffix}"
    return folder + slash + file.encode()[: _LONGEST - len(end)].decode(errors="ignore") + end


def written(output: Path) -> set[Path]:
    """Absolute paths of the files that predict wrote into the folder `output` so far."""
    try:
        lines = (output / LIST).read_text(encoding="utf-8").split("\n")
    except (FileNotFoundError, NotADirectoryError):
        return set()
    folder = _absolute(output)
    listed = {_absolute(folder / line) for line in lines if line}
    return {path for path in listed if path.is_relative_to(folder)}  # the list may have come from elsewhere


def claim(output: Path, names: Iterable[str], photos: Iterable[Photo]) -> None:
    """Make sure that writing `names` below `output` harms no other file, then list them as written by predict.

    Raises:
        UserError: `output` is a file or holds the photos, or one of `names` exists and is not predict's.
    """
    elsewhere = "give another folder: --output FOLDER"
    if output.exists() and not output.is_dir():
        raise UserError(str(output), "is a file", elsewhere)
    place = f"{os.path.realpath(output)}{os.sep}"
    inside = [photo.name for photo in photos if os.path.realpath(photo.path).startswith(place)]  # of a loop, too
    if inside:
        raise UserError(str(output), f"holds photos to predict on, such as {inside[0]}", elsewhere)
    folder, ours = _absolute(output), written(output)
    wanted = {folder / name for name in names}
    foreign = sorted(str(path.relative_to(folder)) for path in wanted - ours if os.path.lexists(path))
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise UserError(str(output), f"holds {foreign[0]}{more}, not written by predict", elsewhere)
    try:
        _write_list(folder, ours | wanted)
    except OSError as error:
        raise UserError(str(output), f"cannot be written to: {error.strerror}", elsewhere) from error


def release(output: Path, names: Iterable[str]) -> None:
    """Remove what predict wrote into `output` in earlier runs, except `names`, which this run wrote.

    And what a kill has left of files that were being written.
    """
    folder = _absolute(output)
    ours, wanted = written(output), {folder / name for name in names}
    lower = {str(path).lower() for path in wanted}  # some file systems take X.jpg and x.jpg for one
    stale = sorted(path for path in ours if str(path).lower() not in lower)
    for path in stale:
        if path.parent.resolve().is_relative_to(folder.resolve()) and not path.is_dir():
            path.unlink(missing_ok=True)
            _remove_empty(path.parent, folder)
    for parent in {path.parent for path in wanted}:
        for unfinished in parent.glob(f"{files.TEMPORARY}*"):
            unfinished.unlink()
    _write_list(folder, (ours | wanted) - set(stale))


def withdraw(output: Path) -> None:
    """Give up the names that a run claimed and wrote nothing to."""
    folder = _absolute(output)
    if ours := {path for path in written(output) if path.exists()}:
        _write_list(folder, ours)
    else:
        (folder / LIST).unlink()
        _remove_empty(folder, folder.parent)


def _remove_empty(path: Path, top: Path) -> None:
    while path != top and path.is_dir() and not any(path.iterdir()):
        path.rmdir()
        path = path.parent


def _write_list(folder: Path, paths: Iterable[Path]) -> None:
    lines = sorted(str(path.relative_to(folder)) for path in paths)
    files.write_text(folder / LIST, "".join(f"{line}\n" for line in lines))
