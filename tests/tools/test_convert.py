"""`make convert`: a dataset of the project as a new folder for another tool."""

import json

import pytest
from PIL import Image

from tests.support import stage, tiny
from tools import convert


@pytest.fixture
def root(tmp_path):
    tiny.dataset(tmp_path, train=3, test=2)
    tiny.params(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("to", "files"),
    [
        ("coco", ["annotations/instances_train.json", "images/test/image50.jpg"]),
        ("yolo", ["data.yaml", "labels/train/image00.txt", "images/train/image00.jpg"]),
        ("csv", ["train_labels.csv", "test_labels.csv", "label_map.pbtxt", "train/image00.jpg"]),
        ("voc", ["Annotations/image50.xml", "ImageSets/Main/test.txt", "JPEGImages/image50.jpg"]),
    ],
)
def test_each_format(root, to, files):
    done = stage.call(convert.main, root, f"--to={to}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"converted/tiny-{to}: written as {to}",
        "  train: 3 photos, 3 boxes",
        "  test: 2 photos, 2 boxes",
    ]
    assert all((root / f"converted/tiny-{to}" / name).is_file() for name in files)


def test_another_dataset_and_folder(root):
    (root / "dataset/tiny").rename(root / "dataset/my pets")
    done = stage.call(convert.main, root, "--to=coco", "--dataset=my pets", "--output=out/here")
    assert done.returncode == 0, done.stderr
    content = json.loads((root / "out/here/annotations/instances_test.json").read_text())
    assert [one["file_name"] for one in content["images"]] == ["image50.jpg", "image51.jpg"]


def test_nothing_is_overwritten(root):
    (root / "out").mkdir()
    done = stage.call(convert.main, root, "--to=coco", "--output=out")
    assert (done.returncode, done.stderr) == (2, "error: out: exists; choose another OUTPUT, or move it away\n")
    assert list((root / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "error: TO: is empty; give one of voc, coco, yolo, csv: make convert TO=coco"),
        (["--to=kitti"], "error: TO: kitti is not a format; give one of voc, coco, yolo, csv: make convert TO=coco"),
        (["--to=coco", "--dataset=gone"], "error: dataset/gone: "),
        (["--to=coco", "--output=params.yaml/x"], "error: params.yaml"),
    ],
)
def test_mistakes(root, arguments, error):
    done = stage.call(convert.main, root, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert error in done.stderr and "Traceback" not in done.stderr
    assert not (root / "converted").exists()


def test_what_would_stop_a_training_stops_a_conversion(root):
    (root / "dataset/tiny/train/image00.xml").write_text(
        (root / "dataset/tiny/train/image00.xml").read_text().replace("cat", "cta")
    )
    done = stage.call(convert.main, root, "--to=yolo")
    assert done.returncode == 2 and "unknown class cta" in done.stderr
    assert done.stderr.splitlines()[-1] == "error: dataset/tiny: 1 error; fix them and run again; nothing was written"
    assert not (root / "converted").exists()


def test_a_photo_that_exif_turns(root):
    """Its <size> is that of the pixels as stored, 96x64: others see 64x96, the box a quarter further."""
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise: left, bottom becomes left, top
    path = root / "dataset/tiny/train/image00.jpg"
    Image.open(path).save(path, exif=exif)
    done = stage.call(convert.main, root, "--to=coco")
    assert "  1 photo turned by EXIF: boxes are on the photo as seen" in done.stdout
    content = json.loads((root / "converted/tiny-coco/annotations/instances_train.json").read_text())
    assert (content["images"][0]["width"], content["images"][0]["height"]) == (64, 96)
    assert content["annotations"][0]["bbox"] == [64 - (4 + 32), 8, 32, 32]


def test_difficult_objects(root):
    path = root / "dataset/tiny/train/image00.xml"
    path.write_text(path.read_text().replace("<difficult>0", "<difficult>1"))
    assert "  1 difficult objects, or crowds, written as such" in stage.call(convert.main, root, "--to=coco").stdout
    content = json.loads((root / "converted/tiny-coco/annotations/instances_train.json").read_text())
    assert [one["iscrowd"] for one in content["annotations"]] == [1, 0, 0]
    assert "left out: YOLO has no word for it" in stage.call(convert.main, root, "--to=yolo").stdout
    assert (root / "converted/tiny-yolo/labels/train/image00.txt").read_text() == ""


def test_photos_whose_labels_would_have_one_name(root):
    """image00.jpg of the test split is renamed: in VOC's own layout both would be Annotations/image00.xml."""
    picture = convert.Picture(root, "a.jpg", (1, 1), ())
    other = convert.Picture(root, "A.png", (1, 1), ())
    named = convert.named({"train": [picture, other], "test": [picture]})
    assert [[one.name for one in many] for many in named.values()] == [["a.jpg", "A_.png"], ["a__.jpg"]]
