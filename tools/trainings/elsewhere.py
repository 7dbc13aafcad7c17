"""The training that runs on another machine, as it saves its work on a bucket; nothing is written there."""

import re
import time
from pathlib import Path
from typing import Any

from detector.base import files, paths
from detector.base.errors import UserError
from detector.checkpointing import lease, mirror, work_dir
from detector.checkpointing.manifest import Checkpoints
from detector.storage.bucket import Store
from detector.storage.google import MissingError, StoreError
from tools.trainings import best, bucket
from tools.trainings.best import Best, ChangedError
from tools.trainings.bucket import Listing

LEASE = re.compile(rf"([0-9a-f]{{16}})/{lease.LEASE}")
CLOCK_SECONDS = 60  # by which this machine's clock may differ from the bucket's


def fetch(url: str, folder: Path) -> Best:
    """Copy the best weights so far of the training that runs below `url`, with all that their export needs.

    Of several, that which saved last.

    Raises:
        UserError: none runs, it has not validated yet, or the bucket cannot be read.
    """
    return best.tried(url, lambda: _fetched(url, folder))


def _fetched(url: str, folder: Path) -> Best:
    objects = bucket.listed(url)
    keys = [match[1] for name, blob in objects.items() if (match := LEASE.fullmatch(name)) and _is_alive(blob)]
    if not keys:
        remedy = f"start one, whose train.work_dir is {url}; for the last model, leave out MODEL"
        raise UserError(url, "no training is running", remedy)
    key = max(keys, key=lambda key: max(map(_updated, _named(objects, f"{key}/step-")), default=0.0))
    store = Store(f"{url}/{key}", mirror.TIMING.request, mirror.TIMING.pause)
    try:
        return _read(store, key, {name.removeprefix(f"{key}/"): blob for name, blob in objects.items()}, folder)
    except (MissingError, KeyError) as error:
        raise ChangedError(f"an object was replaced: {error}") from error
    except StoreError as error:
        raise UserError(store.url, error.reason, error.remedy) from error


def _read(store: Store, key: str, objects: Listing, folder: Path) -> Best:
    whole = Checkpoints(store, key, keep=1).whole()
    if not whole:
        raise UserError(store.url, "no checkpoint yet", "wait for the first validation")
    states = whole[0].states
    found = best.parsed(store.url, key, states[f"step-{whole[0].step:08}"])
    name = f"best-{found.step:08}"
    with files.whole_folder(folder / best.CHECKPOINT) as checkpoint:
        files.write_text(checkpoint / work_dir.STATE, states[name])
        for source, (path, _) in whole[0].files.items():
            if path.startswith(f"{name}/"):
                store.download(objects[source], checkpoint / Path(path).name)
        best.checked(checkpoint)
    for name in (best.CONFIG, paths.LABEL_MAP):
        written = sorted(_named(objects, "logs/", f"/{name}"), key=_updated)
        if not written:
            raise UserError(store.url, f"its {name} is not there yet", "wait for its next checkpoint")
        (folder / name).unlink(missing_ok=True)
        store.download(written[-1], folder / name)
    return found


def _named(objects: Listing, start: str, end: str = "") -> list[Any]:
    return [blob for name, blob in sorted(objects.items()) if name.startswith(start) and name.endswith(end)]


def _updated(blob: Any) -> float:
    return float(blob.updated.timestamp())


def _is_alive(blob: Any) -> bool:
    """Whether the trainer that holds this lease still renews it."""
    return time.time() - _updated(blob) < mirror.TIMING.expiry + CLOCK_SECONDS
