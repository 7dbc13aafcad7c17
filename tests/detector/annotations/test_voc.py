"""detector.annotations.voc: what is in an XML, and everything that is wrong in it."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.annotations.voc import ERROR, REPAIRED, SMALLEST, WARNING, Annotation, VocObject, fit, parse
from tests.support.faults import BOX, SIZE, voc

CLASSES = ("cat", "dog")


def read(text: str):
    return parse(text.encode(), CLASSES)


def test_exact_values():
    text = voc("a.jpg", [("cat", (1, 2.25, 30, 40)), ("dog", BOX)])
    first = VocObject("object 1 (cat)", "cat", (1.0, 2.25, 30.0, 40.0))
    second = VocObject("object 2 (dog)", "dog", (8.0, 6.0, 40.5, 30.0))
    assert read(text) == (Annotation("a.jpg", SIZE, (first, second)), [])


def test_an_image_without_objects_is_sound():
    assert read(voc("a.jpg", [])) == (Annotation("a.jpg", SIZE, ()), [])


def test_tags_are_found_by_name_not_by_place():
    text = """<annotation verified="yes"><!-- by hand --><object><pose/><bndbox><ymax>4</ymax><xmax> 3 </xmax>
        <ymin>2</ymin><xmin>1<!-- left --></xmin></bndbox><part><name>head</name><bndbox><xmin>9</xmin></bndbox></part>
        <name> cat </name></object><size><depth>1</depth><height>48</height><width>64</width></size>
        <filename> a.jpg </filename></annotation>"""
    assert read(text) == (Annotation("a.jpg", SIZE, (VocObject("object 1 (cat)", "cat", (1.0, 2.0, 3.0, 4.0)),)), [])


def test_every_problem_is_reported():
    text = voc("", [("lynx", (5, 9, 4, 9)), ("cat", ("", "x", "1_0", "inf")), ("", BOX)])
    _, problems = read(text)
    assert [(problem.item, problem.reason) for problem in problems] == [
        ("", "<filename> is missing"),
        ("object 1 (lynx)", "unknown class lynx"),
        ("object 1 (lynx)", "inverted: xmin 5 is not left of xmax 4"),
        ("object 1 (lynx)", "empty: ymin and ymax are both 9"),
        ("object 2 (cat)", "xmin '' is not a number"),
        ("object 2 (cat)", "ymin 'x' is not a number"),
        ("object 2 (cat)", "xmax '1_0' is not a number"),
        ("object 2 (cat)", "ymax 'inf' is not a number"),
        ("object 3", "<name> is missing"),
    ]
    assert {problem.action for problem in problems} == {ERROR}
    assert all(problem.remedy for problem in problems)


def test_a_box_that_float32_makes_empty_is_empty():
    text = voc("a.jpg", [("cat", (5, 9, 5.0000000001, 12)), ("cat", (5, 9, 7, 9.009)), ("cat", (5, 9, 5.02, 9.02))])
    annotation, problems = read(text)
    assert [(problem.item, problem.reason, problem.action) for problem in problems] == [
        ("object 1 (cat)", "empty: xmin and xmax are 1e-10 px apart", ERROR),
        ("object 2 (cat)", "empty: ymin and ymax are 0.009 px apart", ERROR),
    ]
    assert [found.box for found in annotation.objects] == [(5, 9, 5.02, 9.02)]


def test_a_box_of_which_clipping_leaves_nothing_is_refused():
    annotation = Annotation("a.jpg", SIZE, (VocObject("object 1 (cat)", "cat", (-0.9, 3, 0.001, 9)),))
    [problem] = fit(annotation, SIZE)[1]
    assert (problem.action, problem.reason) == (ERROR, "box [-0.9, 3, 0.001, 9] is 0.9 px outside the 64x48 image")


def test_classes_may_be_unknown():
    assert parse(voc("a.jpg", [("lynx", BOX)]).encode(), None)[1] == []


@pytest.mark.parametrize(
    "size",
    ["", "<size/>", "<size><width>64</width></size>", "<size><width>0</width><height>48</height></size>"],
)
def test_a_size_without_sense_is_none(size):
    annotation, problems = read(f"<annotation><filename>a.jpg</filename>{size}</annotation>")
    assert (annotation.size, problems) == (None, [])


def test_more_objects_than_training_sees_are_listed():
    problems = read(voc("a.jpg", [("cat", BOX)] * 101))[1]
    assert [(problem.reason, problem.action) for problem in problems] == [("101 objects", WARNING)]
    assert read(voc("a.jpg", [("cat", BOX)] * 100))[1] == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_encodings(encoding):
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + voc("café.jpg")
    assert parse(text.encode(encoding), CLASSES)[0].filename == "café.jpg"


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]><annotation><filename>&e;</filename></annotation>',
        '<!DOCTYPE annotation SYSTEM "http://localhost:9/a.dtd"><annotation/>',
        "<!DOCTYPE annotation><annotation/>",
    ],
)
def test_a_document_type_is_refused(text):
    annotation, (problem,) = read(text)
    assert annotation is None
    assert problem.reason == "holds a document type (<!DOCTYPE>)"


@pytest.mark.parametrize("text", ["", "<a", "<annotation>", "\0", "<annotation>&nbsp;</annotation>", "<a>" * 5000])
def test_broken_xml(text):
    annotation, (problem,) = read(text)
    assert annotation is None
    assert problem.reason.startswith("broken XML: ")


@given(st.binary(max_size=200))
def test_any_bytes_give_an_annotation_or_a_problem(content):
    annotation, problems = parse(content, CLASSES)
    assert annotation is not None or problems


numbers = st.floats(0, 10_000, allow_nan=False)
sides = st.tuples(numbers, numbers).filter(lambda side: abs(side[0] - side[1]) >= SMALLEST).map(sorted)
names = st.text(string.ascii_letters + string.digits + " _-é日", min_size=1, max_size=8).map(str.strip).filter(bool)


@given(st.lists(st.tuples(names, sides, sides), max_size=5), names)
def test_round_trip(objects, filename):
    """What is written is read, to the last digit, and an image that holds it all changes nothing."""
    given_objects = [(name, (x[0], y[0], x[1], y[1])) for name, x, y in objects]
    annotation, problems = parse(voc(filename, given_objects).encode(), [name for name, _, _ in objects])
    assert (annotation.filename, problems) == (filename, [])
    assert [(found.name, found.box) for found in annotation.objects] == given_objects
    fitted, problems = fit(annotation, (10_000, 10_000))
    assert (fitted.objects, problems) == (annotation.objects, [])


def fitted(box):
    annotation, problems = fit(Annotation("a.jpg", None, (VocObject("object 1 (cat)", "cat", box),)), (64, 48))
    return annotation.objects[0].box, problems


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((-1.0, 2.0, 64.5, 49.0), (0.0, 2.0, 64.0, 48.0)),
        ((0.0, -0.25, 5.0, 5.0), (0.0, 0.0, 5.0, 5.0)),
    ],
)
def test_up_to_a_pixel_outside_is_clipped(box, expected):
    clipped, (problem,) = fitted(box)
    assert clipped == expected
    assert (problem.action, problem.remedy) == (REPAIRED, "clipped")


@pytest.mark.parametrize(
    "box",
    [(-1.01, 2.0, 30.0, 40.0), (0.0, 0.0, 65.1, 48.0), (70.0, 0.0, 80.0, 9.0), (-1.0, 0.0, 0.0, 9.0)],
)
def test_further_outside_is_an_error(box):
    """The last box is within a pixel, but nothing of it is left inside."""
    same, (problem,) = fitted(box)
    assert same == box
    assert problem.action == ERROR
    assert "px outside the 64x48 image" in problem.reason
