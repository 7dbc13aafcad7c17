"""The work directory on a bucket: uploaded beside training, whole or not at all, by one trainer at a time.

Against a real HTTP server. The checkpoints are small made-up files, but for the slow test at the end.
"""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detector.base import params, paths
from detector.base.errors import UserError
from detector.base.files import TEMPORARY
from detector.checkpointing import mirror, work_dir
from detector.checkpointing.uploader import Timing
from detector.multihost import shared_work_dir
from detector.multihost.cluster import Cluster
from detector.storage import google
from detector.training import identity
from detector.training.params import TrainParams
from tests.detector.training.test_distribution import all_at_once, clusters
from tests.support import tiny
from tests.support.gcs_server import Server
from tests.support.stage import REPOSITORY, run

IDENTITY = {"files": {"train.record": "ab"}, "train": {"steps": 50}}
KEY = work_dir.key(IDENTITY)
URL = f"gs://bkt/work/{KEY}"
TIMING = Timing(
    request=0.6, pause=0.05, next_upload=0.1, renewal=0.1, expiry=2, farewell=6
)  # the server's times are whole seconds
PATIENCE_SECONDS = 20
OTHER_KEY = "0123456789abcdef"


@pytest.fixture
def bucket(gcs: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    for name, value in gcs.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    gcs.create("bkt")
    gcs.put("bkt", f"work/{OTHER_KEY}/step-00000001.json", b"another training's")
    return gcs


def machine(name: str, timing: Timing = TIMING, keep: int = 2) -> Any:
    """The work directory as a machine of that name sees it: what it has locally, nobody else has."""
    return mirror.opened("gs://bkt/work", IDENTITY, keep=keep, timing=timing, local=name)


def content(step: int, kind: str = "step") -> dict[str, str]:
    return {"ckpt-1.index": f"{kind} {step} index", "ckpt-1.data-00000-of-00001": f"{kind} {step} data"}


def writes(step: int, kind: str = "step") -> Callable[[Path], object]:
    return lambda folder: [(folder / name).write_text(text) for name, text in content(step, kind).items()]


def state(step: int, best_step: int = 0) -> dict[str, Any]:
    return {"step": step, "best_step": best_step, "history": [[step, {"loss": 0.25}]]}


def save(task: work_dir.Work, step: int, best_step: int = 0) -> None:
    if step == best_step:
        task.save_best(step, 10, writes(step, "best"))
    task.save(state(step, best_step), 10, writes(step))


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def there(server: Server) -> list[str]:
    """The names of this training's objects."""
    return [name.removeprefix(f"work/{KEY}/") for name in server.read("bkt") if name.startswith(f"work/{KEY}/")]


def manifests(server: Server) -> list[str]:
    return [name for name in there(server) if name.startswith("step-") and "/" not in name]


def keeps(server: Server, *steps: int, **options: Any) -> None:
    """Fill the bucket: a training that has kept these, each with a look that was the best so far."""
    with machine("first", **options) as task:
        for step in steps:
            save(task, step, step)
            wait_for(lambda step=step: f"step-{step:08}.json" in manifests(server))


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != work_dir.STATE}


def check_whole(task: work_dir.Work, step: int, best_step: int) -> None:
    found = task.latest()
    assert found is not None
    assert (found.step, found.state) == (step, state(step, best_step))
    assert read(found.folder) == content(step)
    assert not best_step or read(task.best(best_step)) == content(best_step, "best")


# What is uploaded, and restored.


def test_another_machine_resumes_from_the_bucket(bucket: Server, capsys: pytest.CaptureFixture[str]) -> None:
    keeps(bucket, 10, 20)
    with machine("second") as task:
        check_whole(task, 20, 20)
        here = {path.name for path in task.folder.iterdir()}  # its own upload may be under way, from a folder beside
        assert {name for name in here if not name.startswith(TEMPORARY)} == {
            *("best-00000020", "identity.json", "lock", "step-00000020")
        }
    assert capsys.readouterr().err == f"took step 20 from {URL}: 0.0 MB\n"
    assert json.loads(bucket.read("bkt")[f"work/{KEY}/identity.json"]) == IDENTITY


def history(server: Server) -> list[str]:
    """The names of this training's objects as they were written, one for each time."""
    found = server.store.bucket("bkt")
    versions = [*found.live.values(), *found.noncurrent.values(), *found.soft_deleted.values()]
    names = [str(stored.metadata["name"]) for stored in sorted(versions, key=lambda stored: stored.generation)]
    return [name.removeprefix(f"work/{KEY}/") for name in names if name.startswith(f"work/{KEY}/")]


def test_the_manifest_comes_last_and_what_is_too_much_goes_after_it(bucket: Server) -> None:
    keeps(bucket, 10, 20, 30, keep=2)
    assert [re.sub("-[0-9a-f]{8}/", "/", name) for name in there(bucket) if name[:5] in ("best-", "step-")] == [
        "best-00000020/ckpt-1.data-00000-of-00001",
        "best-00000020/ckpt-1.index",
        "best-00000030/ckpt-1.data-00000-of-00001",
        "best-00000030/ckpt-1.index",
        "step-00000020/ckpt-1.data-00000-of-00001",
        "step-00000020/ckpt-1.index",
        "step-00000020.json",
        "step-00000030/ckpt-1.data-00000-of-00001",
        "step-00000030/ckpt-1.index",
        "step-00000030.json",
    ]
    written = history(bucket)
    for step in (10, 20, 30):
        files = [place for place, name in enumerate(written) if f"-000000{step}-" in name]
        assert len(files) == 4  # each once
        assert max(files) < written.index(f"step-000000{step}.json")
    requests = [f"{method} {path}" for method, path, *_ in bucket.log]
    deleted = [place for place, text in enumerate(requests) if text.startswith("DELETE") and "lease" not in text]
    assert len(deleted) == 5
    assert "step-00000010.json?ifGenerationMatch=" in requests[deleted[0]]
    # Over what was listed, all but the files, whose names stand for their content, and the stamp of the lease.
    unconditional = [text for text in requests if text.startswith(("POST", "DELETE")) and "ifGeneration" not in text]
    assert unconditional == ["POST /upload/storage/v1/b/bkt/o?uploadType=multipart"] * (3 * 4 + 1)
    assert bucket.read("bkt")[f"work/{OTHER_KEY}/step-00000001.json"] == b"another training's"


def test_another_state_of_the_same_step_does_not_send_its_files_again(bucket: Server) -> None:
    with machine("first") as task:
        save(task, 10)
        wait_for(lambda: manifests(bucket))
        task.save_best(10, 10, writes(10, "best"))
        task.save(state(10, 10), 10, writes(99))
    assert sum("step-00000010-" in name for name in history(bucket)) == 2
    with machine("second") as task:
        check_whole(task, 10, 10)


def test_a_checkpoint_that_is_newer_here_stays_and_follows(bucket: Server) -> None:
    keeps(bucket, 10, 20)
    with work_dir.opened("third", IDENTITY, keep=2) as local:
        save(local, 30, 30)
    requests = len(bucket.log)
    with machine("third") as task:
        check_whole(task, 30, 30)
    assert not [path for _, path, *_ in bucket.log[requests:] if "alt=media" in path and "ckpt" in path]
    assert manifests(bucket) == ["step-00000020.json", "step-00000030.json"]


def test_an_older_one_here_gives_way(bucket: Server) -> None:
    with work_dir.opened("third", IDENTITY, keep=2) as local:
        save(local, 5, 5)
    keeps(bucket, 10)
    with machine("third") as task:
        check_whole(task, 10, 10)
        assert not task.step(5).exists()


def test_nothing_is_downloaded_twice_or_written_twice(bucket: Server) -> None:
    keeps(bucket, 10)
    before = history(bucket)
    for _ in range(2):
        with machine("second") as task:
            check_whole(task, 10, 10)
    again = history(bucket)[len(before) :]
    assert set(again) == {"identity.json", "lease.json"}
    assert sum("alt=media" in path and "ckpt-1.data" in path for _, path, *_ in bucket.log) == 2  # step and best


def test_the_end_of_a_training_is_known_elsewhere(bucket: Server) -> None:
    with machine("first") as task:
        save(task, 10, 10)
        save(task, 20, 10)
        task.finish({"code": "ab", "result": "cd"})
    assert manifests(bucket) == ["step-00000020.json"]
    with machine("second") as task:
        assert task.finished() == {"code": "ab", "result": "cd"}
        check_whole(task, 20, 10)


def test_forgetting_removes_what_is_on_the_bucket_and_nothing_else(bucket: Server) -> None:
    keeps(bucket, 10, 20)
    bucket.put("bkt", f"work/{KEY}/notes.txt", b"a user's own")
    with machine("second") as task:
        task.forget()
        assert there(bucket) == ["identity.json", "lease.json", "notes.txt"]
        assert (task.latest(), task.finished()) == (None, None)
    assert f"work/{OTHER_KEY}/step-00000001.json" in bucket.read("bkt")


def test_logs_go_where_the_checkpoints_go(bucket: Server, tmp_path: Path) -> None:
    logs = tmp_path / "logs" / "20261123-120000"
    logs.mkdir(parents=True)
    with machine("first") as task:
        task.watch(logs)
        for step in (10, 20):
            with (logs / "events.out").open("a") as stream:
                stream.write(f"step {step}\n")
            save(task, step)
    assert bucket.read("bkt")[f"work/{KEY}/logs/20261123-120000/events.out"] == b"step 10\nstep 20\n"


def test_logs_follow_a_training_to_another_machine(bucket: Server, tmp_path: Path) -> None:
    """And take the place of what an earlier session has left there; what is not a path below logs/ stays away."""
    bucket.put("bkt", f"work/{KEY}/logs/../../evil", b"x")
    bucket.put("bkt", f"work/{KEY}/logs/now/.hidden/x", b"x")
    logs = tmp_path / "logs" / "now"
    (logs / "train").mkdir(parents=True)
    (logs / "train/events.1").write_text("step 10")
    with machine("first") as task:
        task.watch(logs)
        save(task, 10)
    (tmp_path / "here/now/train").mkdir(parents=True)
    (tmp_path / "here/now/train/events.1").write_text("step 10, step 20")
    with machine("second") as task:
        task.fetch_logs(tmp_path / "here")
        assert (tmp_path / "here/now/train/events.1").read_text() == "step 10, step 20"  # nothing was taken yet
        check_whole(task, 10, 0)
        task.fetch_logs(tmp_path / "here")
    found = [path for path in (tmp_path / "here").rglob("*") if path.is_file()]
    assert [(path.name, path.read_text()) for path in found] == [("events.1", "step 10")]
    assert not (tmp_path / "evil").exists()
    with machine("second") as task:  # it has the checkpoint by now
        task.latest()
        shutil.rmtree(tmp_path / "here")
        task.fetch_logs(tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_logs_that_are_being_written_or_removed_hinder_no_upload(
    bucket: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / f"{TEMPORARY}1").touch()
    (logs / "removed").symlink_to("nowhere")
    (logs / "events").write_text("step 10")
    with machine("first") as task:
        task.watch(logs)
        save(task, 10)
    assert [name for name in there(bucket) if name.startswith("logs/")] == ["logs/logs/events"]
    assert capsys.readouterr().err == ""


def test_a_large_file_goes_in_pieces_and_survives_a_fault_in_one_of_them(bucket: Server) -> None:
    large = os.urandom(20_000_000)
    bucket.fault(path="upload_id", method="PUT", status=503, times=1, after=1)
    bucket.fault(path="upload_id", method="PUT", reset=True, times=1, after=1)
    bucket.fault(path="ckpt-1.data.*alt=media", cut=3_000_000)
    with machine("first", Timing(request=5)) as task:
        task.save(state(1), len(large), lambda folder: (folder / "ckpt-1.data").write_bytes(large))
    assert sum(was_fault for *_, was_fault in bucket.log) == 2
    with machine("second", Timing(request=5)) as task:
        assert task.latest()
        assert (task.step(1) / "ckpt-1.data").read_bytes() == large
    assert sum(was_fault for *_, was_fault in bucket.log) == 3


# What is damaged.


def damage(name: str, content: bytes | None) -> Callable[[Server], object]:
    """Another client replaces the first object whose name matches, or removes it."""

    def act(server: Server) -> None:
        found = next(path for path in there(server) if re.fullmatch(name, path))
        if content is None:
            server.remove("bkt", f"work/{KEY}/{found}")
        else:
            server.put("bkt", f"work/{KEY}/{found}", content)

    return act


def resealed(change: Callable[[dict[str, Any]], object]) -> Callable[[Server], object]:
    """Another client writes a manifest whose digest is right."""

    def act(server: Server) -> None:
        name = f"work/{KEY}/step-00000020.json"
        found = json.loads(server.read("bkt")[name])["content"]
        change(found)
        server.put("bkt", name, json.dumps({"content": found, "sha256": work_dir.digest(found)}).encode())

    return act


def rename(content: dict[str, Any], old: str, new: str) -> None:
    content["parts"][new] = content["parts"].pop(old)


def with_file(name: str) -> Callable[[dict[str, Any]], object]:
    """Another name for a file, sealed as a state is."""

    def change(content: dict[str, Any]) -> None:
        part = content["parts"]["step-00000020"]
        inside = json.loads(part["state"])
        inside["files"][name] = inside["files"].pop("ckpt-1.index")
        part["state"] = work_dir._sealed(inside["files"], inside["state"])

    return change


DAMAGES: dict[str, Callable[[Server], object]] = {
    "step-00000020-[0-9a-f]{8}/ckpt-1.index was replaced": damage("step-00000020-.*index", b"other"),
    "its files are not those of its states": damage("step-00000020-.*index", b"step 20 indeX"),
    "best-00000020-[0-9a-f]{8}/ckpt-1.data-00000-of-00001 is missing": damage("best-00000020-.*data.*", None),
    "is damaged": damage("step-00000020.json", b"{}"),
    "is damaged ": damage("step-00000020.json", b""),
    "is damaged       ": damage("step-00000020.json", b"[" * 100_000),
    "has 5,000,000 bytes, and is none": damage("step-00000020.json", b" " * 5_000_000),
    "is damaged  ": resealed(lambda content: content.update(key=OTHER_KEY)),
    "is damaged   ": resealed(lambda content: content.update(step=21)),
    "is damaged    ": resealed(lambda content: rename(content, "step-00000020", "../../step-00000020")),
    "is damaged     ": resealed(with_file("../ckpt-1.index")),
    "is damaged      ": resealed(lambda content: rename(content, "step-00000020", f"../{OTHER_KEY}/step-00000020")),
    "step-00000020-[0-9a-f]{8}/ckpt-1.data-00000-of-00001 is missing": resealed(
        lambda content: content["parts"]["step-00000020"].update(state=content["parts"]["best-00000020"]["state"])
    ),
}


@pytest.mark.parametrize("reason", DAMAGES)
def test_a_damaged_one_falls_back_to_the_one_before(
    bucket: Server, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    keeps(bucket, 10, 20)
    DAMAGES[reason](bucket)
    with machine("second") as task:
        check_whole(task, 10, 10)
        warning, took = capsys.readouterr().err.splitlines()
        assert re.fullmatch(f"warning: {URL}/step-00000020.json: {reason.strip()}; it is left out", warning)
        assert took.startswith("took step 10 ")
        save(task, 15, 15)
        wait_for(lambda: "step-00000015.json" in manifests(bucket))
    assert "step-00000020.json" not in manifests(bucket)  # it makes way when there is a newer whole one
    with machine("third") as task:
        check_whole(task, 15, 15)


def test_where_all_are_damaged_it_starts_from_scratch(bucket: Server, capsys: pytest.CaptureFixture[str]) -> None:
    keeps(bucket, 10, 20)
    for step in (10, 20):
        damage(f"step-000000{step}-.*data.*", b"other")(bucket)
    with machine("second") as task:
        assert task.latest() is None
        assert capsys.readouterr().err.count("warning: ") == 2
        save(task, 5, 5)
    with machine("third") as task:
        check_whole(task, 5, 5)


def test_what_is_removed_by_hand_is_sent_again(bucket: Server) -> None:
    with machine("first") as task:
        save(task, 10, 10)
        wait_for(lambda: manifests(bucket))
        for name in there(bucket):
            bucket.remove("bkt", f"work/{KEY}/{name}")
        save(task, 20, 10)
    with machine("second") as task:
        check_whole(task, 20, 10)


def test_wherever_an_upload_breaks_off_a_whole_checkpoint_is_there(bucket: Server) -> None:
    """As by a kill: from the n-th request on, nothing comes through; for every n."""
    keeps(bucket, 10)
    before, found = bucket.read("bkt"), []
    for after in range(40):
        with machine(f"second{after}", Timing(request=0.01, next_upload=9, farewell=0)) as task:
            check_whole(task, 10, 10)
            # The copy of step 10 is compared with the bucket by now, or in some rounds its requests would be counted.
            wait_for(lambda task=task: not list(task.folder.glob(f"{TEMPORARY}*")))
            bucket.fault(path="/o", reset=True, times=999, after=after)
            save(task, 20, 20)
        was_broken = any(was_fault for *_, was_fault in bucket.log)
        bucket.clear_faults()
        if "lease.json" in there(bucket):
            bucket.remove("bkt", f"work/{KEY}/lease.json")  # it could not be given back; it would go stale
        with machine(f"third{after}") as task:
            kept = task.latest()
            assert kept
            check_whole(task, kept.step, kept.step)
            found.append(kept.step)
        if not was_broken:
            break
        restore(bucket, before)
    assert found.count(10) >= 6
    assert found.count(20) >= 2
    assert found[-1] == 20


def restore(server: Server, content: dict[str, bytes]) -> None:
    server.log.clear()
    for name in server.read("bkt"):
        server.remove("bkt", name)
    for name, stored in content.items():
        server.put("bkt", name, stored)


# Faults on the way: the bytes are the same afterwards, and nobody hears of it.

FAULTS: dict[str, dict[str, Any]] = {
    "503": {"status": 503, "times": 2},
    "429": {"status": 429, "times": 2},
    "reset": {"reset": True, "times": 2},
    "lost answer": {"lost": True},
    "cut": {"cut": 5},
    "delay": {"delay": 0.3},
}
UPLOADS = (("GET", "prefix="), ("POST", "uploadType"), ("POST", "step-00000020.json"), ("DELETE", "step-00000010.json"))
DOWNLOADS = (("GET", "prefix="), ("GET", "step-00000020.json.*alt=media"), ("GET", "ckpt-1.data.*alt=media"))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_is_survived_in_silence(bucket: Server, fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In a list, an upload, a manifest's, a removal; then in a list, in the download of a manifest and of a file."""
    timing = Timing(request=8, pause=0.05)
    with machine("first", timing, keep=1) as task:
        save(task, 10, 10)
        wait_for(lambda: manifests(bucket))
        for number, (method, path) in enumerate(UPLOADS):
            bucket.fault(path=path, method=method, after=number % 2, **FAULTS[fault])
        save(task, 20, 20)
        wait_for(lambda: manifests(bucket) == ["step-00000020.json"])
    bucket.clear_faults()
    with machine("second", timing) as task:
        for method, path in DOWNLOADS:
            bucket.fault(path=path, method=method, **FAULTS[fault])
        check_whole(task, 20, 20)
    assert sum(was_fault for *_, was_fault in bucket.log) >= 5
    assert capsys.readouterr().err == f"took step 20 from {URL}: 0.0 MB\n"


# A bucket that cannot be used.

UNREACHABLE = f"warning: {URL}: no answer: Connection refused; training continues in first/{KEY}, and uploads follow"


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_server_that_is_dead_at_the_start(bucket: Server, capsys: pytest.CaptureFixture[str]) -> None:
    bucket.stop()
    with machine("first") as task:
        assert task.latest() is None
        save(task, 10, 10)
        time.sleep(1.5)  # several attempts
        bucket.start()
        wait_for(lambda: manifests(bucket))
    assert lines(capsys) == [UNREACHABLE, f"{URL}: can be used again: it has step 10"]
    with machine("second") as task:
        check_whole(task, 10, 10)


def test_a_server_that_dies_and_comes_back(bucket: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with machine("first") as task:
        save(task, 10, 10)
        wait_for(lambda: manifests(bucket))
        bucket.stop()
        for step in (20, 30, 40):
            save(task, step, 10)
            time.sleep(0.5)
        time.sleep(4 * TIMING.request)  # an upload of step 30 that began before must not find the server again
        bucket.start()
        wait_for(lambda: "step-00000040.json" in manifests(bucket))
    assert lines(capsys) == [UNREACHABLE, f"{URL}: can be used again: it has step 40"]
    assert manifests(bucket) == ["step-00000010.json", "step-00000040.json"]  # the newest won


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_server_that_is_dead_at_the_end(bucket: Server, has_ended: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with machine("first") as task:
        save(task, 10, 10)
        wait_for(lambda: manifests(bucket))
        bucket.stop()
        save(task, 20, 20)
        if has_ended:
            task.finish({})
    remedy = (
        "training has ended, and its model is here: make push keeps it"
        if has_ended
        else f"it is saved in first/{KEY}: the next run uploads it"
    )
    what = "the last checkpoint was not uploaded (no answer: Connection refused), its newest is step 10"
    assert [line for line in lines(capsys) if "uploading" not in line] == [
        UNREACHABLE,
        f"warning: {URL}: {what}; {remedy}",
    ]
    bucket.start()
    time.sleep(3.1)  # the lease could not be given back
    with machine("first") as task:
        check_whole(task, 20, 20)
    assert "step-00000020.json" in manifests(bucket)


def test_a_server_that_answers_503_for_ever(bucket: Server, capsys: pytest.CaptureFixture[str]) -> None:
    bucket.fault(path="/o", status=503, times=10_000)
    with machine("first") as task:
        save(task, 10, 10)
    first, *_, last = lines(capsys)
    assert first.startswith(f"warning: {URL}: no answer: 503 ")
    assert first.endswith(f"; training continues in first/{KEY}, and uploads follow")
    assert last.startswith(f"warning: {URL}: the last checkpoint was not uploaded (no answer: 503 ")
    assert "it has none" in last


def test_a_bucket_that_is_ahead_is_not_overwritten(bucket: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """It could not be reached when training began."""
    keeps(bucket, 20, 30)
    bucket.stop()
    with machine("second") as task:
        save(task, 10, 10)
        bucket.start()
        time.sleep(2)
        assert manifests(bucket) == ["step-00000020.json", "step-00000030.json"]
        save(task, 40, 10)
    assert manifests(bucket) == ["step-00000030.json", "step-00000040.json"]
    what = "holds step 30 already: start again to resume from it; until then nothing is uploaded"
    assert lines(capsys).count(f"warning: {URL}: {what}") == 1


def test_a_checkpoint_that_cannot_be_downloaded_is_not_trained_again(bucket: Server) -> None:
    keeps(bucket, 10)
    bucket.fault(path="ckpt.*alt=media", status=503, times=999)
    with pytest.raises(UserError) as caught, machine("second") as task:
        task.latest()
    assert caught.value.line().startswith(f"{URL}/step-00000010.json: exists, but cannot be downloaded: no answer: 503")
    assert not list(Path("second").rglob("step-*"))


def test_no_such_bucket(bucket: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(UserError) as caught,
        mirror.opened("gs://nobucket/work/", IDENTITY, keep=2, timing=TIMING, local="first"),
    ):
        pass
    remedy = "check the name, or create the bucket: make bucket PROJECT=... BUCKET=..."
    assert caught.value.line() == (
        f"gs://nobucket/work/{KEY}: not found: 404 The specified bucket does not exist; {remedy}; "
        "or give a folder: train.work_dir in params.yaml"
    )
    assert list(Path("first").iterdir()) == []


def test_no_access(bucket: Server, capsys: pytest.CaptureFixture[str]) -> None:
    bucket.deny("bkt", "storage.objects.create", "storage.objects.get", "storage.objects.list")
    with pytest.raises(UserError) as caught, machine("first"):
        pass
    assert caught.value.line().startswith(f"{URL}: access denied: 403 ")
    with work_dir.opened("first", IDENTITY, keep=2) as local:
        save(local, 10, 10)
    with machine("first") as task:  # there is something to go on from
        check_whole(task, 10, 10)
        bucket.deny("bkt")
        wait_for(lambda: manifests(bucket))
    first, last = lines(capsys)
    assert first.startswith(f"warning: {URL}: access denied: 403 ")
    assert last == f"{URL}: can be used again: it has step 10"


def test_the_bucket_itself_need_not_be_readable(bucket: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """roles/storage.objectUser has no storage.buckets.get."""
    bucket.deny("bkt", "storage.buckets.get")
    keeps(bucket, 10)
    assert lines(capsys) == []


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught, machine("first"):
        pass
    assert caught.value.line() == (
        f"{URL}: no credentials on this machine; {google.LOGIN}; or give a folder: train.work_dir in params.yaml"
    )


@pytest.mark.parametrize("root", ["gs://", "gs:///work", "gs://Bucket/work", "gs://bkt//work", "gs://bkt/my work"])
def test_no_address(root: str) -> None:
    with pytest.raises(UserError) as caught, mirror.opened(root, IDENTITY, keep=2):
        pass
    assert caught.value.line() == f"params.yaml: train.work_dir: {root} is not an address; give gs://bucket/work"


# Not in the way of training.


def test_training_does_not_wait_for_uploads_and_the_newest_wins(bucket: Server) -> None:
    bucket.fault(path="uploadType", delay=0.3, times=999)
    with machine("first", Timing(request=8)) as task:
        began = time.monotonic()
        for step in range(1, 11):
            save(task, step, step)
            time.sleep(0.1)
        spent = time.monotonic() - began
    assert spent < 5  # a second is ours; ten uploads take twenty
    made = [name for name in history(bucket) if re.fullmatch(r"step-\d+\.json", name)]
    assert len(made) < 5
    assert made[-1] == "step-00000010.json"
    with machine("second", Timing(request=8)) as task:
        check_whole(task, 10, 10)


def test_what_training_removes_is_uploaded_whole_all_the_same(bucket: Server) -> None:
    """With train.keep: 1 the checkpoint that is being uploaded is gone here before it is there."""
    bucket.fault(path="uploadType", delay=0.2, times=999)
    with machine("first", Timing(request=8), keep=1) as task:
        for step in range(1, 8):
            save(task, step, step)
            time.sleep(0.2)
    bucket.clear_faults()
    with machine("second", keep=1) as task:
        check_whole(task, 7, 7)
    assert not [path for path in Path("first", KEY).iterdir() if path.name.startswith(".")]


def test_a_disk_without_room_for_a_copy(
    bucket: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file system without hard links. Training continues, and no part of a copy is left in its way."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    def fill(source: Path, target: Path) -> None:
        Path(target).write_bytes(Path(source).read_bytes()[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    with machine("first") as task:
        with monkeypatch.context() as patch:
            patch.setattr(os, "link", refuse)
            patch.setattr(shutil, "copyfile", fill)
            save(task, 10)
        assert not [path for path in task.folder.iterdir() if path.name.startswith(TEMPORARY)]
        why = "OSError: [Errno 28] No space left on device"
        assert capsys.readouterr().err.startswith(f"warning: {URL}: {why}; training continues in first/{KEY}")
        save(task, 20)
    assert manifests(bucket) == ["step-00000020.json"]


def test_google_cloud_storage_is_imported_for_a_bucket_alone() -> None:
    code = "import sys, stages.train_tpu; print(sorted({'google.cloud.storage', 'requests'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# One trainer at a time.

DEAD = {"id": "ab", "host": "colab", "pid": 17, "since": "2026-11-23 02:00:00 UTC"}


def another(server: Server, **changes: Any) -> None:
    server.put("bkt", f"work/{KEY}/lease.json", json.dumps({**DEAD, **changes}).encode())


def test_a_second_trainer_is_refused(bucket: Server) -> None:
    with machine("first") as task:
        save(task, 10, 10)
        time.sleep(2.5)  # longer than a lease lasts that is not renewed
        with pytest.raises(UserError) as caught, machine("second"):
            pass
        assert re.fullmatch(
            rf"{URL}: this training is running already: process {os.getpid()} on \S+, since [-\d]+ [:\d]+ UTC; wait "
            r"for it, or stop it there; if that machine is gone, run again in [12] s",
            caught.value.line(),
        )
        save(task, 20, 20)
    with machine("second") as task:
        check_whole(task, 20, 20)


def test_a_stale_lease_is_taken_over(bucket: Server) -> None:
    another(bucket)
    with pytest.raises(UserError, match="process 17 on colab, since 2026-11-23 02:00:00 UTC; wait"), machine("first"):
        pass
    time.sleep(3.1)
    with machine("first"):
        assert json.loads(bucket.read("bkt")[f"work/{KEY}/lease.json"])["pid"] == os.getpid()
    assert "lease.json" not in there(bucket)


def test_a_dead_process_of_this_machine_is_not_waited_for(bucket: Server) -> None:
    code = (
        "import time; from detector.checkpointing import mirror\n"
        f"with mirror.opened('gs://bkt/work', {IDENTITY!r}, keep=1, local='dead'): print('open', flush=True); "
        "time.sleep(600)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"open\n"
        with pytest.raises(UserError, match=f"process {process.pid} on "), machine("first", Timing()):
            pass
        process.send_signal(signal.SIGKILL)
    with machine("first", Timing()) as task:
        save(task, 10)


@pytest.mark.parametrize(
    "stored", [b"", b"[]", b"\xff", b'{"pid": "../1", "machine": null}', b"[" * 50_000, b" " * 10**6]
)
def test_a_damaged_lease_goes_stale_like_any_other(bucket: Server, stored: bytes) -> None:
    bucket.put("bkt", f"work/{KEY}/lease.json", stored)
    with pytest.raises(UserError, match="this training is running already"), machine("first"):
        pass
    time.sleep(3.1)
    with machine("first"):
        pass


def test_a_trainer_that_was_taken_over_stops(bucket: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError) as caught, machine("first") as task:
        save(task, 10, 10)
        wait_for(lambda: manifests(bucket))
        another(bucket)
        before = there(bucket)
        wait_for(lambda: "nothing more is uploaded" in capsys.readouterr().err)
        save(task, 20, 20)
    reason = "process 17 on colab, since 2026-11-23 02:00:00 UTC has taken this training over"
    assert caught.value.line() == f"{URL}: {reason}; this one stops; its checkpoints are in first/{KEY}"
    assert there(bucket) == before
    assert json.loads(bucket.read("bkt")[f"work/{KEY}/lease.json"])["host"] == "colab"
    with work_dir.opened("first", IDENTITY, keep=2) as local:
        check_whole(local, 20, 20)


def test_a_lease_that_is_lost_during_an_upload_leaves_no_manifest(bucket: Server) -> None:
    """The other one came while the files went up."""
    with pytest.raises(UserError, match="has taken this training over"), machine("first", Timing(request=8)) as task:
        bucket.fault(path="uploadType", delay=0.5, times=1, after=1)
        save(task, 10, 10)
        wait_for(lambda: any("step-" in name for name in there(bucket)))
        another(bucket)
        time.sleep(1.5)
        save(task, 20, 20)
    assert manifests(bucket) == []


def test_a_lease_that_was_removed_by_hand_is_made_again(bucket: Server) -> None:
    with machine("first") as task:
        bucket.remove("bkt", f"work/{KEY}/lease.json")
        wait_for(lambda: "lease.json" in there(bucket))
        save(task, 10)
    assert manifests(bucket) == ["step-00000010.json"]


# Signals: what is not uploaded yet goes up in the last seconds.

CHILD = f"""
import sys, time
from pathlib import Path
from detector.checkpointing import mirror
from detector.checkpointing.uploader import Timing
from detector.training import stops
with stops.Stops("to go on: dvc repro") as stop:
    timing = Timing(farewell=float(sys.argv[1]))
    with mirror.opened("gs://bkt/work", {IDENTITY!r}, keep=2, timing=timing, local="first") as task:
        stop.farewell = task.leave
        with stop.held():
            task.save({{"step": 1, "best_step": 0}}, 1, lambda folder: (folder / "ckpt-1.index").write_text("whole"))
            stop.saved = "step 1 is saved"
        print("saved", flush=True)
        while True:
            with stop.held():
                time.sleep(0.05)
"""


def child(last: float) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", CHILD, str(last)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "saved\n"
    return process


def test_sigterm_waits_for_the_upload(bucket: Server) -> None:
    bucket.fault(path="uploadType", delay=1.5, after=3)
    process = child(20)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert [line for line in stderr.splitlines() if "stopping" not in line] == [
        f"uploading the last checkpoint to {URL}, for 20 s at most",
        "SIGTERM: stopped; step 1 is saved; to go on: dvc repro",
    ]
    assert manifests(bucket) == ["step-00000001.json"]
    assert "lease.json" not in there(bucket)


def test_sigterm_does_not_wait_longer_than_said(bucket: Server) -> None:
    bucket.fault(path="uploadType", delay=60, times=999, after=3)
    process = child(5)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    assert time.monotonic() - began < 20  # 5 and what the machine takes to end a process; the upload takes 60 or more
    assert process.returncode == 128 + signal.SIGTERM
    assert [line for line in stderr.splitlines() if "stopping" not in line][1:] == [
        f"warning: {URL}: the last checkpoint was not uploaded (5 s are over), it has none; "
        f"it is saved in first/{KEY}: the next run uploads it",
        "SIGTERM: stopped; step 1 is saved; to go on: dvc repro",
    ]


def test_a_second_ctrl_c_does_not_wait_for_the_upload(bucket: Server) -> None:
    bucket.fault(path="uploadType", delay=60, times=999, after=3)
    process = child(20)
    process.send_signal(signal.SIGINT)
    time.sleep(1.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)  # it would have waited for 20
    assert process.returncode == 128 + signal.SIGINT


# What training makes of it.


def test_fresh_forgets_without_a_download(bucket: Server, tmp_path: Path) -> None:
    keeps(bucket, 10)
    tiny.params(tmp_path)
    train = params.load("train", TrainParams)
    with machine("second") as task:
        line = identity.begin(train, task, fresh=True)
        assert line.endswith(f", saves its work in second/{KEY} and {URL}; to watch it: make tensorboard")
        assert manifests(bucket) == []
    assert not any("ckpt" in path for method, path, *_ in bucket.log if method == "GET")
    keeps(bucket, 10)
    with machine("third") as task:
        line = f"resumes from step 10 of {train.steps} in {task.step(10)}; to watch it: make tensorboard"
        assert identity.begin(train, task, fresh=False) == line


def test_all_workers_go_on_from_what_the_chief_took_from_the_bucket(bucket: Server) -> None:
    keeps(bucket, 10)
    chief, other = clusters(2)

    def go_on(own: Cluster) -> Any:
        options: dict[str, Any] = {"start": lambda _: None, "alike": {"code": "a"}, "keep": 2}
        with shared_work_dir.opened(own, "gs://bkt/work", IDENTITY, **options) as task:
            latest = task.latest()
            return type(task).__name__, latest and latest.step, task.folder.as_posix()

    assert all_at_once(go_on, [chief, other]) == [("Mirrored", 10, f".work/{KEY}"), ("Follower", 10, f".work/{KEY}")]


STEPS = {"train.steps": "16", "train.batch_size": "2", "train.eval_every": "8", "train.frozen_blocks": "3"}
ON_BUCKET = {**STEPS, "train.checkpoint_every": "3", "train.work_dir": "gs://bkt/work"}


def copied(source: Path, root: Path, **changes: str) -> Path:
    for folder in ("dataset", "model/pretrained"):
        shutil.copytree(source / folder, root / folder)
    tiny.params(root, **changes)
    return root


def start(root: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "stages.train_tpu"]
    return subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def outputs(root: Path) -> dict[str, bytes]:
    found = [path for folder in (paths.TRAIN, paths.TRAIN_RESULTS) for path in (root / folder).rglob("*")]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found if path.is_file()}


def newest(server: Server) -> int:
    found = (re.fullmatch(r"work/\w+/step-(\d{8})\.json", name) for name in server.read("bkt"))
    return max((int(name[1]) for name in found if name), default=0)


@pytest.mark.slow
def test_a_training_whose_machine_is_gone_ends_in_the_same_bytes(bucket: Server, tmp_path: Path) -> None:
    """SIGKILL, then SIGTERM, each with its folder; then to the end, on a third machine."""
    base = tiny.prepared(tmp_path / "base", **STEPS)
    first = copied(base, tmp_path / "one", **ON_BUCKET)
    with start(first) as process:
        wait_for_long(lambda: newest(bucket) >= 3, process)
        process.kill()
    shutil.rmtree(first)
    kept = newest(bucket)

    second = copied(base, tmp_path / "two", **ON_BUCKET, **{"train.checkpoint_minutes": "0"})
    with start(second) as process:
        wait_for_long(lambda: newest(bucket) > kept, process)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM
    assert f"resumes from step {kept} of 16 in .work/" in out
    assert f"took step {kept} from gs://bkt/work/" in err
    said = re.search(r"SIGTERM: stopped; step (\d+) of 16 is saved", err)
    assert said
    assert newest(bucket) == int(said[1])
    shutil.rmtree(second)

    third = copied(base, tmp_path / "three", **ON_BUCKET)
    done = run("train_tpu", third)
    assert done.returncode == 0, done.stderr
    assert f"resumes from step {said[1]} of 16" in done.stdout
    done = run("train_tpu", base)
    assert done.returncode == 0, done.stderr
    assert outputs(third) == outputs(base)
    assert not [name for name in bucket.read("bkt") if name.endswith("lease.json")]


def wait_for_long(condition: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)


@pytest.mark.slow
def test_a_training_ends_well_though_the_bucket_died(bucket: Server, tmp_path: Path) -> None:
    root = tiny.prepared(tmp_path / "one", **ON_BUCKET)
    with start(root) as process:
        wait_for_long(lambda: newest(bucket) >= 3, process)
        bucket.stop()
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0
    assert err.count("training continues in .work/") == 1
    assert "training has ended, and its model is here: make push keeps it" in err
    assert "Traceback" not in err
    assert (root / paths.TRAIN / "train.json").exists()
