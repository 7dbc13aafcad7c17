"""The plan of an import for trees of every shape: what is paired, split, renamed, left out or refused."""

import itertools
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from detector.data import labels
from tests.support import faults, label_files
from tests.support.importing import counts, planned, refusal, targets
from tools.importing import receipts, splits
from tools.importing.plan import Plan

HASHED = "found no test split: 10% for test/, by a hash of the file name"
DRAW = "draw a box around each object, say with LabelImg"


def put(root: Path, *names: str) -> Path:
    """Files below a folder: an XML is an annotation of a photo of its own name, whose box no other name has."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".xml":
            edge = 10 + sum(name.encode()) % 30
            path.write_text(faults.voc(f"{path.stem}.jpg", [("cat", (1, 1, edge, 40))]), encoding="utf-8")
        else:
            path.write_bytes(name.encode())
    return root


def pairs(root: Path, pattern: str, count: int = 12, start: int = 0) -> Path:
    """Photos and XML of `photos/{}.jpg + annotations/{}.xml`, or of `{}` side by side."""
    photo, _, label = pattern.partition(" + ")
    for number in range(start, start + count):
        name = f"p{number}"
        put(root, photo.format(name) + ("" if label else ".jpg"), (label or f"{photo}.xml").format(name))
    return root


def labelled(made: Plan) -> int:
    return sum(photos for photos, _ in counts(made).values())


@pytest.mark.parametrize(
    "pattern",
    [
        "{}",
        "deep/inside/of/{}",
        "images/{}.jpg + annotations/{}.xml",
        "JPEGImages/{}.JPG + Annotations/{}.xml",
        "a/images/{}.jpg + a/annotations/xmls/{}.xml",
        "pictures of ana/{}.jpg + what she drew/{}.xml",
        "{}.jpg + xml/{}.xml",
        "photos/{}.jpg + {}.xml",
        "{}.jpg + {}.jpg.xml",
        "{}.jpg + labels/{}.JPG.xml",
        "a/{}.png + b/{}.xml",
    ],
)
def test_photos_and_labels_anywhere(pattern: str, tmp_path: Path) -> None:
    made = planned(tmp_path, pairs(tmp_path / "source", pattern))
    assert labelled(made) == 12
    assert HASHED in made.notes
    assert not made.left_out
    assert all(row.label and row.photo and row.label.name.startswith(f"{row.stem}.") for row in made.rows)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train/{}", "test/{}"),
        ("Train/{}", "TEST/{}"),
        ("training/{}", "testing/{}"),
        ("data/train_images/{}.jpg + data/train_labels/{}.xml", "data/test_images/{}.jpg + data/test_labels/{}.xml"),
        ("train/images/{}.jpg + train/annotations/{}.xml", "test/images/{}.jpg + test/annotations/{}.xml"),
        ("images/train/{}.jpg + annotations/train/{}.xml", "images/test/{}.jpg + annotations/test/{}.xml"),
        ("images/{}.jpg + annotations/train2017/{}.xml", "images/{}.jpg + annotations/test2017/{}.xml"),
        ("images/train/{}.jpg + annotations/{}.xml", "images/test/{}.jpg + annotations/{}.xml"),
        ("train_zip/train/{}", "test_zip/test/{}"),
        ("train/cat/{}", "test/cat/{}"),
        ("cats and dogs/Train Set/{}", "cats and dogs/Test Set/{}"),
        ("{}", "test/{}"),
        ("day1/{}", "test/{}"),
    ],
)
def test_folders_of_splits(train: str, test: str, tmp_path: Path) -> None:
    pairs(tmp_path / "source", train, 7)
    made = planned(tmp_path, pairs(tmp_path / "source", test, 3, start=7))
    assert {split: photos for split, (photos, _) in counts(made).items()} == {"train": 7, "test": 3}
    assert not made.left_out


@pytest.mark.parametrize("name", ["valid", "validation", "Val", "dev"])
def test_validation_goes_into_train(name: str, tmp_path: Path) -> None:
    for folder, count, start in (("train", 5, 0), (name, 3, 5), ("test", 2, 8)):
        pairs(tmp_path / "source", f"{folder}/{{}}", count, start)
    made = planned(tmp_path, tmp_path / "source")
    assert {split: photos for split, (photos, _) in counts(made).items()} == {"train": 8, "test": 2}
    assert f"{name}/ goes into train/, from which make train takes its own validation split" in made.notes


def test_folders_that_say_nothing_are_batches(tmp_path: Path) -> None:
    for day in range(3):
        pairs(tmp_path / "source", f"day{day}/{{}}", 4)
    made = planned(tmp_path, tmp_path / "source")
    assert {row.stem for row in made.rows} == {f"day{day}_p{n}" for day, n in itertools.product(range(3), range(4))}


def test_names_that_are_unique_stay(tmp_path: Path) -> None:
    source = pairs(tmp_path / "source", "a/{}", 3)
    pairs(source, "b/{}", 3, start=2)
    made = planned(tmp_path, source)
    assert sorted(row.stem for row in made.rows) == ["a_p2", "b_p2", "p0", "p1", "p3", "p4"]


def test_lists_of_names(tmp_path: Path) -> None:
    source = pairs(tmp_path / "source", "VOC/JPEGImages/{}.jpg + VOC/Annotations/{}.xml", 10)
    lists = source / "VOC/ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "trainval.txt").write_text("p0\np1\np2\n")
    (lists / "test.txt").write_text("p3\np4\nabsent\n")
    (lists / "cat_train.txt").write_text("p9 1\n")  # of one class: not a split
    (source / "VOC/ImageSets/Layout").mkdir()
    (source / "VOC/ImageSets/Layout/train.txt").write_text("p5 1\np3 1\n")  # another challenge
    made = planned(tmp_path, source)
    assert [path[:-4] for path in targets(made, ".jpg")] == ["test/p3", "test/p4", "train/p0", "train/p1", "train/p2"]
    assert made.notes[0] == "splits found: ImageSets/Main/trainval.txt, ImageSets/Main/test.txt"
    assert "1 line of the lists named no photo: absent" in made.notes
    assert "left out (5): labelled photos that no list of a split names (VOC/JPEGImages/: 5)" in made.notes


def test_lists_of_each_class_where_there_are_no_others(tmp_path: Path) -> None:
    source = pairs(tmp_path / "source", "images/{}.jpg + xml/{}.xml", 6)
    (source / "cat_train.txt").write_text("p0 1\np1 -1\np2 0\np3  1\n")
    (source / "cat_test.txt").write_text("p4 -1\np5 -1\n")
    assert {name: photos for name, (photos, _) in counts(planned(tmp_path, source)).items()} == {"train": 4, "test": 2}


def test_a_list_without_a_test_list(tmp_path: Path) -> None:
    """VOC2012 comes so: its other photos are labelled in part only."""
    source = pairs(tmp_path / "source", "JPEGImages/{}.jpg + Annotations/{}.xml", 10)
    (source / "train.txt").write_text("".join(f"p{n}\n" for n in range(8)))
    made = planned(tmp_path, source)
    assert labelled(made) == 8
    assert HASHED in made.notes


def test_voc_2007_comes_in_two_archives(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name, numbers in (("trainval", range(6)), ("test", range(6, 9))):
        folder = f"VOC{name}_06-Nov-2007/VOCdevkit/VOC2007"
        pairs(source, f"{folder}/JPEGImages/{{}}.jpg + {folder}/Annotations/{{}}.xml", len(numbers), numbers[0])
        (source / folder / "ImageSets/Main").mkdir(parents=True)
        (source / folder / f"ImageSets/Main/{name}.txt").write_text("".join(f"p{n}\n" for n in numbers))
    assert {name: photos for name, (photos, _) in counts(planned(tmp_path, source)).items()} == {"train": 6, "test": 3}


def test_several_datasets_are_named_with_the_source_that_takes_each(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name, count in (("v1", 4), ("v2", 6)):
        pairs(source, f"{name}/train/{{}}", count)
        pairs(source, f"{name}/test/{{}}", 2, 20)
    pairs(source, "more/{}", 3)
    error = refusal(tmp_path, source)
    assert error == (
        f"{source}: holds 3 datasets: SRC={source}/v1 takes 6 labelled photos (train 4, test 2), "
        f"SRC={source}/v2 takes 8 labelled photos (train 6, test 2), SRC={source}/more takes 3 labelled photos; "
        "give one of them"
    )
    assert labelled(planned(tmp_path, f"{source}/v2")) == 8
    assert labelled(planned(tmp_path, f"{source}/more")) == 3


def test_several_datasets_in_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name, count in (("v1", 4), ("v2", 6)):
            folder = pairs(tmp_path / name, "train/{}", count)
            pairs(folder, "test/{}", 2, 20)
            for path in folder.rglob("*.*"):
                file.write(path, path.relative_to(tmp_path))
    source = tmp_path / "a.zip"
    assert f"SRC={source}#v1 takes 6 labelled photos (train 4, test 2)" in refusal(tmp_path, source)
    assert labelled(planned(tmp_path, f"{source}#v2")) == 8
    assert refusal(tmp_path, f"{source}#v3") == f"{source}: has no folder v3; check what is behind # in SRC"
    assert "has no folder" in refusal(tmp_path, f"{source}#../a.zip")
    (tmp_path / "a#b").mkdir()
    pairs(tmp_path / "a#b", "{}")
    assert labelled(planned(tmp_path, tmp_path / "a#b")) == 12  # a name


def test_versions_of_one_dataset_are_not_joined(tmp_path: Path) -> None:
    """The boxes of the second are those of the first at half the size."""
    source = tmp_path / "source"
    for name, scale in (("original", 1), ("resized", 0.5)):
        for number in range(8):
            put(source, f"{name}/p{number}.jpg")
            box = tuple(scale * value for value in (2 * number, 2, 30 + 2 * number, 40))
            size = (int(64 * scale), int(48 * scale))
            (source / f"{name}/p{number}.xml").write_text(faults.voc(f"p{number}.jpg", [("cat", box)], size))
    assert f"holds 2 versions of a dataset: SRC={source}/original takes 8 labelled photos" in refusal(tmp_path, source)


def test_boxes_around_whole_pictures_make_no_versions(tmp_path: Path) -> None:
    for day in range(3):
        for number in range(4):
            put(tmp_path / f"source/{day}", f"p{number}.jpg")
            xml = faults.voc(f"p{number}.jpg", [("cat", (0, 0, *faults.SIZE))])
            (tmp_path / f"source/{day}/p{number}.xml").write_text(xml)
    assert labelled(planned(tmp_path, tmp_path / "source")) == 12


def test_annotations_without_a_suffix(tmp_path: Path) -> None:
    """As Stanford Dogs has them, in a folder for each class."""
    for number in range(6):
        put(tmp_path / "source", f"Images/n0{number % 2}-dog/n0_{number}.jpg", f"x/n0_{number}.xml")
        label = tmp_path / f"source/Annotation/n0{number % 2}-dog/n0_{number}"
        label.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"source/x/n0_{number}.xml").rename(label)
    put(tmp_path / "source", "LICENSE")
    made = planned(tmp_path, tmp_path / "source")
    assert labelled(made) == 6
    assert len(targets(made, ".xml")) == 6


def test_a_dataset_inside_of_another_is_left_out(tmp_path: Path) -> None:
    source = pairs(tmp_path / "source", "train/{}", 5)
    pairs(source, "test/{}", 2, 5)
    pairs(source, "old/train/{}", 4, 10)
    made = planned(tmp_path, source)
    assert labelled(made) == 7
    note = f"left out (4): photos of a dataset of its own, which SRC={source}/old takes (source/old/train/: 4)"
    assert note.replace("(source/", "(") in made.notes


def test_photos_outside_of_the_splits_are_left_out_by_folder(tmp_path: Path) -> None:
    source = pairs(tmp_path / "source", "train/{}", 5)
    pairs(source, "test/{}", 2, 5)
    pairs(source, "rejected/{}", 4, 10)
    made = planned(tmp_path, source)
    assert labelled(made) == 7
    assert "left out (4): labelled photos outside of the folders of the splits (rejected/: 4)" in made.notes


def test_archives_inside_of_a_folder(tmp_path: Path) -> None:
    source = tmp_path / "source"
    pairs(source, "images/{}.jpg + annotations/{}.xml")
    for name in ("images", "annotations"):
        shutil.make_archive(str(source / name), "zip", source / name)
        shutil.rmtree(source / name)
    put(source, "README.md")
    assert labelled(planned(tmp_path, source)) == 12
    shutil.make_archive(str(tmp_path / "outer"), "zip", source)  # zips in a zip
    assert labelled(planned(tmp_path, tmp_path / "outer.zip")) == 12
    pairs(source, "more/{}")
    made = planned(tmp_path, source)
    assert {str(path) for path in made.left_out} == {"images.zip", "annotations.zip"}


def test_masks_are_no_photos(tmp_path: Path) -> None:
    """Oxford's pets: the trimap lies nearer to the XML than the photo."""
    source = tmp_path / "source"
    pairs(source, "images/{}.jpg + annotations/xmls/{}.xml", 5)
    (source / "annotations/trimaps").mkdir()
    for number in range(7):
        Image.new("P", (8, 8)).save(source / f"annotations/trimaps/p{number}.png")
    made = planned(tmp_path, source)
    assert labelled(made) == 5
    assert {row.photo.suffix for row in made.rows if row.photo} == {".jpg"}
    assert "left out (5): segmentation masks, which are no photos (annotations/trimaps/: 5)" in made.notes


def test_a_second_label_of_a_photo_is_left_out(tmp_path: Path) -> None:
    source = pairs(tmp_path / "source", "images/{}.jpg + annotations/{}.xml", 5)
    put(source, *(f"old labels/p{n}.xml" for n in range(5)))
    made = planned(tmp_path, source)
    assert {row.label.parent.name for row in made.rows if row.label} == {"annotations"}
    assert "left out (5): label files of photos that have one already (old labels/: 5)" in made.notes


def test_the_size_decides_between_two_photos(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number in range(4):
        faults.image(source / f"big/p{number}.jpg")
        faults.image(source / f"small/p{number}.jpg", (32, 24))
        put(source, f"drawn/p{number}.xml")
    made = planned(tmp_path, source)
    assert {row.photo.parent.name for row in made.rows if row.photo} == {"big"}
    assert len(made.left_out) == 4


def test_labels_of_photos_with_other_names(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number in range(6):
        put(source, f"images/image_{number:04}.jpg")
        (source / "annotations").mkdir(exist_ok=True)
        (source / f"annotations/annotation_{number:04}.xml").write_text(faults.voc(f"image_{number:04}.jpg"))
    made = planned(tmp_path, source)
    assert {row.stem for row in made.rows} == {f"image_{n:04}" for n in range(6)}
    assert made.notes[2].startswith(  # behind the photos that cannot be read
        "6 photos paired though the name differs in <filename>, the names of the files differ"
    )


def test_one_label_that_could_be_of_several_photos(tmp_path: Path) -> None:
    source = pairs(tmp_path / "source", "images/{}.jpg + xml/{}.xml", 4)
    put(source, "one/x.jpg", "two/x.jpg", "three/x.xml")
    made = planned(tmp_path, source)
    assert labelled(made) == 4
    assert (
        "left out (1): label files that could be of several photos; put each beside its photo (three/x.xml)"
        in made.notes
    )


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], "holds no photo and no label; "),
        (["README.md"], "holds no photo and no label; "),
        (["a/x.jpg", "a/y.jpg"], f"2 photos and no label file; {DRAW}"),
        (
            ["cat/1.jpg", "dog/2.jpg", "dog/3.jpg"],
            "a folder for each class (cat 1, dog 2) and no boxes: for image classi",
        ),
        (
            ["train/cat/1.jpg", "train/dog/2.jpg", "test/cat/3.jpg"],
            "a folder for each class (cat 2, dog 1) and no boxes",
        ),
        (["a.xml", "b.xml"], "2 label files without a photo; put the photos there, too"),
        (["a.jpg", "b.xml"], "1 photo and 1 label file, none of which fits: b.xml"),
        (["a.jpg", "a.json"], "1 photo and no label that can be taken (a.json); "),
        (["a.jpg", "a.xml"], "1 labelled photo; a dataset needs at least one for train and one for test"),
        (
            ["a.cr2", "b.cr2"],
            "holds no photo and no label; a.cr2, b.cr2: images of a format that is not read; save them",
        ),
    ],
)
def test_what_cannot_be_taken_is_named_for_what_it_is(names: list[str], reason: str, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    assert reason in refusal(tmp_path, put(tmp_path / "source", *names))


def test_masks_alone(tmp_path: Path) -> None:
    source = put(tmp_path / "source", "images/a.jpg")
    (source / "masks").mkdir()
    Image.new("L", (8, 8)).save(source / "masks/a.png")
    assert "1 segmentation mask and no boxes; " in refusal(tmp_path, source)


def test_hidden_files_and_those_of_macos_are_passed_over(tmp_path: Path) -> None:
    source = pairs(tmp_path / "source", "{}")
    put(source, ".x/a.jpg", "__MACOSX/._p0.jpg", "._p0.xml", ".DS_Store")
    made = planned(tmp_path, source)
    assert labelled(made) == 12 and not made.left_out


def test_the_nearest_label_map_is_taken(tmp_path: Path) -> None:
    source = pairs(tmp_path / "source", "data/{}")
    labels.write(source / "models/ssd/label_map.pbtxt", ["person", "cat"])
    labels.write(source / "data/own.pbtxt", ["dog", "cat"])
    made = planned(tmp_path, source)
    assert "label map copied from own.pbtxt: dog 1, cat 2; without an object, but kept: dog" in made.notes
    labels.write(source / "data/other.pbtxt", ["cat", "dog"])
    assert "several label maps" in refusal(tmp_path, source)
    labels.write(source / "data/label_map.pbtxt", ["cat"])
    assert "label map copied from label_map.pbtxt: cat 1" in planned(tmp_path, source).notes


def test_folders_with_a_label_map_each_are_datasets(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name, classes in (("a", ["cat"]), ("b", ["dog", "cat"])):
        pairs(source, f"{name}/{{}}")
        labels.write(source / name / "label_map.pbtxt", classes)
    assert f"holds 2 datasets with a label map each: SRC={source}/a takes 12" in refusal(tmp_path, source)


def test_what_chance_decides_does_not_depend_on_other_photos(tmp_path: Path) -> None:
    """As it was before: by the hash of a name, one at least for each split."""
    names = [f"n{number}" for number in range(200)]
    test, _ = splits.by_chance({name: ["cat"] for name in names}, 0.1, {})
    assert test == {name for name in names if splits.splitting.fraction(name, "test") < 0.1}
    assert len(splits.by_chance({"a": ["cat"], "b": ["cat"]}, 0.001, {})[0]) == 1
    assert len(splits.by_chance({"a": ["cat"], "b": ["cat"]}, 0.999, {})[0]) == 1


def test_a_class_keeps_a_photo_in_train() -> None:
    classes: Mapping[str, list[str]] = {f"n{n}": [f"class{n}"] for n in range(5)} | {"m0": ["cat"], "m1": ["cat"]}
    test, kept = splits.by_chance(classes, 0.9, {})
    assert len(test) == 1 and test < {"m0", "m1"}
    assert set(kept) <= {*(f"class{n}" for n in range(5)), "cat"}


def test_copies_stay_together(tmp_path: Path) -> None:
    """Ten pictures that are there four times each, and a half of the photos for test."""
    source = pairs(tmp_path / "source", "{}", 40)
    for number in range(40):
        faults.image(source / f"p{number}.jpg")
        if number % 4:
            shutil.copy(source / f"p{number - number % 4}.jpg", source / f"p{number}.jpg")
    made = planned(tmp_path, source, 0.5)
    split = {int(row.stem[1:]): row.split for row in made.rows}
    assert all(split[number] == split[number - number % 4] for number in range(40))
    assert len(set(split.values())) == 2
    assert "40 photos are copies of 10 pictures: those of one picture are in one split" in made.notes
    for number in range(1, 40):
        shutil.copy(source / "p0.jpg", source / f"p{number}.jpg")
    for number in range(10, 40):
        (source / f"p{number}.jpg").unlink()
        (source / f"p{number}.xml").unlink()
    assert "10 labelled photos, all of one picture; " in refusal(tmp_path, source)


FOLDERS = st.lists(st.sampled_from(["a", "b", "day 1", "images", "Ä", "x.y"]), max_size=3).map("/".join)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(FOLDERS, FOLDERS, st.integers(0, 5), st.sampled_from(["", "no label", "no photo"])), max_size=25)
)
def test_every_file_is_taken_or_left_out(entries: list[tuple[str, str, int, str]]) -> None:
    """Whatever the nesting: every photo and every label is in the plan once, or among those that are left out."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        pairs(source, "sure/{}", 2, 90)
        for photos, drawn, number, missing in entries:
            names = (f"{photos}/p{number}.jpg", f"{drawn}/p{number}.xml")
            put(
                source,
                *(
                    name.lstrip("/")
                    for name, skip in zip(names, ("no photo", "no label"), strict=True)
                    if skip != missing
                ),
            )
        try:
            made = planned(Path(folder), source)
        except Exception as error:
            assert "versions of a dataset" in str(error)
            return
    files = {str(path.relative_to(source)) for path in made.tree.files.values()}
    taken = [str(path) for row in made.rows for path in (row.photo, row.label) if path]
    assert sorted([*taken, *map(str, made.left_out)]) == sorted(files)
    assert len(made.targets) == len(taken)
    assert len({row.stem.casefold() for row in made.rows}) == len(made.rows)


def test_receipts_list_what_was_left_out(tmp_path: Path) -> None:
    source = pairs(tmp_path / "source", "train/{}", 3)
    pairs(source, "test/{}", 2, 3)
    put(source, "other/x.jpg")
    made = planned(tmp_path, source)
    for path, content in made.targets.items():
        (tmp_path / "target" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(content, tmp_path / "target" / path)
    receipts.write(made, tmp_path / "target")
    lines = (tmp_path / "target/receipts.csv").read_text().splitlines()
    assert len(lines) == 7
    assert lines[-1].startswith(',,other/x.jpg,,,,,"left out: photos without a label file,')


def test_lists_mean_photos_and_not_the_masks_of_the_same_name(tmp_path: Path) -> None:
    """As in VOC2007 and Oxford-IIIT Pets."""
    source = pairs(tmp_path / "source", "JPEGImages/{}.jpg + Annotations/{}.xml", count=3)
    put(source, *(f"SegmentationClass/p{number}.png" for number in range(3)))
    (source / "lists").mkdir()
    (source / "lists/train.txt").write_text("p0 1\np1 -1\n")
    (source / "lists/test.txt").write_text("p2 1\n")
    assert {row.stem: row.split for row in planned(tmp_path, source).rows} == {
        "p0": "train",
        "p1": "train",
        "p2": "test",
    }


def test_files_about_a_dataset_are_no_labels(tmp_path: Path) -> None:
    """What has the suffix of a label file is listed only where it names a photo, or has the name of one."""
    source = pairs(tmp_path / "source", "images/{}.jpg + xml/{}.xml", 4)
    files = {
        "README.json": {"title": "Pets"},
        "dataset-metadata.json": {"licenses": [{"name": "CC0-1.0"}], "resources": ["images.zip"]},
        "classes.csv": "id,name\n1,cat\n",
        "notes.json": {"categories": [{"id": 0, "name": "cat"}]},
        "metadata.jsonl": '{"file_name": "p1.jpg", "objects": {"bbox": [[1, 2, 3, 4]]}}\n',
        "breeds.csv": "id,breed\np1,siamese\n",
        "p2.json": {"anything": 1},
    }
    label_files.tree(source, files=files)
    made = planned(tmp_path, source)
    assert {str(path) for path in made.left_out} == {"breeds.csv", "metadata.jsonl", "p2.json"}


def test_the_top_folder_has_a_name(tmp_path: Path) -> None:
    source = pairs(tmp_path / "source", "images/{}.jpg + xml/{}.xml", 4)
    put(source, *(f"q{number}.jpg" for number in range(4)))
    (note,) = (note for note in planned(tmp_path, source).notes if note.startswith("left out (4): "))
    assert note.endswith("(the top folder: 4)")


def test_label_studio_s_names_where_the_photos_have_their_own(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number in range(4):
        put(source, f"images/p{number}.jpg", f"Annotations/0a1b2c3{number}-p{number}.xml")
    made = planned(tmp_path, source)
    assert labelled(made) == 4 and not made.left_out
    assert made.notes[2].startswith(  # behind the photos that cannot be read
        "4 photos paired though the name differs in Label Studio's prefix: "
        "Annotations/0a1b2c30-p0.xml with images/p0.jpg, "
    )
