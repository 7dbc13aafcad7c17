"""Lists of the photos of a split, in every kind of file that people keep them in."""

import tempfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import label_files
from tests.support.importing import counts, planned
from tests.tools.importing.test_plan import pairs
from tools.importing import name_lists, tree

SPLIT = {"train": ["p0.jpg", "images/p1.jpg", "p2"], "val": ["p3.jpg"], "test": ["p4.jpg", "gone.jpg"]}


@pytest.mark.parametrize(
    ("files", "shown"),
    [
        ({"split.json": SPLIT}, "split.json"),
        ({"lists/train.json": SPLIT["train"] + SPLIT["val"], "lists/test.json": SPLIT["test"]}, "lists/train.json"),
        ({"train.csv": "filename\np0.jpg\np1.jpg\np2.jpg\np3.jpg\n", "test.csv": "p4.jpg\ngone.jpg\n"}, "train.csv"),
        (
            {"train.csv": "image,label\np0.jpg,cat\np1.jpg,cat\np2,dog\np3,dog\n", "test.csv": "id;image\n7;p4.jpg\n"},
            "train.csv",
        ),
        (
            {"parts.csv": "filename,split\np0.jpg,Train\np1,train\np2,train\np3,valid\np4.jpg,test\np5.jpg,unused\n"},
            "parts.csv",
        ),
        ({"parts.tsv": "split\tfile\n" + "".join(f"train\tp{n}.jpg\n" for n in range(4)) + "test\tp4\n"}, "parts.tsv"),
    ],
)
def test_lists_as_json_and_csv(files: dict[str, object], shown: str, tmp_path: Path) -> None:
    """p0 to p3 for train, p3 by way of val where there is one; p4 for test; nothing names p5."""
    source = pairs(tmp_path / "source", "images/{}.jpg + xml/{}.xml", 6)
    label_files.tree(source, files=files)
    made = planned(tmp_path, source)
    assert {row.stem: row.split for row in made.rows} == {
        **dict.fromkeys(("p0", "p1", "p2", "p3"), "train"),
        "p4": "test",
    }
    assert made.notes[0].startswith("splits found: ") and shown in made.notes[0]
    assert {str(path) for path in made.left_out} == {"images/p5.jpg"}


def test_what_lists_name_in_vain_is_said(tmp_path: Path) -> None:
    source = pairs(tmp_path / "source", "images/{}.jpg + xml/{}.xml", 6)
    label_files.tree(source, files={"split.json": SPLIT})
    assert planned(tmp_path, source).notes[:3] == [
        "splits found: train of split.json, test of split.json",
        "val of split.json goes into train/, from which make train takes its own validation split",
        "1 line of the lists named no photo: gone.jpg",
    ]


@pytest.mark.parametrize(
    "files",
    [
        {"train.json": {"p0.jpg": "cat"}},
        {"train.json": '["p0.jpg", '},
        {"split.json": {"train": {"p0": 1}, "test": "p1.jpg"}},
        {"train.json": "[" * 5000},
        {"train.csv": "breed,age\ncat,3\n"},
        {"train.csv": "filename" + "," * 200_000},
        {"split.csv": "filename,cat\np0.jpg,1\n"},  # a file of what split?
        {"train.csv": 'filename,split\np0.jpg,"train\n' + "x" * 200_000},
    ],
)
def test_what_is_no_list(files: dict[str, object], tmp_path: Path) -> None:
    source = pairs(tmp_path / "source", "{}", 6)
    label_files.tree(source, files=files)
    made = planned(tmp_path, source)
    assert made.notes[0] == "found no test split: 10% for test/, by a hash of the file name"
    assert sum(photos for photos, _ in counts(made).values()) == 6


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(["train.json", "split.json", "train.csv", "any.tsv", "val.txt"]),
    content=st.one_of(st.binary(max_size=60), st.text('{}[]":, trainp0.jg\n\t;', max_size=60).map(str.encode)),
)
def test_whatever_a_file_holds(name: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(content)
        found = name_lists.entries(tree.walk(Path(folder)), PurePosixPath(name))
    assert found.keys() <= {"train", "val", "test"}
    assert all(isinstance(one, str) for names in found.values() for one in names)


def test_folders_of_splits_go_before_lists_which_are_no_labels(tmp_path: Path) -> None:
    source = pairs(tmp_path / "source", "train/{}", 4)
    pairs(source, "test/{}", 2, 4)
    label_files.tree(source, files={"train.json": ["p4.jpg"], "test.csv": "p0.jpg\n"})
    made = planned(tmp_path, source)
    assert {name: photos for name, (photos, _) in counts(made).items()} == {"train": 4, "test": 2}
    assert not made.left_out
