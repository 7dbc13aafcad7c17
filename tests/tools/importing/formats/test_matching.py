"""Which photo of a tree a name in a label file means."""

from tools.importing.formats import matching
from tools.importing.formats.labelled import Labels


def match(wanted: list[tuple[str, str] | tuple[str, str, str]], *photos: str) -> list[str]:
    """The photo of each (label file, name[, split]); empty where there is none."""
    labels = [Labels(name, file, "", (), split="".join(split)) for file, name, *split in wanted]
    found = matching.photos(labels, photos)
    return [found[index].name if index in found else "" for index in range(len(labels))]


def test_beside_the_label_file_first():
    assert match([("x/a.json", "1.jpg"), ("y/a.json", "1.jpg")], "x/1.jpg", "y/1.jpg") == ["x/1.jpg", "y/1.jpg"]
    assert match([("labels/a.json", "../photos/1.jpg")], "photos/1.jpg", "other/1.jpg") == ["photos/1.jpg"]
    assert match([("a.json", "../../etc/1.jpg")], "etc/1.jpg") == ["etc/1.jpg"]


def test_then_by_the_end_of_the_path():
    assert match([("a.json", "/home/me/x/1.jpg")], "p/x/1.jpg", "p/y/1.jpg") == ["p/x/1.jpg"]
    assert match([("labels/a.json", "1.jpg")], "photos/1.jpg") == ["photos/1.jpg"]
    assert match([("labels/a.json", "1.jpg")], "p/1.jpg", "q/1.jpg") == [""]


def test_a_split_decides_and_is_never_left():
    photos = ("images/train/1.jpg", "images/val/1.jpg")
    assert match([("a.json", "1.jpg", "val"), ("b.json", "1.jpg", "train")], *photos) == list(reversed(photos))
    assert match([("a.json", "2.jpg", "train")], "test/2.jpg") == [""]
    assert match([("a.json", "train/2.jpg")], "test/2.jpg") == [""]
    assert match([("l/a.json", "2.jpg", "train")], "photos/2.jpg") == ["photos/2.jpg"]


def test_a_folder_of_this_tree_is_meant():
    """cats/1.jpg is missing; dogs/1.jpg is another photo."""
    assert match([("a.json", "cats/1.jpg")], "dogs/1.jpg", "cats/2.jpg") == [""]
    assert match([("a.json", "old/1.jpg")], "dogs/1.jpg", "cats/2.jpg") == ["dogs/1.jpg"]


def test_names_without_a_suffix():
    assert match([("a.csv", "1")], "p/1.jpg") == ["p/1.jpg"]
    assert match([("a.csv", "1")], "1.jpg", "1.png") == [""]
    assert match([("a.csv", "1.v2")], "1.v2.jpg") == ["1.v2.jpg"]


def test_two_files_may_mean_one_photo():
    assert match([("x/a.csv", "1.jpg"), ("x/train.csv", "1.jpg", "train")], "p/1.jpg") == ["p/1.jpg", "p/1.jpg"]


def test_nothing():
    assert match([]) == [] and match([("a.json", "")], "1.jpg") == [""] and match([("a.json", "1.jpg")]) == [""]
