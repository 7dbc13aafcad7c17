"""detector.annotations.folders: what lies in a folder."""

import os

import pytest

from detector.annotations.folders import listing, shown


def test_photos_labels_and_others(tmp_path):
    for name in ("b.JPG", "a.png", "a.xml", "b.XML", "notes.txt", "._a.jpg", ".DS_Store", "noend"):
        (tmp_path / name).write_text("")
    found = listing(tmp_path)
    assert (found.photos, found.labels, found.others) == (
        ["a.png", "b.JPG"],
        ["a.xml", "b.XML"],
        ["noend", "notes.txt"],
    )
    assert (found.faults, found.problems) == ({}, [])


def test_what_is_no_file_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    os.mkfifo(tmp_path / "a.xml")
    (tmp_path / "b.jpg").mkdir()
    (tmp_path / "c.jpg").symlink_to("nowhere")
    (tmp_path / "d.jpg").symlink_to("a.jpg")
    (tmp_path / "e.jpg").write_text("")
    (tmp_path / "f.jpg").symlink_to("e.jpg")
    (tmp_path / "g.jpg").symlink_to("g.jpg")
    found = listing(tmp_path)
    assert found.photos == [f"{letter}.jpg" for letter in "abcdefg"]
    assert {name: fault.reason for name, fault in found.faults.items()} == {
        **dict.fromkeys(("a.jpg", "a.xml", "b.jpg", "d.jpg"), "is not a file"),
        **dict.fromkeys(("c.jpg", "g.jpg"), "is a broken link"),
    }


def test_photos_that_are_not_taken_are_reported(tmp_path):
    (tmp_path / "second/deep").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    for name in ("second/a.jpg", "second/b.txt", "second/deep/c.PNG", ".hidden.jpg", "empty/a.txt"):
        (tmp_path / name).write_text("")
    problems = [(name, problem.reason, problem.action) for name, problem in listing(tmp_path).problems]
    assert problems == [
        (".hidden.jpg", "hidden: its name begins with a dot", "warning"),
        ("second", "a folder with photos: 2 photos", "warning"),
    ]


@pytest.mark.parametrize(
    ("name", "expected"), [("a\n.jpg", "a\\n.jpg"), ("a\udcff.jpg", "a\\udcff.jpg"), ("é.jpg", "é.jpg")]
)
def test_names_that_a_report_cannot_hold(tmp_path, name, expected):
    (tmp_path / name).write_text("")
    assert shown(name) == expected
    assert list(listing(tmp_path).faults) == ([] if name == expected else [name])


def test_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        listing(tmp_path / "missing")
