"""Copies of one picture among the photos of a source, so that our own split puts them all on one side."""

import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from detector.annotations import duplicates
from detector.annotations.duplicates import Fingerprint
from detector.annotations.voc import Annotation
from detector.base.bars import bar
from detector.base.errors import UserError
from tools.importing.tree import Tree


def groups(
    prints: Mapping[PurePosixPath, Fingerprint],
    stems: Mapping[PurePosixPath, str],
    annotations: Mapping[PurePosixPath, Annotation | None],
) -> dict[str, str]:
    """{name of a photo that has copies: the first name of all of these}.

    Args:
        prints: of `fingerprints`: a photo that cannot be read is a copy of nothing.
        stems: {photo: its name}.
        annotations: of the photos.
    """
    known = {stems[photo]: one.labelled(annotations.get(photo)) for photo, one in prints.items()}
    return duplicates.first_of(duplicates.find(known))


def fingerprints(tree: Tree, photos: Collection[PurePosixPath]) -> dict[PurePosixPath, Fingerprint]:
    """What each photo is recognised by; without those that cannot be read."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        prints = pool.map(lambda photo: _fingerprint(photo.name, tree.files[photo]), photos)
        shown = bar(prints, "copies", len(photos))
        return {photo: one for photo, one in zip(photos, shown, strict=True) if one}


def _fingerprint(name: str, path: Path) -> Fingerprint | None:
    try:
        return duplicates.read(path, name)[1]
    except UserError:
        return None
