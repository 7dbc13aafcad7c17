"""`make pull` on scratch repositories, with real git and DVC, against a real server."""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import stat
import time
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from ruamel.yaml import YAML

from tests.support import disk
from tests.support.dvc_project import (
    GS,
    HELLO,
    LARGE,
    UP_TO_DATE,
    Project,
    committed,
    digest,
    elsewhere,
    experiment,
    folder_list,
    name,
    request,
    started,
    with_folder,
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
    others = clone.root / ".dvc/cache/photos/.mine.tmp"  # the cache may be a whole disk
    others.parent.mkdir()
    for path in (old, new, run, others):
        path.write_bytes(b"hel")
    for path in (old, run, others):
        os.utime(path, (time.time() - 2 * 24 * 3600,) * 2)
    assert clone.well("pull").endswith("fetched 0\n")
    assert HELLO in clone.objects()
    assert stat.S_IMODE(clone.cached(HELLO).stat().st_mode) == 0o444, "DVC would read it each time"
    assert not old.exists() and not run.exists()
    assert new.exists() and others.exists()


def test_a_cache_among_files_of_others(project: Project) -> None:
    """.dvc/config comes with the repository, and may name somebody's home."""
    project.well("push")
    clone = project.clone()
    home = clone.root.parent / "home"
    draft, folder = home / "letters/.draft.tmp", home / ".editor.tmp"
    for path in (draft.parent, folder):
        path.mkdir(parents=True)
    draft.touch()
    for path in (draft, folder):
        os.utime(path, (time.time() - 2 * 24 * 3600,) * 2)
    with (clone.root / ".dvc/config").open("a") as config:
        config.write(f"[cache]\n    dir = {home}\n")
    clone.well("pull")
    assert draft.exists() and folder.exists()


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


@pytest.mark.long
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
    assert "does not hold all of the commit that it is named after" in clone.refusal("pull", f"--commit={'1' * 40}")
    other = clone.well("pull", f"--commit={head}")
    assert other.startswith(f"at commit {head}")


def test_a_bundle_of_a_shallow_clone_breaks_no_repository(upstream: Project, gcs: Server) -> None:
    """As an earlier version of Passo has stored it, or somebody else."""
    clone, notebook = upstream.clone("elsewhere"), Project(upstream.root.parent / "notebook", upstream.environment)
    first = upstream.must("git", "rev-parse", "HEAD").strip()
    for number in (2, 4):  # the second is in the bundle, and the first nowhere
        committed(upstream, number)
    upstream.must("git", "clone", "-q", "--depth=1", f"file://{upstream.root}", str(notebook.root))
    head = committed(notebook, 3)
    bundle = notebook.root / "bundle"
    notebook.must("git", "bundle", "create", "-q", str(bundle), "HEAD")
    gcs.put("bucket", f"dvc/commits/{head}-{digest(bundle.read_bytes())}.bundle", bundle.read_bytes())
    for _ in range(2):  # what the first try may leave does not count as the commit
        said = clone.refusal("pull", f"--commit={head}")
        assert said.startswith(f"gs://bucket/dvc/commits/{head}-"), said
        assert said.endswith("run: make push, in the clone that has the commit")
    assert clone.must("git", "rev-parse", "HEAD").strip() == first
    clone.must("git", "fsck", "--strict")


def test_a_short_name_is_not_looked_for_in_the_bucket(upstream: Project, gcs: Server) -> None:
    """Anyone who may write to it can make a commit with the same first digits: in two minutes, of six."""
    notebook, clone = upstream.clone("notebook"), upstream.clone("elsewhere")
    head = committed(notebook, 3)
    notebook.well("push")
    for short in (head[:7], head[:39], head[1:]):
        said = clone.refusal("pull", f"--commit={short}")
        assert said.startswith(f"COMMIT: no commit {short} here, nor in gs://bucket/dvc/commits, where all 40 digits ")
        assert head not in said, "or it would be copied from there"
    here = clone.must("git", "rev-parse", "HEAD").strip()
    assert "COMMIT" not in clone.remote("pull", f"--commit={here[:7]}").stderr, "what git knows may be short"


def test_of_a_bundle_its_commit_alone_comes(upstream: Project, gcs: Server) -> None:
    """Another one in it would be in this clone from then on, where its first digits are enough."""
    notebook, clone = upstream.clone("notebook"), upstream.clone("elsewhere")
    head = committed(notebook, 3)
    notebook.well("push")
    (bundle,) = (key for key in gcs.read("bucket") if "/commits/" in key)
    (notebook.root / "Makefile").write_text("theirs\n")
    notebook.commit()
    theirs = notebook.must("git", "rev-parse", "HEAD").strip()
    notebook.must("sh", "-c", "git rev-list --objects HEAD | cut -c1-40 | git pack-objects -q --stdout > ../pack")
    content = f"# v2 git bundle\n{head} HEAD\n\n".encode() + (notebook.root.parent / "pack").read_bytes()
    gcs.put("bucket", f"dvc/commits/{head}-{digest(content)}.bundle", content)
    gcs.put("bucket", bundle, b"")
    assert clone.well("pull", f"--commit={head}").startswith(f"at commit {head}")
    assert clone.run("git", "cat-file", "-e", theirs).returncode != 0
    assert clone.refusal("pull", f"--commit={theirs[:7]}").startswith(f"COMMIT: no commit {theirs[:7]} here")
    assert not (clone.root / "Makefile").exists()


# What anyone may write who may write to the bucket.


def poisoned(gcs: Server, entries: object) -> str:
    """A list of files, as an object; returns its md5."""
    content = json.dumps(entries).encode()
    gcs.put("bucket", name(f"{digest(content)}.dir"), content)
    return f"{digest(content)}.dir"


def poisoned_run(gcs: Server, project: Project, path: str, md5: str, **more: object) -> None:
    """A run of the stage `copy` for number 2, as DVC would look for it."""
    project.must("dvc", "exp", "run", "-q", "-S", "number=2", "copy")
    runs = sorted(project.root.glob(".dvc/cache/runs/*/*/*"), key=lambda run: run.stat().st_mtime)
    run = YAML(typ="safe").load(runs[-1])
    run["outs"] = [{"path": path, "hash": "md5", "md5": md5, **more}]
    stream = io.BytesIO()
    YAML(typ="safe").dump(run, stream)
    key = runs[-1].parent.relative_to(project.root / ".dvc/cache")
    gcs.put("bucket", f"dvc/{key}/{hashlib.sha256(stream.getvalue()).hexdigest()}", stream.getvalue())
    project.must("git", "checkout", "-q", ".")
    project.must("dvc", "checkout", "-q")


@pytest.mark.parametrize("attack", ["another path", "outside", "a list of its own", "another list"])
def test_a_run_is_taken_for_the_outputs_of_commits_alone(attack: str, project: Project, gcs: Server) -> None:
    """DVC would put what it names wherever it says."""
    project.well("push")
    clone, escape = project.clone(), [{"relpath": "../escaped", "md5": HELLO}]
    path, md5, more = {
        "another path": ("source", HELLO, {}),
        "outside": ("../escaped", HELLO, {}),
        "a list of its own": ("out", folder_list(project), {"files": escape}),
        "another list": ("out", poisoned(gcs, escape), {}),
    }[attack]
    poisoned_run(gcs, project, path, md5, **more)
    before = {run.name for run in project.root.glob(".dvc/cache/runs/*/*/*")}
    clone.well("pull")
    runs = {run.name for run in clone.root.glob(".dvc/cache/runs/*/*/*")}
    assert len(runs) == 2 and runs < before
    assert list((clone.root / ".dvc/cache").glob(".*")) == []
    assert clone.must("dvc", "repro").splitlines()[-1] == UP_TO_DATE


def test_no_run_gives_the_result_of_another(project: Project, gcs: Server) -> None:
    """That of a commit as that of a run with another number, which nobody has made: DVC would not make it either."""
    project.well("push")
    clone = project.clone()
    poisoned_run(gcs, project, "out", folder_list(project))
    clone.well("pull")
    (clone.root / "params.yaml").write_text("number: 2\n")
    clone.must("dvc", "repro")
    assert (clone.root / "out/b.txt").read_text() == "number: 2\n"


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """That of the working tree, on which DVC's notes are, too: SQLite's words do not get through."""
    project, remote = started(tmp_path / "project", LARGE), tmp_path / "remote"
    remote.mkdir()
    with_folder(project, remote)
    project.must("dvc", "repro", "-q")
    project.commit()
    project.remote("push")
    with disk.small(tmp_path / "disk", "3m") as small:
        project.must("git", "clone", "-q", str(project.root), str(small / "clone"))
        clone = Project(small / "clone", project.environment)
        clone.must("dvc", "cache", "dir", "--local", str(tmp_path / "cache"))
        done = clone.remote("pull")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert re.match("error: disk: (No space left on device|Input/output error); ", done.stderr), "as SQLite has it"


@pytest.mark.parametrize(
    "entry",
    [
        *({"relpath": path, "md5": HELLO} for path in ("../escaped", "a/../../escaped", "/escaped", "a//b", ".", "")),
        {"relpath": "a", "md5": "../../../../escaped"},
        {"relpath": "a"},
    ],
)
def test_a_list_of_a_commit_does_not_reach_out_of_the_project(
    entry: dict[str, str], project: Project, gcs: Server
) -> None:
    """As a branch of somebody's can name it, whose dvc.lock nobody reads."""
    project.well("push")
    gcs.put("bucket", "dvc/files/md5/../../../../escaped", b"x")
    listed = poisoned(gcs, [entry])
    clone = project.clone()
    lock = clone.root / "dvc.lock"
    lock.write_text(lock.read_text().replace(folder_list(project), listed))
    (finding,) = [finding for finding in clone.findings("pull") if finding.startswith("out: ")]
    assert finding.startswith(f"out: damaged on the remote, gs://bucket/dvc/files/md5/{listed[:2]}/{listed[2:]}: ")
    assert not (clone.root / "escaped").exists() and not (clone.root / "out").exists()
    assert not list(clone.root.parent.glob("**/escaped"))


def test_a_lock_that_names_no_object(project: Project) -> None:
    project.well("push")
    clone = project.clone()
    lock = clone.root / "dvc.lock"
    lock.write_text(lock.read_text().replace(folder_list(project), "../../../../escaped"))
    assert clone.refusal("pull").startswith("dvc.lock: '../../../../escaped' is not an md5; ")


def test_an_object_that_is_stored_packed_is_not_unpacked(project: Project, gcs: Server) -> None:
    """DVC would unpack it on its way to the disk, without a limit: 1 MB can be 1 GB."""
    project.well("push")
    gcs.put("bucket", "part", gzip.compress(bytes(2**20)))
    request(gcs, "DELETE", HELLO)
    request(gcs, "POST", HELLO, "/compose", sourceObjects=[{"name": "part"}], destination={"contentEncoding": "gzip"})
    clone = project.clone()
    gcs.log.clear()
    (finding,) = clone.findings("pull")
    assert finding.startswith("out/a.txt: damaged on the remote: the md5 of ")
    assert "is of what is packed by gzip; " in finding
    assert not [target for _, target, *_ in gcs.log if HELLO[2:] in target and "alt=media" in target]


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
    assert said.startswith("COMMIT: no commit ")
    assert "nor in gs://bucket/dvc/commits, where all 40 digits are needed; " in said
    assert not (project.root / "pwned").exists()
