"""Which training is resumed, and how a training begins: without TensorFlow, on work that looks like a training's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from detector.base import params, paths
from detector.base.errors import UserError
from detector.checkpointing import work_dir
from detector.model import pipeline_config
from detector.training import identity
from detector.training.identity import WATCH
from detector.training.params import TrainParams
from tests.support import tiny

DVC_YAML = """
stages:
  train_tpu:
    deps: [detector/training, stages/train_tpu.py, dataset/data/train.csv]
"""
DVC_LOCK = "stages:\n  train_tpu:\n    outs: []\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tiny.params(tmp_path)
    return tmp_path


def load(**changes: str) -> TrainParams:
    tiny.params(Path(), **{f"train.{key}": value for key, value in changes.items()})
    return params.load("train", TrainParams)


@pytest.fixture
def work(project: Path) -> Iterator[work_dir.Work]:
    with work_dir.opened(".work", {"a": 1}, keep=2) as found:
        yield found


def save(work: work_dir.Work, step: int) -> None:
    work.save({"step": step, "best_step": 0}, 1, lambda folder: (folder / "ckpt-1.index").touch())


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("classification", "the backbone in model/pretrained"),
        ("detection", "the feature extractor and the box heads in model/pretrained"),
        ("full", "the detector in model/pretrained"),
        ("none", "random weights"),
    ],
)
def test_a_start_says_what_it_starts_from(work: work_dir.Work, kind: str, what: str) -> None:
    train = load(fine_tune_checkpoint_type=kind)
    assert identity.begin(train, work, fresh=False) == f"starts from {what}, saves its work in {work.folder}{WATCH}"


def test_a_resumed_training_names_its_step_and_fresh_forgets(work: work_dir.Work) -> None:
    train = load()
    save(work, 57)
    assert (
        identity.begin(train, work, fresh=False) == f"resumes from step 57 of {train.steps} in {work.step(57)}{WATCH}"
    )
    assert identity.begin(train, work, fresh=True).startswith("starts from ")
    assert work.latest() is None


def test_other_unfinished_trainings_are_reported(work: work_dir.Work, capsys: pytest.CaptureFixture[str]) -> None:
    def of(seed: int, record: str = "a") -> dict[str, object]:
        return {
            identity.FILES: {"train.record": record},
            identity.CONFIG: str(seed),
            "train": {"seed": seed, "steps": 9},
        }

    with (
        work_dir.opened(".work/my work", of(2), keep=2) as dead,
        work_dir.opened(".work/my work", of(3, "b"), keep=2) as other,
    ):
        save(dead, 4800)
        save(other, 7)
    with (
        work_dir.opened(".work/my work", of(4), keep=2) as running,
        work_dir.opened(".work/my work", of(1), keep=2) as own,
    ):
        save(running, 3)
        identity.begin(load(), own, fresh=False)
    back = "change that back to resume it, or remove it (0.0 MB): rm -r"
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(
        [
            f"{dead.folder} holds step 4800 of a training with another train.seed; {back} '{dead.folder}'",
            f"{other.folder} holds step 7 of a training with another train.record, train.seed; {back} '{other.folder}'",
        ]
    )


def test_a_training_that_has_ended_is_resumed_until_the_code_changes(work: work_dir.Work) -> None:
    """DVC may have died before it recorded the result; or its cache is lost, and this is the last copy."""
    Path("dvc.yaml").write_text(DVC_YAML)
    code = Path("detector/training/loop.py")
    code.parent.mkdir(parents=True)
    code.write_text("# some code\n")
    steps = load().steps
    save(work, steps)
    work.finish({"code": identity.code()})
    assert identity.begin(load(keep="7"), work, fresh=False) == (
        f"resumes from step {steps} of {steps} in {work.step(steps)}, where it has ended; "
        "to train it again: PASSO_FRESH=1 dvc repro --force --single-item train_tpu"
    )
    compiled = code.parent / "__pycache__/loop.pyc"
    compiled.parent.mkdir()
    compiled.touch()
    Path("dataset/data").mkdir(parents=True)
    Path("dataset/data/train.csv").touch()  # part of the identity, not of the code
    assert identity.begin(load(), work, fresh=False).startswith(f"resumes from step {steps} of {steps} ")
    code.write_text("# other code\n")
    assert identity.begin(load(), work, fresh=False).startswith("starts from ")
    assert work.latest() is None


def test_a_first_training_that_is_due_again_names_the_other_way(work: work_dir.Work) -> None:
    Path("dvc.lock").write_text(DVC_LOCK)
    hint = "; to start from the last model: make continue"
    assert identity.begin(load(), work, fresh=False).endswith(f"saves its work in {work.folder}{hint}{WATCH}")
    assert identity.begin(load(fine_tune_checkpoint_type="full"), work, fresh=False).endswith(f"{work.folder}{WATCH}")


def key(root: Path, **changes: str) -> str:
    train = load(**changes)
    label_map = root / "dataset/tiny/label_map.pbtxt"
    config = pipeline_config.build(train, pipeline_config.DatasetFacts(label_map, 2, 1))
    start = sorted(paths.PRETRAINED.glob("ckpt-1.*"))
    return work_dir.key(identity.of(train, pipeline_config.render(config), label_map, start))


def test_the_key_follows_data_weights_and_params_that_shape_them(project: Path) -> None:
    tiny.dataset(project)
    for path in (*(paths.record(split) for split in paths.SPLITS), paths.csv("val"), paths.PRETRAINED / "ckpt-1.index"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    first = key(project)
    same = {"accelerator": "cpu", "checkpoint_every": "7", "checkpoint_minutes": "1", "keep": "9", "work_dir": "there"}
    assert key(project, **same) == first
    others = {"steps": "8000", "seed": "2", "batch_size": "8", "patience": "3", "learning_rate": "0.1"}
    keys = [key(project, **{name: value}) for name, value in others.items()]
    for path in (paths.record("train"), paths.record("val"), paths.csv("val"), paths.PRETRAINED / "ckpt-1.index"):
        path.write_text("changed")
        keys.append(key(project))
    assert len({first, *keys}) == 1 + len(others) + 4
    before = key(project)
    paths.record("test").write_text("changed")
    assert key(project) == before


def test_a_missing_record_is_one_line(project: Path) -> None:
    tiny.dataset(project)
    with pytest.raises(UserError, match=r"dataset/data/train\.record: not found; run: dvc repro"):
        key(project)
