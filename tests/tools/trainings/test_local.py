"""The best weights so far of a training on this machine: made-up checkpoints, saved as trainings save them."""

import errno
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from detector.base.errors import UserError
from detector.checkpointing import work_dir
from tools.trainings import best, local
from tools.trainings.best import Best

IDENTITY = {"train": {"steps": 50}}
KEY = work_dir.key(IDENTITY)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, with the files that a training writes beside its curves."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(best, "PAUSE", 0.01)
    logs = Path(f"logs/20261128-090000-{KEY[:8]}")
    logs.mkdir(parents=True)
    (logs / "pipeline.config").write_text("config")
    (logs / "label_map.pbtxt").write_text("labels")
    return tmp_path


@pytest.fixture
def work() -> Iterator[work_dir.Work]:
    """Of a training in this process, which holds its lock."""
    with work_dir.opened(".work", IDENTITY, keep=1) as opened:
        yield opened


def save(work: work_dir.Work, step: int, best_step: int = 0) -> None:
    if step == best_step:
        work.save_best(step, 10, lambda to: (to / "ckpt-1.index").write_text(f"best {step}"))
    state: dict[str, Any] = {"step": step, "best_step": best_step, "best": {"AP": best_step / 64, "AP50": 0.5}}
    work.save({**state, "score_threshold": 0.25}, 10, lambda to: (to / "ckpt-1.index").write_text(f"step {step}"))


def fetched(work: work_dir.Work, folder: Path) -> tuple[Best, str]:
    target = folder / "target"
    target.mkdir(exist_ok=True)
    found = local.fetch(work.folder, target)
    return found, (target / "best/ckpt-1.index").read_text()


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def test_the_best_weights_come_with_what_their_export_needs(work: work_dir.Work, folder: Path) -> None:
    save(work, 16, 16)
    save(work, 24, 16)
    before = tree(work.folder)
    found, content = fetched(work, folder)
    assert found == Best(str(work.folder), KEY, step=16, ap=0.25, newest=24, score_threshold=0.25)
    assert content == "best 16"
    assert sorted(path.name for path in (folder / "target").iterdir()) == ["best", "label_map.pbtxt", "pipeline.config"]
    assert tree(work.folder) == before  # nothing was written, removed or touched there
    save(work, 32, 32)
    assert (fetched(work, folder)[0].step, fetched(work, folder)[1]) == (32, "best 32")


def test_the_training_that_runs_is_found_without_its_lock_being_taken(work: work_dir.Work) -> None:
    assert local.running(Path(".work")) == work.folder
    for lock in (b"", b"x", str(2**22 + 1).encode()):  # no process, or none with this number
        other = Path(".work/0123456789abcdef")
        other.mkdir(exist_ok=True)
        (other / "lock").write_bytes(lock)
        assert local.running(Path(".work")) == work.folder
    (other / "lock").write_text(f"{os.getpid()}\n")  # a process that lives, but has another file open
    assert local.running(Path(".work")) == work.folder


def test_none_runs_where_there_is_none_and_where_it_has_ended() -> None:
    assert local.running(Path(".work")) is None
    with work_dir.opened(".work", IDENTITY, keep=1) as work:
        save(work, 8, 8)
    assert work.folder.exists()
    assert local.running(Path(".work")) is None


def test_of_two_it_is_the_one_that_saved_last(work: work_dir.Work) -> None:
    with work_dir.opened(".work", {"train": {"steps": 51}}, keep=1) as other:
        save(work, 8)
        save(other, 8)
        os.utime(work.step(8), (1, 1))
        assert local.running(Path(".work")) == other.folder
        os.utime(other.step(8), (0, 0))
        assert local.running(Path(".work")) == work.folder


def test_the_training_of_another_user_counts_as_running(work: work_dir.Work, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: object) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "open_files", denied)
    assert local.running(Path(".work")) == work.folder


def refusal(work: work_dir.Work, folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        fetched(work, folder)
    return caught.value.line()


def test_before_the_first_validation_there_is_nothing_to_take(work: work_dir.Work, folder: Path) -> None:
    assert refusal(work, folder) == f".work/{KEY}: no checkpoint yet; wait for the first validation"
    save(work, 8)
    assert refusal(work, folder) == (
        f".work/{KEY}: no validation yet, at step 8; "
        "wait for the first one: train.eval_every in params.yaml says at which step"
    )


def test_without_its_configuration_it_cannot_be_exported(work: work_dir.Work, folder: Path) -> None:
    save(work, 8, 8)
    next(Path("logs").glob("*/pipeline.config")).unlink()
    assert refusal(work, folder).startswith(f".work/{KEY}: its pipeline.config is not in logs; stop that training, ")


def test_a_full_disk_is_no_change_of_the_training(
    work: work_dir.Work, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_source: str, target: str, **_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target)

    save(work, 8, 8)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        assert refusal(work, folder).endswith(": No space left on device; make room, and run the command again")

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "ckpt-1.index")

    monkeypatch.setattr(hashlib, "file_digest", broken)
    assert refusal(work, folder) == "ckpt-1.index: Input/output error; check the disk, and run the command again"


@pytest.mark.parametrize("name", ["best-00000008/ckpt-1.index", "best-00000008/state.json", "step-00000008/state.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b'{"files": [], "state": {}}', b'{"files": {"x": 1}}', b"\xff"])
def test_what_is_damaged_is_not_taken(work: work_dir.Work, folder: Path, name: str, content: bytes) -> None:
    save(work, 8, 8)
    (work.folder / name).write_bytes(content)
    line = refusal(work, folder)
    assert line.startswith(f".work/{KEY}: ") and line.endswith("; run the command again")


def test_a_checkpoint_that_is_replaced_while_it_is_read_is_read_again(
    work: work_dir.Work, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that saves a better one all the time."""
    monkeypatch.setattr(best, "ATTEMPTS", 1000)
    save(work, 1, 1)
    stop = threading.Event()

    def train() -> None:
        step = 1
        while not stop.is_set():
            step += 1
            save(work, step, step)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for _ in range(30):
            found, content = fetched(work, folder)
            assert content == f"best {found.step}"
            assert found.ap == found.step / 64
    finally:
        stop.set()
        thread.join()
