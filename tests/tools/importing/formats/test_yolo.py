"""YOLO's .txt files: classes, splits, polygons, what is left out."""

import pytest

from tests.support.label_files import boxes, errors, notes, only, splits, tree
from tools.importing import tree as trees
from tools.importing.formats import reading

HALF = "0 0.5 0.5 0.5 0.5\n"  # of a photo of 100x50: 25, 12.5, 75, 37.5
BOX = (25.0, 12.5, 75.0, 37.5)


def test_labels_beside_photos_with_classes_txt(tmp_path):
    """LabelImg's: an empty file is a photo without objects, none at all one without labels."""
    files = {"a.txt": "1 0.5 0.5 0.5 0.5\n0 0.25 0.5 0.5 1\n", "b.txt": "", "classes.txt": "cat\ndog\n"}
    root = tree(tmp_path, "a.jpg", "b.jpg", "c.jpg", files=files)
    dataset = only(root)
    assert boxes(root, dataset) == {"a.jpg": [("dog", BOX), ("cat", (0.0, 0.0, 50.0, 50.0))], "b.jpg": []}
    assert (dataset.names, errors(dataset)) == (("cat", "dog"), [])
    assert "a photo without a box" in notes(dataset)[0]


def test_ultralytics_layout(tmp_path):
    """names as a mapping; train is a folder, val a list of folders, test a list of photos."""
    yaml = "path: ../datasets/pets\ntrain: images/a\nval: [images/b]\ntest: lists/test.txt\nnames: {0: cat, 1: dog}\n"
    files = {f"labels/{name}/1.txt": HALF for name in "abc"}
    root = tree(
        tmp_path,
        *(f"images/{name}/1.jpg" for name in "abc"),
        files={**files, "pets.yaml": yaml, "lists/test.txt": "/home/me/datasets/pets/images/c/1.jpg\n"},
    )
    dataset = only(root)
    assert splits(root, dataset) == {"images/a/1.jpg": "train", "images/b/1.jpg": "val", "images/c/1.jpg": "test"}
    assert dataset.names == ("cat", "dog") and errors(dataset) == []


def test_roboflow_layout(tmp_path):
    yaml = "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['cat', 'dog']\nroboflow:\n  workspace: a\n"
    files = {f"{name}/labels/1.txt": HALF for name in ("train", "valid", "test")}
    photos = [f"{name}/images/1.jpg" for name in ("train", "valid", "test")]
    root = tree(tmp_path, *photos, files={**files, "data.yaml": yaml, "README.roboflow.txt": "pets\n"})
    dataset = only(root)
    assert [photo.split for photo in dataset.photos] == ["test", "train", "val"]
    assert all(many == [("cat", BOX)] for many in boxes(root, dataset).values())


def test_darknet_and_cvat(tmp_path):
    files = {
        "obj.data": "train = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\nbackup = backup/\n",
        "obj.names": "cat\ndog\n",
        "train.txt": "data/obj_train_data/1.jpg\n",
        "valid.txt": "data/obj_train_data/2.jpg\n",
        "obj_train_data/1.txt": HALF,
        "obj_train_data/2.txt": HALF,
    }
    root = tree(tmp_path, "obj_train_data/1.jpg", "obj_train_data/2.jpg", files=files)
    dataset = only(root)
    assert splits(root, dataset) == {"obj_train_data/1.jpg": "train", "obj_train_data/2.jpg": "val"}
    assert dataset.names == ("cat", "dog") and errors(dataset) == []


def test_polygons_scores_turned_boxes_and_broken_lines(tmp_path):
    lines = [
        "0 0.1 0.2 0.5 0.2 0.3 0.8",
        "0 0.1 0.2 0.5 0.2 0.5 0.8 0.1 0.8",
        "0 0.5 0.5 0.5 0.5 0.9",
        "0 0.5 0.5 0.5",
        "0 0.5 0.5 nan 0.5",
        "0 0.5 x 0.5 0.5",
        *["0 0.5 0.5 0.5 0.5"] * 6,
    ]
    root = tree(tmp_path, "a.jpg", files={"a.txt": "\n".join(lines), "classes.txt": "cat"})
    dataset = only(root)
    found = boxes(root, dataset)["a.jpg"]
    assert found[0][1] == found[1][1] == pytest.approx((10, 10, 50, 40))
    assert found[2] == ("cat", BOX) and found[3] == ("cat", None)
    assert notes(dataset) == [
        "2 x a polygon: the enclosing box is taken (a.txt: line 1, a.txt: line 2)",
        "1 x a sixth value, as models write their score: passed over (a.txt: line 3)",
        "1 x neither five values nor a polygon: written as an object without a box, which make train reports "
        "(a.txt: line 4)",
        "2 x a value that is not a number: make train reports it (a.txt: line 5, a.txt: line 6)",
    ]


def test_keypoints_behind_a_box(tmp_path):
    files = {"a.txt": "0 0.5 0.5 0.5 0.5 0.1 0.1 2 0.2 0.2 2\n", "data.yaml": "names: [cat]\nkpt_shape: [2, 3]\n"}
    root = tree(tmp_path, "a.jpg", files=files)
    assert boxes(root, only(root)) == {"a.jpg": [("cat", BOX)]}


def test_names_that_are_missing_or_doubtful(tmp_path):
    root = tree(tmp_path / "none", "a.jpg", files={"a.txt": HALF})
    assert errors(only(root)) == [
        "a.txt: ids without names: no classes.txt, data.yaml or obj.names for a.txt; "
        "put classes.txt beside the labels, a name for each line, in the order of the ids"
    ]
    root = tree(tmp_path / "unknown", "a.jpg", files={"a.txt": "2 0.5 0.5 0.5 0.5", "classes.txt": "cat\ndog"})
    assert errors(only(root)) == ["a.txt: line 1: unknown class 2; classes.txt has 0 cat, 1 dog; add it there"]
    files = {"a.txt": HALF, "a.yaml": "names: [cat]", "b.yaml": "names: [dog]"}
    assert errors(only(tree(tmp_path / "two", "a.jpg", files=files))) == [
        "a.yaml, b.yaml: name other classes, and either may be meant; keep the right one"
    ]
    root = tree(tmp_path / "words", "a.jpg", files={"a.txt": "cat 0.5 0.5 0.5 0.5"})
    assert only(root).names == ("cat",)


def test_a_list_of_names_in_each_folder(tmp_path):
    """LabelImg writes one beside the labels of each session, in the order in which the classes came up."""
    files = {"x/1.txt": HALF, "x/classes.txt": "cat\ndog\n", "y/2.txt": HALF, "y/classes.txt": "dog\ncat\n"}
    root = tree(tmp_path, "x/1.jpg", "y/2.jpg", files=files)
    dataset = only(root)
    assert boxes(root, dataset) == {"x/1.jpg": [("cat", BOX)], "y/2.jpg": [("dog", BOX)]}
    assert dataset.names == ("cat", "dog") and errors(dataset) == []


def test_what_only_looks_like_yolo(tmp_path):
    root = tree(tmp_path / "pixels", "a.jpg", files={"a.txt": "0 10 20 30 40", "classes.txt": "cat"})
    assert errors(only(root)) == [
        "a.txt: numbers up to 40: pixels, not fractions of the photo; export it as YOLO, COCO or PASCAL VOC"
    ]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("WIDER FACE", "0--Parade/x 1.jpg\n2\n44 33 12 14 0 0 0 0 0 0\n1 2 3 4 0 0 0 0 0 0\n"),
        ("VisDrone", "684,8,273,116,0,0,0,0\n406,119,265,70,0,0,0,0\n"),
        ("MOT", "1,1,912,484,97,109,0,7,1\n2,1,912,484,97,109,0,7,1\n"),
        ("ICDAR", "\ufeff377,117,463,117,465,130,378,130,Genaxis Theatre\n"),
        ("keras-yolo3", "photos/x 1.jpg 50,100,150,200,0 30,50,200,120,3\n"),
        ("DOTA", "imagesource:GoogleEarth\ngsd:0.14\n1 2 3.5 4 5 6 7 8 small-vehicle 0\n"),
    ],
)
def test_text_that_is_known_but_not_read(tmp_path, kind, content):
    contents = reading.read(trees.walk(tree(tmp_path, "x 1.jpg", files={"x 1.txt": content})))
    assert contents.datasets == ()
    assert [note.line() for note in contents.notes] == [
        f"x 1.txt: {kind}, which is not read; convert it to COCO or PASCAL VOC"
    ]


def test_a_long_line_is_soon_known(tmp_path):
    """It took for ever: each number could be read in several ways."""
    contents = reading.read(trees.walk(tree(tmp_path, "a.jpg", files={"a.txt": "0" + " 63" * 500 + " x\n"})))
    assert (contents.datasets, contents.notes) == ((), ())


def test_text_that_is_no_label(tmp_path):
    contents = reading.read(trees.walk(tree(tmp_path, "a.jpg", files={"notes.txt": "12 photos\n", "a.txt": "a cat\n"})))
    assert (contents.datasets, contents.notes) == ((), ())


def test_label_studio_s_names_where_the_photos_have_their_own(tmp_path):
    """Its YOLO export without images: eight digits before the name of what was uploaded; a second upload is another."""
    names = ("0a1b2c3d-a%20b", "1a1b2c3d-c", "2a1b2c3d-d", "3a1b2c3d-d")
    files = {f"labels/{name}.txt": HALF for name in names} | {"classes.txt": "cat\n", "notes.json": {"categories": []}}
    root = tree(tmp_path, "photos/a b.jpg", "photos/c.jpg", "photos/d.jpg", files=files)
    dataset = only(root)
    assert list(boxes(root, dataset)) == ["photos/a b.jpg", "photos/c.jpg"]
    assert "2 x no photo of this name, or several: its labels are left out" in notes(dataset)[0]


def test_files_that_cannot_be_used(tmp_path):
    """A photo whose file is broken is not one without labels; a label without a photo is listed."""
    files = {"a.txt": HALF, "b.txt": b"\xff\x00\xff", "gone.txt": HALF, "classes.txt": "cat"}
    root = tree(tmp_path, "a.jpg", "b.jpg", "c.jpg", files={**files, "c.txt": HALF, "c.jpg": b"no photo"})
    dataset = only(root)
    assert list(boxes(root, dataset)) == ["a.jpg"]
    assert {path.name: error.line().partition(";")[0] for path, error in dataset.unusable.items()} == {
        "b.jpg": "b.txt: line 1: is not UTF-8",
        "c.jpg": f"{root}/c.jpg: is not an image that can be read",
    }
    assert notes(dataset) == ["1 x no photo of this name, or several: its labels are left out (gone.txt: gone)"]


def test_yaml_that_is_broken_or_hostile(tmp_path):
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]\n"
    for number, yaml in enumerate(
        (bomb, "names: [cat", "names: " + "[" * 50_000, "names: {[1]: 2}", "names: !!python/x 1")
    ):
        root = tree(tmp_path / str(number), "a.jpg", files={"a.txt": HALF, "data.yaml": yaml, "classes.txt": "cat"})
        found = errors(only(root))
        assert len(found) <= 1 and all(line.startswith("data.yaml: ") and "broken YAML" in line for line in found)
