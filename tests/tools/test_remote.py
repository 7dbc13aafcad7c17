"""`make push` and `make pull` on scratch repositories, with real git and DVC, against a real server and folders."""

import contextlib
import hashlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote

import pytest
import requests
from ruamel.yaml import YAML

from detector.base import errors
from tests.support.gcs_server import Server
from tests.support.service_account import write_key
from tests.support.stage import REPOSITORY
from tools import pull, push
from tools.cloud.remote import Remote

PIPELINE = """stages:
  copy:
    cmd: mkdir out && cp source out/a.txt && cp params.yaml out/b.txt
    deps: [source]
    params: [number]
    outs: [out]
  count:
    cmd: wc -c < out/a.txt > count.txt
    deps: [out]
    outs: [count.txt]
"""
CONFIG = "[core]\n    analytics = false\n    remote = store\n['remote \"store\"']\n    url = {url}\n"
GS = "gs://bucket/dvc"
HELLO = "5d41402abc4b2a76b9719d911017c592"  # the md5 of "hello": out/a.txt
UP_TO_DATE = "Data and pipelines are up to date."
IDENTITY = {f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def name(oid: str) -> str:
    """Of an object in the bucket."""
    return f"dvc/files/md5/{oid[:2]}/{oid[2:]}"


def digest(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Project:
    """A scratch repository."""

    root: Path
    environment: dict[str, str]

    def variables(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        site = str(self.root.parent / "site")
        own = {"PATH": path, "PYTHONPATH": str(REPOSITORY), "DVC_SITE_CACHE_DIR": site, "PASSO_GCS_SECONDS": "2"}
        return {**IDENTITY, **own, **self.environment}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.variables()}
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)

    def must(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def remote(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python -m tools.push` or `tools.pull`, in this process: DVC is imported once for all tests."""
        out, err, code = io.StringIO(), io.StringIO(), 0
        with contextlib.chdir(self.root), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                with (
                    mock.patch.dict(os.environ, self.variables()),
                    mock.patch.object(sys, "argv", [command, *arguments]),
                ):
                    errors.run({"push": push.main, "pull": pull.main}[command])
            except SystemExit as exit_:
                code = int(exit_.code or 0)
        return subprocess.CompletedProcess([command, *arguments], code, out.getvalue(), err.getvalue())

    def well(self, *command: str) -> str:
        """What a push or a pull prints that finds all in order."""
        done = self.remote(*command)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout

    def pushed(self) -> str:
        """The first line of a push that finds all in order: what is on the remote."""
        return self.well("push").partition("\n")[0]

    def findings(self, *command: str) -> list[str]:
        """What a push or a pull finds wrong."""
        done = self.remote(*command)
        assert done.returncode == 1, done.stdout + done.stderr
        lines = done.stderr.splitlines()
        assert all(line.startswith("error: ") for line in lines), done.stderr
        return [line.removeprefix("error: ") for line in lines]

    def refusal(self, *command: str) -> str:
        """Why a push or a pull cannot be done: one line."""
        done = self.remote(*command)
        assert (done.returncode, done.stdout) == (2, ""), done.stdout + done.stderr
        assert done.stderr.count("\n") == 1
        return done.stderr.removeprefix("error: ").rstrip()

    def commit(self) -> None:
        self.must("git", "add", "-A")
        self.must("git", "commit", "-qm", "x", "--allow-empty")

    def clone(self, folder: str = "clone") -> "Project":
        target = self.root.parent / folder
        self.must("git", "clone", "-q", str(self.root), str(target))
        if (local := self.root / ".dvc/config.local").exists():
            shutil.copy(local, target / ".dvc/config.local")
        return Project(target, self.environment)

    def cached(self, oid: str) -> Path:
        return self.root / ".dvc/cache/files/md5" / oid[:2] / oid[2:]

    def damage(self, oid: str, content: bytes) -> None:
        """As a disk does it: DVC takes a file of its cache that is read-only for whole."""
        self.cached(oid).chmod(0o644)
        self.cached(oid).write_bytes(content)
        self.cached(oid).chmod(0o444)

    def objects(self) -> set[str]:
        """The objects in the cache; each is what its name says."""
        folder = self.root / ".dvc/cache/files/md5"
        found = {path.parent.name + path.name: path for path in folder.rglob("*") if path.is_file()}
        assert [oid for oid, path in found.items() if digest(path.read_bytes()) != oid.removesuffix(".dir")] == []
        return set(found)


def started(root: Path, pipeline: str = PIPELINE) -> Project:
    """A new repository with a pipeline, not run."""
    root.mkdir(parents=True)
    project = Project(root, {"DVC_NO_ANALYTICS": "1"})
    project.must("git", "init", "-q", "-b", "main")
    project.must("dvc", "init", "-q")
    (root / ".dvc/config").write_text(CONFIG.format(url=GS) + "    verify = true\n")
    (root / "dvc.yaml").write_text(pipeline)
    (root / "params.yaml").write_text("number: 1\n")
    (root / "source").write_text("hello")
    return project


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The pipeline, run and committed: to be copied."""
    project = started(tmp_path_factory.mktemp("made") / "project")
    project.must("dvc", "repro", "-q")
    project.commit()
    return project


@pytest.fixture
def plain(made: Project, tmp_path: Path) -> Project:
    """A copy of it, whose remote is nowhere."""
    shutil.copytree(made.root, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", made.environment)


@pytest.fixture
def project(plain: Project, gcs: Server) -> Project:
    """One with an empty bucket."""
    return with_bucket(plain, gcs)


def with_bucket(project: Project, gcs: Server) -> Project:
    gcs.create("bucket")
    (project.root / ".dvc/config.local").write_text(f"['remote \"store\"']\n    endpointurl = {gcs.url}\n")
    return Project(project.root, gcs.environment())


def with_folder(project: Project, folder: Path) -> None:
    (project.root / ".dvc/config").write_text(CONFIG.format(url=folder))
    project.commit()


def request(gcs: Server, method: str, oid: str, action: str = "", **body: object) -> None:
    url = f"{gcs.url}/storage/v1/b/bucket/o/{quote(name(oid), safe='')}{action}"
    requests.request(method, url, json=body or None, timeout=10).raise_for_status()


def folder_list(project: Project) -> str:
    """The md5 of `out`, by dvc.lock."""
    lock = YAML(typ="safe").load((project.root / "dvc.lock").read_text())
    return str(lock["stages"]["copy"]["outs"][0]["md5"])


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


def test_what_is_not_committed_is_said(project: Project) -> None:
    (project.root / "source").write_text("other")
    project.must("dvc", "repro", "-q")
    last = project.well("push").splitlines()[-1]
    remedy = "git add dvc.lock && git commit -m 'As pushed', then: make push"
    assert last == f"a fresh clone needs these as they are now: {remedy}"


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


def test_a_damaged_file_of_the_cache_is_not_pushed(project: Project, gcs: Server) -> None:
    project.damage(HELLO, b"HELLO")
    (finding,) = project.findings("push")
    path = f".dvc/cache/files/md5/{HELLO[:2]}/{HELLO[2:]}"
    fault = f"damaged in the cache, and not pushed: its md5 is {digest(b'HELLO')}, not {HELLO}"
    assert finding == f"out/a.txt: {fault}; run: rm -f {path}, then dvc repro copy"
    stored = gcs.read("bucket")
    assert name(HELLO) not in stored
    assert name(folder_list(project)) not in stored, "its folder would look complete"
    assert len([key for key in stored if "/files/" in key]) == 2

    project.cached(HELLO).unlink()
    assert project.findings("push") == [
        "out/a.txt: neither in the cache nor on the remote; run: dvc repro copy, then make push"
    ]
    project.must("dvc", "repro", "copy")
    assert project.pushed().endswith("sent 2")


def test_a_damaged_file_of_the_cache_comes_anew(project: Project) -> None:
    project.well("push")
    clone = project.clone()
    clone.well("pull")
    clone.damage(HELLO, b"HELLO")
    assert clone.well("pull") == f"{GS}: 4 of 4 objects are here and right; fetched 0\n"
    assert HELLO in clone.objects()


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


def experiment(project: Project, number: int = 2, name: str = "two") -> None:
    """One; the working tree is the last commit's again."""
    project.must("dvc", "exp", "run", "-q", "-S", f"number={number}", "-n", name)
    project.must("git", "checkout", "-q", ".")
    project.must("dvc", "checkout", "-q")


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


def test_experiments_whose_data_others_keep(project: Project, gcs: Server) -> None:
    """Their names are on the git remote, as the owner of the repository has pushed them; their data is elsewhere."""
    project.well("push")
    before = project.objects()
    experiment(project)
    clone, told = project.clone(), elsewhere("experiment two")
    first = f"{GS}: 4 of 5 objects are here and right; fetched 4"
    assert clone.well("pull").splitlines() == [first, told]
    assert clone.well("push").splitlines() == [f"{GS}: 4 of 5 objects are there and right; sent 0", told]

    (listed,) = (oid for oid in project.objects() - before if oid.endswith(".dir"))
    gcs.put("bucket", name(listed), b"[]")
    (finding,) = clone.findings("pull")
    assert finding.startswith(f"experiment two: out: damaged on the remote: the md5 of gs://bucket/{name(listed)} is ")
    gcs.put("bucket", name(listed), project.cached(listed).read_bytes())
    assert clone.well("pull").splitlines()[1:] == [told]  # a file of it is missing
    request(gcs, "DELETE", HELLO)
    (finding,) = project.clone("other").findings("pull")
    assert finding.startswith("out/a.txt: not on the remote as ")  # which the working tree wants, too


def elsewhere(name: str) -> str:
    remedy = "run: make push, on the machine that has it"
    return f"neither here nor on {GS} is all the data of {name}; {remedy}"


def test_a_commit_comes_without_experiments(project: Project) -> None:
    project.well("push")
    experiment(project)
    clone = project.clone()
    assert clone.well("pull", "--commit=main") == f"{GS}: 4 of 4 objects are here and right; fetched 4\n"
    assert clone.must("git", "for-each-ref", "refs/exps/") == ""


@pytest.fixture
def upstream(project: Project) -> Project:
    """Somebody else's repository, which can be cloned."""
    return project.clone("upstream")


def committed(project: Project, number: int) -> str:
    """A run whose results are committed, on top of what was there; returns the commit."""
    project.must("dvc", "exp", "run", "-q", "-S", f"number={number}")
    project.commit()
    return project.must("git", "rev-parse", "HEAD").strip()


def test_a_git_remote_that_takes_nothing(upstream: Project, gcs: Server) -> None:
    """As of a notebook, whose disk goes with its session: the commit is on the remote, beside its data."""
    notebook, clone = upstream.clone("notebook"), upstream.clone("elsewhere")
    upstream.root.rename(upstream.root / "../closed")
    head = committed(notebook, 3)
    first, kept = notebook.well("push").splitlines()  # the experiment is in the commit
    assert first == f"{GS}: 4 of 4 objects are there and right; sent 4"
    assert kept == f"no git remote has the last commit, so it is there as well; anywhere: make pull COMMIT={head}"
    (bundle,) = (key for key in gcs.read("bucket") if "/commits/" in key)
    assert bundle == f"dvc/commits/{head}-{digest(gcs.read('bucket')[bundle])}.bundle"
    gcs.log.clear()
    assert notebook.well("push").splitlines()[-1] == kept
    assert {method for method, *_ in gcs.log} == {"GET"}  # it is there

    experiment(notebook, 5, "five")
    (finding,) = notebook.findings("push")
    assert finding.startswith("experiment five: not on the git remote origin: ")
    shutil.rmtree(notebook.root)
    said = clone.well("pull", f"--commit={head[:10]}")
    assert said.startswith(f"at commit {head}, on no branch; back: git switch -\n")
    assert clone.must("git", "rev-parse", "HEAD").strip() == head
    assert (clone.root / "out/b.txt").read_text() == "number: 3\n"
    assert clone.must("dvc", "repro").splitlines()[-1] == UP_TO_DATE


def rerun(project: Project, number: int) -> None:
    """A run whose results are not committed."""
    (project.root / "params.yaml").write_text(f"number: {number}\n")
    project.must("dvc", "repro", "-q")


def test_the_last_commit_s_data_goes_along(upstream: Project) -> None:
    """Though a newer run has taken its place in the working tree."""
    notebook, clone = upstream.clone("notebook"), upstream.clone("elsewhere")
    head = committed(notebook, 3)
    rerun(notebook, 4)
    first, kept, last = notebook.well("push").splitlines()
    assert first == f"{GS}: 6 of 6 objects are there and right; sent 6"
    assert kept.endswith(f"make pull COMMIT={head}")
    assert last.endswith("git add dvc.lock params.yaml && git commit -m 'As pushed', then: make push")
    shutil.rmtree(notebook.root)
    clone.well("pull", f"--commit={head}")
    assert (clone.root / "out/b.txt").read_text() == "number: 3\n"
    assert clone.must("dvc", "repro").splitlines()[-1] == UP_TO_DATE


def test_a_commit_whose_data_is_nowhere_is_not_promised(upstream: Project) -> None:
    notebook, lost = upstream.clone("notebook"), digest(b"number: 3\n")
    rerun(notebook, 3)
    notebook.commit()
    head = notebook.must("git", "rev-parse", "HEAD").strip()
    rerun(notebook, 4)
    notebook.damage(lost, b"x")
    assert "COMMIT=" not in notebook.remote("push").stdout
    (finding,) = notebook.findings("push")
    assert finding.startswith(f"commit {head[:10]}: out/b.txt: damaged in the cache, and not pushed: ")
    notebook.cached(lost).unlink()
    _, told, to_do = notebook.well("push").splitlines()
    assert told == elsewhere(f"commit {head[:10]}")
    assert to_do.endswith("then: make push")
    notebook.commit()
    assert "make pull COMMIT=" in notebook.well("push")


def test_a_commit_that_names_no_data_is_not_promised(tmp_path: Path, gcs: Server) -> None:
    project = with_bucket(started(tmp_path / "project"), gcs)
    project.commit()
    project.must("dvc", "repro", "-q")
    _, to_do = project.well("push").splitlines()
    assert to_do == (
        "a fresh clone needs these as they are now: git add dvc.lock && git commit -m 'As pushed', then: make push"
    )
    project.commit()
    head = project.must("git", "rev-parse", "HEAD").strip()
    assert project.well("push").endswith(f"make pull COMMIT={head}\n")


def test_a_damaged_bundle_is_told_and_sent_again(upstream: Project, gcs: Server) -> None:
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


def test_commits_on_no_branch_are_kept_as_one(upstream: Project) -> None:
    notebook, clone = upstream.clone("notebook"), upstream.clone("elsewhere")
    head = committed(notebook, 3)
    notebook.well("push")
    clone.well("pull", f"--commit={head}")
    mine = committed(clone, 4)
    said = clone.remote("pull", "--commit=origin/main").stdout
    assert f"what was here, and on no branch, is the branch passo-{mine[:10]} now" in said
    assert clone.must("git", "rev-parse", f"passo-{mine[:10]}").strip() == mine


def test_a_clone_that_knows_no_remote_is_told_the_bucket(upstream: Project, gcs: Server) -> None:
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
def test_a_commit_that_is_not_there(project: Project, commit: str) -> None:
    said = project.refusal("pull", f"--commit={commit}")
    assert said.startswith("COMMIT: no commit ") and "nor in gs://bucket/dvc/commits; " in said
    assert not (project.root / "pwned").exists()


def test_an_experiment_that_knows_no_remote(project: Project, gcs: Server) -> None:
    """`dvc exp push` sends nothing of one that was made before .dvc/config was committed, and says nothing."""
    config = (project.root / ".dvc/config").read_text()
    local = (project.root / ".dvc/config.local").rename(project.root / "../config.local")
    (project.root / ".dvc/config").write_text("[core]\n    analytics = false\n")
    project.commit()
    project.must("dvc", "exp", "run", "-q", "-S", "number=2", "-n", "two")
    project.must("git", "checkout", "-q", ".")
    project.must("dvc", "checkout", "-q")
    (project.root / ".dvc/config").write_text(config)
    local.rename(project.root / ".dvc/config.local")
    project.must("git", "init", "-q", "--bare", "../origin.git")
    project.must("git", "remote", "add", "origin", "../origin.git")
    assert "git add .dvc/config" in project.well("push")
    assert name(digest(b"number: 2\n")) in gcs.read("bucket")


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
    assert project.refusal("pull").startswith("DVC: ")
    assert time.monotonic() - began < 60  # dvc alone waits 34 s for a dead server, and shows a traceback
    assert gcs.read("bucket") == {}


def test_nothing_to_push_or_to_pull(tmp_path: Path, gcs: Server) -> None:
    project = with_bucket(started(tmp_path / "project"), gcs)
    assert project.refusal("push") == "dvc.lock: names nothing to push; run: make train"
    assert project.refusal("pull").startswith("dvc.lock: names nothing to pull; ")


def test_what_has_a_remote_of_its_own_is_left_to_dvc(project: Project) -> None:
    (project.root / "secret").write_text("x")
    project.must("dvc", "add", "-q", "secret")
    with (project.root / "secret.dvc").open("a") as file:
        file.write("  remote: other\n")
    assert project.findings("push") == ["secret: has its own remote, or is stored as DVC 2 did; run: dvc push secret"]


def test_an_account_that_may_not_write(project: Project, gcs: Server) -> None:
    gcs.deny("bucket", "storage.objects.create")
    found = project.findings("push")
    assert all("storage.objects.create" in finding and "http" not in finding for finding in found)
    paths = {finding.partition(":")[0] for finding in found}
    assert {"out/a.txt", "out/b.txt", "count.txt"} <= paths and "out" not in paths
    assert len(found) == 6  # and two of the run-cache, and the commit


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
    for folder in ("detector", "stages"):
        shutil.copytree(REPOSITORY / folder, project.root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    stages = YAML(typ="safe").load((REPOSITORY / "dvc.yaml").read_text())["stages"].values()
    outs = [out for stage in stages for out in [*stage["outs"], *stage.get("metrics", [])]]
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


def test_faults_on_the_way(project: Project, gcs: Server) -> None:
    filled(project, 30, 6_000_000)
    survives(project, gcs, [{**rule, "times": 1} for rules in FAULTS.values() for rule in rules])


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_on_the_way_of_a_thousand_files(project: Project, gcs: Server, fault: str) -> None:
    filled(project, 1000, 100_000_000)
    survives(project, gcs, FAULTS[fault])


def stopped_after(gcs: Server, requests: int, kind: str, act: Callable[[], object]) -> None:
    """The server goes away in the midst of it."""

    def watch() -> None:
        while sum(bool(re.search(kind, path)) for _, path, *_ in list(gcs.log)) < requests:
            time.sleep(0.005)
        gcs.stop()

    gcs.log.clear()
    watcher = threading.Thread(target=watch)
    watcher.start()
    act()
    watcher.join()
    gcs.start()


@pytest.mark.slow
def test_a_server_that_dies_in_the_midst(project: Project, gcs: Server) -> None:
    filled(project, 200, 6_000_000)
    began = time.monotonic()
    gone = "gs://bucket: no answer: Connection refused; "
    stopped_after(gcs, 20, "/upload/", lambda: project.refusal("push").startswith(gone))
    assert 0 < len(gcs.read("bucket")) < 200
    project.well("push")
    clone = project.clone()
    stopped_after(gcs, 40, "/o/", lambda: clone.refusal("pull").startswith(gone))
    assert time.monotonic() - began < 180  # gcsfs alone goes on for minutes
    assert len(clone.objects()) < 200
    assert list((clone.root / ".dvc/cache").glob(".passo-tmp.*")) == []
    clone.well("pull")
    assert clone.must("dvc", "repro").splitlines()[-1] == UP_TO_DATE
