"""`make label-errors` on planted errors, with a detector that computes."""

import csv
from pathlib import Path

import pytest
from PIL import Image

from detector.base import paths
from detector.data import labels, tables
from tests.support import faults, stage
from tests.support.boxes import image
from tests.support.importing import refused
from tests.support.rectangles import NAMES, Rectangles, photo
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
        tables.write_csv(paths.csv(split), images, NAMES)
    return tmp_path


def found():
    labelled = [(split, one) for split in paths.SPLITS for one in tables.read_csv(paths.csv(split), LABEL_MAP)]
    return label_errors.find(Rectangles(), labelled, Path("dataset/pets"))


def test_each_planted_error_is_listed_and_nothing_else(project):
    rows = list(csv.DictReader(label_errors.table(found(), Rectangles()).splitlines()))
    assert [
        (row["rank"], row["kind"], row["split"], row["filename"], row["class"], row["detected"]) for row in rows
    ] == [
        ("1", "class", "train", "class.png", "white", "red"),
        ("2", "missing", "val", "missing.png", "", "white"),
        ("3", "place", "test", "place.png", "red", "red"),
    ]
    nats = [float(row["suspicion"]) for row in rows]
    assert nats == sorted(nats, reverse=True)
    assert [rows[1][name] for name in ("xmin", "detected_xmin", "score", "iou")] == ["", "50.0", "0.902", "0.0"]
    assert [rows[2][name] for name in ("xmax", "detected_xmax", "iou")] == ["25.0", "40.0", "0.5"]


def test_the_page_shows_them_in_that_order_and_needs_no_network(project):
    label_errors.write_page(found(), Path("dataset/pets"), LABEL_MAP, 4)
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
    label_errors.write_page(found(), Path("dataset/pets"), LABEL_MAP, 4)
    assert label_errors.PAGE.read_bytes() == page.encode()


def test_a_photo_that_was_labelled_as_stored_is_seen_so(project):
    path, exif = photo(project / "dataset/pets/train/turned.png", (*BOX, 0.95, 1)), Image.Exif()
    exif[0x0112] = 6
    Image.open(path).save(path, exif=exif)
    assert label_errors.opened(path, SIZE)[1] is True
    assert label_errors.opened(path, SIZE[::-1])[1] is False


def test_without_a_model_it_says_what_to_run(project):
    refused(stage.call(label_errors.main, project), "model/export/saved_model: no model yet; run: make train")
