"""The work directory: what is saved is restored whole, or not at all; one training never sees another's."""

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from detector.base.errors import UserError
from detector.checkpointing import work_dir
from tests.support.stage import REPOSITORY

IDENTITY = {"files": {"train.record": "ab"}, "train": {"steps": 5, "rate": 0.1}}


def writes(content: str) -> Callable[[Path], object]:
    return lambda folder: ([(folder / name).write_text(content + name) for name in ("ckpt-1.index", "ckpt-1.data")])


def state(step: int, best_step: int = 0) -> dict[str, object]:
    return {"step": step, "best_step": best_step, "history": [[10, {"loss": 0.1}]]}


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[work_dir.Work]:
    """Steps 10, 20 and 30; the validations at 10 and 20 were the best of their time."""
    with work_dir.opened(str(tmp_path), IDENTITY, keep=3) as task:
        for step, best in ((10, 10), (20, 20), (30, 20)):
            if step == best:
                task.save_best(step, 10, writes(f"best {step} "))
            task.save(state(step, best), 10, writes(f"step {step} "))
        yield task


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def test_the_key_stands_for_everything_in_the_identity(tmp_path: Path) -> None:
    key = work_dir.key(IDENTITY)
    assert len(key) == 16
    assert work_dir.key(json.loads(json.dumps(IDENTITY))) == key
    assert work_dir.key({**IDENTITY, "train": {"steps": 6, "rate": 0.1}}) != key
    with work_dir.opened(str(tmp_path), IDENTITY, keep=1) as task:
        assert task.folder == tmp_path / key
        assert json.loads((task.folder / "identity.json").read_text()) == IDENTITY
        assert task.latest() is None


def test_what_came_to_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), work_dir.opened(str(tmp_path), IDENTITY, keep=1):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_the_newest_is_restored(kept: work_dir.Work) -> None:
    found = kept.latest()
    assert found is not None
    assert (found.step, found.folder, found.state) == (30, kept.step(30), state(30, 20))
    assert (found.folder / "ckpt-1.data").read_text() == "step 30 ckpt-1.data"
    assert (kept.best(20) / "ckpt-1.data").read_text() == "best 20 ckpt-1.data"


def test_the_newest_are_kept_and_the_bests_that_they_need(kept: work_dir.Work) -> None:
    assert names(kept.folder) == ["best-00000010", "best-00000020", "step-00000010", "step-00000020", "step-00000030"]
    kept.save(state(40, 20), 10, writes("step 40 "))
    assert names(kept.folder) == ["best-00000020", "step-00000020", "step-00000030", "step-00000040"]


def test_another_state_for_a_step_that_is_kept_leaves_its_files(kept: work_dir.Work) -> None:
    before = (kept.step(30) / "ckpt-1.data").stat().st_mtime_ns
    kept.save_best(30, 10, writes("best 30 "))
    kept.save(state(30, 30), 10, writes("never written "))
    found = kept.latest()
    assert found is not None
    assert found.state == state(30, 30)
    assert (kept.step(30) / "ckpt-1.data").stat().st_mtime_ns == before


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def in_the_way(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.touch()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "ckpt-1.data is damaged": lambda folder: flip(folder / "ckpt-1.data"),
    "ckpt-1.index is damaged": lambda folder: (folder / "ckpt-1.index").write_text("cut"),
    "ckpt-1.index is missing": lambda folder: (folder / "ckpt-1.index").unlink(),
    "state.json is missing": lambda folder: (folder / "state.json").unlink(),
    "state.json is damaged": lambda folder: flip(folder / "state.json"),
    "state.json is damaged ": lambda folder: (folder / "state.json").write_text("[1]"),
    "state.json is damaged   ": lambda folder: (folder / "state.json").write_text("[" * 100_000),
    "state.json is damaged  ": lambda folder: (folder / "state.json").write_bytes(b""),
    "cannot be read: Not a directory": lambda folder: in_the_way(folder),
}


@pytest.mark.parametrize("reason", DAMAGES)
def test_a_damaged_one_falls_back_to_the_one_before(
    kept: work_dir.Work, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    DAMAGES[reason](kept.step(30))
    for _ in range(2):
        found = kept.latest()
        assert found is not None
        assert found.step == 20
    warning = f"warning: {kept.step(30)}: {reason.strip()}; going back to the checkpoint before it\n"
    assert capsys.readouterr().err == warning  # once: it has been set aside
    assert (kept.folder / "damaged-step-00000030").exists()
    kept.save(state(30, 20), 10, writes("again "))
    assert (kept.step(30) / "ckpt-1.index").read_text() == "again ckpt-1.index"


def test_a_damaged_best_takes_the_steps_with_it_that_need_it(kept: work_dir.Work) -> None:
    flip(kept.best(20) / "ckpt-1.data")
    found = kept.latest()
    assert found is not None
    assert (found.step, found.state["best_step"]) == (10, 10)
    aside = [name for name in names(kept.folder) if name.startswith("damaged-")]
    assert aside == ["damaged-best-00000020", "damaged-step-00000020", "damaged-step-00000030"]


def test_where_all_are_damaged_it_starts_from_scratch_and_keeps_them(
    kept: work_dir.Work, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (10, 20, 30):
        flip(kept.step(step) / "ckpt-1.data")
    assert kept.latest() is None
    assert capsys.readouterr().err.count("warning: ") == 3
    assert {f"damaged-step-000000{step}" for step in (10, 20, 30)} <= set(names(kept.folder))


def test_forgetting_removes_what_could_be_resumed(kept: work_dir.Work) -> None:
    kept.finish({"result": "x"})
    assert names(kept.folder) == ["best-00000020", "step-00000030"]
    assert kept.finished() == {"result": "x"}
    kept.forget()
    assert (names(kept.folder), kept.latest(), kept.finished()) == ([], None, None)


def test_a_second_trainer_is_refused_with_the_pid_of_the_first(kept: work_dir.Work, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught, work_dir.opened(str(tmp_path), IDENTITY, keep=1):
        pass
    assert caught.value.line() == (
        f"{kept.folder}/lock: this training is running already, as process {os.getpid()}; wait for it, or stop it: "
        f"kill {os.getpid()} (it saves a checkpoint, and the next one resumes from there)"
    )
    assert kept.latest() is not None
    with work_dir.opened(str(tmp_path), {"other": 1}, keep=1):
        pass


def test_other_trainings_are_counted_unless_they_run(kept: work_dir.Work, tmp_path: Path) -> None:
    with work_dir.opened(str(tmp_path), {"dead": 1}, keep=1) as dead:
        dead.save(state(1), 1, writes(""))
    with work_dir.opened(str(tmp_path), {"other": 1}, keep=1) as other:
        (found,) = other.others()  # not `kept`: what runs must not be dropped
        assert (found.folder, found.step, found.differs) == (dead.folder, 1, ["other", "dead"])
        assert found.size == sum(path.stat().st_size for path in dead.folder.rglob("*") if path.is_file()) > 100
    with work_dir.opened(str(tmp_path), {"dead": 1}, keep=1) as dead:
        dead.finish({})
    with work_dir.opened(str(tmp_path), {"other": 1}, keep=1) as other:
        assert other.others() == []


def test_a_finished_one_goes_when_another_has_ended(kept: work_dir.Work, tmp_path: Path) -> None:
    with work_dir.opened(str(tmp_path), {"other": 1}, keep=1) as other:
        kept.finish({})
        other.save(state(1), 1, writes(""))
        other.finish({})
        assert kept.folder.exists()  # it is locked: somebody is about to resume it
    (tmp_path / "downloads").mkdir()
    with work_dir.opened(str(tmp_path), {"third": 1}, keep=1) as third:
        third.save(state(1), 1, writes(""))
        third.finish({})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["downloads", third.folder.name, kept.folder.name]
    )


def test_what_is_no_folder_is_refused() -> None:
    with pytest.raises(UserError) as caught, work_dir.opened("s3://bucket/work", IDENTITY, keep=1):
        pass
    assert caught.value.line() == (
        "params.yaml: train.work_dir: s3://bucket/work is neither a folder on this machine nor on a bucket; "
        "give a path, such as .work, or gs://bucket/work"
    )


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError) as caught, work_dir.opened(str(tmp_path / "file"), IDENTITY, keep=1):
        pass
    assert "cannot be written to: Not a directory; choose another folder: train.work_dir" in caught.value.line()


KILLED = """
import sys, time
from pathlib import Path
from detector.checkpointing import work_dir
def write(folder):
    (folder / "ckpt-1.index").write_text("half")
    Path("writing").touch()
    time.sleep(600)
with work_dir.opened(".", {"a": 1}, keep=2) as task:
    task.save({"step": 1, "best_step": 0}, 1, lambda folder: (folder / "ckpt-1.index").write_text("whole"))
    task.save({"step": 2, "best_step": 0}, 1, write)
"""


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, "-c", KILLED], cwd=tmp_path, env=environment) as process:
        while not (tmp_path / "writing").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    folder = tmp_path / work_dir.key({"a": 1})
    assert [path.name[:11] for path in folder.iterdir() if path.name.startswith(".")] == [".passo-tmp."]
    with work_dir.opened(str(tmp_path), {"a": 1}, keep=2) as task:
        found = task.latest()
        assert found is not None
        assert found.step == 1
        assert sorted(path.name for path in folder.iterdir()) == ["identity.json", "lock", "step-00000001"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 8 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here: that takes root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def of_size(size: int) -> Callable[[Path], object]:
    return lambda folder: (folder / "ckpt-1.data").write_bytes(bytes(size))


def test_a_full_disk_is_one_line_and_the_old_checkpoint_stays(small_disk: Path) -> None:
    with work_dir.opened(str(small_disk), IDENTITY, keep=3) as task:
        task.save(state(1), 3_000_000, of_size(3_000_000))
        task.save(state(2), 3_000_000, of_size(3_000_000))
        with pytest.raises(UserError) as caught:
            task.save(state(3), 6_000_000, of_size(6_000_000))
        free = shutil.disk_usage(small_disk).free / 1e6
        assert caught.value.line() == (
            f"{task.folder}: the disk is full: a checkpoint needs 6.0 MB, {free:.1f} MB are free; "
            "make room and run again: training resumes from the last checkpoint"
        )
        found = task.latest()
        assert found is not None
        assert found.step == 2
        assert names(task.folder) == ["step-00000002"]  # the older one made room, in vain
        task.save(state(4), 3_000_000, of_size(3_000_000))
        task.save(state(5), 3_000_000, of_size(3_000_000))  # only by pruning the second before the third is written
        assert names(task.folder) == ["step-00000004", "step-00000005"]


def test_a_disk_that_fills_while_a_checkpoint_is_written(small_disk: Path) -> None:
    """TensorFlow's writes fail in their own way; the estimate of the size was too low."""
    from detector.model import checkpoints
    from detector.model.tensorflow_env import tf

    with work_dir.opened(str(small_disk), IDENTITY, keep=3) as task:
        task.save(state(1), 1000, of_size(1000))
        large = tf.train.Checkpoint(weights=tf.Variable(tf.random.normal([3_000_000])))
        with pytest.raises(UserError, match=r"the disk is full: a checkpoint needs 0\.0 MB, \d\.\d MB are free"):
            task.save(state(2), 1000, lambda folder: checkpoints.write(large, folder))
        with pytest.raises(UserError, match="the disk is full"):
            task.save(state(3), 1000, of_size(20_000_000))
        found = task.latest()
        assert found is not None
        assert found.step == 1
        assert sorted(path.name for path in task.folder.iterdir()) == ["identity.json", "lock", "step-00000001"]


def test_a_disk_that_is_full_at_the_start(small_disk: Path) -> None:
    with contextlib.suppress(OSError), (small_disk / "others").open("wb") as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(UserError) as caught, work_dir.opened(str(small_disk / "work"), IDENTITY, keep=1):
        pass
    assert ": the disk is full: 0.0 MB are free; make room and run again" in caught.value.line()


def test_a_disk_that_fails_elsewhere_is_one_line_too(tmp_path: Path, small_disk: Path) -> None:
    with (
        pytest.raises(UserError, match=r"disk: the disk is full: 0\.0 MB are free; make room"),
        work_dir.disk_errors(small_disk),
    ):
        (small_disk / "curve.tsv").write_bytes(bytes(9_000_000))
    with pytest.raises(FileNotFoundError), work_dir.disk_errors(tmp_path):
        (tmp_path / "gone").read_text()


def test_a_folder_that_vanishes_while_training_is_one_line(tmp_path: Path) -> None:
    """As by `git clean -fdX`, or an unmounted disk."""
    with pytest.raises(UserError) as caught, work_dir.opened(str(tmp_path / "work"), IDENTITY, keep=1) as task:
        shutil.rmtree(tmp_path / "work")
        task.save(state(1), 10, writes(""))
    remedy = "fix that and run again: training resumes from the last checkpoint"
    assert caught.value.line() == f"{task.folder}: cannot be written to: No such file or directory; {remedy}"


def test_a_quota_is_told_from_a_full_disk(tmp_path: Path) -> None:
    line = f"{tmp_path}: your quota of the disk is used up: a checkpoint needs 6.0 MB; make room and run again: "
    for error in (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), RuntimeError("f; Disk quota exceeded [Op:Save]")):
        with pytest.raises(UserError) as caught, work_dir.disk_errors(tmp_path, 6_000_000):
            raise error
        assert caught.value.line().startswith(line)


def test_a_folder_without_file_locks_is_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(UserError) as caught, work_dir.opened(str(tmp_path), IDENTITY, keep=1):
        pass
    reason = "has no file locks, as network folders may: No locks available"
    assert caught.value.line().endswith(f": {reason}; choose another folder: train.work_dir in params.yaml")


def test_a_state_that_cannot_be_read_removes_no_best(kept: work_dir.Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows which of them it needs."""
    read_text = Path.read_text

    def refuse(path: Path, *arguments: object) -> str:
        if path.parent.name == "step-00000030":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return read_text(path)

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(UserError, match=r"state.json: cannot be written to: Input/output error; fix that and run"):
        kept.save(state(40, 20), 10, writes("step 40 "))
    assert "best-00000020" in names(kept.folder)
