"""`make check-data` on scratch repositories, with real git and DVC, against a real server."""

import shutil
from pathlib import Path

import pytest

from tests.support.dvc_project import (
    GS,
    HELLO,
    Project,
    committed,
    digest,
    experiment,
    folder_list,
    name,
    request,
    rerun,
    started,
    with_folder,
)
from tests.support.faults import tree
from tests.support.gcs_server import Server

PATH = f".dvc/cache/files/md5/{HELLO[:2]}/{HELLO[2:]}"
DAMAGE = f"its md5 is {digest(b'HELLO')}, not {HELLO}"


def cache(project: Project) -> Path:
    return project.root / ".dvc/cache"


def test_all_is_right_and_nothing_is_changed(project: Project, gcs: Server) -> None:
    project.well("push")
    before = tree(project.root)
    gcs.log.clear()
    assert project.well("check_data", "--remote=1").splitlines() == [
        f"{cache(project)}: 4 right, 0 damaged and 0 missing of 4 objects",
        f"{GS}: 4 right, 0 damaged and 0 missing of 4 objects",
    ]
    assert {method for method, *_ in gcs.log} == {"GET"}
    assert "alt=media" not in "".join(str(entry) for entry in gcs.log), "nothing is downloaded"
    after = tree(project.root)
    assert {path for path in after if after[path] != before.get(path)} == {".dvc/tmp/passo-checked.json"}


def test_what_is_damaged_or_missing_and_where_it_can_come_from(project: Project, gcs: Server) -> None:
    project.well("push")
    project.damage(HELLO, b"HELLO")
    assert project.remote("check_data").stdout == (f"{cache(project)}: 3 right, 1 damaged and 0 missing of 4 objects\n")
    fault = f"out/a.txt: damaged ({DAMAGE}) in {cache(project)}"
    assert project.findings("check_data") == [f"{fault}; the working tree has it: rm -f {PATH}, then dvc commit copy"]
    assert project.findings("check_data", "--remote=1") == [f"{fault}; the remote has it: make pull"]
    (project.root / "out/a.txt").chmod(0o644)
    (project.root / "out/a.txt").write_text("changed")
    unknown = "make check-data REMOTE=1 tells whether the remote has it; else: "
    assert project.findings("check_data") == [f"{fault}; {unknown}rm -f {PATH}, then dvc repro copy"]
    request(gcs, "DELETE", HELLO)
    assert project.findings("check_data", "--remote=1") == [
        f"{fault}, missing in {GS}; neither has it: rm -f {PATH}, then dvc repro copy"
    ]


def test_nothing_is_made_again_that_the_working_tree_has(project: Project) -> None:
    """`dvc repro` would remove it, and train for hours."""
    listed, made = project.cached(folder_list(project)), (project.root / "out/a.txt").stat().st_mtime_ns
    listed.unlink()
    (finding,) = project.findings("check_data")
    assert "; the working tree has it: rm -f " in finding, finding
    project.must("sh", "-c", finding.rpartition(", then ")[2])
    assert listed.exists() and (project.root / "out/a.txt").stat().st_mtime_ns == made
    project.well("check_data")


def test_what_the_remote_has_lost_or_damaged(project: Project, gcs: Server) -> None:
    project.well("push")
    gcs.put("bucket", name(HELLO), b"hellp")
    request(gcs, "DELETE", digest(b"number: 1\n"))
    assert sorted(project.findings("check_data", "--remote=1")) == [
        f"out/a.txt: damaged (its md5 is {digest(b'hellp')}) in {GS}; the cache has it: make push",
        f"out/b.txt: missing in {GS}; the cache has it: make push",
    ]
    assert project.pushed().endswith("sent 2")
    project.well("check_data", "--remote=1")


def test_an_object_without_an_md5_is_not_called_right(project: Project, gcs: Server) -> None:
    project.well("push")
    gcs.put("bucket", "part", b"hello")
    request(gcs, "POST", HELLO, "/compose", sourceObjects=[{"name": "part"}])
    last = project.well("check_data", "--remote=1").splitlines()[-1]
    assert last.endswith(" of 4 objects; 1 of them have no md5 there: not compared")


def test_a_clone_without_its_data(project: Project) -> None:
    project.well("push")
    clone = project.clone()
    assert sorted(clone.findings("check_data", "--remote=1")) == [
        f"{path}: missing in {cache(clone)}; the remote has it: make pull" for path in ("count.txt", "out")
    ]


@pytest.mark.long
def test_older_commits_and_experiments_are_checked_too(project: Project) -> None:
    second = committed(project, 2)
    committed(project, 3)
    experiment(project, 4, "four")
    rerun(project, 5)
    project.damage(digest(b"number: 1\n"), b"x")
    project.damage(digest(b"number: 4\n"), b"x")
    project.cached(digest(b"number: 2\n")).unlink()
    done = project.remote("check_data")
    first = project.must("git", "rev-parse", "HEAD~2").strip()
    assert done.stdout.splitlines() == [
        f"{cache(project)}: 9 right, 2 damaged and 1 missing of 12 objects",
        f"not here: 1 object of commit {second[:10]}",
    ]
    lines = sorted(done.stderr.splitlines())
    assert lines[0].startswith(f"error: commit {first[:10]}: out/b.txt: damaged (")
    assert lines[0].endswith(f"then git switch --detach {first[:10]}, then dvc repro")
    assert lines[1].startswith("error: experiment four: out/b.txt: damaged (")
    assert lines[1].endswith("then dvc exp apply four, then dvc repro")
    assert len(lines) == 2


def test_what_is_to_be_pasted_runs_nothing_else(plain: Project) -> None:
    """An experiment's name comes from its git remote, the cache's folder with the repository."""
    experiment(plain, 4, "four")
    ref = plain.must("git", "for-each-ref", "--format=%(refname)", "refs/exps/*/*/four").strip()
    hostile = ref.removesuffix("four") + "x;touch${IFS}pwned"
    plain.must("git", "update-ref", hostile, ref)
    plain.must("git", "update-ref", "-d", ref)
    plain.damage(digest(b"number: 4\n"), b"x")
    (line,) = plain.findings("check_data")
    assert line.endswith("then dvc exp apply 'x;touch${IFS}pwned', then dvc repro")
    (plain.root / ".dvc/cache").rename(plain.root / "x; touch pwned")
    with (plain.root / ".dvc/config").open("a") as config:
        config.write("[cache]\n    dir = '../x; touch pwned'\n")
    (line,) = plain.findings("check_data")
    assert "rm -f 'x; touch pwned/files/md5/" in line


def test_a_lock_that_is_nested_too_deeply(plain: Project) -> None:
    (plain.root / "dvc.lock").write_text("schema: '2.0'\nstages: " + "[" * 3000 + "\n")
    assert plain.refusal("check_data") == "DVC: its files are nested too deeply; restore them: git checkout dvc.lock"


def test_notes_that_cannot_be_read_are_written_anew(plain: Project) -> None:
    (plain.root / ".dvc/tmp/passo-checked.json").write_text("[" * 100_000)
    assert ": 4 right, 0 damaged and 0 missing of 4 objects" in plain.well("check_data")


def test_it_goes_on_where_it_stopped(project: Project) -> None:
    """One object at least is read each time, those first of which nobody knows whether they are right."""
    project.damage(HELLO, b"HELLO")
    runs = [project.remote("check_data", "--minutes=1e-9") for _ in range(4)]
    assert [run.stdout.endswith("4 objects; 3 are left: run make check-data again\n") for run in runs] == [True] * 4
    assert any(run.returncode for run in runs)
    for _ in range(3):
        assert len(project.findings("check_data", "--minutes=1e-9")) == 1


def test_a_remote_that_is_a_folder_is_read(plain: Project, tmp_path: Path) -> None:
    store = tmp_path / "mnt/store"
    store.parent.mkdir()
    with_folder(plain, store)
    plain.well("push")
    path = store / "files/md5" / HELLO[:2] / HELLO[2:]
    path.chmod(0o644)
    path.write_bytes(b"hellp")
    assert plain.findings("check_data", "--remote=1") == [
        f"out/a.txt: damaged (its md5 is {digest(b'hellp')}) in {store}; the cache has it: make push"
    ]


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ("--remote=yes", "REMOTE: 'yes' is not allowed; give 1 to check the DVC remote, too, or 0"),
        ("--minutes=0", "MINUTES: '0' is not allowed; give a number above 0"),
        ("--minutes=nan", "MINUTES: 'nan' is not allowed; give a number above 0"),
        ("--minutes=five", "MINUTES: 'five' is not allowed; give a number above 0"),
    ],
)
def test_arguments(plain: Project, argument: str, line: str) -> None:
    assert plain.refusal("check_data", argument) == line


def test_nothing_to_check(tmp_path: Path) -> None:
    project = started(tmp_path / "project")
    assert project.refusal("check_data") == "dvc.lock: names nothing to check; run: make train"


def test_a_list_that_is_damaged(project: Project) -> None:
    """Nobody knows then which files the folder has."""
    listed = folder_list(project)
    project.damage(listed, b"[]")
    (finding,) = project.findings("check_data")
    assert finding.startswith(f"out: damaged (its md5 is {digest(b'[]')}, not {listed.removesuffix('.dir')})")
    shutil.rmtree(cache(project))
    assert len(project.findings("check_data")) == 2
