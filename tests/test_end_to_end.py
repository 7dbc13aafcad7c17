"""A training on own photos in a fresh repository, through make and DVC; what DVC reruns then, and why.

And, as they take minutes, in `make test-long`: all commands of README.md, one after another.

The data and the steps are few, everything else is real. `make install` is left out (`-o install`): the tests run in the
environment that it made.
"""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from detector.base import paths
from tests.support import tiny
from tests.support.project import Project
from tests.support.stage import REPOSITORY

pytestmark = pytest.mark.timeout(1800)  # the first test waits for all of the commands

SMALL = {
    "dataset.dir": "dataset/sample",
    "sample.train_images": "14",
    "sample.test_images": "5",
    "train.steps": "4",
    "train.batch_size": "2",
    "train.eval_every": "4",
    "evaluate.pictures": "3",
    "predict.score_threshold": "0.001",
    # As committed; but there is no network here, so ImageNet's weights come, and what suits them is taken.
    "pretrained.source": "auto",
    "train.fine_tune_checkpoint_type": "detection",
    "train.frozen_blocks": "6",
    "train.backbone_learning_rate": "0.2",
}
REFUSES = "http://127.0.0.1:9"
NOT_HERE = ("make test", "source ")  # the first is what is running, the second is done by PATH below


def readme_commands() -> list[str]:
    """Every line of README.md's ```sh blocks, comments cut off."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (REPOSITORY / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = [line.partition(" # ")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith(NOT_HERE)]


def zipped_photos(root: Path) -> None:
    """photos.zip with train/ and test/: a user's own data."""
    source = tiny.dataset(root / "elsewhere", train=8, test=3)
    (source / "label_map.pbtxt").unlink()
    shutil.make_archive(str(root / "photos"), "zip", source)


def new_project(root: Path) -> Project:
    """One with photos.zip, where nothing can be fetched."""
    project = Project(root, SMALL)
    project.environment |= {"HTTPS_PROXY": REFUSES, "https_proxy": REFUSES, "npm_config_registry": REFUSES}
    zipped_photos(project.root)
    return project


def run(project: Project, command: str) -> str:
    """What a command of README.md prints."""
    words = shlex.split(command)
    if words[0] == "make":
        words[1:1] = ["-o", "install"]
    done = project.run(*[small(word) for word in words])
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project after a training on the user's own photos, and what that printed."""
    project = new_project(tmp_path_factory.mktemp("trained") / "passo")
    run(project, "make dataset SRC=photos.zip NAME=pets")
    text = run(project, "make train DATASET=pets")
    assert project.repro("sample") == ["sample"]  # which that training had no need of
    return project, text


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, str]]:
    """A project after all of README.md's commands, and what each printed."""
    project = new_project(tmp_path_factory.mktemp("readme") / "passo")
    return project, {command: run(project, command) for command in readme_commands()}


def small(word: str) -> str:
    """The README's hundreds of steps are five here."""
    return re.sub(r"STEPS=\d+", "STEPS=5", word)


def output_of(printed: dict[str, str], start: str) -> str:
    (found,) = [text for command, text in printed.items() if command.startswith(start)]
    return found


@pytest.mark.long
def test_make_train_goes_from_nothing_to_a_summary(outputs: tuple[Project, dict[str, str]]) -> None:
    project, printed = outputs
    text = printed["make train"]
    ran = re.findall(r"^(\w+): (?:\d+ min )?\d+ s$", text, re.MULTILINE)
    assert sorted(ran) == sorted(
        ["sample", "xml2csv", "csv2record", "pretrained", "train_tpu", "evaluate", "export", "parity", "predict"]
    )
    assert re.search(r"AP \d\.\d{3}, AP50 \d\.\d{3}", text)
    assert text.count("Open Images' detector: cannot be fetched: ") == 1
    assert "starts from the backbone in model/pretrained" in text
    assert re.search(
        r"  start +ImageNet's weights, as Open Images' detector could not be fetched; to try again: ", text
    )
    assert re.search(r": 4 steps of 2 = 0\.\d epochs of \d+ images, on ", text)
    for place in (
        paths.EXPORT / "saved_model",
        paths.EXPORT / "model.tflite",
        paths.REPORT,
        paths.EVALUATE / "pictures",
    ):
        assert str(place) in text
        assert (project.root / place).exists()


def test_tensorflows_noise_does_not_bury_ours(trained: tuple[Project, str]) -> None:
    noise = [
        line
        for line in trained[1].splitlines()
        if re.search(r"^[IWEF]\d{4} |WARNING:|Warning|tensorflow/|cuda|absl", line)
    ]
    assert noise == []


def test_own_data_comes_in_and_is_used(trained: tuple[Project, str]) -> None:
    project, text = trained
    assert (project.root / "dataset" / "pets.dvc").exists()
    assert len(list((project.root / "dataset/pets/train").glob("*.jpg"))) == 8
    assert "\ntrain_tpu:\n" in text and "\nsample:" not in text
    assert "No file hash info" not in text
    assert "dir: dataset/pets" in (project.root / "params.yaml").read_text()
    evaluated = json.loads((project.root / paths.EVALUATE / "metrics.json").read_text())
    assert evaluated["images"] == 3


@pytest.mark.long
def test_experiments_are_listed_and_compared(outputs: tuple[Project, dict[str, str]]) -> None:
    _, printed = outputs
    lines = [line for line in output_of(printed, "make runs").splitlines() if not line.startswith("make[")]
    assert lines[0].split()[:3] == ["run", "when", "data"] and max(map(len, lines)) <= 100
    assert "AP50" in output_of(printed, "dvc metrics diff")
    assert ".html" in output_of(printed, "dvc plots diff")


@pytest.mark.long
def test_predict_draws_on_the_users_photos(outputs: tuple[Project, dict[str, str]]) -> None:
    project, printed = outputs
    output_of(printed, "make predict")
    (folder,) = project.root.glob("**/.passo-files")
    assert json.loads((folder.parent / "images.json").read_text())["images"]
    assert list((folder.parent / "pictures").rglob("*.jpg"))


def test_again_nothing_runs(trained: tuple[Project, str]) -> None:
    project, _ = trained
    assert project.repro() == []
    assert project.changed() == set()


def test_another_threshold_reruns_predict_alone(trained: tuple[Project, str]) -> None:
    project, _ = trained
    params = project.root / "params.yaml"
    kept = params.read_text()
    params.write_text(re.sub(r"(predict:\n  score_threshold: )\S+", r"\g<1>0.002", kept))
    assert params.read_text() != kept
    assert project.repro() == ["predict"]


@pytest.mark.parametrize(
    ("module", "changed"),
    [
        ("detector/pictures/draw.py", {"evaluate", "predict"}),
        ("detector/evaluation/plots.py", {"evaluate"}),
        ("detector/prediction/photos.py", {"predict"}),
        ("detector/training/trainer.py", {"train_tpu"}),
        ("tools/report.py", set()),
        ("tools/page/charts.py", set()),
    ],
)
def test_a_comment_makes_those_stages_run_again_that_use_the_room(
    trained: tuple[Project, str], module: str, changed: set[str]
) -> None:
    project, _ = trained
    path = project.root / module
    content = path.read_text()
    path.write_text(content + "# a comment\n")
    assert project.changed() == changed
    path.write_text(content)
    assert project.changed() == set()


def test_importing_a_room_changes_nothing(trained: tuple[Project, str]) -> None:
    project, _ = trained
    rooms = ("annotations.voc", "data.tables", "evaluation.metrics", "pictures.images", "training.params")
    command = ("env", "-u", "PYTHONDONTWRITEBYTECODE", sys.executable)
    project.run(*command, "-c", "\n".join(f"import detector.{room}" for room in rooms))
    assert list((project.root / "detector").rglob("__pycache__"))
    assert project.changed() == set()


def test_one_changed_xml_reruns_the_csv_and_what_follows(trained: tuple[Project, str]) -> None:
    project, _ = trained
    xml = project.root / "dataset/pets/train/image02.xml"
    xml.chmod(0o644)
    xml.write_text(xml.read_text().replace("<xmax>", "<xmax> "))  # the same box, other bytes
    assert {"xml2csv", "csv2record"} <= project.changed()
    assert project.repro("csv2record") == ["xml2csv", "csv2record"]
    assert project.repro("--dry", "train_tpu") == []  # the same boxes: the same CSV and record, so nothing to train
    xml.write_text(re.sub(r"<xmax> ?(\d+)", lambda match: f"<xmax>{int(match[1]) + 1}", xml.read_text()))
    assert project.repro("csv2record") == ["xml2csv", "csv2record"]
    assert {"train_tpu"} <= project.changed()


@pytest.mark.slow
def test_exporting_again_gives_the_same_bytes(trained: tuple[Project, str]) -> None:
    project, _ = trained
    lock = project.root / "dvc.lock"
    before = lock.read_text()
    assert project.repro("--force", "--single-item", "export") == ["export"]
    assert lock.read_text() == before


@pytest.mark.slow
def test_forcing_all_twice_gives_the_same_lock(trained: tuple[Project, str]) -> None:
    """By training again: PASSO_FRESH=1, or the training that has ended would be resumed."""
    project, _ = trained
    locks = []
    for _ in range(2):
        printed = project.run("env", "PASSO_FRESH=1", "dvc", "repro", "--force").stdout
        assert printed.count("Running stage '") == 9
        assert "starts from the backbone in model/pretrained" in printed
        locks.append((project.root / "dvc.lock").read_text())
    assert locks[0] == locks[1]


def test_a_broken_dataset_stops_dvc_and_loses_nothing(trained: tuple[Project, str]) -> None:
    project, _ = trained
    broken = project.root / "dataset/pets/train/image03.xml"
    broken.chmod(0o644)
    broken.write_text(broken.read_text().replace("dog", "dgo"))
    content = broken.read_text()
    done = project.run("dvc", "repro", code=255)
    assert "dataset/pets/train/image03.xml" in done.stderr
    assert "exited with 2" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert broken.read_text() == content
    assert len(list(broken.parent.iterdir())) == 16


def commands_that_train(commands: Sequence[str]) -> int:
    return sum(command.startswith(("make train", "dvc exp run")) for command in commands)


def test_the_readme_trains_three_times() -> None:
    """Keeps `make test-long` within its time, and the regular expression above honest."""
    assert commands_that_train(readme_commands()) == 3
