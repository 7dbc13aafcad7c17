"""`make push` on scratch repositories, with real git and DVC, against a real server."""

import shutil
from pathlib import Path

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
    rerun,
    started,
    with_bucket,
)
from tests.support.gcs_server import Server


def test_what_is_not_committed_is_printed(project: Project) -> None:
    (project.root / "source").write_text("other")
    project.must("dvc", "repro", "-q")
    last = project.well("push").splitlines()[-1]
    remedy = "git add dvc.lock && git commit -m 'As pushed', then: make push"
    assert last == f"a fresh clone needs these as they are now: {remedy}"


def test_a_damaged_file_of_the_cache_is_not_pushed(project: Project, gcs: Server) -> None:
    project.damage(HELLO, b"HELLO")
    (finding,) = project.findings("push")
    path = f".dvc/cache/files/md5/{HELLO[:2]}/{HELLO[2:]}"
    fault = f"damaged in the cache, and not pushed: its md5 is {digest(b'HELLO')}, not {HELLO}"
    assert finding == f"out/a.txt: {fault}; run: rm -f {path}, then dvc commit copy"
    stored = gcs.read("bucket")
    assert name(HELLO) not in stored
    assert name(folder_list(project)) not in stored, "its folder would look complete"
    assert len([key for key in stored if "/files/" in key]) == 2

    project.cached(HELLO).unlink()
    assert project.findings("push") == [
        "out/a.txt: neither in the cache nor on the remote; run: dvc commit copy, then make push"
    ]
    assert "Running stage" not in project.must("dvc", "commit", "copy"), "what is whole here is not made again"
    assert project.pushed().endswith("sent 2")

    project.cached(HELLO).unlink()
    request(gcs, "DELETE", HELLO)
    (project.root / "out/a.txt").write_text("other")
    assert project.findings("push") == [
        "out/a.txt: neither in the cache nor on the remote; run: dvc repro copy, then make push"
    ]


@pytest.mark.long
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
    short = clone.refusal("pull", f"--commit={head[:39]}")
    assert short == (
        f"COMMIT: no commit {head[:39]} here, nor in gs://bucket/dvc/commits, where all 40 digits are needed; "
        "run git fetch, or make push in the clone that has it"
    )
    said = clone.well("pull", f"--commit={head}")
    assert said.startswith(f"at commit {head}, on no branch; back: git switch -\n")
    assert clone.must("git", "rev-parse", "HEAD").strip() == head
    assert (clone.root / "out/b.txt").read_text() == "number: 3\n"
    assert clone.must("dvc", "repro").splitlines()[-1] == UP_TO_DATE


def test_a_shallow_clone_cannot_store_its_commit(upstream: Project, gcs: Server) -> None:
    """Who got it would have a commit without its history, which git takes for a broken repository."""
    committed(upstream, 2)
    notebook = Project(upstream.root.parent / "notebook", upstream.environment)
    upstream.must("git", "clone", "-q", "--depth=1", f"file://{upstream.root}", str(notebook.root))
    shutil.copy(upstream.root / ".dvc/config.local", notebook.root / ".dvc/config.local")
    head = committed(notebook, 3)
    (finding,) = notebook.findings("push")
    assert finding == (
        f"{GS}/commits: commit {head} was not sent: this clone is shallow, and who gets the commit needs all its "
        "history; run: git fetch --unshallow"
    )
    notebook.must("git", "fetch", "-q", "--unshallow")
    assert f"make pull COMMIT={head}" in notebook.well("push")
    clone = upstream.clone("elsewhere")
    clone.well("pull", f"--commit={head}")
    clone.must("git", "fsck", "--strict")


def test_a_clone_whose_history_is_cut_by_hand_cannot_store_its_commit(upstream: Project, gcs: Server) -> None:
    """It is no shallow clone for git, and its bundle would break the repository that takes it."""
    for number in (2, 4):
        committed(upstream, number)
    notebook = upstream.clone("notebook")
    head = committed(notebook, 3)
    (notebook.root / ".git/info/grafts").write_text(notebook.must("git", "rev-parse", "HEAD~1"))
    (finding,) = notebook.findings("push")
    assert finding.startswith(f"gs://bucket/dvc/commits: commit {head} was not sent: not even a new clone could take ")
    assert finding.endswith("; run: git fsck --full, and look at .git/info/grafts")
    assert not [key for key in gcs.read("bucket") if "/commits/" in key]


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
    _, line, to_do = notebook.well("push").splitlines()
    assert line == elsewhere(f"commit {head[:10]}")
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


def test_what_has_its_own_remote_is_left_to_dvc(project: Project) -> None:
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
