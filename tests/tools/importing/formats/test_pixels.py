"""Text with corners in pixels: OIDv4's toolkit, mAP, KITTI."""

import pytest

from tests.support import faults
from tests.support.importing import counts, planned
from tests.support.label_files import boxes, errors, notes, only, splits, tree

KITTI = "Car {} 0 1.85 38.63 18.5 42.5 20 1.67 1.87 3.69 -16.53 2.39 58.49 1.57\n"
DONT_CARE = "DontCare -1 -1 -10 50 16 59 19 -1 -1 -1 -1000 -1000 -1000 -10\n"


def test_oidv4(tmp_path):
    """Classes with spaces; labels in a folder Label beside the photos."""
    files = {
        "train/Traffic light/Label/a.txt": "Traffic light 10 20.5 30 40\nTraffic light 1 2 30 4\n",
        "test/Cat/Label/a.txt": "Cat 5 6 7 8\n",
    }
    root = tree(tmp_path, "train/Traffic light/a.jpg", "test/Cat/a.jpg", files=files)
    dataset = only(root)
    assert (dataset.format, errors(dataset), notes(dataset)) == ("OIDv4", [], [])
    assert boxes(root, dataset) == {
        "train/Traffic light/a.jpg": [("Traffic light", (10, 20.5, 30, 40)), ("Traffic light", (1, 2, 30, 4))],
        "test/Cat/a.jpg": [("Cat", (5, 6, 7, 8))],
    }
    assert splits(root, dataset) == {"train/Traffic light/a.jpg": "train", "test/Cat/a.jpg": "test"}


def test_an_image_of_open_images_in_two_classes(tmp_path):
    """Each file has the boxes of one class alone; without the others the photo would teach that a dog is none."""
    image = "0a1b2c3d4e5f6071"
    files = {
        f"train/Cat/Label/{image}.txt": "Cat 10 20 30 40\n",
        f"train/Dog/Label/{image}.txt": "Dog 1 2 30 40\n",
        "train/Cat/Label/1.txt": "Cat 10 20 30 40\n",
        "train/Dog/Label/1.txt": "Dog 1 2 30 40\n",
    }
    photos = [name.replace("/Label", "").replace("txt", "jpg") for name in files]
    root = tree(tmp_path / "source", *photos, files=files)
    cat, dog = ("Cat", (10.0, 20.0, 30.0, 40.0)), ("Dog", (1.0, 2.0, 30.0, 40.0))
    assert boxes(root, only(root)) == {
        f"train/Cat/{image}.jpg": [cat, dog],
        "train/Cat/1.jpg": [cat],
        "train/Dog/1.jpg": [dog],
    }
    for photo in photos:
        faults.image(root / photo)
    made = planned(tmp_path, root)  # one dataset, though all is below train/
    assert sum(photos for photos, _ in counts(made).values()) == 3
    assert {str(path) for path in made.left_out} == {f"train/Dog/{image}.jpg"}


def test_map_beside_the_photos(tmp_path):
    """An empty file is a photo without objects."""
    files = {"a.txt": "cat 10 20 30 40\ndog 1 2 30 4 difficult\n\nnonsense\n", "b.txt": "", "c.txt": "cat 1 2 3 5"}
    root = tree(tmp_path, "a.jpg", "b.jpg", "c.jpg", files=files)
    dataset = only(root)
    assert [(box.name, box.difficult) for box in dataset.photos[0].boxes] == [
        ("cat", False),
        ("dog", True),
        ("", False),
    ]
    assert boxes(root, dataset)["b.jpg"] == []
    assert notes(dataset)[0] == (
        "1 x not a class and its numbers: written as an object without a box, which make train reports (a.txt: line 4)"
    )


def test_kitti(tmp_path):
    """Labels of the left camera, training alone; the other camera and testing have photos of the same names."""
    photos = [
        f"{place}/00{n}.png" for place in ("training/image_2", "training/image_3", "testing/image_2") for n in "12"
    ]
    files = {f"training/label_2/00{n}.txt": KITTI.format("0.00" if n == "1" else "0.5") + DONT_CARE for n in "12"}
    root = tree(tmp_path, *photos, files=files)
    dataset = only(root)
    assert boxes(root, dataset) == {photo: [("Car", (38.63, 18.5, 42.5, 20))] for photo in photos[:2]}
    assert [box.truncated for photo in dataset.photos for box in photo.boxes] == [False, True]
    assert (dataset.format, errors(dataset)) == ("KITTI", [])
    assert notes(dataset)[0].startswith("2 x a region DontCare: left out (training/label_2/001.txt: line 2, ")


def test_x_y_width_height_are_no_corners(tmp_path):
    root = tree(tmp_path, "a.jpg", files={"a.txt": "cat 50 20 10 9\n"})
    assert errors(only(root)) == [
        "a.txt: the last two numbers are smaller than the two before them in 1 of 1 boxes; "
        "write each line as: class xmin ymin xmax ymax, in pixels"
    ]


@pytest.mark.parametrize("line", ["cat 0.9 10 20 30 40", "0 10 20 30 40", "cat 10 20 50 20 30 80"])
def test_scores_ids_and_polygons_are_something_else(tmp_path, line):
    assert only(tree(tmp_path, "a.jpg", files={"a.txt": line})).format == "YOLO"  # which says: pixels, not fractions
