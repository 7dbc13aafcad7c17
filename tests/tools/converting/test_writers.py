"""What is written for other tools, byte by byte, and the way back."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO

from detector.annotations.voc import VocObject
from detector.storage import zip_archive
from tests.support.label_files import boxes, only, splits, tree
from tests.support.stage import REPOSITORY
from tools.converting import writers
from tools.converting.writers import Picture
from tools.lab import round_trips

LABEL_MAP = {"cat": 1, "dog": 2}
SHARED = REPOSITORY.parent / "shared"


def objects(*rows: tuple[str, float, float, float, float, bool]) -> tuple[VocObject, ...]:
    return tuple(VocObject(f"object {n}", row[0], row[1:5], row[5]) for n, row in enumerate(rows, start=1))


@pytest.fixture
def pictures(tmp_path):
    """Two photos with objects, one of them difficult, and one without."""
    root = tree(tmp_path / "in", "a.jpg", "b.jpg", "c.jpg")
    first = objects(("cat", 0, 12.5, 25, 50, False), ("dog", 10, 20, 40.25, 30, True))
    train = [Picture(root / "a.jpg", "a.jpg", (100, 50), first), Picture(root / "b.jpg", "b.jpg", (100, 50), ())]
    test = [Picture(root / "c.jpg", "c.jpg", (100, 50), objects(("dog", 1, 2, 3, 4, False)))]
    return {"train": train, "test": test}


def test_coco(tmp_path, pictures):
    writers.write(tmp_path / "out", "coco", pictures, LABEL_MAP)
    train = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    assert train["images"] == [
        {"id": 1, "file_name": "a.jpg", "width": 100, "height": 50},
        {"id": 2, "file_name": "b.jpg", "width": 100, "height": 50},
    ]
    assert train["annotations"] == [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "bbox": [0, 12.5, 25, 37.5],
            "area": 937.5,
            "iscrowd": 0,
            "segmentation": [],
        },
        {
            "id": 2,
            "image_id": 1,
            "category_id": 2,
            "bbox": [10, 20, 30.25, 10],
            "area": 302.5,
            "iscrowd": 1,
            "segmentation": [],
        },
    ]
    assert train["categories"][1] == {"id": 2, "name": "dog", "supercategory": "none"}
    test = json.loads((tmp_path / "out/annotations/instances_test.json").read_text())
    assert [one["id"] for one in test["images"] + test["annotations"]] == [3, 3]
    assert (tmp_path / "out/images/test/c.jpg").read_bytes() == pictures["test"][0].path.read_bytes()


def test_pycocotools_loads_it(tmp_path, pictures, capsys):
    writers.write(tmp_path / "out", "coco", pictures, LABEL_MAP)
    coco = COCO(tmp_path / "out/annotations/instances_train.json")
    assert [one["bbox"] for one in coco.loadAnns(coco.getAnnIds(imgIds=[1], iscrowd=False))] == [[0, 12.5, 25, 37.5]]
    assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == ["cat", "dog"]


def test_yolo(tmp_path, pictures):
    writers.write(tmp_path / "out", "yolo", pictures, LABEL_MAP)
    assert (tmp_path / "out/labels/train/a.txt").read_text() == "0 0.125 0.625 0.25 0.75\n"
    assert (tmp_path / "out/labels/train/b.txt").read_text() == ""
    assert (tmp_path / "out/data.yaml").read_text() == (
        "train: images/train\nval: images/test # YOLO wants one; it is the test split, choose another to select by\n"
        'test: images/test\nnames:\n  0: "cat"\n  1: "dog"\n'
    )


def test_csv(tmp_path, pictures):
    writers.write(tmp_path / "out", "csv", pictures, LABEL_MAP)
    assert (tmp_path / "out/train_labels.csv").read_text() == (
        "filename,width,height,class,xmin,ymin,xmax,ymax,is_crowd\n"
        "a.jpg,100,50,cat,0,12.5,25,50,0\na.jpg,100,50,dog,10,20,40.25,30,1\nb.jpg,100,50,,,,,,\n"
    )
    only_train = {"train": pictures["train"][1:]}
    writers.write(tmp_path / "plain", "csv", only_train, LABEL_MAP)
    assert (
        (tmp_path / "plain/train_labels.csv")
        .read_text()
        .startswith("filename,width,height,class,xmin,ymin,xmax,ymax\n")
    )


def test_voc(tmp_path, pictures):
    writers.write(tmp_path / "out", "voc", pictures, LABEL_MAP)
    assert (tmp_path / "out/ImageSets/Main/train.txt").read_text() == "a\nb\n"
    assert "<difficult>1</difficult>" in (tmp_path / "out/Annotations/a.xml").read_text()
    assert (tmp_path / "out/JPEGImages/c.jpg").is_file()


@pytest.mark.parametrize("to", ["coco", "yolo", "csv"])
def test_our_own_reader_takes_it_back(tmp_path, pictures, to):
    root = tmp_path / "out"
    writers.write(root, to, pictures, LABEL_MAP)
    dataset = only(root)
    found = {Path(name).name: many for name, many in boxes(root, dataset).items()}
    crowd = [("dog", (10, 20, 40.25, 30))] if to != "yolo" else []
    assert found == {
        "a.jpg": [("cat", (0, 12.5, 25, 50)), *crowd],
        "b.jpg": [],
        "c.jpg": [("dog", pytest.approx((1, 2, 3, 4)))],
    }
    assert {Path(name).name: split for name, split in splits(root, dataset).items()} == {
        "a.jpg": "train",
        "b.jpg": "train",
        "c.jpg": "test",
    }
    assert dataset.names == ("cat", "dog") and not dataset.errors
    difficult = [box.difficult for photo in dataset.photos for box in photo.boxes if box.name == "dog"]
    assert difficult == ([False] if to == "yolo" else [False, True])


SIDE = st.one_of(st.floats(0, 5000, allow_subnormal=False), st.integers(0, 5000).map(float))


@given(st.tuples(SIDE, SIDE), st.tuples(SIDE, SIDE), st.integers(1, 5000), st.integers(1, 5000))
def test_corners_come_back(xs, ys, width, height):
    """But for the last bit of COCO's x + width, where rounding ties; within 1e-9 pixels from YOLO's fractions."""
    box = (min(xs), min(ys), max(xs), max(ys))
    (one,) = objects(("cat", *box, False))
    x, y, w, h = writers._annotation(1, 1, one, LABEL_MAP)["bbox"]
    assert (x, y, x + w, y + h) == pytest.approx(box, rel=2**-52, abs=0)
    _, cx, cy, fw, fh = map(float, writers._line(one, (width, height), LABEL_MAP).split())
    back = ((cx - fw / 2) * width, (cy - fh / 2) * height, (cx + fw / 2) * width, (cy + fh / 2) * height)
    assert back == pytest.approx(box, rel=0, abs=1e-9)


@pytest.mark.parametrize(
    ("source", "photos", "count"),
    [("asirra/dataset.zip", 995, 1058), ("real/raccoon_dataset.zip", 200, 217), ("real/BCCD_Dataset.zip", 364, 4886)],
)
def test_round_trips_of_real_datasets(source, photos, count):
    """BCCD's two boxes without extent are no objects here."""
    if not (SHARED / source).exists():
        pytest.skip(f"../shared/{source} is not here")
    with tempfile.TemporaryDirectory() as temporary:
        folder = zip_archive.unpack(SHARED / source, Path(temporary) / "in", source)
        pictures = round_trips.with_splits(round_trips.labelled(folder))
        for to in writers.WRITERS:
            found = round_trips.difference(pictures, to, Path(temporary) / to)
            assert (found.photos, found.boxes, found.same_classes) == ((photos, photos), (count, count), True)
            assert found.corner <= (1e-9 if to == "yolo" else 0)
