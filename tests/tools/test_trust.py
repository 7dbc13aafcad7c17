"""To whom this user's login goes: nobody whom a repository names, and Google for what the user has named.

One server stands for all of https://. It notes for which host each request with a login was meant.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.dvc_project import GS, UP_TO_DATE, Project
from tests.support.gcs_server import Server

STRANGER = "https://localhost:4433"
SECTION = "['remote \"store\"']\n    url = gs://bucket/dvc\n    verify = true\n"
ASK = """
import sys
from detector.base import errors
from tools import bucket, check_data, compare, doctor, pull, push
modules = bucket, check_data, compare, doctor, pull, push
for command in sys.argv[1:]:
    name, *sys.argv[1:] = command.split()
    try:
        errors.run(next(module for module in modules if module.__name__ == f"tools.{name}").main)
    except SystemExit as code:
        print(f"{command}: {code}")
"""
COMMANDS = ("push", "pull", "pull --commit=HEAD", "bucket --check", "doctor", "compare HEAD")


@pytest.fixture
def user(plain: Project, gcs: Server, tmp_path: Path) -> Project:
    """With a login for Google, a bucket that is theirs, and a clone of a repository."""
    gcs.create("bucket")
    environment = {**gcs.google_environment(tmp_path), "PYTHONWARNINGS": "ignore"}
    project = Project(plain.root, {**plain.environment, **environment})
    evaluated = project.root / "results/evaluate"
    evaluated.mkdir(parents=True)
    (evaluated / "detections.csv").write_text("filename\n")
    project.must("dvc", "add", "-q", "results/evaluate")
    project.commit()
    for path in project.root.glob(".dvc/cache/files/md5/*/*"):
        path.unlink()  # of what is compared, too: DVC would fetch it
    return project


def ask(project: Project, *commands: str) -> "subprocess.CompletedProcess[str]":
    """Commands one after the other, in one process: each takes a second to import what it needs."""
    return project.run(sys.executable, "-c", ASK, *commands)


def committed_endpoint(project: Project) -> None:
    with (project.root / ".dvc/config").open("a") as config:
        config.write(f"    endpointurl = {STRANGER}\n")
    project.commit()


def committed_local_configuration(project: Project) -> None:
    (project.root / ".dvc/config.local").write_text(f"['remote \"store\"']\n    endpointurl = {STRANGER}\n")
    project.must("git", "add", "-f", ".dvc/config.local")
    project.commit()


def committed_folder_behind_a_link(project: Project) -> None:
    (project.root / ".dvc").rename(project.root / "settings")
    (project.root / ".dvc").symlink_to("settings")
    (project.root / "settings/config.local").write_text(f"['remote \"store\"']\n    endpointurl = {STRANGER}\n")
    project.must("git", "add", "-f", "settings/config.local", ".dvc")
    project.commit()


def _submodule(project: Project, place: str, *files: str) -> None:
    """A repository of somebody's in this one, whose files set an endpoint."""
    theirs = Project(project.root.parent / "theirs", project.environment)
    theirs.root.mkdir()
    theirs.must("git", "init", "-q")
    for file in files:
        (theirs.root / file).write_text(f"['remote \"store\"']\n    endpointurl = {STRANGER}\n")
    theirs.commit()
    project.must("git", "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(theirs.root), place)


def committed_link_into_a_submodule(project: Project) -> None:
    _submodule(project, "sub", "settings")
    (project.root / ".dvc/config.local").symlink_to("../sub/settings")
    project.must("git", "add", "-f", ".dvc/config.local")
    project.commit()


def link_into_a_submodule(project: Project) -> None:
    _submodule(project, "sub", "config.local")
    for path in (project.root / ".dvc").iterdir():
        path.rename(project.root / "sub" / path.name)
    (project.root / ".dvc").rmdir()
    (project.root / ".dvc").symlink_to("sub")


def committed_link_to_what_git_ignores(project: Project) -> None:
    (project.root / "results/settings").write_text(f"['remote \"store\"']\n    endpointurl = {STRANGER}\n")
    (project.root / ".gitignore").write_text("/results/settings\n")
    (project.root / ".dvc/config.local").symlink_to("../results/settings")
    project.must("git", "add", "-f", ".dvc/config.local")
    project.commit()


def left_endpoint(project: Project) -> None:
    (project.root / ".dvc/config.local").write_text(f"['remote \"store\"']\n    endpointurl = {STRANGER}\n")


def endpoint_that_looks_like_google(project: Project) -> None:
    address = "https://storage.googleapis.com@localhost:4433"
    (project.root / ".dvc/config.local").write_text(f"['remote \"store\"']\n    endpointurl = {address}\n")


def committed_key(project: Project) -> None:
    with (project.root / ".dvc/config").open("a") as config:
        config.write(f"    credentialpath = {project.environment['GOOGLE_APPLICATION_CREDENTIALS']}\n")
    project.commit()


ATTACKS = {
    committed_endpoint: "remote.store.endpointurl: it comes with the repository, and is for each user to set",
    committed_local_configuration: ".dvc/config.local: git tracks it, so that others may have written it",
    committed_folder_behind_a_link: ".dvc/config.local: git tracks it, so that others may have written it",
    committed_link_into_a_submodule: ".dvc/config.local: git tracks it, so that others may have written it",
    link_into_a_submodule: ".dvc/config.local: git tracks it, so that others may have written it",
    committed_link_to_what_git_ignores: ".dvc/config.local: git tracks it, so that others may have written it",
    left_endpoint: f"remote store goes to {STRANGER}, which is neither Google's nor STORAGE_EMULATOR_HOST",
    endpoint_that_looks_like_google: "which is neither Google's nor STORAGE_EMULATOR_HOST, which is not set",
    committed_key: "remote.store.credentialpath: it comes with the repository, and is for each user to set",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_login_goes_where_a_configuration_leads(attack: object, user: Project, gcs: Server) -> None:
    """Not even where the user knows the remote."""
    agree(user, "gs://bucket")
    attack(user)  # type: ignore[operator]
    done = ask(user, *COMMANDS)
    assert gcs.logins == []
    assert gcs.log == [], "nobody was asked at all"
    words = ATTACKS[attack]  # type: ignore[index]
    assert done.stderr.count(words) + done.stdout.count(words) == len(COMMANDS), done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def agree(project: Project, *places: str) -> None:
    state = Path(project.environment["XDG_STATE_HOME"], "passo")
    state.mkdir(parents=True)
    (state / "remotes").write_text("".join(f"{place}\n" for place in places))


def test_a_remote_that_the_user_has_not_named_is_not_asked(user: Project, gcs: Server) -> None:
    done = ask(user, *COMMANDS)
    assert (gcs.logins, gcs.log) == ([], [])
    unknown = "gs://bucket/dvc: .dvc/config names this remote, and you have not used it before; if it is yours, run: "
    assert done.stderr.splitlines()[:4] == [
        f"error: {unknown}make push BUCKET=bucket",
        f"error: {unknown}make pull BUCKET=bucket",
        f"error: {unknown}make pull BUCKET=bucket",
        f"error: {unknown}make bucket-check BUCKET=bucket",
    ]
    assert "remote store: gs://bucket/dvc: not asked, for you have not used it before; if it is yours, " in done.stdout
    assert done.stderr.splitlines()[-1].endswith(
        "not in DVC's cache, and gs://bucket/dvc was not asked: .dvc/config names this remote, and you have not used "
        "it before; if it is yours, run: make pull BUCKET=bucket"
    )


def test_a_remote_that_the_user_names_once_is_used_from_then_on(user: Project, gcs: Server) -> None:
    user.must("dvc", "commit", "-q")
    user.must("dvc", "add", "-q", "results/evaluate")
    done = ask(user, "push --bucket=bucket", "push")
    assert done.stdout.count(f"{GS}: 6 of 6 objects are there and right") == 2, done.stdout + done.stderr
    clone = user.clone()
    done = ask(clone, "compare HEAD", "pull")
    assert f"{GS}: 6 of 6 objects are here and right" in done.stdout, done.stdout + done.stderr
    assert clone.must("dvc", "repro").splitlines()[-1] == UP_TO_DATE
    assert set(gcs.logins) == {"storage.googleapis.com"}
    other = Project(clone.root, {**clone.environment, "XDG_STATE_HOME": str(clone.root / "other")})
    assert "you have not used it before" in ask(other, "push").stderr


def test_what_check_data_says_names_the_remote(user: Project, gcs: Server) -> None:
    done = ask(user, "check_data --remote=1")
    assert (gcs.logins, gcs.log) == ([], [])
    assert done.stderr.endswith("if it is yours, run: make bucket-check BUCKET=bucket\n")
    done = ask(user, "bucket --check --bucket=bucket", "check_data --remote=1")
    assert "you have not used it before" not in done.stderr
    assert set(gcs.logins) == {"storage.googleapis.com"}


def test_the_configuration_of_another_commit_does_not_count(user: Project, gcs: Server) -> None:
    """make compare reads a stranger's branch, and would ask the remote of it."""
    user.must("git", "checkout", "-q", "-b", "theirs")
    committed_endpoint(user)
    user.must("git", "checkout", "-q", "main")
    agree(user, "gs://bucket")
    done = ask(user, "compare theirs")
    assert set(gcs.logins) <= {"storage.googleapis.com"} and "localhost:4433" not in str(gcs.logins)
    assert "neither in DVC's cache nor in its remote" in done.stderr


def test_what_cannot_be_kept_has_to_be_named_each_time(user: Project, gcs: Server) -> None:
    Path(user.environment["XDG_STATE_HOME"]).write_text("a file, where a folder would be needed")
    done = ask(user, "pull --bucket=bucket")
    assert "you have not used it before" not in done.stderr
    assert gcs.logins
    assert "you have not used it before" in ask(user, "pull").stderr


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ("[exp]\n    auto_push = true\n", "exp.auto_push"),
        ("[studio]\n    url = https://localhost\n", "studio.url"),
        ("[core]\n    site_cache_dir = /tmp/x\n", "core.site_cache_dir"),
        ("['remote \"Other\"']\n    url = https://host\n    Password = x\n", "remote.Other.password"),
        ("[hydra]\n    plugins_path = x\n", "hydra.plugins_path"),
    ],
)
def test_what_else_is_for_each_user_to_set(lines: str, name: str, plain: Project) -> None:
    (plain.root / ".dvc/config").write_text(lines)
    said = plain.refusal("push")
    assert said.startswith(f".dvc/config: {name}: it comes with the repository, ")
    command = "remote modify {} Other password" if name.startswith("remote.") else f"config {{}} {name}"
    unset, local = (command.format(option) for option in ("--unset", "--local"))
    assert said.endswith(f"run: dvc {unset}; if you want it: dvc {local} VALUE")


def test_a_value_that_stands_for_another_which_is_not_there(plain: Project) -> None:
    (plain.root / ".dvc/config").write_text("[core]\n    remote = store\n['remote \"store\"']\n    url = gs://%(x)s\n")
    assert plain.refusal("push").startswith('.dvc/config: missing option "x" in interpolation.; fix it, or restore it')
    done = ask(plain, "bucket --check")
    assert done.stderr.startswith('error: .dvc/config: missing option "x" in interpolation.; fix it, or restore it')
    assert done.stderr.count("\n") == 1


def test_a_remote_that_is_no_bucket_is_named_in_the_file(plain: Project, tmp_path: Path) -> None:
    (plain.root / ".dvc/config").write_text(
        "[core]\n    remote = store\n['remote \"store\"']\n    url = https://me:secret@localhost:9/store\n"
    )
    project = Project(plain.root, {**plain.environment, "XDG_STATE_HOME": str(tmp_path / "state")})
    said = project.refusal("push")
    assert said.startswith("https://localhost:9/store: .dvc/config names this remote, and you have not used it before")
    _, _, command = said.partition("run: ")
    subprocess.run(["sh", "-c", command], check=True, env=os.environ)
    done = project.remote("push")
    assert "Connect call failed ('127.0.0.1', 9)" in done.stderr
    assert "secret" not in done.stdout + done.stderr


def test_no_other_user_of_the_machine_writes_what_dvc_unpickles(plain: Project, tmp_path: Path) -> None:
    """DVC's own place for its notes is /var/tmp/dvc, which all may write to."""
    own = {"DVC_SITE_CACHE_DIR": "", "XDG_CACHE_HOME": str(tmp_path / "caches")}
    project = Project(plain.root, {**plain.environment, **own})
    assert project.run(sys.executable, "-m", "tools.check_data").returncode == 0
    folder = tmp_path / "caches/passo/dvc"
    assert list(folder.iterdir()) and folder.stat().st_mode & 0o777 == 0o700
