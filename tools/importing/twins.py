"""Copies of one picture among the photos of a source, so that a split of our own does not come between them."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from tqdm import tqdm

from detector.annotations import duplicates
from detector.annotations.duplicates import LOOKS_SAME, SAME_BYTES, SAME_SOURCE, Fingerprint
from detector.base.errors import UserError
from detector.pictures import images
from tools.importing.pairs import Photo
from tools.importing.tree import Tree

_TOGETHER = (SAME_BYTES, LOOKS_SAME, SAME_SOURCE)  # and not the many that a camera takes of one scene


def find(tree: Tree, names: Mapping[Photo, str]) -> dict[str, str]:
    """{name: the first name of its copies} of the photos that have some; those that cannot be read have none."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside of the interpreter lock
        prints = pool.map(lambda photo: _fingerprint(tree, photo), names)
        listed = tqdm(
            zip(names.values(), prints, strict=True), total=len(names), unit="photo", disable=None, leave=False
        )
        known = {name: found for name, found in listed if found}
    copies = [copy for copy in duplicates.find(known) if copy.reason in _TOGETHER]
    return dict(_with_first(duplicates.groups(copies)))


def _with_first(groups: Iterable[list[str]]) -> Iterable[tuple[str, str]]:
    return ((name, group[0]) for group in groups for name in group)


def _fingerprint(tree: Tree, photo: Photo) -> Fingerprint | None:
    try:
        content = images.read_bytes(tree.files[photo])
        _, thumbnail = images.glance(tree.files[photo], content)
    except UserError:
        return None
    return duplicates.fingerprint(photo.name, hashlib.sha256(content).hexdigest(), thumbnail)
