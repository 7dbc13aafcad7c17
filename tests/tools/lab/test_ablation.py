"""tools.lab.ablation: plans, results of an earlier run, and the table."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.support import tiny
from tests.support.stage import REPOSITORY, child


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return child("-m", "tools.lab.ablation", *arguments, cwd=root)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    tiny.params(tmp_path)
    (tmp_path / "plan.yaml").write_text("slow: {learning_rate: 0.0001}\nfast: {learning_rate: 0.01}\n")
    return tmp_path


def measured(root: Path, variant: str, seed: int, rate: float, ap: float) -> None:
    """What an earlier ablation left behind."""
    document = YAML(typ="safe").load((root / "params.yaml").read_text())
    scores = {"val AP": ap, "val AP50": 0.5, "test AP": 0.25, "test AP50": 0.75, "minutes": 2}
    folder = root / "out" / f"{variant}-seed{seed}"
    folder.mkdir(parents=True)
    record = root / "dataset" / "data" / "train.record"
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text("records")
    digest = hashlib.sha256(b"records").hexdigest()
    of = {
        "train": {**document["train"], "learning_rate": rate, "seed": seed},
        "dataset": document["dataset"],
        "files": {"dataset/data/train.record": digest},
    }
    (folder / "done.json").write_text(json.dumps({"of": of, "scores": scores}))


def test_the_table_has_the_mean_and_the_range_of_the_seeds(project: Path) -> None:
    for seed, ap in ((1, 0.5), (2, 0.75)):
        measured(project, "slow", seed, 0.0001, ap)
    done = run(project, "plan.yaml", "--only", "slow", "--seeds", "1,2", "--output", "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-3:] == [
        "| variant | seeds | val AP | val AP50 | test AP | test AP50 | minutes |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| slow | 2 | 0.625 (0.500 to 0.750) | 0.500 (0.500 to 0.500) | 0.250 (0.250 to 0.250) "
        "| 0.750 (0.750 to 0.750) | 2.0 |",
    ]


@pytest.mark.parametrize(("rate", "content"), [(0.0002, "records"), (0.0001, "other records")])
def test_results_of_other_params_or_data_are_not_taken_for_these(project: Path, rate: float, content: str) -> None:
    measured(project, "slow", 1, rate, 0.5)
    (project / "dataset" / "data" / "train.record").write_text(content)
    done = run(project, "plan.yaml", "--only", "slow", "--seeds", "1", "--output", "out")
    assert done.returncode == 2
    reason = "holds a training with other params or data; remove it: rm -r out/slow-seed1"
    assert done.stderr == f"error: out/slow-seed1: {reason}\n"


@pytest.mark.parametrize(
    ("plan", "arguments", "message"),
    [
        ("slow: {}", ["--only", "fats"], "error: plan.yaml: unknown variant fats; there are slow\n"),
        ("- slow", [], "error: plan.yaml: holds no {variant: {key: value}}; see tools/lab/ablation.yaml\n"),
        ("slow: {rate: 1}", [], "error: params.yaml: train.rate: unknown key; correct the plan\n"),
        ("slow: {}", [], "error: dataset/tiny: not found; run: dvc repro train_tpu\n"),
    ],
)
def test_mistakes_are_reported_in_one_line(project: Path, plan: str, arguments: list[str], message: str) -> None:
    (project / "plan.yaml").write_text(plan)
    done = run(project, "plan.yaml", *arguments)
    assert (done.returncode, done.stderr) == (2, message)


@pytest.mark.parametrize("name", ["ablation.yaml", "ablation_fpnlite.yaml"])
def test_the_plans_of_the_documentation_name_params_that_exist(name: str) -> None:
    plan = YAML(typ="safe").load((REPOSITORY / "tools/lab" / name).read_text())
    train = YAML(typ="safe").load((REPOSITORY / "params.yaml").read_text())["train"]
    for variant, overrides in plan.items():
        assert overrides.keys() <= train.keys(), variant
