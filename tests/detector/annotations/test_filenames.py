"""detector.annotations.filenames: whether <filename> is stale, or another photo's."""

from pathlib import Path

import pytest

from detector.annotations.duplicates import Fingerprint
from detector.annotations.filenames import checked
from detector.annotations.photos import Photo
from detector.annotations.voc import ERROR, REPAIRED, Annotation


def photo(path, filename=None, sha256=""):
    """Its <filename> is its own name, if none is given."""
    name = Path(path).name if filename is None else filename
    known = Fingerprint(sha256 or path, "", b"", b"")
    label = f"{Path(path).stem}.xml"
    return Photo(Path(path).parts[0], Path(path), label, fingerprint=known, annotation=Annotation(name, None, ()))


OTHERS = (photo("test/b.jpg"), photo("train/c d.png"), photo("train/\u00e9.jpg"), photo("train/day2_a.jpg"))


def actions(*photos):
    first = checked([*photos, *OTHERS])[0]
    return [(one.path.name, one.problem.action) for one in first.problems]


@pytest.mark.parametrize("filename", ["a.jpg", "C:\\pets\\a.jpg", "/home/x/a.jpg", "folder/a.jpg"])
def test_its_own_name(filename):
    assert actions(photo("train/a.jpg", filename)) == []


@pytest.mark.parametrize("filename", ["", "%s", "A.JPG", "a", "a.png", "IMG_4000.JPG", "b/", "%", "/"])
def test_a_name_of_no_other_photo_is_stale(filename):
    expected = [("a.xml", ERROR if filename == "b/" else REPAIRED)]
    assert actions(photo("train/a.jpg", filename)) == expected


@pytest.mark.parametrize("filename", ["b.jpg", "B.JPG", "b", "x/b.png", "c%20d.png", "C D", "e\u0301.jpg"])
def test_the_name_of_another_photo_is_an_error(filename):
    assert actions(photo("train/a.jpg", filename)) == [("a.xml", ERROR)]


def test_both_are_named():
    (problem,) = checked([photo("train/a.jpg", "b"), *OTHERS])[0].problems
    assert problem.line() == (
        "train/a.xml: <filename> is b, the image beside it is a.jpg; "
        "is it the annotation of test/b.jpg? If not, write a.jpg there"
    )


@pytest.mark.parametrize("name", ["b (1).jpg", "b_flipped.jpg", "day1_b.jpg", "day 1 b.png", "b-b.jpg"])
def test_what_was_made_of_another_photo_may_have_its_name(name):
    assert actions(photo(f"train/{name}", "b.jpg")) == [(f"{Path(name).stem}.xml", REPAIRED)]


@pytest.mark.parametrize("name", ["b1.jpg", "1b.jpg", "bb.jpg"])
def test_a_name_that_only_contains_the_other_is_another(name):
    assert actions(photo(f"train/{name}", "b.jpg")) == [(f"{Path(name).stem}.xml", ERROR)]


def test_equal_bytes_are_one_photo():
    assert actions(photo("train/a.jpg", "b.jpg", sha256="test/b.jpg")) == [("a.xml", REPAIRED)]


def test_the_same_name_in_the_other_split_is_its_own():
    assert actions(photo("train/b.jpg")) == []
    assert actions(photo("train/b.png", "b.jpg")) == [("b.xml", REPAIRED)]
    assert actions(photo("test/b.png", "b.jpg")) == [("b.xml", ERROR)]


def test_a_label_that_cannot_be_used_says_nothing():
    broken = Photo("train", Path("train/a.jpg"), "a.xml")
    assert checked([broken]) == [broken]
