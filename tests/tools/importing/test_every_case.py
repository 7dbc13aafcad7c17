"""Every input of ../shared/cases and the published datasets, as they are: imported, then to CSV, then to records.

A count in equals a count out, or the run says why: each photo is in the records, or is named as left out.
"""

import contextlib
import csv
import zipfile
from pathlib import Path

import pytest

from detector.base.errors import UserError
from detector.pictures import images
from tests.support import cases, faults, stage
from tools import dataset
from tools.importing import plan

NUMBERS = sorted({path.name[:2] for path in cases.CASES.glob("[0-9]*_*.py")}) or ["01"]
REFUSED = {"10/photos": "and no label file"}  # HEIC photos without any label
SPLITS = ("train", "val", "test")
REPORT = Path("dataset/data/annotation_report.csv")


def through(root: Path, source: Path) -> str:
    """Import a source and run both stages: the error it ends with, or nothing."""
    root.mkdir()
    faults.workspace(root)
    with contextlib.chdir(root):
        try:
            with dataset.opened(str(source), "") as (tree, _, temporary):
                planned = plan.make(tree, 0.1, temporary / "whole")
                dataset.copy(planned, Path("dataset/pets"))
        except UserError as error:
            return error.line()
    for name in ("xml2csv", "csv2record"):
        done = stage.run(name, root)
        assert "Traceback" not in done.stderr
        if done.returncode:
            return f"{name}: {done.stderr}"
    check(root, planned)
    return ""


def check(root: Path, planned: plan.Plan) -> None:
    """Each photo of the source is in the dataset or left out by name; each of the dataset is in a CSV or reported."""
    photos = {row.photo for row in planned.rows if row.photo}
    assert {photo for photo in planned.tree.photos if photo not in planned.left_out} == photos
    folder = root / "dataset/pets"
    copied = {path.name for path in folder.rglob("*") if images.is_image(path.name)}
    assert len(copied) == len(photos)
    assert copied == in_tables(root) | left_out(root)


def in_tables(root: Path) -> set[str]:
    names = set()
    for split in SPLITS:
        with (root / f"dataset/data/{split}.csv").open(encoding="utf-8", newline="") as file:
            names |= {row["filename"] for row in csv.DictReader(file)}
    return names


def left_out(root: Path) -> set[str]:
    with (root / REPORT).open(encoding="utf-8", newline="") as file:
        lines = [row for row in csv.DictReader(file) if row["action"] == "skipped" and not row["object"]]
    return {row["filename"] for row in lines if images.is_image(row["filename"])}


@pytest.mark.parametrize("number", NUMBERS)
def test_every_input_of_a_case(number: str, tmp_path: Path) -> None:
    inputs = sorted(cases.built(number).iterdir())
    ended = {f"{number}/{one.name}": through(tmp_path / one.name, one) for one in inputs}
    failed = {name: why for name, why in ended.items() if why and REFUSED.get(name, " ") not in why}
    assert not failed
    assert {name for name, why in ended.items() if why} == {name for name in REFUSED if name.startswith(number)}


@pytest.mark.parametrize("form", ["zip", "folder"])
@pytest.mark.parametrize("name", ["raccoon_dataset", "BCCD_Dataset"])
def test_every_photo_of_published_datasets(name: str, form: str, tmp_path: Path) -> None:
    source = cases.real(name)
    if form == "folder":
        with zipfile.ZipFile(source) as archive:
            archive.extractall(tmp_path / "source")
        source = tmp_path / "source"
    assert not through(tmp_path / "work", source)
