"""Which photo of the tree a label file means: by its path, from the file's own folder, then by ever less of it.

Names are compared by detector/annotations/pairing.py: exactly first, then without what tools change on the way.
"""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from detector.annotations import pairing
from tools.importing import splits
from tools.importing.formats.folder import is_image
from tools.importing.formats.labelled import Labels

_DEPTH = 4  # folders of a path that are looked at, where its beginning is another machine's
_ANY = ("", "train", "val", "test")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|[A-Za-z]:(?=[\\/])")


def photos(labels: Sequence[Labels], available: Iterable[str]) -> dict[int, pairing.Match]:
    """{index in `labels`: its photo}; labels without one, or with several that could be meant, are left out."""
    matches: dict[int, pairing.Match] = {}
    split_of = {name: splits.of_folders(name) for name in sorted(available)}
    folders = {part for name in split_of for part in name.split("/")[:-1]}
    paths = [_clean(one.photo) for one in labels]
    _take(matches, {i: _joined(one.file, one.photo) for i, one in enumerate(labels)}, {name: name for name in split_of})
    for depth in range(_DEPTH, 0, -1):
        taken = {match.name for match in matches.values()}  # at this depth a photo may be meant by several files
        free = {name: split for name, split in split_of.items() if name not in taken}
        ends = {index: _end(path, depth) for index, path in enumerate(paths) if _may_end(path, depth, folders)}
        for split, many in _by_split(labels, paths, matches).items():
            for near in ((split,), ("", split)) if split else (_ANY,):
                places = [name for name, own in free.items() if own in near]
                wanted = {index: ends[index] for index in many if index in ends and index not in matches}
                _take(matches, wanted, pairing.unique(places, partial(_end, depth=depth)))
    return matches


def _take(matches: dict[int, pairing.Match], wanted: Mapping[int, str], available: Mapping[str, str]) -> None:
    """Add the matches of {index: name} with {name: photo}; names without a suffix are compared without it."""
    for has_suffix in (True, False):
        asked = {index: name for index, name in wanted.items() if is_image(name) == has_suffix}
        if not asked:
            continue
        stems = pairing.unique(available, lambda name: posixpath.splitext(name)[0])
        offered = available if has_suffix else {stem: available[name] for stem, name in stems.items()}
        found = pairing.match(set(asked.values()), offered)
        for index, name in asked.items():
            if name in found:
                matches[index] = pairing.Match(offered[found[name].name], found[name].differs_by)


def _may_end(path: str, depth: int, folders: set[str]) -> bool:
    """Whether the last `depth` parts of a path are worth a look.

    Not where there are fewer, nor where the one before is a folder of this tree, which lacks the photo.
    """
    parts = path.split("/")
    return len(parts) == depth or (len(parts) > depth and parts[-depth - 1] not in folders)


def _by_split(
    labels: Sequence[Labels], paths: Sequence[str], matches: Mapping[int, pairing.Match]
) -> dict[str, list[int]]:
    """The labels that have no photo yet, those whose split is known first."""
    left: dict[str, list[int]] = defaultdict(list)
    for index, one in enumerate(labels):
        if index not in matches:
            left[one.split or splits.of_folders(paths[index])].append(index)
    return dict(sorted(left.items(), reverse=True))


def _clean(photo: str) -> str:
    """A path as label files have it: of Windows, with an address or a drive before it."""
    parts = _SCHEME.sub("", photo.strip(), count=1).replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def _joined(file: str, photo: str) -> str:
    """The path from the label file's folder; `..` never leads out of the tree."""
    path = posixpath.join("/", posixpath.dirname(file), photo.strip().replace("\\", "/"))
    return posixpath.normpath(path).lstrip("/")


def _end(path: str, depth: int) -> str:
    return "/".join(path.split("/")[-depth:])
