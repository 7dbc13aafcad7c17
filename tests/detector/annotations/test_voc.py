"""detector.annotations.voc: what is in an XML, and everything that is wrong in it."""

import html
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.annotations.frames import fit
from detector.annotations.shapes import SMALLEST
from detector.annotations.voc import (
    ERROR,
    PRELABEL,
    REPAIRED,
    SKIPPED,
    UNCHECKED,
    WARNING,
    Annotation,
    VocObject,
    parse,
)
from tests.support.faults import BOX, SIZE, voc

CLASSES = ("cat", "dog")


def read(text: str):
    return parse(text.encode(), CLASSES)


def test_exact_values():
    text = voc("a.jpg", [("cat", (1, 2.25, 30, 40)), ("dog", BOX)])
    first = VocObject("object 1 (cat)", "cat", (1.0, 2.25, 30.0, 40.0))
    second = VocObject("object 2 (dog)", "dog", (8.0, 6.0, 40.5, 30.0))
    assert read(text) == (Annotation("a.jpg", SIZE, (first, second), CLASSES), [])


def test_an_image_without_objects_is_sound():
    assert read(voc("a.jpg", [])) == (Annotation("a.jpg", SIZE, ()), [])


def test_tags_are_found_by_name_not_by_place():
    text = """<annotation verified="yes"><!-- by hand --><object><pose/><bndbox><ymax>4</ymax><xmax> 3 </xmax>
        <ymin>2</ymin><xmin>1<!-- left --></xmin></bndbox><part><name>head</name><bndbox><xmin>9</xmin></bndbox></part>
        <name> cat </name></object><size><depth>1</depth><height>48</height><width>64</width></size>
        <filename> a.jpg </filename></annotation>"""
    expected = VocObject("object 1 (cat)", "cat", (1.0, 2.0, 3.0, 4.0))
    assert read(text) == (Annotation("a.jpg", SIZE, (expected,), ("cat",)), [])


def met(text, classes=CLASSES):
    """(object, beginning of the problem, action) of each problem."""
    return [(one.item, one.reason, one.action) for one in parse(text.encode(), classes)[1]]


def test_every_problem_is_reported():
    """One line for each box that cannot be used; the classes of all are known."""
    text = voc("", [("lynx", (5, 9, 4, 9)), ("cat", ("", "x", "1_0", "inf")), ("", BOX), ("a&#10;b", BOX)])
    assert met(text) == [
        ("object 1 (lynx)", "unknown class lynx", ERROR),
        ("object 1 (lynx)", "a line: ymin and ymax are both 9", SKIPPED),
        ("object 2 (cat)", "not a number: xmin '', ymin 'x', xmax '1_0', ymax 'inf'", SKIPPED),
        ("object 3", "<name> is missing", SKIPPED),
        ("object 4 (a\nb)", "<name> holds a control character", SKIPPED),
    ]
    annotation, problems = read(text)
    assert (annotation.objects, annotation.class_names) == ((), ("lynx", "cat"))
    assert all(problem.remedy for problem in problems)


def test_a_box_that_float32_makes_empty_is_empty():
    text = voc("a.jpg", [("cat", (5, 9, 5.0000000001, 9)), ("cat", (5, 9, 7, 9.009)), ("cat", (5, 9, 5.02, 9.02))])
    assert met(text) == [
        ("object 1 (cat)", "empty: xmin and xmax are 1e-10 px apart, ymin and ymax are both 9", SKIPPED),
        ("object 2 (cat)", "a line: ymin and ymax are 0.009 px apart", SKIPPED),
    ]
    assert [one.box for one in read(text)[0].objects] == [(5, 9, 5.02, 9.02)]


def test_difficult_objects_are_crowd():
    text = "".join(f"<object><name>cat</name><difficult>{value}</difficult>{box(n)}</object>" for n, value in FLAGS)
    annotation, problems = read(f"<annotation>{text}</annotation>")
    assert ([one.is_crowd for one in annotation.objects], problems) == ([True, True, False, False, False], [])


FLAGS = tuple(enumerate((" 1 ", "True", "0", "", "Unspecified")))


def box(left):
    return f"<bndbox><xmin>{left}</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"


def test_an_object_that_labelme_has_deleted_is_none():
    text = f"<annotation><object><name>lynx</name><deleted>1</deleted>{box(1)}</object></annotation>"
    annotation, problems = read(text)
    assert (annotation.objects, annotation.class_names) == ((), ())
    assert [(problem.reason, problem.action) for problem in problems] == [("deleted", WARNING)]


def test_two_boxes_alike_are_one():
    text = voc("a.jpg", [("cat", BOX), ("dog", BOX), ("cat", BOX)])
    assert met(text) == [("object 3 (cat)", "drawn twice: the same box as object 1 (cat)", REPAIRED)]
    assert [one.name for one in read(text)[0].objects] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            f'<a:annotation xmlns:a="http://a"><a:object><NAME>cat</NAME>{box(1)}</a:object></a:annotation>',
            "in a namesp",
        ),
        (f"<Annotation><objects><Object><Name>cat</Name>{box(1).upper()}</Object></objects></Annotation>", "nested: 1"),
        (f"<annotation><item><item><object><name>cat</name>{box(1)}</object></item></item></annotation>", "nested: 1"),
    ],
)
def test_tags_in_any_dress(text, problem):
    annotation, problems = read(text)
    assert [(one.name, one.box) for one in annotation.objects] == [("cat", (1, 2, 9, 9))]
    assert [one.action for one in problems] == [REPAIRED]
    assert problems[0].reason.startswith(problem)


def test_objects_inside_of_objects_and_parts_are_no_objects():
    inner = f"<part><name>head</name>{box(2)}</part><object><name>dog</name>{box(3)}</object>"
    text = f"<annotation><object><name>cat</name>{box(1)}{inner}</object></annotation>"
    assert [one.name for one in read(text)[0].objects] == ["cat"]
    assert met(text) == [("", "objects inside of objects: 1", WARNING)]


def test_letters_with_accents_are_the_same_in_both_forms():
    composed, decomposed = "c\u00e3o", "ca\u0303o"
    text = voc("a.jpg", [(decomposed, BOX)])
    assert parse(text.encode(), [composed])[0].objects[0].name == composed
    assert met(text, [composed]) == [(f"object 1 ({decomposed})", "another Unicode form of a class name", REPAIRED)]
    assert parse(text.encode(), None)[0].class_names == (composed,)
    annotation, problems = parse(text.encode(), [decomposed])
    assert (annotation.objects[0].name, problems) == (decomposed, [])


def test_blank_lines_and_a_mark_before_the_declaration():
    text = '<?xml version="1.0" encoding="utf-8"?>' + voc("café.jpg")
    for before in ("", "\n \n", "\ufeff", "\ufeff\r\n"):
        assert parse((before + text).encode(), CLASSES)[0].filename == "café.jpg"


def test_the_wrong_encoding_is_refused():
    text = '<?xml version="1.0" encoding="utf-8"?>' + voc("cão.jpg")
    annotation, (problem,) = parse(text.encode("latin-1"), CLASSES)
    assert (annotation, problem.action) == (None, SKIPPED)
    assert problem.reason.startswith("broken XML: ")


def test_a_large_file_is_refused():
    (problem,) = parse(b" " * (2**24 + 1), CLASSES)[1]
    assert problem.reason == "too large: 16,777,217 bytes"


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
    boxes = [("cat", (number, 2, number + 9, 9)) for number in range(101)]
    assert met(voc("a.jpg", boxes)) == [("", "many objects: 101", WARNING)]
    assert met(voc("a.jpg", boxes[1:])) == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_encodings(encoding):
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + voc("café.jpg")
    assert parse(text.encode(encoding), CLASSES)[0].filename == "café.jpg"


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]><annotation><filename>&e;</filename></annotation>',
        '<!DOCTYPE a [<!ENTITY e "x">]><annotation/>',
        '<!DOCTYPE a [<!ENTITY % e SYSTEM "http://localhost:9/a.dtd">]><annotation/>',
        '<!DOCTYPE a SYSTEM "http://localhost:9/a.dtd"><annotation><filename>&e;</filename></annotation>',
    ],
)
def test_entities_are_refused(text):
    annotation, (problem,) = read(text)
    assert annotation is None
    assert (problem.reason, problem.action) == ("holds entities: in its <!DOCTYPE>", SKIPPED)


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE annotation>",
        '<!DOCTYPE annotation SYSTEM "http://localhost:9/a.dtd">',
        "<!DOCTYPE annotation [<!ELEMENT annotation ANY>]>",
    ],
)
def test_a_document_type_without_entities_is_harmless(doctype):
    assert read(doctype + voc("a.jpg")) == read(voc("a.jpg"))


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
sides = st.tuples(numbers, numbers).filter(lambda side: abs(side[0] - side[1]) >= SMALLEST).map(sorted).map(tuple)
in_pixels = st.tuples(sides, sides).filter(lambda box: max(*box[0], *box[1]) > 1)
names = st.text(string.ascii_letters + string.digits + " _-é日", min_size=1, max_size=8).map(str.strip).filter(bool)


@given(st.lists(st.tuples(names, in_pixels), max_size=5, unique=True), names)
def test_round_trip(objects, filename):
    """What is written is read, to the last digit, and an image that holds it all changes nothing."""
    given_objects = [(name, (x[0], y[0], x[1], y[1])) for name, (x, y) in objects]
    annotation, problems = parse(voc(filename, given_objects).encode(), [name for name, _ in objects])
    assert (annotation.filename, problems) == (filename, [])
    assert [(one.name, one.box) for one in annotation.objects] == given_objects
    fitted, problems = fit(annotation, (10_000, 10_000), 0)
    assert (fitted.objects, problems) == (annotation.objects, [])


def test_an_xml_with_more_objects_than_a_photo_can_have_is_left_out():
    annotation, (problem,) = read(voc("a.jpg", [("cat", BOX)] * 10_001))
    assert annotation is None
    assert (problem.reason, problem.action) == ("too many objects: 10,001, and at most 10,000 are read", SKIPPED)
    assert read(voc("a.jpg", [("cat", BOX)] * 10_000))[0] is not None


@pytest.mark.parametrize(
    ("written", "taken"),
    [("big &lt;round&gt;", "big ‹round›"), ("a &gt; b", "a › b"), ("&lt;b&gt;", "‹b›")],
)
def test_angles_in_a_class_name_are_written_otherwise(written, taken):
    for classes in (None, [taken]):
        annotation, problems = parse(voc("a.jpg", [(written, BOX)]).encode(), classes)
        assert annotation and annotation.class_names == (taken,)
        assert [(one.reason, one.remedy, one.action) for one in problems] == [
            ("< or > in a class name", f"taken as {taken}", "repaired")
        ]


@pytest.mark.parametrize("written", ["</script><b", "<!-- x", "<img src=x>", "<?xml"])
def test_html_is_no_class_name(written):
    _, problems = read(voc("a.jpg", [(html.escape(written), BOX)]))
    assert [(one.reason, one.action) for one in problems] == [(f"unknown class {written}", "error")]


def test_what_a_detector_drew_and_nobody_has_checked_is_taken_with_a_warning():
    text = voc("a.jpg").replace("<filename>", f"<source><database>{PRELABEL}</database></source><filename>")
    annotation, (problem,) = read(text)
    assert annotation and len(annotation.objects) == 1
    assert (problem.kind, problem.action) == (UNCHECKED, WARNING)
    assert read(text.replace("<annotation>", '<annotation verified="yes">'))[1] == []  # as LabelImg's Space does
    assert read(text.replace(PRELABEL, "Unknown"))[1] == []  # as LabelImg saves it
