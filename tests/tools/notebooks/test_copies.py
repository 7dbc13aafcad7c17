"""A training in Drive: whole checkpoints alone are copied, and what comes back is what went."""

import errno
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from detector.checkpointing import work_dir
from detector.checkpointing.work_dir import Work
from tests.support.stage import child
from tools.notebooks import copies

IDENTITY = {"train": {"steps": 30}}
OTHER = {"train": {"steps": 40}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The clone on a runtime's disk, with an empty Drive beside it."""
    (tmp_path / "clone").mkdir()
    (tmp_path / "drive").mkdir()
    monkeypatch.chdir(tmp_path / "clone")
    yield tmp_path / "clone"


DRIVE, WORK = Path("../drive"), Path(".work")


def writes(content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "ckpt-1.data").write_text(content)


def train(step: int, best: int, identity: Mapping[str, object] = IDENTITY) -> Path:
    """Save a checkpoint, as training does. Returns: the folder of the training."""
    with work_dir.opened(str(WORK), identity, keep=2) as work:
        if step == best:
            work.save_best(step, 10, writes(f"best {step}"))
        work.save({"step": step, "best_step": best}, 10, writes(f"step {step}"))
        return work.folder


def finish(identity: Mapping[str, object] = IDENTITY) -> None:
    with work_dir.opened(str(WORK), identity, keep=2) as work:
        work.finish({"code": "ab"})


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the lock, which is of this machine."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != work_dir.LOCK)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def copy_of(training: Path) -> Path:
    return DRIVE / "work" / training.name


def test_a_training_comes_back_byte_by_byte_on_a_new_machine(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = train(10, 10)
    before = contents(training)
    copies.save(WORK, DRIVE)
    shutil.rmtree(WORK)
    copies.restore(DRIVE, WORK)
    assert contents(training) == before
    assert capsys.readouterr().out == f"took step 10 from {copy_of(training)}\n"
    assert Work(training, 2).latest() is not None


def test_the_two_newest_are_there_with_the_bests_that_they_need(here: Path) -> None:
    for step, best in ((10, 10), (20, 10), (30, 30)):
        training = train(step, best)
        copies.save(WORK, DRIVE)
    assert names(copy_of(training)) == ["best-00000010", "best-00000030", "step-00000020", "step-00000030"]


def test_what_is_there_already_is_not_written_again(here: Path) -> None:
    training = train(10, 10)
    copies.save(WORK, DRIVE)
    before = {path: path.stat().st_mtime_ns for path in DRIVE.rglob("*")}
    copies.save(WORK, DRIVE)
    assert {path: path.stat().st_mtime_ns for path in DRIVE.rglob("*")} == before
    train(10, 0)  # another state of the same step
    copies.save(WORK, DRIVE)
    assert contents(copy_of(training) / "step-00000010") == contents(training / "step-00000010")


def test_a_damaged_checkpoint_is_left_for_the_one_before(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = train(10, 10)
    copies.save(WORK, DRIVE)
    train(20, 20)
    copies.save(WORK, DRIVE)
    (copy_of(training) / "best-00000020" / "ckpt-1.data").write_text("best 2X")
    shutil.rmtree(WORK)
    copies.restore(DRIVE, WORK)
    assert capsys.readouterr().out.splitlines() == [
        f"warning: {copy_of(training)}/step-00000020 is damaged; going back to the checkpoint before it",
        f"took step 10 from {copy_of(training)}",
    ]
    found = Work(training, 2).latest()
    assert found and found.step == 10


def test_what_is_newer_here_stays(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = train(10, 10)
    copies.save(WORK, DRIVE)
    train(20, 10)
    before = contents(training)
    copies.restore(DRIVE, WORK)
    assert contents(training) == before
    assert capsys.readouterr().out == ""


def test_a_training_that_was_started_again_replaces_its_copy(here: Path) -> None:
    training = train(30, 30)
    finish()
    copies.save(WORK, DRIVE)
    assert (copy_of(training) / "finished.json").exists()
    with work_dir.opened(str(WORK), IDENTITY, keep=2) as work:
        work.forget()
    train(10, 10)
    copies.save(WORK, DRIVE)
    assert names(copy_of(training)) == ["best-00000010", "step-00000010"]
    assert not (copy_of(training) / "finished.json").exists()


def test_of_finished_trainings_the_last_one_stays(here: Path) -> None:
    """As in the work directory; one that has not ended stays, too."""
    first, unfinished = train(10, 10), train(20, 20, OTHER)
    finish()
    copies.save(WORK, DRIVE)
    third = train(30, 30, {"train": {"steps": 50}})
    finish({"train": {"steps": 50}})
    copies.save(WORK, DRIVE)
    assert names(DRIVE / "work") == sorted([unfinished.name, third.name])
    assert names(copy_of(third)) == ["best-00000030", "step-00000030"]
    assert not copy_of(first).exists()


def test_what_is_removed_is_emptied_first(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drive's bin keeps what is deleted, for 30 days."""
    binned: list[int] = []
    rmtree = shutil.rmtree

    def to_bin(path: Path, **options: bool) -> None:
        binned.extend(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())
        rmtree(path, **options)

    train(10, 10)
    copies.save(WORK, DRIVE)
    train(20, 20)
    copies.save(WORK, DRIVE)
    train(30, 30)
    monkeypatch.setattr(copies.shutil, "rmtree", to_bin)
    copies.save(WORK, DRIVE)
    assert binned == [0, 0, 0, 0]


# The initial weights.

LOCK = """schema: '2.0'
stages:
  csv2record:
    cmd: python -m stages.csv2record
  pretrained:
    cmd: python -m stages.pretrained
    outs:
    - path: model/pretrained
      md5: ab.dir
  sample:
    cmd: python -m stages.sample
"""


def started() -> Path:
    """A training whose initial weights are made."""
    Path("model/pretrained").mkdir(parents=True)
    Path("model/pretrained/ckpt-1.index").write_text("weights")
    Path("dvc.lock").write_text(LOCK)
    return train(10, 10)


def test_the_initial_weights_come_back_as_dvc_knows_them(here: Path) -> None:
    started()
    copies.save(WORK, DRIVE)
    for name in ("model", ".work"):
        shutil.rmtree(name)
    Path("dvc.lock").unlink()
    copies.restore(DRIVE, WORK)
    assert contents(Path("model")) == {"pretrained/ckpt-1.index": b"weights"}
    lines = LOCK.splitlines(keepends=True)
    assert Path("dvc.lock").read_text() == "".join(lines[:2] + lines[4:9])


def test_a_clone_that_has_weights_or_a_lock_keeps_them(here: Path) -> None:
    started()
    copies.save(WORK, DRIVE)
    Path("model/pretrained/ckpt-1.index").write_text("others")
    Path("dvc.lock").unlink()
    copies.restore(DRIVE, WORK)
    assert not Path("dvc.lock").exists()
    assert Path("model/pretrained/ckpt-1.index").read_text() == "others"


def test_nothing_there_is_nothing_restored(here: Path) -> None:
    copies.restore(DRIVE, WORK)
    copies.restore(DRIVE / "absent", WORK)
    assert list(here.iterdir()) == []
    copies.save(WORK, DRIVE)
    assert list(DRIVE.iterdir()) == []


# While it trains.


def test_copies_are_made_while_it_trains_and_at_the_end(here: Path) -> None:
    training = train(10, 10)
    with copies.saved(WORK, DRIVE, seconds=0.01):
        until = time.monotonic() + 10
        while not (copy_of(training) / "identity.json").exists():
            assert time.monotonic() < until
            time.sleep(0.01)
    with pytest.raises(KeyboardInterrupt), copies.saved(WORK, DRIVE):
        train(20, 20)
        raise KeyboardInterrupt
    assert names(copy_of(training))[-1] == "step-00000020"


def test_a_drive_that_fails_is_reported_once_and_training_goes_on(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(10, 10)
    with copies.saved(WORK, DRIVE / "gone", seconds=0.01):
        time.sleep(0.1)
    (warning,) = capsys.readouterr().out.splitlines()
    assert "gone: not copied: is gone: is Drive still mounted?; training goes on" in warning
    assert not (DRIVE / "gone").exists()


KILLED = """
import os, shutil, signal
from pathlib import Path
from tools.notebooks import copies
real, calls = shutil.copyfile, []
def copyfile(*arguments):
    calls.append(arguments)
    os.kill(os.getpid(), signal.SIGKILL) if len(calls) == {calls} else real(*arguments)
shutil.copyfile = copyfile
copies.save(Path('.work'), Path('../drive'))
"""


@pytest.mark.parametrize("calls", range(1, 5))  # of copyfile: the files of the best, then those of the step
def test_a_kill_leaves_no_half_of_a_checkpoint(calls: int, here: Path) -> None:
    training = train(10, 10)
    copies.save(WORK, DRIVE)
    train(20, 20)
    assert child("-c", KILLED.format(calls=calls), cwd=here).returncode == -signal.SIGKILL
    shutil.rmtree(WORK)
    copies.restore(DRIVE, WORK)
    found = Work(training, 2).latest()
    assert found and found.step == 10
    assert not list(copy_of(training).glob(".passo-tmp.*"))


def test_a_checkpoint_that_training_removes_meanwhile_is_no_fault(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late(source: Path, _target: Path) -> None:
        shutil.rmtree(source.parent)
        source.read_bytes()

    training = train(10, 10)
    copies.save(WORK, DRIVE)
    train(20, 10)
    with monkeypatch.context() as patch:
        patch.setattr(copies.shutil, "copyfile", too_late)
        copies.save(WORK, DRIVE)
    assert names(copy_of(training)) == ["best-00000010", "step-00000010"]


def test_a_full_drive_leaves_no_half_of_a_checkpoint(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_source: Path, target: Path) -> None:
        target.write_text("ha")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    train(10, 10)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(copies.shutil, "copyfile", full)
        copies.save(WORK, DRIVE)
    assert contents(DRIVE) == {}
    copies.save(WORK, DRIVE)
    assert len(contents(DRIVE)) == 5


def test_a_full_drive_says_what_to_do_and_another_full_disk_does_not(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as a failed write does, without a name

    train(10, 10)
    monkeypatch.setattr(copies.shutil, "copyfile", full)
    with copies.saved(WORK, DRIVE):
        pass
    assert "; make room in Drive, and empty its bin; training goes on, and it is tried" in capsys.readouterr().out
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(DRIVE / "a"), None, str(WORK / "a"))
    assert copies.reason(error, DRIVE) == str(error)
