"""detector.annotations.partners: which XML belongs to which photo."""

import pytest

from detector.annotations.partners import Label, pair
from detector.annotations.voc import NOT_VOC, REPAIRED, SKIPPED, WARNING, Annotation, Problem


def named(filename=""):
    return Label(Annotation(filename, None, ()))


BROKEN = Label(None, (Problem("", "broken XML: no", "", SKIPPED),))
OTHER = Label(None, (Problem("", f"{NOT_VOC}: its root is <PAMDataset>", "", SKIPPED),))


def paired(photos, labels):
    """({photo: XML}, doubtful photos, [(XML, action)])"""
    pairing = pair(photos, labels)
    return pairing.labels, sorted(pairing.doubtful), [(name, one.action) for name, one in pairing.problems]


def test_same_stem():
    labels = {"a.xml": named("x.jpg"), "b.XML": named()}
    assert paired(["a.jpg", "b.png"], labels) == ({"a.jpg": "a.xml", "b.png": "b.XML"}, [], [])


def test_name_with_suffix():
    assert paired(["a.jpg"], {"a.jpg.xml": named()}) == ({"a.jpg": "a.jpg.xml"}, [], [])


def test_of_several_photos_of_one_stem_filename_decides():
    photos = ["a.JPEG", "a.jpg", "a.png"]
    assert paired(photos, {"a.xml": named("C:\\x\\a.jpg")}) == ({"a.jpg": "a.xml"}, [], [])
    assert paired(photos, {"a.xml": named("A.PNG")}) == ({"a.png": "a.xml"}, [], [])
    for doubtful in (named("a"), named("x.jpg"), named(), BROKEN):
        assert paired(photos, {"a.xml": doubtful}) == ({}, photos, [])


def test_a_photo_with_an_xml_of_its_own_leaves_the_other_to_its_stem():
    labels = {"a.png.xml": named(), "a.xml": named()}
    assert paired(["a.jpg", "a.png"], labels) == ({"a.jpg": "a.xml", "a.png": "a.png.xml"}, [], [])


def test_several_xml_files_of_one_photo_are_in_doubt():
    assert paired(["a.jpg"], {"a.jpg.xml": named(), "a.xml": named()}) == ({}, ["a.jpg"], [])
    assert paired(["a.jpg"], {"a.jpg.xml": BROKEN, "a.xml": named()}) == ({}, ["a.jpg"], [])


def test_sidecars_are_passed_over():
    """GDAL's without a word; of others that lie beside an annotation, or alone, a line tells."""
    labels = {"a.jpg.aux.xml": OTHER, "a.xml": named(), "a.jpg.xml": OTHER, "meta.xml": OTHER}
    assert paired(["a.jpg"], labels) == ({"a.jpg": "a.xml"}, [], [("a.jpg.xml", WARNING), ("meta.xml", WARNING)])
    assert paired(["a.jpg"], {"a.xml": OTHER}) == ({"a.jpg": "a.xml"}, [], [])
    assert paired(["a.aux.jpg"], {"a.aux.xml": named()}) == ({"a.aux.jpg": "a.aux.xml"}, [], [])


@pytest.mark.parametrize(("photo", "label"), [("a b.jpg", "a%20b.xml"), ("A.jpg", "a.xml"), ("a.jpg", "a.JPG.xml")])
def test_another_spelling_is_reported(photo, label):
    assert paired([photo], {label: named()}) == ({photo: label}, [], [(label, REPAIRED)])


def test_filename_pairs_what_no_name_does():
    labels = {"1.xml": named("day/a.jpg"), "2.xml": named("b.JPG"), "3.xml": named("c.jpg"), "4.xml": named("c.jpg")}
    expected = [("1.xml", REPAIRED), ("2.xml", REPAIRED), ("3.xml", SKIPPED), ("4.xml", SKIPPED)]
    assert paired(["a.jpg", "b.jpg", "c.jpg"], labels) == ({"a.jpg": "1.xml", "b.jpg": "2.xml"}, [], expected)


def test_no_photo():
    assert paired([], {"a.xml": named("a.jpg"), "b.xml": BROKEN}) == ({}, [], [("a.xml", SKIPPED), ("b.xml", SKIPPED)])
    assert paired(["a.jpg"], {}) == ({}, [], [])
