"""One work directory for all workers of a training: the chief writes it, the others resume from what it resumes from.

Some tensors (the statistics of batch normalisation) are gathered from all workers when they are saved. So all save at
the same time, and what the others write is thrown away.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

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
    alike: Mapping[str, str],
) -> Iterator[work_dir.Work]:
    """`mirror.opened` for the chief, and its counterpart for another worker, when all are there and agree.

    Args:
        start: what the chief does before all see what there is to resume.
        alike: what, beside the identity, must be the same on all workers: digests of the program and of the initial
            weights, the devices.

    Raises:
        UserError: as of `mirror.opened`; a worker is missing, or has other data, params, code or directory.
    """
    with contextlib.ExitStack() as stack:
        chief = stack.enter_context(mirror.opened(root, identity, keep=keep)) if cluster.is_chief else None
        with rendezvous.meeting(cluster) as workers:
            _check_same(cluster, workers.gather({**identity, **alike}))
            if chief:
                start(chief)
            kept = chief.latest() if chief else None
            step = workers.gather(kept.step if kept else None)[0]
            folder = Path(mirror.local_root(root)) / work_dir.key(identity)
            own = chief or Follower(folder, step)
            sees = (own.folder / work_dir.IDENTITY).exists() and (step is None or own.latest() is not None)
            _check_shared(cluster, own, step, workers.gather(sees))
        yield own


class Follower(work_dir.Work):
    """Writes when the chief's `Work` does, and nothing that stays. `step`: the one that the chief resumes from."""

    def __init__(self, folder: Path, step: int | None) -> None:
        super().__init__(folder, keep=1)
        self._kept = self.kept(step) if step is not None else None
        self._saved = step

    def latest(self) -> work_dir.Kept | None:
        """The checkpoint that the chief resumes from; nothing where it cannot be read from here."""
        return self._kept

    def save(self, state: Mapping[str, Any], size: int, write: Callable[[Path], object]) -> None:
        """Take part in the chief's `save`; where that step is saved already, the chief replaces its state alone."""
        if state["step"] != self._saved:
            _write_and_remove(size, write)
        self._saved = state["step"]

    def save_best(self, step: int, size: int, write: Callable[[Path], object]) -> None:
        """Take part in the chief's `save_best`."""
        _write_and_remove(size, write)

    def check_room(self, size: int) -> None:
        """The chief checks."""


def _write_and_remove(size: int, write: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory(prefix="passo-") as folder, work_dir.disk_errors(Path(folder), size):
        write(Path(folder))


def _check_same(cluster: Cluster, identities: list[dict[str, Any]]) -> None:
    """Refuse workers that would not train the same, naming what differs."""
    chief, *_ = flat = [work_dir.flat(identity, ": ") for identity in identities]
    for index, other in enumerate(flat):
        names = sorted(name for name in {**chief, **other} if chief.get(name) != other.get(name))
        if names:
            reason = f"not the same as on {cluster.name(0)}: {', '.join(names)}"
            raise UserError(cluster.name(index), reason, "give every worker the same files, params.yaml and code")


def _check_shared(cluster: Cluster, own: work_dir.Work, step: int | None, sees: list[bool]) -> None:
    blind = ", ".join(cluster.name(index) for index, can_read in enumerate(sees) if not can_read)
    if blind:
        chief = cluster.name(0)
        what = f"{own.folder}, the work directory of {chief}," if step is None else f"{own.step(step)} of {chief}"
        remedy = "train.work_dir in params.yaml must be a folder that all workers share"
        raise UserError(blind, f"{what} cannot be read there", remedy)
