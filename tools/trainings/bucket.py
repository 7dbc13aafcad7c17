"""The trainings in a work directory on a bucket, gs://bucket/work."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detector.storage import google
from tools.cloud import bucket_settings

EVENTS = re.compile(r"[0-9a-f]{16}/logs/(\w[\w.-]*/(?:train|validation)/events\.out\.tfevents\.[\w.-]+)")
Listing = Mapping[str, Any]  # the objects below a work directory, by name


def address(text: str) -> str:
    """The work directory of what a user gave: a bucket's name, for its folder work, or gs://bucket/folder.

    Raises:
        UserError: no bucket can have this name.
    """
    name, _, folder = text.removeprefix("gs://").partition("/")
    return f"gs://{bucket_settings.bucket_name(name)}/{folder.strip('/') or bucket_settings.WORK.strip('/')}"


def listed(url: str) -> Listing:
    """The objects below `url`.

    Raises:
        UserError: the bucket cannot be read.
    """
    with google.user_errors(url):
        prefix, blobs = google.listed(f"{url}/", "give a bucket's name, or gs://bucket/folder")
        return {name.removeprefix(prefix): blob for name, blob in blobs.items()}


def copy_events(url: str, folder: Path, seen: dict[str, int]) -> bool:
    """Bring the event files of all trainings below `url` up to date in `folder`; whether there are any.

    A file that has grown gets what is new at its end, where TensorBoard continues to read.

    Args:
        seen: the generation of each object that was copied, by name; gets those that are copied now.

    Raises:
        UserError: the bucket cannot be read.
    """
    for name, blob in sorted(listed(url).items()):
        place, generation = EVENTS.fullmatch(name), blob.generation
        if place and seen.get(name) != generation:
            path = folder / place[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            with google.user_errors(f"{url}/{name}"):
                google.download(blob, path, google.transfer_options())
            seen[name] = generation
    return bool(seen)
