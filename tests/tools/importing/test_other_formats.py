"""`make dataset` from labels of other formats: photos, splits, classes, and what wins where a source has two."""

from pathlib import Path

import pytest

from detector.annotations import voc
from tests.support import faults, label_files
from tests.support.importing import counts, planned, refusal, targets

HASHED = "found no test split: 10% for test/, by a hash of the file name"


def tree(root: Path, *photos: str, files: dict[str, object] | None = None) -> Path:
    """A source whose photos are all different."""
    label_files.tree(root, *photos, files=files)
    for photo in photos:
        faults.image(root / photo, label_files.SIZE)
    return root


def coco(*photos: str, name: str = "cat") -> dict[str, object]:
    """A box of 10, 5, 20, 30 (x, y, width, height) in each photo."""
    images = [{"id": n, "file_name": photo, "width": 100, "height": 50} for n, photo in enumerate(photos)]
    boxes = [{"id": n, "image_id": n, "category_id": 7, "bbox": [10, 5, 20, 30]} for n in range(len(photos))]
    return {"images": images, "annotations": boxes, "categories": [{"id": 7, "name": name}]}


def numbered(folder: str, *numbers: int) -> list[str]:
    return [f"{folder}/p{number}.jpg".lstrip("/") for number in numbers]


def test_coco_as_roboflow_exports_it(tmp_path: Path) -> None:
    files = {f"{split}/_annotations.coco.json": coco(*numbered("", *ns)) for split, ns in SPLITS.items()}
    photos = [photo for split, ns in SPLITS.items() for photo in numbered(split, *ns)]
    made = planned(tmp_path, tree(tmp_path / "source", *photos, files=files))
    assert counts(made) == {"train": (5, 5), "test": (2, 2)}
    assert targets(made)[:2] == ["test/p5.jpg", "test/p5.xml"]
    assert made.notes[:2] == [
        "splits found: train/, test/",
        "valid/ goes into train/, from which make train takes its own validation split",
    ]
    assert "label map made from the labels: cat 1" in made.notes
    content = made.targets[Path("test/p5.xml")]
    assert isinstance(content, bytes)
    annotation, problems = voc.parse(content, ["cat"])
    assert annotation and not problems
    assert (annotation.filename, annotation.size) == ("p5.jpg", (100, 50))
    assert [one.box for one in annotation.objects] == [(10, 5, 30, 35)]


SPLITS = {"train": range(3), "valid": range(3, 5), "test": range(5, 7)}


def test_coco_with_a_file_for_each_split(tmp_path: Path) -> None:
    files = {
        "annotations/instances_train2017.json": coco(*numbered("", *range(5))),
        "annotations/instances_test2017.json": coco(*numbered("", 5, 6)),
    }
    made = planned(tmp_path, tree(tmp_path / "source", *numbered("images", *range(7)), files=files))
    assert counts(made) == {"train": (5, 5), "test": (2, 2)}


def test_yolo_s_classes_keep_their_order(tmp_path: Path) -> None:
    photos = [*numbered("images/train", *range(5)), *numbered("images/test", 5, 6)]
    files = {photo.replace("images", "labels").replace("jpg", "txt"): "1 0.5 0.5 0.2 0.2\n" for photo in photos}
    files["labels/train/p0.txt"] = "0 0.5 0.5 0.2 0.2\n2 0.1 0.1 0.1 0.1\n"
    files["data.yaml"] = "train: images/train\ntest: images/test\nnames: [zebra, dog, ant]\n"
    made = planned(tmp_path, tree(tmp_path / "source", *photos, files=files))
    assert counts(made) == {"train": (5, 6), "test": (2, 2)}
    assert "label map made from the labels: zebra 1, dog 2, ant 3" in made.notes
    assert not made.left_out


def test_the_format_with_more_photos_is_taken(tmp_path: Path) -> None:
    source = tree(tmp_path / "source", *numbered("", *range(6)))
    for number in range(3):
        (source / f"p{number}.xml").write_text(faults.voc(f"p{number}.jpg", [("dog", faults.BOX)], label_files.SIZE))
    label_files.tree(source, files={"labels.json": coco(*numbered("", 0, 1, 2))})
    made = planned(tmp_path, source)
    assert "not taken: COCO's labels of 3 photos (labels.json)" in made.notes
    assert "label map made from the labels: dog 1" in made.notes  # VOC's, as it has as many
    label_files.tree(source, files={"labels.json": coco(*numbered("", *range(6)))})
    made = planned(tmp_path, source)
    assert "label map made from the labels: cat 1" in made.notes
    assert {str(path) for path in made.left_out} == {"p0.xml", "p1.xml", "p2.xml"}
    assert HASHED in made.notes


@pytest.mark.parametrize("of_coco", [(4, 5), (2, 3, 4, 5)])
def test_photos_that_only_the_other_format_labels_are_taken_too(tmp_path: Path, of_coco: tuple[int, ...]) -> None:
    source = tree(tmp_path / "source", *numbered("", *range(6)))
    for number in set(range(6)) - set(of_coco):
        (source / f"p{number}.xml").write_text(faults.voc(f"p{number}.jpg", [("dog", faults.BOX)], label_files.SIZE))
    label_files.tree(source, files={"labels.json": coco(*numbered("", *of_coco))})
    made = planned(tmp_path, source)
    assert sum(photos for photos, _ in counts(made).values()) == 6
    assert not made.left_out
    assert [note for note in made.notes if "too: 2 photos without another label" in note]


def test_a_photo_with_a_label_in_doubt_is_not_one_without_a_label(tmp_path: Path) -> None:
    """A YOLO file whose classes nobody names: its photo must not become one without objects."""
    source = tree(tmp_path / "source", *numbered("", *range(4)), files={"p3.txt": "0 0.5 0.5 0.2 0.2\n"})
    for number in range(3):
        (source / f"p{number}.xml").write_text(faults.voc(f"p{number}.jpg", [("dog", faults.BOX)], label_files.SIZE))
    made = planned(tmp_path, source)
    assert {str(row.photo) for row in made.rows} == {"p0.jpg", "p1.jpg", "p2.jpg"}
    assert {str(path) for path in made.left_out} == {"p3.jpg", "p3.txt"}


def test_a_dataset_in_two_formats_with_photos_in_both(tmp_path: Path) -> None:
    source = tree(tmp_path / "source", *numbered("voc", *range(4)), *numbered("coco", *range(4)))
    for number in range(4):
        (source / f"voc/p{number}.xml").write_text(faults.voc(f"p{number}.jpg", size=label_files.SIZE))
    label_files.tree(source, files={"coco/labels.json": coco(*numbered("", *range(4)))})
    made = planned(tmp_path, source)
    assert {row.photo.parent.name for row in made.rows if row.photo} == {"voc"}
    assert "not taken: COCO's labels of 4 photos (coco/labels.json)" in made.notes
    assert "coco 2" not in "".join(made.notes)


def test_labels_whose_meaning_is_in_doubt(tmp_path: Path) -> None:
    files = {"labels.json": coco("p0.jpg", "p1.jpg")}
    files["labels.json"]["annotations"][1]["category_id"] = 8  # type: ignore[index]
    error = refusal(tmp_path, tree(tmp_path / "source", *numbered("", 0, 1), files=files))
    assert error.startswith("labels.json: ")


def test_one_split_that_is_the_folder_of_all(tmp_path: Path) -> None:
    """YOLO below train/ alone, in a folder for each class: one dataset, whose test split is ours."""
    photos = [*numbered("train/cat", *range(3)), *numbered("train/dog", 3, 4)]
    files = {photo.replace("jpg", "txt"): "0 0.5 0.5 0.2 0.2\n" for photo in photos}
    made = planned(tmp_path, tree(tmp_path / "source", *photos, files={**files, "classes.txt": "cat\n"}))
    assert sum(photos for photos, _ in counts(made).values()) == 5
    assert HASHED in made.notes


def test_formats_that_are_known_but_not_read(tmp_path: Path) -> None:
    files = {"p0.json": {"classTitle": "cat", "objects": []}}
    error = refusal(tmp_path, tree(tmp_path / "source", *numbered("", 0, 1), files=files))
    assert "Supervisely, which is not read: export it as COCO or PASCAL VOC from Supervisely" in error
