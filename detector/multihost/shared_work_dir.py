"""One work directory for all workers of a training: the chief keeps it, the others go on from what it goes on from.

Some tensors (the statistics of batch normalisation) are gathered from all workers when they are saved. So all save at
the same time, and what the others write is thrown away.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from detector.base import files
from detector.base.errors import UserError
from detector.checkpointing import mirror, work_dir
from detector.multihost import rendezvous
from detector.multihost.cluster import Cluster


@contextlib.contextmanager
def opened(
    cluster: Cluster,
    root: str,
    identity: work_dir.Identity,
    *,
    keep: int,
    start: Callable[[work_dir.Work], None],
    code: str,
    devices: str,
) -> Iterator[work_dir.Work]:
    """`mirror.opened` for the chief, and what stands for it for another worker, when all are there and agree.

    Args:
        start: what the chief does before all look at what there is to go on from.
        code: a digest of the program.
        devices: what this worker trains on.

    Raises:
        UserError: as of `mirror.opened`; a worker is missing, or has other data, params, code or directory.
    """
    with contextlib.ExitStack() as stack:
        chief = stack.enter_context(mirror.opened(root, identity, keep=keep)) if cluster.is_chief else None
        with rendezvous.of(cluster) as together:
            _check_same(cluster, together.exchange({**identity, "code": code, "devices": devices}))
            if chief:
                start(chief)
            kept = chief.latest() if chief else None
            step = together.exchange(kept.step if kept else None)[0]
            local = files.expanded(mirror.local_root(root))
            own = chief or Follower(local / work_dir.key(identity), step)
            sees = (own.folder / work_dir.IDENTITY).exists() and (step is None or own.latest() is not None)
            _check_shared(cluster, own, step, together.exchange(sees))
        yield own


class Follower(work_dir.Work):
    """Writes when the chief's `Work` does, and nothing that stays. `step`: which the chief goes on from."""

    def __init__(self, folder: Path, step: int | None) -> None:
        super().__init__(folder, keep=1)
        self._kept = self.kept(step) if step is not None else None
        self._saved = step

    def latest(self) -> work_dir.Kept | None:
        """The checkpoint that the chief goes on from; nothing where it cannot be seen from here."""
        return self._kept

    def save(self, state: Mapping[str, Any], size: int, write: Callable[[Path], object]) -> None:
        """Take part in the chief's `save`."""
        if state["step"] != self._saved:  # else it is kept already, and only gets another state
            _write_for_nothing(size, write)
        self._saved = state["step"]

    def save_best(self, step: int, size: int, write: Callable[[Path], object]) -> None:
        """Take part in the chief's `save_best`."""
        _write_for_nothing(size, write)

    def check_room(self, size: int) -> None:
        """It needs none there."""


def _write_for_nothing(size: int, write: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory(prefix="passo-") as folder, work_dir.disk_errors(Path(folder), size):
        write(Path(folder))


def _check_same(cluster: Cluster, found: list[dict[str, Any]]) -> None:
    """Refuse workers that would not train the same, naming what differs."""
    chief = _flat(found[0])
    for index, other in enumerate(map(_flat, found)):
        names = sorted(name for name in {**chief, **other} if chief.get(name) != other.get(name))
        if names:
            reason = f"not the same as on {cluster.name(0)}: {', '.join(names)}"
            raise UserError(cluster.name(index), reason, "give every worker the same files, params.yaml and code")


def _flat(identity: Mapping[str, Any]) -> dict[str, object]:
    """{"train": {"seed": 1}} -> {"train: seed": 1}"""
    flat: dict[str, object] = {}
    for name, value in identity.items():
        flat |= {f"{name}: {key}": part for key, part in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def _check_shared(cluster: Cluster, own: work_dir.Work, step: int | None, seen: list[bool]) -> None:
    blind = ", ".join(cluster.name(index) for index, sees in enumerate(seen) if not sees)
    if blind:
        chief = cluster.name(0)
        kept = f"{own.folder}, where {chief} keeps its work," if step is None else f"{own.step(step)} of {chief}"
        reason = f"{kept} cannot be read there"
        raise UserError(blind, reason, "train.work_dir in params.yaml must be a folder that all workers share")
