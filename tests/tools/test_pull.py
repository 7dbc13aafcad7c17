"""`make pull` on scratch repositories, with real git and DVC, against a real server."""

import os
import shutil
import stat
import time
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from tests.support.dvc_project import (
    GS,
    HELLO,
    UP_TO_DATE,
    Project,
    committed,
    digest,
    elsewhere,
    experiment,
    folder_list,
    name,
    request,
)
from tests.support.gcs_server import Server
from tests.support.service_account import write_key
from tools.cloud import transfer


def test_a_damaged_object_on_the_remote(project: Project, gcs: Server) -> None:
    project.well("push")
    gcs.put("bucket", name(HELLO), b"hellp")
    clone = project.clone()
    clone.must("dvc", "config", "--local", "remote.store.verify", "false")  # it must not depend on that
    fault = f"damaged on the remote: the md5 of gs://bucket/{name(HELLO)} is {digest(b'hellp')}"
    assert clone.findings("pull") == [f"out/a.txt: {fault}; run: make push, on a machine where it is whole"]
    assert HELLO not in clone.objects()
    assert not (clone.root / "out").exists()
    assert (clone.root / "count.txt").read_text().strip() == "5"

    assert project.pushed().endswith("sent 1")
    assert clone.well("pull").endswith("fetched 1\n")
    assert clone.must("dvc", "repro").splitlines()[-1] == UP_TO_DATE


def test_an_object_that_was_composed_has_no_md5_there(project: Project, gcs: Server) -> None:
    """Its bytes are judged when they come."""
    project.well("push")
    gcs.put("bucket", "part", b"hellp")
    request(gcs, "POST", HELLO, "/compose", sourceObjects=[{"name": "part"}])
    assert "(1 of them without an md5 there: they were not compared)" in project.well("push")
    clone = project.clone()
    (finding,) = clone.findings("pull")
    assert finding.startswith("out/a.txt: damaged on the remote, ") and digest(b"hellp") in finding
    assert HELLO not in clone.objects() and not (clone.root / "out").exists()


def test_what_the_remote_has_lost(project: Project, gcs: Server) -> None:
    """DVC itself takes a folder's list for the sign that the folder's files are there."""
    project.well("push")
    request(gcs, "DELETE", HELLO)
    clone = project.clone()
    fault = f"not on the remote as gs://bucket/{name(HELLO)}; run: make push, on the machine that made it"
    assert clone.findings("pull") == [f"out/a.txt: {fault}"]
    listed = folder_list(project)
    request(gcs, "DELETE", listed)
    assert project.clone("other").findings("pull") == [f"out: {fault.replace(name(HELLO), name(listed))}"]
    assert project.pushed().endswith("sent 2")
    assert clone.well("pull").endswith("fetched 1\n")


def test_a_damaged_file_of_the_cache_is_fetched_again(project: Project) -> None:
    project.well("push")
    clone = project.clone()
    clone.well("pull")
    clone.damage(HELLO, b"HELLO")
    assert clone.well("pull") == f"{GS}: 4 of 4 objects are here and right; fetched 0\n"
    assert HELLO in clone.objects()


def test_what_a_killed_pull_has_left(project: Project) -> None:
    """An object that has come and was not checked, and parts of files, one of which a pull may be writing to."""
    project.well("push")
    clone = project.clone()
    clone.well("pull")
    clone.cached(HELLO).chmod(0o644)
    clone.cached(HELLO).write_bytes(b"hel")
    old, new = (clone.cached(HELLO).with_name(f".{number}.tmp") for number in range(2))
    run = clone.root / ".dvc/cache/runs" / "ab" / ("ab" * 32) / ".2.tmp"
    run.parent.mkdir(parents=True)
    for path in (old, new, run):
        path.write_bytes(b"hel")
    for path in (old, run):
        os.utime(path, (time.time() - 2 * 24 * 3600,) * 2)
    assert clone.well("pull").endswith("fetched 0\n")
    assert HELLO in clone.objects()
    assert stat.S_IMODE(clone.cached(HELLO).stat().st_mode) == 0o444, "DVC would read it each time"
    assert not old.exists() and not run.exists()
    assert new.exists()


def test_why_the_one_missing_object_does_not_come(project: Project, gcs: Server) -> None:
    """DVC copies a single file in another way than several."""
    project.well("push")
    clone = project.clone()
    clone.well("pull")
    clone.cached(HELLO).unlink()
    gcs.fault(path=f"{HELLO[2:]}.*alt=media", status=403, times=99)
    (finding,) = clone.findings("pull")
    assert finding.startswith(f"out/a.txt: not pulled from gs://bucket/{name(HELLO)}: Forbidden: ")
    gcs.clear_faults()
    assert clone.well("pull").endswith("fetched 1\n")


def test_a_part_of_a_file_does_not_stay_under_its_name(tmp_path: Path) -> None:
    """Of a remote whose file system leaves it there, as that of ssh:// does: DVC renames it all the same."""
    name = f"runs/ab/{'ab' * 32}/{'cd' * 32}"

    def break_off(_: str, target: str, **__: object) -> None:
        Path(target).write_bytes(b"ha")
        raise ConnectionResetError("connection lost")

    fs = SimpleNamespace(get_file=break_off, jobs=4, fs=SimpleNamespace(async_impl=False))
    remote = mock.Mock(fs=fs, url="ssh://host/store", path=lambda name: f"/store/{name}")
    faults = transfer.fetch_files(remote, tmp_path, {name: ""})
    assert faults == {name: f"not pulled from ssh://host/store/{name}: connection lost; run: make pull"}
    assert not (tmp_path / name).exists()


def test_what_is_in_the_way_stays(project: Project) -> None:
    project.well("push")
    clone = project.clone()
    (clone.root / "out").mkdir()
    (clone.root / "out/b.txt").write_text("mine")
    (clone.root / "out/notes.txt").write_text("mine too")
    found = [finding.partition("; ")[0] for finding in clone.findings("pull")]
    assert found == [
        f"out/{path}: is not what dvc.lock says, and is stored nowhere else: left as it is"
        for path in ("b.txt", "notes.txt")
    ]
    assert {path.name: path.read_text() for path in (clone.root / "out").iterdir()} == {
        "b.txt": "mine",
        "notes.txt": "mine too",
    }
    assert (clone.root / "count.txt").exists(), "what nothing is in the way of comes"
    shutil.move(clone.root / "out", clone.root / "mine")
    clone.well("pull")
    assert clone.must("dvc", "repro").splitlines()[-1] == UP_TO_DATE


def test_experiments_whose_data_others_keep(project: Project, gcs: Server) -> None:
    """Their names are on the git remote, as the owner of the repository has pushed them; their data is elsewhere."""
    project.well("push")
    before = project.objects()
    experiment(project)
    clone, line = project.clone(), elsewhere("experiment two")
    first = f"{GS}: 4 of 5 objects are here and right; fetched 4"
    assert clone.well("pull").splitlines() == [first, line]
    assert clone.well("push").splitlines() == [f"{GS}: 4 of 5 objects are there and right; sent 0", line]

    (listed,) = (oid for oid in project.objects() - before if oid.endswith(".dir"))
    gcs.put("bucket", name(listed), b"[]")
    (finding,) = clone.findings("pull")
    assert finding.startswith(f"experiment two: out: damaged on the remote: the md5 of gs://bucket/{name(listed)} is ")
    gcs.put("bucket", name(listed), project.cached(listed).read_bytes())
    assert clone.well("pull").splitlines()[1:] == [line]  # a file of it is missing
    request(gcs, "DELETE", HELLO)
    (finding,) = project.clone("other").findings("pull")
    assert finding.startswith("out/a.txt: not on the remote as ")  # which the working tree wants, too


def test_a_commit_comes_without_experiments(project: Project) -> None:
    project.well("push")
    experiment(project)
    clone = project.clone()
    assert clone.well("pull", "--commit=main") == f"{GS}: 4 of 4 objects are here and right; fetched 4\n"
    assert clone.must("git", "for-each-ref", "refs/exps/") == ""


def test_a_damaged_bundle_is_reported_and_sent_again(upstream: Project, gcs: Server) -> None:
    notebook, clone = upstream.clone("notebook"), upstream.clone("elsewhere")
    head = committed(notebook, 3)
    notebook.well("push")
    (bundle,) = (key for key in gcs.read("bucket") if "/commits/" in key)
    whole = gcs.read("bucket")[bundle]
    gcs.put("bucket", bundle, whole[:-100])
    said = clone.refusal("pull", f"--commit={head}")
    assert said.startswith(f"gs://bucket/{bundle}: damaged on the remote")
    assert said.endswith("run: make push, in the clone that has the commit")
    notebook.well("push")
    assert clone.well("pull", f"--commit={head}").startswith(f"at commit {head}")


def test_a_bundle_without_the_commit_that_it_is_named_after(upstream: Project, gcs: Server) -> None:
    notebook, clone = upstream.clone("notebook"), upstream.clone("elsewhere")
    head = committed(notebook, 3)
    notebook.well("push")
    (bundle,) = (key for key in gcs.read("bucket") if "/commits/" in key)
    forged = bundle.replace(head, "1" * 40)
    gcs.put("bucket", forged, gcs.read("bucket")[bundle])
    assert "does not hold the commit that it is named after" in clone.refusal("pull", f"--commit={'1' * 40}")
    other = clone.well("pull", f"--commit={head}")
    assert other.startswith(f"at commit {head}")


def test_what_a_commit_would_overwrite_stays(upstream: Project) -> None:
    notebook, clone = upstream.clone("notebook"), upstream.clone("elsewhere")
    (notebook.root / "notes.txt").write_text("theirs")
    head = committed(notebook, 3)
    notebook.well("push")
    (clone.root / ".git/info/exclude").write_text("notes.txt\n")
    (clone.root / "notes.txt").write_text("mine")
    assert "notes.txt" in clone.refusal("pull", f"--commit={head}")
    (clone.root / "notes.txt").rename(clone.root / "other.txt")
    (clone.root / "dvc.lock").write_text("mine\n")
    assert "dvc.lock" in clone.refusal("pull", f"--commit={head}")
    assert (clone.root / "dvc.lock").read_text() == "mine\n"
    assert clone.must("git", "status", "--porcelain") == " M dvc.lock\n?? other.txt\n"


def test_commits_on_no_branch_become_a_branch(upstream: Project) -> None:
    notebook, clone = upstream.clone("notebook"), upstream.clone("elsewhere")
    head = committed(notebook, 3)
    notebook.well("push")
    clone.well("pull", f"--commit={head}")
    mine = committed(clone, 4)
    said = clone.remote("pull", "--commit=origin/main").stdout
    assert f"what was here, and on no branch, is the branch passo-{mine[:10]} now" in said
    assert clone.must("git", "rev-parse", f"passo-{mine[:10]}").strip() == mine


def test_a_clone_that_knows_no_remote_gets_the_bucket(upstream: Project, gcs: Server) -> None:
    (upstream.root / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (upstream.root / ".dvc/config.local").unlink()
    upstream.commit()
    notebook, clone = upstream.clone("notebook"), upstream.clone("elsewhere")
    assert notebook.refusal("push") == ".dvc/config: names no remote; run: make bucket PROJECT=... BUCKET=..."
    assert notebook.refusal("pull", "--bucket=bukcet").startswith("gs://bukcet: not found: ")
    assert notebook.must("git", "status", "--porcelain") == ""
    notebook.remote("pull", "--bucket=bucket")  # there is nothing to pull yet
    head = committed(notebook, 3)
    notebook.well("push")
    said = clone.well("pull", "--bucket=bucket", f"--commit={head}")
    assert said.startswith(".dvc/config: default remote gcs = gs://bucket/dvc, verify = true\n")
    assert clone.must("dvc", "repro").splitlines()[-1] == UP_TO_DATE
    assert clone.must("git", "status", "--porcelain") == ""
    other = clone.refusal("pull", "--bucket=other")
    assert other.startswith(".dvc/config: the remote gcs is gs://bucket/dvc, not gs://other/dvc; ")


def test_the_bucket_to_pull_from_is_asked_with_the_remote_s_key(project: Project, gcs: Server) -> None:
    key = project.root.parent / "key.json"
    write_key(key, f"{gcs.url}/token")
    (project.root / ".dvc/config.local").write_text(f"['remote \"store\"']\n    credentialpath = {key}\n")
    gcs.fault(path="/token", status=401, times=99)
    assert project.refusal("pull", "--bucket=bucket").startswith("gs://bucket: the credentials are not accepted: ")
    assert {path for _, path, *_ in gcs.log} == {"/token"}


@pytest.mark.parametrize("commit", ["abcdef1", "--help", "HEAD:source", "$(touch pwned)", "*", "é\n"])
def test_a_commit_that_does_not_exist(project: Project, commit: str) -> None:
    said = project.refusal("pull", f"--commit={commit}")
    assert said.startswith("COMMIT: no commit ") and "nor in gs://bucket/dvc/commits; " in said
    assert not (project.root / "pwned").exists()
