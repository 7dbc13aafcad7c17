"""The workers that train together, one a host: which they are, which one this is, and which one was lost.

TensorFlow's own variable names them; it is the same on each host but for the index:

    TF_CONFIG='{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}'

Every process trains, as a worker; the first is the chief, whether it is called so or not, and only it writes.
Needs no TensorFlow.
"""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from detector.base.errors import UserError

VARIABLE = "TF_CONFIG"
JOBS = ("chief", "worker")  # in the order of TensorFlow's collectives
EXAMPLE = '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}'
GONE = ("UnavailableError", "AbortedError", "DeadlineExceededError")
MOST_OF_CAUSE = 200  # characters of TensorFlow's message


@dataclass(frozen=True)
class Cluster:
    """The workers by TensorFlow's names, (job, number) each, the chief first; and the place of this one among them."""

    tasks: tuple[tuple[str, int], ...]
    addresses: tuple[str, ...]
    index: int

    @property
    def count(self) -> int:
        """How many workers there are; 1 where this one is alone."""
        return len(self.tasks)

    @property
    def is_chief(self) -> bool:
        """Whether this one writes the checkpoints and the results."""
        return self.index == 0

    def name(self, index: int) -> str:
        """For people: `worker 1 (10.0.0.2:2222)`."""
        job, number = self.tasks[index]
        return f"{job} {number} ({self.addresses[index]})"


ALONE = Cluster((("worker", 0),), ("this host",), 0)


def from_environment(environment: Mapping[str, str] = os.environ) -> Cluster:
    """What `TF_CONFIG` says; `ALONE` where it is not set, or names no cluster.

    Raises:
        UserError: it cannot be understood, or this process is not one of the workers.
    """
    text = environment.get(VARIABLE, "").strip()
    try:
        config = json.loads(text or "{}")
    except ValueError as error:
        raise _unfit(f"not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise _unfit("not a JSON object")
    if not config.get("cluster"):
        return ALONE
    tasks, addresses = _tasks(config["cluster"])
    return Cluster(tasks, addresses, _place(tasks, config.get("task")))


def _tasks(jobs: Any) -> tuple[tuple[tuple[str, int], ...], tuple[str, ...]]:
    if not isinstance(jobs, dict) or not all(are_addresses(value) for value in jobs.values()):
        raise _unfit("cluster: not a list of host:port for each job")
    if other := sorted(set(jobs) - set(JOBS)):
        raise _unfit(f"cluster: no {' or '.join(other)} here: every process is a worker, one may be the chief")
    if len(jobs.get("chief", ())) > 1:
        raise _unfit("cluster: more than one chief")
    addresses = tuple(address for job in JOBS for address in jobs.get(job, ()))
    if len(set(addresses)) < len(addresses):
        raise _unfit("cluster: two workers have one address")
    return tuple((job, number) for job in JOBS for number in range(len(jobs.get(job, ())))), addresses


def are_addresses(value: Any) -> bool:
    """Whether it is a list of `host:port`."""
    pattern = r"[^\s\[\]]+:\d+"  # the rendezvous speaks IPv4, so [::1]:2222 is refused
    return isinstance(value, list) and all(isinstance(text, str) and re.fullmatch(pattern, text) for text in value)


def _place(tasks: tuple[tuple[str, int], ...], task: Any) -> int:
    if not isinstance(task, dict) or not {"type", "index"} <= set(task):
        raise _unfit("task: missing, or without type or index; it says which worker this process is")
    index = str(task["index"])
    wanted = (task["type"], int(index) if index.isdecimal() else index)
    if wanted not in tasks:
        names = ", ".join(f"{job} {number}" for job, number in tasks)
        raise _unfit(f"task: {wanted[0]} {wanted[1]} is not in the cluster, which has {names}")
    return tasks.index((str(wanted[0]), int(index)))


def _unfit(reason: str) -> UserError:
    return UserError(VARIABLE, reason, f"it must be like {EXAMPLE}; unset it to train on this host alone")


@contextlib.contextmanager
def lost_workers(cluster: Cluster, remedy: Callable[[], str]) -> Iterator[None]:
    """TensorFlow's error, where another worker has died, becomes one line that names it.

    Args:
        remedy: called then: what is saved, and how to resume.
    """
    try:
        yield
    except Exception as error:
        is_gone = type(error).__name__ in GONE or "Collective ops is aborted" in str(error)
        if cluster.count == 1 or not is_gone:
            raise
        cause = (str(error).splitlines() or [""])[0][:MOST_OF_CAUSE]
        reason = f"is gone or has failed, and the others cannot continue without it ({cause})"
        raise UserError(_lost(cluster, str(error)), reason, remedy()) from error


def _lost(cluster: Cluster, message: str) -> str:
    """The worker that TensorFlow's message is about, if it can be read there."""
    named = [(job, int(number)) for job, number in re.findall(r"/job:(\w+)(?:/replica:\d+)?/task:(\d+)", message)]
    others = [index for index, task in enumerate(cluster.tasks) if task in named and index != cluster.index]
    return cluster.name(others[0]) if others else "a worker"
