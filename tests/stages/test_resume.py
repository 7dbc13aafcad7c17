"""What train_tpu starts from, and what it knows of DVC: without TensorFlow, on work that looks like a training's."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from detector.base import params, paths
from detector.base.errors import UserError
from detector.checkpointing import work_dir
from detector.data import tables
from stages import train_tpu
from tests.support import tiny
from tests.support.stage import REPOSITORY

DVC_YAML = """
stages:
  train_tpu:
    cmd: python make.py
    deps: [make.py]
    params: [train]
    outs: [model/train]
"""
# As of a training: files beside folders, names whose order depends on how one sorts.
MAKE = """
from pathlib import Path
for name in ("best/ckpt-1.index", "best/ckpt-1.data", "best-of/x", "best.json", "train.json"):
    path = Path("model/train") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tiny.params(tmp_path)
    return tmp_path


def load(**changes: str) -> train_tpu.TrainParams:
    tiny.params(Path(), **{f"train.{key}": value for key, value in changes.items()})
    return params.load("train", train_tpu.TrainParams)


@pytest.fixture
def task(project: Path) -> Iterator[work_dir.Work]:
    with work_dir.opened(".work", {"a": 1}, keep=2) as found:
        yield found


def keep(task: work_dir.Work, step: int) -> None:
    task.save({"step": step, "best_step": 0}, 1, lambda folder: (folder / "ckpt-1.index").touch())


def repro(*arguments: str) -> None:
    Path(".dvc").mkdir(exist_ok=True)
    Path(".dvc/config").write_text("[core]\n    no_scm = true\n    check_update = false\n    analytics = false\n")
    Path("dvc.yaml").write_text(DVC_YAML)
    Path("make.py").write_text(MAKE)
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"}
    subprocess.run([binaries / "dvc", "repro", "-q", *arguments], env=environment, check=True)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("classification", "the backbone in model/pretrained"),
        ("detection", "the feature extractor and the box heads in model/pretrained"),
        ("full", "the detector in model/pretrained"),
        ("none", "random weights"),
    ],
)
def test_a_start_says_what_it_starts_from(task: work_dir.Work, kind: str, what: str) -> None:
    train = load(fine_tune_checkpoint_type=kind)
    assert train_tpu._start(train, task, False) == f"starts anew from {what}, keeps its work in {task.folder}"


def test_going_on_is_said_with_the_step_and_fresh_forgets(task: work_dir.Work) -> None:
    train = load()
    keep(task, 57)
    assert train_tpu._start(train, task, False) == f"goes on from step 57 of 500, which {task.step(57)} holds"
    assert train_tpu._start(train, task, True).startswith("starts anew from ")
    assert task.latest() is None


def test_other_unfinished_trainings_are_told(task: work_dir.Work, capsys: pytest.CaptureFixture[str]) -> None:
    def of(seed: int, record: str = "a") -> dict[str, object]:
        return {
            train_tpu.FILES: {"train.record": record},
            train_tpu.CONFIG: str(seed),
            "train": {"seed": seed, "steps": 9},
        }

    with (
        work_dir.opened(".work/my work", of(2), keep=2) as dead,
        work_dir.opened(".work/my work", of(3, "b"), keep=2) as other,
    ):
        keep(dead, 4800)
        keep(other, 7)
    with (
        work_dir.opened(".work/my work", of(4), keep=2) as running,
        work_dir.opened(".work/my work", of(1), keep=2) as own,
    ):
        keep(running, 3)
        train_tpu._start(load(), own, False)
    back = "change that back to go on with it, or drop it (0.0 MB): rm -r"
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(
        [
            f"{dead.folder} holds step 4800 of a training with another train.seed; {back} '{dead.folder}'",
            f"{other.folder} holds step 7 of a training with another train.record, train.seed; {back} '{other.folder}'",
        ]
    )


def test_dvcs_record_of_a_result_is_recognised(project: Path) -> None:
    repro()
    train = load()
    result = train_tpu._result()
    assert train_tpu._is_recorded(result, train)
    assert not train_tpu._is_recorded(result, load(keep="3"))
    (paths.TRAIN / "train.json").write_text("another training")
    assert not train_tpu._is_recorded(train_tpu._result(), train)
    Path("dvc.lock").unlink()
    assert not train_tpu._is_recorded(result, train)


def test_a_training_that_has_ended_is_taken_up_unless_dvc_means_another_one(task: work_dir.Work) -> None:
    repro()
    train = load()
    keep(task, 500)
    ended = {"code": train_tpu._code(), "result": train_tpu._result()}

    task.finish({**ended, "result": "not recorded"})  # DVC died before it had written this one down
    assert train_tpu._start(train, task, False).startswith("goes on from step 500 of 500")
    task.finish(ended)  # recorded, but under params that do not shape the weights, since changed
    assert train_tpu._start(load(keep="7"), task, False).startswith("goes on from step 500 of 500")
    task.finish(ended)  # recorded, and called again: dvc repro --force
    shutil.move(".dvc/cache", "elsewhere")  # as in a clone of a commit whose model was never pushed
    assert train_tpu._start(load(), task, False).startswith("goes on from step 500 of 500")
    shutil.move("elsewhere", ".dvc/cache")
    hint = "; to start from the last model: make continue"
    assert train_tpu._start(load(), task, False).endswith(f"keeps its work in {task.folder}{hint}")

    keep(task, 500)
    task.finish({**ended, "result": "not recorded"})
    Path("make.py").write_text("# other code\n")
    assert train_tpu._start(train, task, False).startswith("starts anew from ")


def identity(root: Path, **changes: str) -> str:
    train = load(**changes)
    label_map = root / "dataset/tiny/label_map.pbtxt"
    return work_dir.key(train_tpu._identity(train, train_tpu._pipeline(train, label_map, []), label_map))


def test_the_key_follows_data_weights_and_params_that_shape_them(project: Path) -> None:
    tiny.dataset(project)
    for path in (*(paths.record(split) for split in paths.SPLITS), paths.csv("val"), paths.PRETRAINED / "ckpt-1.index"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    first = identity(project)
    same = {"accelerator": "cpu", "checkpoint_every": "7", "checkpoint_minutes": "1", "keep": "9", "work_dir": "there"}
    assert identity(project, **same) == first
    others = {"steps": "8000", "seed": "2", "batch_size": "8", "patience": "3", "learning_rate": "0.1"}
    keys = [identity(project, **{key: value}) for key, value in others.items()]
    for path in (paths.record("train"), paths.record("val"), paths.csv("val"), paths.PRETRAINED / "ckpt-1.index"):
        path.write_text("changed")
        keys.append(identity(project))
    assert len({first, *keys}) == 1 + len(others) + 4
    before = identity(project)
    paths.record("test").write_text("changed")
    assert identity(project) == before


def test_a_missing_record_is_one_line(project: Path) -> None:
    tiny.dataset(project)
    with pytest.raises(UserError, match=r"dataset/data/train\.record: not found; run: dvc repro"):
        identity(project)


def test_help_is_quick_and_an_unknown_word_is_refused(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "stages.train_tpu"]
    done = subprocess.run(
        [*command, "--help"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "--fresh" in done.stdout
    done = subprocess.run(
        [*command, "again"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "unrecognized arguments: again" in done.stderr) == (2, True)


def crowd(count: int) -> tables.ImageBoxes:
    return tables.ImageBoxes("crowd.jpg", 9, 9, np.zeros((count, 4)), np.ones(count, int), np.ones(count))


def test_patience_needs_objects_to_judge_by(project: Path) -> None:
    train_tpu._check_patience(load(patience="0"), [])
    train_tpu._check_patience(load(patience="2"), [crowd(1)])
    for images in ([], [crowd(0)]):
        with pytest.raises(UserError) as caught:
            train_tpu._check_patience(load(patience="2"), images)
        assert caught.value.line() == (
            "params.yaml: train.patience: the validation split has no objects to judge by; "
            "raise dataset.val_fraction, or set it to 0"
        )


def test_a_crowded_image_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """It sets what all images are padded to, and so what memory is needed."""
    train_tpu._tell_crowd([crowd(100)])
    assert capsys.readouterr().out == ""
    train_tpu._tell_crowd([crowd(1), crowd(101)])
    assert capsys.readouterr().out == (
        "crowd.jpg has 101 boxes: all images are padded to as many; if memory runs out: train.config_override: "
        "'train_input_reader { max_number_of_boxes: 100 }' drops those beyond\n"
    )
