"""`make label-errors` on planted errors, with a detector that computes."""

import csv
from pathlib import Path

import pytest
from PIL import Image

from detector.base import paths
from detector.data import labels, tables
from tests.support import faults, finder, stage
from tests.support.boxes import image
from tests.support.finder import photo
from tests.support.importing import refused
from tools import label_errors

SIZE = (96, 64)
BOX, HALF, OTHER = (10, 10, 40, 50), (10, 10, 25, 50), (50, 20, 90, 60)
LABEL_MAP = {"red": 1, "white": 2}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Three photos with errors, one without."""
    faults.workspace(tmp_path)
    monkeypatch.chdir(tmp_path)
    pets = Path("dataset/pets")
    for name, split in (("fine", "train"), ("missing", "train"), ("class", "train"), ("place", "test")):
        photo(pets / split / f"{name}.png", (*BOX, 0.95, 1), (*OTHER, 0.9, 2))
    labels.write(pets / "label_map.pbtxt", list(LABEL_MAP))
    fine, wrong_class = (
        (name, (*BOX, class_id), (*OTHER, 2)) for name, class_id in (("fine.png", 1), ("class.png", 2))
    )
    rows = {
        "train": [image(*fine, size=SIZE), image(*wrong_class, size=SIZE)],
        "val": [image("missing.png", (*BOX, 1), size=SIZE)],
        "test": [image("place.png", (*HALF, 1), (*OTHER, 2), size=SIZE)],
    }
    for split, images in rows.items():
        tables.write_csv(paths.csv(split), images, labels.by_id(LABEL_MAP))
    finder.save(tmp_path / "model/export")
    return tmp_path


def test_each_planted_error_is_listed_and_nothing_else(project):
    done = stage.call(label_errors.main, project)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "3 suspicions in 4 photos: missing 1, class 1, place 1, spurious 0",
        "  results/label_errors.csv: all of them, the most suspicious first",
        "  results/label_errors.html: pictures of the first 50",
    ]
    with label_errors.TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [
        (row["rank"], row["kind"], row["split"], row["filename"], row["class"], row["detected"]) for row in rows
    ] == [
        ("1", "class", "train", "class.png", "white", "red"),
        ("2", "missing", "val", "missing.png", "", "white"),
        ("3", "place", "test", "place.png", "red", "red"),
    ]
    nats = [float(row["suspicion"]) for row in rows]
    assert nats == sorted(nats, reverse=True)
    assert [rows[1][name] for name in ("xmin", "detected_xmin", "score", "iou")] == ["", "50.0", "0.901", "0.0"]
    assert [rows[2][name] for name in ("xmax", "detected_xmax", "iou")] == ["25.0", "40.0", "0.5"]


def test_the_page_shows_them_in_that_order_and_needs_no_network(project):
    stage.call(label_errors.main, project)
    page = label_errors.PAGE.read_text()
    places = [page.index(name) for name in ("1. train/class.png", "2. val/missing.png", "3. test/place.png")]
    assert places == sorted(places)
    assert (page.count("data:image/jpeg"), page.count("http:"), page.count("https:"), page.count("<script")) == (
        3,
        0,
        0,
        0,
    )
    assert (page.count("missing: white 0.90?"), page.count('class="box k2 odd crowd"')) == (1, 1)
    stage.call(label_errors.main, project)
    assert label_errors.PAGE.read_bytes() == page.encode()


def test_a_photo_that_was_labelled_as_stored_is_seen_so(project):
    path, exif = photo(project / "dataset/pets/train/turned.png", (*BOX, 0.95, 1)), Image.Exif()
    exif[0x0112] = 6
    Image.open(path).save(path, exif=exif)
    assert label_errors.opened(path, SIZE)[1] is True
    assert label_errors.opened(path, SIZE[::-1])[1] is False


def test_without_a_model_it_says_what_to_run(project):
    (project / "model/export").rename(project / "model/old")
    refused(stage.call(label_errors.main, project), "model/export/model.onnx: no model yet; run: make train")


def test_a_model_with_another_label_map_is_refused(project):
    labels.write(project / "dataset/pets/label_map.pbtxt", ["red", "white", "blue"])
    refused(
        stage.call(label_errors.main, project), "model/export: was trained with another label map than dataset/pets"
    )
