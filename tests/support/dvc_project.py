"""Scratch repositories with real git and DVC, for the tests of `make push` and `make pull`."""

import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock
from urllib.parse import quote

import requests
from ruamel.yaml import YAML

from detector.base import errors
from tests.support.gcs_server import Server
from tests.support.stage import REPOSITORY
from tools import check_data, pull, push

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
LARGE = """\
stages:
  make:
    cmd: mkdir out && seq 300000 > out/a && seq 200001 > out/b && cp params.yaml out/c
    params: [number]
    outs: [out]
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
        """`python -m tools.push`, pull or check_data, in this process: DVC is imported once for all tests."""
        out, err, code = io.StringIO(), io.StringIO(), 0
        with contextlib.chdir(self.root), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                with (
                    mock.patch.dict(os.environ, self.variables()),
                    mock.patch.object(sys, "argv", [command, *arguments]),
                ):
                    errors.run({"push": push.main, "pull": pull.main, "check_data": check_data.main}[command])
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
        """The objects in the cache; each is what its name says. DVC calls a file .tmp until all of it has come."""
        folder = self.root / ".dvc/cache/files/md5"
        files = {path.parent.name + path.name: path for path in folder.rglob("*") if path.is_file()}
        objects = {oid: path for oid, path in files.items() if path.suffix != ".tmp"}
        assert [oid for oid, path in objects.items() if digest(path.read_bytes()) != oid.removesuffix(".dir")] == []
        return set(objects)


def started(root: Path, pipeline: str = PIPELINE, inside: Path | None = None) -> Project:
    """A new repository with a pipeline, not run; or a folder `inside` a new repository, with one."""
    root.mkdir(parents=True)
    project = Project(root, {"DVC_NO_ANALYTICS": "1"})
    project.must("git", "init", "-q", "-b", "main", str(inside or root))
    project.must("dvc", "init", "-q", *(["--subdir"] if inside else []))
    (root / ".dvc/config").write_text(CONFIG.format(url=GS) + "    verify = true\n")
    (root / "dvc.yaml").write_text(pipeline)
    (root / "params.yaml").write_text("number: 1\n")
    (root / "source").write_text("hello")
    return project


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


def experiment(project: Project, number: int = 2, name: str = "two") -> None:
    """One; the working tree is the last commit's again."""
    project.must("dvc", "exp", "run", "-q", "-S", f"number={number}", "-n", name)
    project.must("git", "checkout", "-q", ".")
    project.must("dvc", "checkout", "-q")


def committed(project: Project, number: int) -> str:
    """A run whose results are committed, on top of what was there; returns the commit."""
    project.must("dvc", "exp", "run", "-q", "-S", f"number={number}")
    project.commit()
    return project.must("git", "rev-parse", "HEAD").strip()


def rerun(project: Project, number: int) -> None:
    """A run whose results are not committed."""
    (project.root / "params.yaml").write_text(f"number: {number}\n")
    project.must("dvc", "repro", "-q")


def elsewhere(name: str) -> str:
    remedy = "run: make push, on the machine that has it"
    return f"neither here nor on {GS} is all the data of {name}; {remedy}"
