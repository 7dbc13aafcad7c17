"""Who trains: an object on the bucket that one trainer holds at a time, renewed while it lives.

It names host, process and a random id. It is made where there is none (generation 0), renewed over the generation that
this trainer wrote, and taken over, by generation too, when it has not been renewed for a while: of two that try, one
succeeds. Its age is measured by the bucket's own clock. A dead process of this very machine is not waited for.
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
from detector.storage.bucket import Store
from detector.storage.google import ConflictError, MissingError, StoreError

LEASE = "lease.json"
MOST_BYTES = 2**16  # of a lease, which is read whole; ours has some hundred
STAMP = "identity.json"  # written by whoever wants the lease: its time is the bucket's
ATTEMPTS = 5  # of a race with others; then it is a fault of the bucket
NOBODY = {"id": "", "host": "?", "pid": "?", "since": "?", "generation": 0, "updated": 0.0}


class LostError(UserError):
    """Somebody else trains this, and has the right to."""


class Lease:
    """One trainer's; may be used by several threads.

    Args:
        store: the objects of this training.
        identity: the content of identity.json, which is written beside it.
        expires: after how many seconds without a renewal another trainer may take it.
        folder: where this trainer's own checkpoints are, for the message when it is lost.
    """

    def __init__(self, store: Store, identity: bytes, expires: float, folder: Path) -> None:
        self._store, self._identity, self._expires, self._folder = store, identity, expires, folder
        self._lock = threading.Lock()
        self._generation = 0  # of the object that this trainer wrote; 0: it holds none
        self._is_released = False
        started = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        self._own = {"id": secrets.token_hex(8), "host": platform.node(), "since": started, **_process(os.getpid())}

    def hold(self) -> None:
        """Take it, or renew it.

        Raises:
            LostError: another trainer has it.
            StoreError: the bucket does not answer; or the lease was released.
        """
        with self._lock:
            for _ in range(0 if self._is_released else ATTEMPTS):
                with contextlib.suppress(ConflictError):
                    self._generation = self._renew() if self._generation else self._take()
                    return
        raise StoreError(f"{LEASE} {'was released' if self._is_released else 'changes all the time'}", "run again")

    def release(self) -> None:
        """Let the next trainer have it immediately; this one does not take it again."""
        with self._lock:
            self._is_released = True
            if self._generation:
                self._store.delete(LEASE, self._generation)

    def _renew(self) -> int:
        try:
            return self._write(self._generation)
        except ConflictError:
            holder = self._holder()
            if holder["generation"] and holder["id"] != self._own["id"]:
                reason = f"{_name(holder)} has taken this training over"
                remedy = f"this one stops; its checkpoints are in {self._folder}"
                raise LostError(self._store.url, reason, remedy) from None
            self._generation = holder["generation"]  # ours, and an answer was lost; or removed by hand: 0
            raise

    def _take(self) -> int:
        now = self._store.put(STAMP, self._identity).updated.timestamp()
        holder = self._holder()
        left = self._expires - (now - holder["updated"])
        is_other = holder["generation"] and holder["id"] != self._own["id"]
        if is_other and left > 0 and not _is_dead(holder):
            remedy = f"wait for it, or stop it there; if that machine is gone, run again in {max(1, left):.0f} s"
            raise LostError(self._store.url, f"this training is running already: {_name(holder)}", remedy)
        return self._write(holder["generation"])

    def _write(self, generation: int) -> int:
        content = json.dumps({**self._own, "renewed": time.time()}).encode()
        return int(self._store.put(LEASE, content, generation).generation)

    def _holder(self) -> dict[str, Any]:
        """What is known of who has it; generation 0 where nobody has."""
        blob = self._store.find(LEASE)
        if not blob:
            return NOBODY
        try:
            facts = json.loads(self._store.get(blob)) if blob.size <= MOST_BYTES else None
        except MissingError as error:  # renewed, or released, since `find`
            raise ConflictError(error.reason, error.remedy) from error
        except (ValueError, RecursionError):
            facts = None
        own = {"generation": blob.generation, "updated": blob.updated.timestamp()}
        return {**NOBODY, **(facts if isinstance(facts, dict) else {}), **own}


def _name(holder: dict[str, Any]) -> str:
    return f"process {holder['pid']} on {holder['host']}, since {holder['since']}"


def _process(pid: int) -> dict[str, Any]:
    """What tells this process from all others, ever and everywhere; `machine` is empty where the system does not say.

    A container on this machine is another machine: its process numbers are not ours.
    """
    machine = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        machine = f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return {"pid": pid, "machine": machine, "born": _born(pid)}


def _born(pid: object) -> str:
    """When a process of this machine began, in ticks since the machine did; empty where it is dead, or a zombie.

    Not `psutil.Process.create_time`: that adds the time of day at which the machine began, which moves when the clock
    is set, and a living trainer would be taken for a dead one.
    """
    with contextlib.suppress(OSError, IndexError):
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else fields[18]
    return ""


def _is_dead(holder: dict[str, Any]) -> bool:
    own = _process(os.getpid())
    is_here = own["machine"] and holder.get("machine") == own["machine"]
    return bool(is_here and isinstance(holder["pid"], int) and _born(holder["pid"]) != holder.get("born"))
