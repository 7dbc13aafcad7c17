"""The best weights so far of a training, as they were fetched from where it saves them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from detector.base import errors, files
from detector.base.errors import UserError
from detector.checkpointing import work_dir

CHECKPOINT = "best"  # the folder with the weights, beside pipeline.config and the label map
CONFIG = "pipeline.config"
ATTEMPTS, PAUSE = 5, 0.5  # of what is replaced while it is read; seconds


class ChangedError(Exception):
    """What was to be read was removed or replaced meanwhile."""


@dataclass(frozen=True)
class Best:
    """The best weights so far.

    where: the training, for people. key: of the training. step: of the weights. ap: on the validation split.
    newest: the training's newest checkpoint. score_threshold: what suits the weights.
    """

    where: str
    key: str
    step: int
    ap: float
    newest: int
    score_threshold: float


def parsed(where: str, key: str, state: str | bytes) -> Best:
    """What the state.json of the newest checkpoint says.

    Raises:
        UserError: the training has not validated yet.
        ChangedError: it is not whole.
    """
    try:
        content = json.loads(state)["state"]
        step, newest, threshold = int(content["best_step"]), int(content["step"]), float(content["score_threshold"])
        ap = float(content["best"]["AP"]) if step else 0.0
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ChangedError(f"{work_dir.STATE} is not whole") from error
    if not step:
        remedy = "wait for the first one: train.eval_every in params.yaml says at which step"
        raise UserError(where, f"no validation yet, at step {newest}", remedy)
    return Best(where, key, step, ap, newest, threshold)


def checked(folder: Path) -> str:
    """The digest of a checkpoint that was fetched into `folder`.

    Raises:
        ChangedError: its files are not those that its state.json names.
        UserError: the system refuses to read them.
    """
    try:
        digests = json.loads((folder / work_dir.STATE).read_bytes())["files"]
        if not all(files.sha256(folder / name) == sha256 for name, (_, sha256) in digests.items()):
            raise ChangedError(f"{folder.name} is not whole")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.refusal(error) or ChangedError(f"{folder.name} is not whole") from error
    return work_dir.digest(digests)


def tried(where: str, fetch: Callable[[], Best]) -> Best:
    """What `fetch` returns, tried again where the training replaces what is being read.

    Raises:
        UserError: as of `fetch`; or it changes all the time.
    """
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE)
        try:
            return fetch()
        except ChangedError as error:
            fault = str(error)
    raise UserError(where, fault, "run the command again")
