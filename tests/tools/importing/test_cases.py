"""The situations of ../shared/cases that concern the import: photos and boxes as its README calls right, and the notes.

What xml2csv makes of them is in tests/detector/annotations.
"""

import unicodedata
import zipfile
from pathlib import Path

import pytest

from tests.support import cases
from tests.support.importing import counts, planned, refusal, targets
from tools.importing.plan import Plan

HASHED = "found no test split: 10% for test/, by a hash of the file name"
FOLDERS = "splits found: train/, test/"
LISTS = "splits found: ImageSets/Main/train.txt, ImageSets/Main/test.txt"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def labelled(made: Plan) -> tuple[int, int]:
    """Labelled photos of train and of test."""
    found = counts(made)
    return found["train"][0], found["test"][0]


@pytest.mark.parametrize(
    ("case", "name", "photos", "note"),
    [
        ("01", "kaggle", (11, 1), HASHED),
        ("01", "label_studio", (11, 1), HASHED),
        ("01", "project-7-at-2026-11-01-10-00-0a1b2c3d.zip", (11, 1), HASHED),
        ("01", "oxford", (11, 1), HASHED),
        ("01", "workspace", (10, 2), FOLDERS),
        ("04", "in", (11, 1), HASHED),
        ("04", "tag", (11, 1), HASHED),
        ("05", "in", (27, 3), FOLDERS),
        ("05", "placeholder", (9, 3), FOLDERS),
        ("05", "without", (9, 3), FOLDERS),
        ("06", "cvat", (11, 1), HASHED),
        ("06", "batches", (14, 2), FOLDERS),
        ("06", "onefolder", (15, 1), HASHED),
        ("06", "inner", (13, 3), FOLDERS),
        ("06", "classes", (15, 1), HASHED),
        *(("07", name, (9, 3), LISTS) for name in ("spaces", "quoted", "flagged", "suffix", "path", "bom")),
        ("08", "pets.zip", (9, 3), FOLDERS),
        ("09", "windows.zip", (9, 3), FOLDERS),
        ("09", "mac.zip", (9, 3), FOLDERS),
        ("16", "flat.zip", (9, 3), HASHED),
        ("16", "nested.zip", (9, 3), HASHED),
        ("16", "flat.tar.gz", (9, 3), HASHED),
        ("18", "case", (13, 3), FOLDERS),
        ("18", "rare", (18, 2), HASHED),
        ("20", "with_test", (66, 4), FOLDERS),
        ("22", "aux", (9, 3), FOLDERS),
        ("22", "double", (9, 3), FOLDERS),
        ("22", "doctype", (9, 3), FOLDERS),
        ("23", "in", (11, 3), FOLDERS),
        ("24", "in", (17, 3), "splits found: ImageSets/Main/Train.txt, ImageSets/Main/Test.txt"),
        ("25", "in", (27, 3), HASHED),
        ("26", "in", (13, 3), FOLDERS),
        ("33", "in", (13, 3), LISTS),
    ],
)
def test_every_photo_is_in_with_its_label(case: str, name: str, photos: tuple[int, int], note: str, root: Path) -> None:
    made = planned(root, cases.built(case) / name)
    assert labelled(made) == photos
    assert len(targets(made)) == 2 * sum(photos)  # a photo and its XML each
    assert note in made.notes


@pytest.mark.parametrize(("case", "name"), [("01", "kaggle"), *(("06", n) for n in ("batches", "inner", "classes"))])
def test_boxes_are_those_of_the_labels(case: str, name: str, root: Path) -> None:
    source = cases.built(case) / name
    objects = sum(path.read_text().count("<object>") for path in source.rglob("*.xml"))
    assert sum(boxes for _, boxes in counts(planned(root, source)).values()) == objects


def test_the_workspaces_own_label_map_is_kept(root: Path) -> None:
    made = planned(root, cases.built("01") / "workspace")
    assert "label map copied from annotations/label_map.pbtxt: dog 1, cat 2" in made.notes


def test_percent_encoded_names(root: Path) -> None:
    made = planned(root, cases.built("04") / "in")
    assert "train/Captura da praça 0.xml" in targets(made)
    assert any(note.startswith("12 photos paired though the name differs in percent encoding: ") for note in made.notes)


def test_photos_of_several_folders_get_names_of_their_own(root: Path) -> None:
    made = planned(root, cases.built("06") / "cvat")
    assert {Path(path).name for path in targets(made, ".jpg")} == {f"day{d}_x{n}.jpg" for d in (1, 2) for n in range(6)}
    assert any(
        note.startswith("renamed: 12 files, whose names are used twice, too long, or not allowed (")
        for note in made.notes
    )
    for row in made.rows:
        assert row.photo and row.label
        assert row.photo.parts[1:2] == row.label.parts[1:2]  # day1 with day1


@pytest.mark.parametrize("name", ["windows.zip", "mac.zip"])
def test_names_with_accents_in_a_zip(name: str, root: Path) -> None:
    made = planned(root, cases.built("09") / name)
    assert targets(made, ".jpg")[:1] == ["test/cão no sofá 0.jpg"]
    assert all(unicodedata.is_normalized("NFC", path) for path in targets(made))


def test_heic_is_named(root: Path) -> None:
    made = planned(root, cases.built("10") / "in")
    assert len([row for row in made.rows if row.photo]) + len(made.left_out) >= 12


def test_photos_without_a_label(root: Path) -> None:
    made = planned(root, cases.built("12") / "in")
    assert labelled(made) == (10, 2)
    assert [row.photo for row in made.rows if not row.label] == [
        Path("test/pet2.jpg"),
        *(Path(f"train/pet{n}.jpg") for n in (12, 5)),
    ]
    assert (
        "left out (1): photos with labels of another format than the one that is taken (train/pet9.jpg)" in made.notes
    )


def test_a_test_split_without_any_label(root: Path) -> None:
    made = planned(root, cases.built("12") / "unlabelled_test")
    assert labelled(made) == (11, 1)
    assert HASHED in made.notes
    reason = "photos of a test split without any label, which can measure nothing; test/ comes from the others"
    assert f"left out (4): {reason} (test/: 4)" in made.notes


def test_the_filename_decides_between_photos_of_one_stem(root: Path) -> None:
    made = planned(root, cases.built("14") / "in")
    pairs = {str(row.photo): str(row.label) for row in made.rows if row.label}
    assert pairs["train/pet5.jpg"] == "train/pet5.xml"
    assert pairs["train/pet6.jpg"] == "train/pet6.xml"
    assert {str(row.photo): row.stem for row in made.rows if not row.label} == {
        "train/pet5.png": "pet5_2",
        "train/pet6.JPEG": "pet6_2",
    }


def test_sidecars_are_passed_over(root: Path) -> None:
    made = planned(root, cases.built("22") / "aux")
    assert "left out (4): XML files that are no annotations (train/: 3, test/: 1)" in made.notes
    made = planned(root, cases.built("22") / "double")
    assert targets(made, ".xml")[0] == "test/tile_0.xml"


def test_the_only_photo_of_a_class_stays_in_train(root: Path) -> None:
    """Asked for so much of a test split that chance would take it."""
    made = planned(root, cases.built("25") / "in", 0.97)
    assert [row.split for row in made.rows if row.stem == "pet7"] == ["train"]
    assert any(note.startswith("kept in train, as no other photo shows them: bird") for note in made.notes)


@pytest.mark.parametrize("name", ["raccoon_dataset", "BCCD_Dataset"])
def test_real_datasets_as_their_owners_left_them(name: str, root: Path) -> None:
    """../shared/real/README.md: 200 photos of one class without a split; 364 with 4,888 boxes and their own lists."""
    archive = cases.real(name)
    with zipfile.ZipFile(archive) as file:
        file.extractall(root / "folder")
    for source in (archive, root / "folder", root / "folder" / name):
        made = planned(root, source)
        if name == "raccoon_dataset":
            assert sum(labelled(made)) == 200
            assert any("object-detection.pbtxt: raccoon 1" in note for note in made.notes)
        else:
            assert labelled(made) == (292, 72)
            assert (
                "splits found: ImageSets/Main/train.txt, ImageSets/Main/trainval.txt, ImageSets/Main/test.txt"
                in made.notes
            )


def test_nothing_but_photos_is_named_for_what_it_is(root: Path) -> None:
    assert "no label file; draw a box around each object" in refusal(root, cases.built("10") / "photos")
