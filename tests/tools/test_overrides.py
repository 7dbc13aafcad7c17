"""tools.overrides: what make is given reaches params.yaml letter by letter, and the doctor reads it as DVC does."""

import argparse
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from tests.support import dvc_project
from tests.support.stage import REPOSITORY, child
from tools import overrides

TEXTS = [
    *("~/work", "gs://my-pets/work", "a folder (2)", "{a}", "a=b", "a,b", "[a]", "it's", 'say "hi"', "a\\b", "a\\"),
    *(
        "\\\\'",
        "$HOME",
        "${HOME}",
        "\\${oc.env:HOME}",
        "a#b",
        "a: b",
        "*",
        "!x",
        "1e3",
        "true",
        "null",
        "prédio/ção",
        " ",
    ),
]


def given(*arguments: str) -> list[str]:
    parser = argparse.ArgumentParser()
    overrides.add_arguments(parser)
    return overrides.given(parser.parse_args(arguments))


def dvc_reads(folder: Path, changes: list[str]) -> dict[str, Any]:
    """The section `train` of this project's params.yaml after DVC's own `-S`."""
    path = folder / "params.yaml"
    path.write_bytes((REPOSITORY / "params.yaml").read_bytes())
    apply_overrides(path, changes)
    return dict(YAML(typ="safe").load(path.read_text())["train"])


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_reaches_params_yaml_letter_by_letter(text: str, tmp_path: Path) -> None:
    changes = given(f"--work-dir={text}", "--steps=5")
    assert dvc_reads(tmp_path, changes) | {"work_dir": text, "steps": 5} == dvc_reads(tmp_path, changes)


@pytest.mark.parametrize("text", [text for text in TEXTS if "${" not in text])
def test_the_doctor_reads_it_as_dvc_does(text: str, tmp_path: Path) -> None:
    changes = given(f"--work-dir={text}", "--batch=8")
    (batch, work_dir) = overrides.parsed(changes)
    read = dvc_reads(tmp_path, changes)
    assert batch == ("train", "batch_size", read["batch_size"]) and work_dir == ("train", "work_dir", read["work_dir"])


@pytest.mark.parametrize("name", ["pets", "dataset/pets", "dataset/pets/", "pets/"])
def test_a_dataset_by_its_name_or_its_folder(name: str) -> None:
    assert given(f"--dataset={name}") == ["dataset.dir=dataset/pets"]


def test_paths_and_numbers_look_as_a_user_would_type_them() -> None:
    assert given("--steps=5", "--work-dir=gs://my-pets/work") == ["train.steps=5", "train.work_dir=gs://my-pets/work"]
    assert given("--work-dir=~/work") == ["train.work_dir='~/work'"]


def test_an_experiment_with_a_value_that_needs_quotes(tmp_path: Path) -> None:
    pipeline = "stages:\n  one:\n    cmd: cp params.yaml out\n    params: [train]\n    outs: [out]\n"
    project = dvc_project.started(tmp_path / "project", pipeline)
    (project.root / "params.yaml").write_text("train:\n  work_dir: .work\n")
    project.commit()
    done = child("-m", "tools.pipeline", "exp", "run", "--work-dir=~/it's (2)", "one", cwd=project.root)
    assert done.returncode == 0, done.stderr
    assert (project.root / "out").read_text() == "train:\n  work_dir: ~/it's (2)\n"
