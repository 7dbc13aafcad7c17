"""`make push`, then `make pull`, on scratch repositories, with real git and DVC, against a real server and folders."""

import json
import random
import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.dvc_project import (
    GS,
    HELLO,
    UP_TO_DATE,
    Project,
    digest,
    experiment,
    folder_list,
    name,
    started,
    with_bucket,
    with_folder,
)
from tests.support.gcs_server import Server
from tests.support.stage import REPOSITORY
from tools.cloud.remote import Remote


def test_there_and_back(project: Project, gcs: Server) -> None:
    assert project.pushed() == f"{GS}: 4 of 4 objects are there and right; sent 4"
    stored = {key: value for key, value in gcs.read("bucket").items() if "/files/" in key}
    assert set(stored) == {name(oid) for oid in project.objects()}
    assert stored[name(HELLO)] == b"hello"
    assert {entry["relpath"] for entry in json.loads(stored[name(folder_list(project))])} == {"a.txt", "b.txt"}

    gcs.log.clear()
    assert project.pushed() == f"{GS}: 4 of 4 objects are there and right; sent 0"
    assert {method for method, *_ in gcs.log} == {"GET"}

    clone = project.clone()
    assert clone.well("pull") == f"{GS}: 4 of 4 objects are here and right; fetched 4\n"
    assert clone.objects() == project.objects()
    assert (clone.root / "out/a.txt").read_text() == "hello"
    runs = [sorted(path.name for path in (p.root / ".dvc/cache/runs").rglob("*")) for p in (project, clone)]
    assert runs[0] == runs[1] and len(runs[0]) == 6  # two stages: prefix, key and value of each
    assert clone.must("dvc", "repro").splitlines()[-1] == UP_TO_DATE
    assert clone.must("git", "status", "--porcelain") == ""


def test_data_of_ones_own(project: Project) -> None:
    """A folder and a file under `dvc add`, with names that are no plain words."""
    (project.root / "pets").mkdir()
    for path in ("pets/a cat's photo; rm.jpg", "pets/ção.jpg", "$(model).bin"):
        (project.root / path).write_text(path)
    project.must("dvc", "add", "-q", "pets", "$(model).bin")
    project.commit()
    project.damage(digest("pets/ção.jpg".encode()), b"x")
    (finding,) = project.findings("push")
    assert finding.startswith("pets/ção.jpg: damaged in the cache") and finding.endswith("then dvc add pets")
    project.cached(digest("pets/ção.jpg".encode())).unlink()
    project.must("dvc", "add", "-q", "pets")
    project.well("push")
    clone = project.clone()
    clone.well("pull")
    for path in ("pets/a cat's photo; rm.jpg", "pets/ção.jpg", "$(model).bin"):
        assert (clone.root / path).read_text() == path


@pytest.mark.long
def test_experiments(project: Project, gcs: Server) -> None:
    experiment(project)
    said = project.well("push")
    assert "not pushed, for there is no git remote: experiments two; run: git remote add origin ADDRESS" in said
    assert name(digest(b"number: 2\n")) not in gcs.read("bucket")

    project.must("git", "init", "-q", "--bare", "../origin.git")
    project.must("git", "remote", "add", "origin", "../origin.git")
    project.must("git", "push", "-q", "origin", "main")
    assert project.well("push") == f"{GS}: 6 of 6 objects are there and right; sent 2\n"  # git has the rest
    assert gcs.read("bucket")[name(digest(b"number: 2\n"))] == b"number: 2\n"

    (project.root / "../origin.git").rename(project.root / "../gone.git")
    (finding,) = project.findings("push")
    assert finding.startswith("experiment two: not on the git remote origin: ")
    clone = project.clone()
    clone.must("git", "remote", "set-url", "origin", "../origin.git")
    assert "not pulled from the git remote origin: experiments (" in clone.well("pull")
    (project.root / "../gone.git").rename(project.root / "../origin.git")
    assert clone.well("pull").endswith("6 of 6 objects are here and right; fetched 2\n")
    clone.must("dvc", "exp", "apply", "two")
    assert (clone.root / "out/b.txt").read_text() == "number: 2\n"


def test_what_cannot_be_done_at_all(project: Project, gcs: Server) -> None:
    began = time.monotonic()
    gcs.deny("bucket", "storage.objects.list")
    assert project.refusal("push").startswith("gs://bucket: access denied: ")
    gcs.deny("bucket")
    gcs.stop()
    assert project.refusal("push").startswith("gs://bucket: no answer: Connection refused; ")
    assert project.refusal("pull").startswith("gs://bucket: no answer: Connection refused; ")
    gcs.start()
    config = project.root / ".dvc/config"
    config.write_text(config.read_text().replace(GS, "gs://no-such-bucket/dvc"))
    assert project.refusal("push").startswith("gs://no-such-bucket: not found: ")
    (project.root / ".dvc/config.local").unlink()
    config.write_text("[core]\n    analytics = false\n")
    assert project.refusal("push") == ".dvc/config: names no remote; run: make bucket PROJECT=... BUCKET=..."
    config.write_text("[core\n")
    assert project.refusal("pull").startswith(".dvc/config: ")
    assert time.monotonic() - began < 60  # dvc alone waits 34 s for a dead server, and shows a traceback
    assert gcs.read("bucket") == {}


def test_nothing_to_push_or_to_pull(tmp_path: Path, gcs: Server) -> None:
    project = with_bucket(started(tmp_path / "project"), gcs)
    assert project.refusal("push") == "dvc.lock: names nothing to push; run: make train"
    assert project.refusal("pull").startswith("dvc.lock: names nothing to pull; ")


def test_a_folder_as_the_remote(plain: Project, tmp_path: Path) -> None:
    store = tmp_path / "disk" / "store"
    with_folder(plain, store)
    assert plain.refusal("push").startswith(f"{store}: does not exist; mount its disk")
    store.parent.mkdir()
    assert plain.pushed() == f"{store}: 4 of 4 objects are there and right; sent 4"
    file = store / "files/md5" / HELLO[:2] / HELLO[2:]
    file.chmod(0o644)
    file.write_bytes(b"hellp")
    clone = plain.clone()
    (finding,) = clone.findings("pull")
    assert finding.startswith(f"out/a.txt: damaged on the remote: the md5 of {file} is {digest(b'hellp')}; ")
    assert HELLO not in clone.objects()
    assert plain.pushed().endswith("sent 1")
    clone.well("pull")
    assert clone.must("dvc", "repro").splitlines()[-1] == UP_TO_DATE


def test_a_remote_of_which_nothing_but_names_is_known(plain: Project, tmp_path: Path) -> None:
    """As ssh:// is: here a folder, seen through DVC's own file system."""
    from dvc.repo import Repo

    with_folder(plain, tmp_path / "store")
    plain.well("push")
    with Repo(str(plain.root)) as repo:
        store = Remote(repo.cloud.get_remote())
    store.refresh()
    assert f"files/md5/{HELLO[:2]}/{HELLO[2:]}" in store.digests
    assert len(store.digests) == 7  # 4 objects, 2 of the run-cache, a commit
    assert store.md5(f"files/md5/{HELLO[:2]}/{HELLO[2:]}") is None


def test_the_project_s_own_pipeline(tmp_path: Path, gcs: Server) -> None:
    """dvc.yaml and params.yaml as they are; what the stages would make is made up, and committed to dvc.lock."""
    project = with_bucket(started(tmp_path / "project", (REPOSITORY / "dvc.yaml").read_text()), gcs)
    shutil.copy(REPOSITORY / "params.yaml", project.root)
    for folder in ("detector", "stages", "model/start"):
        shutil.copytree(REPOSITORY / folder, project.root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    stages = YAML(typ="safe").load((REPOSITORY / "dvc.yaml").read_text())["stages"].values()
    outs = [out for stage in stages for out in [*stage["outs"], *stage.get("metrics", [])]]
    outs += [dep for stage in stages for dep in stage["deps"] if dep.startswith("results/")]  # files in outputs
    for out in [next(iter(out)) if isinstance(out, dict) else out for out in outs]:
        path = project.root / out
        for file in [path] if path.suffix else [path / "train" / "x", path / "test" / "x", path / "label_map.pbtxt"]:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(str(file))
    project.must("dvc", "commit", "-q", "-f")
    project.commit()
    project.well("push")
    clone = project.clone()
    clone.well("pull")
    assert clone.must("dvc", "repro").splitlines()[-1] == UP_TO_DATE
    assert (clone.root / "model/export/label_map.pbtxt").read_text().endswith("model/export/label_map.pbtxt")


FAULTS = {
    "503": [{"status": 503, "times": 3}],
    "429": [{"status": 429, "times": 3}],
    "reset": [{"reset": True, "times": 3}],
    "lost answer": [{"lost": True, "times": 3}],
    "cut": [{"cut": 10, "times": 3}],
    "delay": [{"delay": 1.0, "times": 3}],
}


def filled(project: Project, files: int, large: int) -> None:
    """Photos of random bytes, and a large file; one in 64 ends in 0x0D, which some servers lose."""
    source = random.Random(1)  # noqa: S311
    (project.root / "photos").mkdir()
    for number in range(files):
        tail = b"\r" if number % 64 == 0 else b""
        (project.root / f"photos/{number:04}.jpg").write_bytes(source.randbytes(1000 + number % 500) + tail)
    (project.root / "large").write_bytes(source.randbytes(large))
    project.must("dvc", "add", "-q", "photos", "large")
    project.commit()


def survives(project: Project, gcs: Server, rules: list[dict[str, Any]]) -> None:
    """Both ways under faults of each kind of request: the same bytes there and back."""
    for rule in rules:
        gcs.fault(path="/upload/.*uploadType", after=2, **rule)  # photos, and the beginning of the large file
        gcs.fault(path="upload_id", after=1, **rule)  # its chunks
        gcs.fault(path="/o[?].*prefix", after=1, **{**rule, "times": 1})
    project.well("push")
    hits = [fault for *_, fault in gcs.log].count(True)
    assert hits >= sum(rule["times"] for rule in rules) + 2  # all of the first kind, and some of each other
    gcs.clear_faults()
    for rule in rules:
        gcs.fault(path="alt=media|/download/", after=5, **rule)
    clone = project.clone(f"clone{len(gcs.log)}")
    clone.well("pull")
    assert [fault for *_, fault in gcs.log].count(True) == hits + sum(rule["times"] for rule in rules)
    for path in ("large", *(f"photos/{file.name}" for file in (project.root / "photos").iterdir())):
        assert (clone.root / path).read_bytes() == (project.root / path).read_bytes(), path
    assert clone.must("dvc", "repro").splitlines()[-1] == UP_TO_DATE


@pytest.mark.long
def test_faults_on_the_way(project: Project, gcs: Server) -> None:
    filled(project, 30, 6_000_000)
    survives(project, gcs, [{**rule, "times": 1} for rules in FAULTS.values() for rule in rules])


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_on_the_way_of_a_thousand_files(project: Project, gcs: Server, fault: str) -> None:
    filled(project, 1000, 100_000_000)
    survives(project, gcs, FAULTS[fault])


def stopped_after(gcs: Server, requests: int, kind: str, act: Callable[[], str]) -> str:
    """What it returns, though the server goes away in the midst of it."""

    def watch() -> None:
        while sum(bool(re.search(kind, path)) for _, path, *_ in list(gcs.log)) < requests:
            time.sleep(0.005)
        gcs.stop()

    gcs.log.clear()
    watcher = threading.Thread(target=watch)
    watcher.start()
    result = act()
    watcher.join()
    gcs.start()
    return result


@pytest.mark.slow
def test_a_server_that_dies_in_the_midst(project: Project, gcs: Server) -> None:
    filled(project, 200, 6_000_000)
    began = time.monotonic()
    gone = "gs://bucket: no answer: Connection refused; "
    assert stopped_after(gcs, 20, "/upload/", lambda: project.refusal("push")).startswith(gone)
    assert 0 < len(gcs.read("bucket")) < 200
    project.well("push")
    clone = project.clone()
    assert stopped_after(gcs, 40, "/o/", lambda: clone.refusal("pull")).startswith(gone)
    assert time.monotonic() - began < 180  # gcsfs alone goes on for minutes
    assert len(clone.objects()) < 200
    clone.well("pull")
    assert clone.must("dvc", "repro").splitlines()[-1] == UP_TO_DATE
