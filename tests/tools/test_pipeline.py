"""`dvc repro` and `dvc exp run` through tools.pipeline: without warnings of what they are to make, and nothing lost."""

import contextlib
import fcntl
import itertools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import disk, dvc_project
from tests.support.dvc_project import Project, digest
from tests.support.stage import child
from tools.pipeline import EXPECTED
from tools.running import stages

PIPELINE = """\
stages:
  unused:
    cmd: touch unused
    outs: [unused]
  first:
    cmd: mkdir out && cp params.yaml out/a
    params: [number]
    outs: [out]
  last:
    cmd: cp out/a last
    deps: [out]
    outs: [last]
"""
TRAINING = """\
stages:
  train_tpu:
    cmd: mkdir -p model/train && cp made model/train/train.json
    deps: [made]
    outs: [model/train]
  last:
    cmd: cp model/train/train.json last
    deps: [model/train]
    outs: [last]
"""


def told(printed: str) -> list[str]:
    """The lines, as if all took no time."""
    return re.sub(r"(?m)\d+ s$", "0 s", printed).splitlines()


def test_an_experiment_makes_what_its_targets_need_without_a_page_of_warnings(tmp_path: Path) -> None:
    project = dvc_project.started(tmp_path / "project", PIPELINE)
    project.commit()
    done = child("-m", "tools.pipeline", "exp", "run", "-S", "number=2", "last", cwd=project.root)
    assert done.returncode == 0, done.stderr
    lines = told(done.stdout)
    assert lines[:5] == ["> dvc exp run -S number=2 last", "first:", "first: 0 s", "last:", "last: 0 s"]
    assert re.fullmatch(r"experiment: [a-z]+-[a-z]+", lines[5]) and len(lines) == 6
    assert not (project.root / "unused").exists()
    assert (project.root / "last").read_text() == "number: 2\n"
    assert EXPECTED not in done.stdout + done.stderr


def test_a_stage_has_a_line_and_a_training_leaves_its_minutes(tmp_path: Path) -> None:
    """Those by the model that dvc.lock names, beside the logs: 240 steps of half a second."""
    project = dvc_project.started(tmp_path / "project", TRAINING)
    (project.root / "made").write_text('{"steps": 240}')
    (project.root / "logs").mkdir()
    (project.root / "logs/speed.json").write_text('{"seconds_per_step": 0.5}')
    project.commit()
    first = child("-m", "tools.pipeline", "repro", "last", cwd=project.root)
    assert told(first.stdout)[1:] == ["train_tpu:", "train_tpu: 0 s", "last:", "last: 0 s"], first.stdout
    model = re.findall(r"md5: (\w+\.dir)", (project.root / "dvc.lock").read_text())[0]
    assert json.loads((project.root / "logs/minutes.json").read_text()) == {model: 2.0}

    again = child("-m", "tools.pipeline", "repro", "last", cwd=project.root)
    assert again.stdout.splitlines()[1:] == ["train_tpu: unchanged", "last: unchanged", dvc_project.UP_TO_DATE]
    (project.root / "logs/minutes.json").unlink()
    (project.root / "dvc.lock").unlink()
    restored = child("-m", "tools.pipeline", "repro", "last", cwd=project.root)
    assert restored.stdout.splitlines()[1:] == [f"{name}: {stages.RESTORED}" for name in ("train_tpu", "last")]
    assert not (project.root / "logs/minutes.json").exists()
    assert (first.stderr, again.stderr, restored.stderr) == ("", "", "")


@pytest.mark.long
def test_dvc_says_in_those_words_what_is_left_out(tmp_path: Path) -> None:
    """Or it would come through."""
    project = dvc_project.started(tmp_path / "project", PIPELINE)
    project.commit()
    printed = [project.run("dvc", *command).stdout for command in (("repro", "last"), ("exp", "run", "-S", "number=2"))]
    assert all(any(words in text for text in printed) for words in (*stages.TALK, stages.RAN.strip()))


@pytest.mark.long
def test_a_stage_that_fails_ends_with_its_error(tmp_path: Path) -> None:
    project = dvc_project.started(tmp_path / "project", PIPELINE.replace("cp out/a last", "test -e nothing"))
    project.commit()
    done = child("-m", "tools.pipeline", "repro", "last", cwd=project.root)
    assert done.returncode == 255 and told(done.stdout)[1:] == ["first:", "first: 0 s", "last:"]
    assert "failed to reproduce 'last'" in done.stderr


def test_dvcs_other_warnings_and_its_exit_code_stay(tmp_path: Path) -> None:
    project = dvc_project.started(tmp_path / "project", PIPELINE)
    project.commit()
    done = child("-m", "tools.pipeline", "exp", "run", "nothing", cwd=project.root)
    assert done.returncode == 255
    assert "ERROR: " in done.stderr and "nothing" in done.stderr


def test_dvc_still_says_it_in_those_words(tmp_path: Path) -> None:
    """Or the filter would be in vain."""
    project = dvc_project.started(tmp_path / "project", PIPELINE)
    project.commit()
    assert EXPECTED in project.run("dvc", "exp", "run", "-S", "number=2", "last").stderr


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[Project]:
    """A pipeline whose result is larger than the disk of DVC's cache."""
    project = dvc_project.started(tmp_path / "project", dvc_project.LARGE)
    project.commit()
    with disk.small(tmp_path / "cache", "2m,nr_inodes=600") as cache:
        project.must("dvc", "cache", "dir", "--local", str(cache))
        yield project


@pytest.mark.parametrize("command", [["repro", "make"], ["exp", "run", "make"]])
def test_a_result_that_the_cache_cannot_take_is_not_overwritten(cramped: Project, command: list[str]) -> None:
    """DVC itself ends with 0 here, and the next run removes the only copy."""
    cache = cramped.root.parent / "cache"
    done = child("-m", "tools.pipeline", *command, cwd=cramped.root)
    fault = f"out: not in DVC's cache, {cache}: No space left on device"
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if "device" in line] == [
        f"error: {fault}; make room there, and run the command again: until then only the working tree has it"
    ]
    assert (cramped.root / "out/c").read_text() == "number: 1\n"

    (cramped.root / "params.yaml").write_text("number: 2\n")
    again = child("-m", "tools.pipeline", *command, cwd=cramped.root)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith(f"error: {fault}; make room there")
    assert (cramped.root / "out/c").read_text() == "number: 1\n"

    disk.enlarge(cache, "20m")
    assert child("-m", "tools.pipeline", *command, cwd=cramped.root).returncode == 0
    assert (cramped.root / "out/c").read_text() == "number: 2\n"
    kept = cache / "files/md5" / digest(b"number: 1\n")[:2] / digest(b"number: 1\n")[2:]
    assert kept.read_text() == "number: 1\n"


def test_a_cache_that_is_full_to_the_brim(cramped: Project) -> None:
    """Not even the run-cache takes its few bytes, nor is there room for a folder."""
    (cramped.root / "dvc.yaml").write_text(dvc_project.LARGE.replace("300000", "3").replace("200001", "4"))
    cramped.commit()
    cache = cramped.root.parent / "cache"
    assert child("-m", "tools.pipeline", "repro", cwd=cramped.root).returncode == 0
    fill(cache)
    (cramped.root / "params.yaml").write_text("number: 2\n")
    assert child("-m", "tools.pipeline", "repro", cwd=cramped.root).returncode == 1
    (cramped.root / "params.yaml").write_text("number: 3\n")
    done = child("-m", "tools.pipeline", "repro", cwd=cramped.root)
    assert (done.returncode, done.stdout) == (1, "")
    assert (cramped.root / "out/c").read_text() == "number: 2\n"

    shutil.rmtree(cache / "files")
    fill(cache)
    done = child("-m", "tools.pipeline", "repro", cwd=cramped.root)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.endswith("No space left on device; make room, and run the command again\n")


def fill(folder: Path) -> None:
    """Until not a single file fits."""
    with contextlib.suppress(OSError), (folder / "more").open("ab", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    with contextlib.suppress(OSError):
        for number in itertools.count():
            (folder / f"folder-{number}").mkdir(exist_ok=True)


def test_a_second_one_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    """DVC would let it in, and the stages of the first one would go on with the params of the second."""
    project = dvc_project.started(tmp_path / "project", PIPELINE)
    lock = project.root / ".dvc/tmp/passo.lock"
    lock.write_text("123")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = child("-m", "tools.pipeline", "repro", cwd=project.root)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(
        f"{project.root}: another make train runs here, process 123; wait for its end, or train in another clone\n"
    )
