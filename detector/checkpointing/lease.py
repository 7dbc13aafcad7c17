"""Who trains: an object on the bucket that one trainer holds at a time, renewed while it lives.

It names host, process and a random id. It is made where there is none (generation 0), renewed over the generation that
one wrote oneself, and taken over, by generation too, when it has not been renewed for a while: of two that try, one
succeeds. How old it is, is told by the bucket's own clock. A dead process of this very machine is not waited for.
"""

import contextlib
import json
import os
import platform
import secrets
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from detector.base.errors import UserError
from detector.storage.bucket import ConflictError, GoneError, Pace, Store, StoreError

LEASE = "lease.json"
STAMP = "identity.json"  # written by whoever wants the lease: its time is the bucket's
ATTEMPTS = 5  # of a race with others; then it is a fault of the bucket


class LostError(UserError):
    """Somebody else trains this, and has the right to."""


class Lease:
    """One trainer's; may be used by several threads.

    Args:
        store: where it lies.
        identity: the content of identity.json, which is written beside it.
        pace: after how many seconds it is anybody's.
        kept: where this trainer's own checkpoints are, for the message when it is lost.
    """

    def __init__(self, store: Store, identity: bytes, pace: Pace, kept: Path) -> None:
        self._store, self._identity, self._pace, self._kept = store, identity, pace, kept
        self._lock = threading.Lock()
        self._generation = 0  # of what we wrote
        self._is_released = False
        started = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        self._own = {"id": secrets.token_hex(8), "host": platform.node(), "since": started, **_process(os.getpid())}

    @property
    def is_held(self) -> bool:
        """Whether it was taken, by what is known here."""
        return self._generation > 0

    def hold(self) -> None:
        """Take it, or renew it.

        Raises:
            LostError: another trainer has it.
            StoreError: the bucket does not answer.
        """
        with self._lock:
            for _ in range(0 if self._is_released else ATTEMPTS):
                with contextlib.suppress(ConflictError, GoneError):
                    self._generation = self._renewed() if self._generation else self._taken()
                    return
            if not self._is_released:
                raise StoreError(f"{LEASE} changes all the time")

    def release(self) -> None:
        """Let the next one have it at once; it is not taken again."""
        with self._lock:
            self._is_released = True
            if self._generation:
                self._store.delete(LEASE, self._generation)
                self._generation = 0

    def _renewed(self) -> int:
        try:
            return self._store.put(LEASE, self._content(), self._generation).generation
        except ConflictError:
            found = self._holder()
            if found["generation"] and found["id"] != self._own["id"]:
                reason = f"{_named(found)} has taken this training over"
                remedy = f"this one stops; what it has is kept in {self._kept}"
                raise LostError(self._store.url, reason, remedy) from None
            self._generation = found["generation"]  # ours, and an answer was lost; or removed by hand: 0
            raise

    def _taken(self) -> int:
        stamp = self._store.find(STAMP)
        now = self._store.put(STAMP, self._identity, stamp.generation if stamp else 0).updated
        found = self._holder()
        age = now - found["updated"]
        if found["generation"] and found["id"] != self._own["id"] and age < self._pace.stale and not _is_dead(found):
            left = f"{max(1, self._pace.stale - age):.0f} s"
            remedy = f"wait for it, or stop it there; if that machine is gone, run again in {left}"
            raise LostError(self._store.url, f"this training is running already: {_named(found)}", remedy)
        return self._store.put(LEASE, self._content(), found["generation"]).generation

    def _content(self) -> bytes:
        return json.dumps({**self._own, "renewed": time.time()}).encode()

    def _holder(self) -> dict[str, Any]:
        """What is known of who has it; generation 0 where nobody has."""
        blob = self._store.find(LEASE)
        nobody = {"id": "", "host": "?", "pid": "?", "since": "?", "generation": 0, "updated": 0.0}
        if not blob:
            return nobody
        found: Any = None
        with contextlib.suppress(ValueError):
            found = json.loads(self._store.get(LEASE, blob.generation))
        facts = found if isinstance(found, dict) else {}
        return {**nobody, **facts, "generation": blob.generation, "updated": blob.updated}


def _named(holder: dict[str, Any]) -> str:
    return f"process {holder['pid']} on {holder['host']}, since {holder['since']}"


def _process(pid: int) -> dict[str, Any]:
    """What tells this process from all others, ever and everywhere, as far as this system tells."""
    machine = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        machine = f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return {"pid": pid, "machine": machine, "born": _born(pid)}


def _born(pid: object) -> str:
    """When a process of this machine began, in ticks since the machine did; nothing where it is none, or a zombie."""
    with contextlib.suppress(OSError, IndexError):
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else fields[18]
    return ""


def _is_dead(holder: dict[str, Any]) -> bool:
    own = _process(os.getpid())
    is_here = own["machine"] and holder.get("machine") == own["machine"]
    return bool(is_here and isinstance(holder["pid"], int) and _born(holder["pid"]) != holder.get("born"))
