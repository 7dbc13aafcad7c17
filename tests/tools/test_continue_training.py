"""`make continue`: a copy of the last model that DVC tracks, in params.yaml; and what DVC runs after it."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from detector.base import paths
from tests.support import tiny
from tests.support.project import Project

COPIED = ["checkpoint", "ckpt-1.data-00000-of-00001", "ckpt-1.index", "label_map.pbtxt", "pipeline.config"]
FAST = {"train.steps": "2", "train.batch_size": "2", "train.eval_every": "2", "evaluate.pictures": "1"}
CHEAP = {"train.config_override": "'model { ssd { image_resizer { fixed_shape_resizer { height: 96 width: 96 } } } }'"}
COMMAND = ("python", "-m", "tools.continue_training")


def load(project: Project, name: str) -> Any:
    return YAML(typ="safe", pure=True).load((project.root / name).read_text(encoding="utf-8"))


def deps(project: Project, stage: str) -> dict[str, str]:
    """Path and hash of what dvc.lock records."""
    return {dep["path"]: dep["md5"] for dep in load(project, "dvc.lock")["stages"][stage]["deps"]}


def write_model(root: Path, content: str = "weights", model: str = "ssd_mobilenet_v2_320x320") -> None:
    """What a training leaves in model/train, with a checkpoint of no worth."""
    folder = root / paths.TRAIN
    (folder / "best").mkdir(parents=True, exist_ok=True)
    for name in ("checkpoint", "ckpt-1.index", "ckpt-1.data-00000-of-00001"):
        (folder / "best" / name).write_text(content)
    shutil.copy(root / "dataset/tiny/label_map.pbtxt", folder)
    (folder / "pipeline.config").write_text("")
    (folder / "train.json").write_text(json.dumps({"model": model}))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The tiny dataset and a model; no stage has run."""
    project = Project(tmp_path / "passo", FAST)
    tiny.dataset(project.root)
    write_model(project.root)
    return project


def refused(project: Project, error: str, *arguments: str) -> None:
    """One line, exit code 2, and nothing changed."""
    before = (project.root / "params.yaml").read_bytes(), sorted(project.root.glob("model/start/**/*"))
    done = project.run(*COMMAND, *arguments, code=2)
    assert (done.stdout, done.stderr) == ("", f"error: {error}\n")
    assert ((project.root / "params.yaml").read_bytes(), sorted(project.root.glob("model/start/**/*"))) == before


def test_the_last_model_is_copied_tracked_and_named(project: Project) -> None:
    before = (project.root / "params.yaml").read_text().splitlines()
    done = project.run(*COMMAND, "--name=cats")
    assert done.stdout.splitlines() == [
        "model/start/cats: a copy of the last model",
        "  params.yaml: pretrained.source: package -> model/start/cats",
        "  params.yaml: pretrained.start: model/start/none -> model/start/cats",
        "  params.yaml: train.fine_tune_checkpoint_type: classification -> full",
        "full: training starts with every weight of it",
        "next: make train STEPS=...",
        "to go back, in params.yaml: source: auto, start: model/start/none, fine_tune_checkpoint_type: detection",
    ]
    copied = sorted((project.root / "model/start/cats").iterdir())
    assert [path.name for path in copied] == COPIED
    for path in copied:
        source = project.root / paths.TRAIN / ("" if path.name in COPIED[3:] else "best") / path.name
        assert path.read_bytes() == source.read_bytes()
    after = (project.root / "params.yaml").read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [new.split("#")[0].strip() for _, new in changed] == [
        "source: model/start/cats",
        "start: model/start/cats",
        "fine_tune_checkpoint_type: full",
    ]
    assert all(old.partition("#")[2] == new.partition("#")[2] for old, new in changed)
    project.run("dvc", "status", "--quiet", "model/start/cats.dvc")  # in the cache
    staged = project.run("git", "diff", "--cached", "--name-only").stdout.split()
    assert staged == ["model/start/.gitignore", "model/start/cats.dvc"]


def test_a_model_of_another_commit_is_called_so(project: Project) -> None:
    outs = f"    outs:\n    - path: {paths.TRAIN}\n      md5: {'0' * 32}.dir\n"
    (project.root / "dvc.lock").write_text(f"schema: '2.0'\nstages:\n  train_tpu:\n    cmd: x\n{outs}")
    said = project.run(*COMMAND, "--name=cats").stderr
    assert said.startswith("note: model/train: not what dvc.lock names, so of another run; run: dvc checkout, or ")


def test_without_a_name_the_content_gives_one(project: Project) -> None:
    first = project.run(*COMMAND).stdout.splitlines()
    name = first[0].partition(":")[0]
    again = project.run(*COMMAND).stdout.splitlines()
    assert again[0] == f"{name}: exists, with the same model"
    assert again[1:] == first[4:]
    write_model(project.root, "other weights")
    other = project.run(*COMMAND).stdout.splitlines()
    assert other[0].endswith(": a copy of the last model") and not other[0].startswith(name)
    assert f"  params.yaml: pretrained.source: {name} -> {other[0].partition(':')[0]}" in other


def test_other_classes_take_the_features_and_boxes(project: Project) -> None:
    (project.root / "dataset/tiny/label_map.pbtxt").write_text("item { id: 1 name: 'bird' }\n")
    printed = project.run(*COMMAND, "--name=cats").stdout
    assert "fine_tune_checkpoint_type: classification -> detection\n" in printed
    assert "\ndetection: it was trained for cat, dog; bird are learnt from scratch\n" in printed


def test_a_digest_of_the_last_source_goes(project: Project) -> None:
    tiny.params(project.root, **{"pretrained.source": "https://a.example/b.tar.gz", "pretrained.sha256": "a" * 64})
    assert f"pretrained.sha256: {'a' * 64} -> ''\n" in project.run(*COMMAND).stdout


def test_a_larger_input_of_the_same_model_is_no_other_model(project: Project) -> None:
    write_model(project.root, model="ssd_mobilenet_v2_fpnlite_320x320")
    tiny.params(project.root, **{"train.model": "ssd_mobilenet_v2_fpnlite_640x640"})
    assert "fine_tune_checkpoint_type: classification -> full\n" in project.run(*COMMAND, "--name=cats").stdout


def test_what_is_refused(project: Project) -> None:
    refused(project, "NAME: none is reserved for the project; choose another, say cats", "--name=none")
    for name in ("a/b", "..", ".x", "a b", "x.dvc"):
        refused(project, f"NAME: {name!r} is not allowed; use letters, digits, - and _, say cats", f"--name={name}")
    project.run(*COMMAND, "--name=cats")
    write_model(project.root, "other weights")
    refused(
        project,
        "model/start/cats: exists, with other content; choose another NAME; to start from that one, set "
        "pretrained.source and pretrained.start to it",
        "--name=cats",
    )
    shutil.rmtree(project.root / "model/start/cats")
    refused(
        project,
        "model/start/cats: tracked by DVC, but not here; run: make pull",
        "--name=cats",
    )
    write_model(project.root, model="ssd_mobilenet_v2_fpnlite_320x320")
    refused(
        project,
        "params.yaml: train.model: ssd_mobilenet_v2_320x320, but the last model is a ssd_mobilenet_v2_fpnlite_320x320; "
        "set it to that",
    )
    shutil.rmtree(project.root / paths.TRAIN)
    refused(
        project,
        "model/train: no model to start from; run: make train (or, where there was one: dvc checkout train_tpu, "
        "in a new clone make pull)",
    )


def write_outputs(project: Project) -> None:
    """Something for every output of dvc.yaml that is missing, as if the stages had run; then dvc.lock."""
    stages = load(project, "dvc.yaml")["stages"]
    for dep in {dep for stage in stages.values() for dep in stage["deps"] if dep.startswith("results/")}:
        (project.root / dep).parent.mkdir(parents=True, exist_ok=True)
        (project.root / dep).touch()
    for stage in stages.values():
        for out in (*stage["outs"], *stage.get("metrics", ())):
            path = project.root / out
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_text("{}")
    project.run("dvc", "commit", "--force", "--quiet", *stages)


def test_a_new_number_of_steps_trains_and_does_not_take_the_weights_again(project: Project) -> None:
    project.run(*COMMAND, "--name=cats")
    write_outputs(project)
    assert project.changed() == set()
    assert deps(project, "pretrained")["model/start/cats"].endswith(".dir")
    tiny.params(
        project.root,
        **{**FAST, "train.steps": "30", "train.fine_tune_checkpoint_type": "full"},
        **{"pretrained.source": "model/start/cats", "pretrained.start": "model/start/cats"},
    )
    assert project.changed() == {"train_tpu"}
    write_model(project.root, "what training made of it")
    assert project.changed() == {"train_tpu", "evaluate", "export"}


def test_a_start_that_is_not_used_need_not_be_here(project: Project) -> None:
    project.run(*COMMAND, "--name=cats")
    tiny.params(project.root, **FAST)
    shutil.rmtree(project.root / "model/start/cats")
    shutil.rmtree(project.root / ".dvc/cache")
    write_outputs(project)
    assert "model/start/cats" not in deps(project, "pretrained")
    tiny.params(project.root, **{**FAST, "train.steps": "30"})
    assert project.repro("--dry") == ["train_tpu"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_make_continue_then_make_train(tmp_path: Path) -> None:
    """A training; one from its model at next to no rate, as an experiment; and other steps, here and elsewhere."""
    from detector.model import checkpoints
    from detector.model.tensorflow_env import tf

    project = Project(tmp_path / "passo", {**FAST, **CHEAP})
    tiny.dataset(project.root)
    project.run("dvc", "add", "--quiet", "dataset/tiny")
    project.run("dvc", "repro", "--quiet", "train_tpu")
    best = {path.name: path.read_bytes() for path in (project.root / paths.TRAIN / "best").glob("ckpt-1.*")}
    project.run("make", "-o", "install", "continue", "NAME=cats")
    project.run("git", "add", ".")
    project.run("git", "commit", "-qm", "from cats")

    project.run("dvc", "exp", "run", "--quiet", "-S", "train.learning_rate=1e-8", "train_tpu")
    assert deps(project, "pretrained")["model/start/cats"].endswith(".dir")
    initial, trained = project.root / paths.PRETRAINED / "ckpt-1", project.root / paths.TRAIN / "best" / "ckpt-1"
    assert best == {path.name: path.read_bytes() for path in initial.parent.glob("ckpt-1.*")}
    head = next(name for name in checkpoints.variables(initial) if "_box_predictor" in name) + checkpoints.VARIABLE
    old, new = (tf.train.load_variable(str(prefix), head) for prefix in (initial, trained))
    assert abs(old - new).max() < 1e-6

    for command in (
        ("make", "-o", "install", "train", "STEPS=3"),
        ("dvc", "exp", "run", "--temp", "-S", "train.steps=4"),
    ):
        done = project.run(*command)
        ran = re.findall(r"^(?:Running stage '(?=.*':$))?(\w+)'?:$", done.stdout + done.stderr, re.MULTILINE)
        expected = {"evaluate", "export", "parity", "predict", "train_tpu"}
        assert set(ran) - {"sample", "Next"} == expected  # nobody asked for sample before; the summary ends with Next:
