"""A round of labelling on real photos: held back, labelled by the detector, corrected, added, and trained on."""

import csv
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from detector.annotations import splitting
from detector.base import paths
from tests.support import faults
from tests.support.project import Project
from tests.support.stage import REPOSITORY

ASIRRA = REPOSITORY.parent / "shared/asirra/dataset.zip"
MAKE = ("make", "--no-print-directory", "-o", "install")
HELD_BACK, CORRECTED = 50, 30  # photos; fifty are labelled by the detector, and the first thirty corrected
SMALL = {
    "dataset.dir": "dataset/asirra",
    "train.steps": "4",
    "train.batch_size": "2",
    "train.eval_every": "4",
    "evaluate.pictures": "3",
}


def hold_back(source: Path, target: Path) -> None:
    """Move some photos of train, with their XML, to another folder."""
    target.mkdir()
    photos = sorted((source / "train").glob("*.jpg"), key=lambda path: splitting.fraction(path.name, "held back"))
    for photo in photos[:HELD_BACK]:
        for path in (photo, photo.with_suffix(".xml")):
            path.rename(target / path.name)


def splits(project: Project) -> dict[str, set[str]]:
    """The photos of each split that are made into records."""
    project.repro("csv2record")
    found = {}
    for split in paths.SPLITS:
        with (project.root / paths.csv(split)).open(newline="") as file:
            found[split] = {row["filename"] for row in csv.DictReader(file)}
    return found


def correct(folder: Path, truth: Path) -> None:
    """Write the true XML over the first ones, as somebody who labels does: under the name of the photo there."""
    with (folder / "order.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows[:CORRECTED]:
        text = (truth / f"{Path(row['source']).stem}.xml").read_text()
        name = Path(row["source"]).name
        (folder / row["filename"]).with_suffix(".xml").write_text(text.replace(f">{name}<", f">{row['filename']}<"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not ASIRRA.exists(), reason="../shared/asirra/dataset.zip is not here")
def test_a_round_of_labelling(tmp_path: Path) -> None:
    with zipfile.ZipFile(ASIRRA) as archive:
        archive.extractall(tmp_path / "source")
    source, truth, more = tmp_path / "source/dataset", tmp_path / "truth", tmp_path / "more"
    hold_back(source, truth)
    more.mkdir()
    for photo in truth.glob("*.jpg"):
        shutil.copy(photo, more)
    project = Project(tmp_path / "passo", SMALL)
    project.run(*MAKE, "dataset", f"SRC={source}", "NAME=asirra")
    project.run(*MAKE, "train", "DATASET=asirra")
    one_round(project, more, truth)


def one_round(project: Project, more: Path, truth: Path) -> None:
    """All that comes after the first training."""
    before, files_before = splits(project), faults.tree(project.root / "dataset/asirra")
    done = project.run(*MAKE, "prelabel", f"IMAGES={more}").stdout
    assert done.startswith(f"prelabelled: {HELD_BACK} photos, ")
    add = (*MAKE, "dataset", "SRC=prelabelled", "NAME=asirra", "ADD=1")
    assert "nobody has checked the labels" in project.run(*add, code=2).stderr
    correct(project.root / "prelabelled", truth)
    done = project.run(*add).stdout
    assert done.startswith(f"dataset/asirra: {CORRECTED} photos added\n")
    assert f"left out ({HELD_BACK - CORRECTED}): photos whose boxes nobody has checked" in done
    after, files_after = splits(project), faults.tree(project.root / "dataset/asirra")
    assert all(before[split] <= after[split] for split in paths.SPLITS)
    assert sum(map(len, after.values())) == sum(map(len, before.values())) + CORRECTED
    assert {name: files_after[name] for name in files_before if name != "receipts.csv"} == {
        name: content for name, content in files_before.items() if name != "receipts.csv"
    }
    done = project.run(*MAKE, "prelabel", f"IMAGES={more}", "OUTPUT=second").stdout
    assert done.startswith(f"second: {HELD_BACK - CORRECTED} photos, ")
    assert f"left out: {CORRECTED} photos that dataset/asirra has, with labels" in done
    project.run(*MAKE, "train", "DATASET=asirra", "STEPS=6")
    measured = json.loads((project.root / "results/evaluate/metrics.json").read_text())
    assert measured["images"] == len(after["test"]) >= len(before["test"])
    assert json.loads((project.root / "model/train/train.json").read_text())["steps"] == 6
    done = project.run(*MAKE, "label-errors").stdout
    assert " photos: missing " in done and (project.root / "results/label_errors.html").exists()
