"""detector.annotations.shapes: the box of each way in which tools write a shape."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from detector.annotations.shapes import Shape, UnusableShapeError, read, turned

ENDLESS = "not a number: the box that encloses it is endless"
ENCLOSED = "the box that encloses it is taken"


def shape(text):
    return read(etree.fromstring(f"<object>{text}</object>"))


def bndbox(*corners):
    return "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>".format(*corners)


def rotation(degrees):
    attribute = f"<attribute><name>rotation</name><value>{degrees}</value></attribute>"
    return f"<attributes><attribute><name>keep</name><value>1</value></attribute>{attribute}</attributes>"


@pytest.mark.parametrize(
    ("corners", "box", "problem"),
    [
        ((60, 6, 40, 30), (40, 6, 60, 30), "xmin 60 is not left of xmax 40"),
        ((4, 30, 6, 6), (4, 6, 6, 30), "ymin 30 is not above ymax 6"),
        ((6, 30, 4, 6), (4, 6, 6, 30), "xmin 6 is not left of xmax 4, ymin 30 is not above ymax 6"),
    ],
)
def test_swapped_corners_change_places(corners, box, problem):
    assert shape(bndbox(*corners)) == Shape(box, ((f"inverted: {problem}", "swapped"),))


def test_a_box_that_cvat_turned():
    """40 wide and 10 high around (30, 20); a quarter turn makes it 10 wide and 40 high."""
    flat = bndbox(10, 15, 50, 25)
    turned = Shape((25, 0, 35, 40), (("turned: by 90 degrees", ENCLOSED),), encloses=True)
    assert shape(flat + rotation("90.0")) == turned
    assert shape(flat + rotation("-90")).box == turned.box
    for nothing in ("0.0", "180", "360", "left", ""):
        assert shape(flat + rotation(nothing)) == Shape((10, 15, 50, 25))


def test_a_box_of_rolabelimg():
    text = "<robndbox><cx>100</cx><cy>90</cy><w>60</w><h>40</h><angle>{}</angle></robndbox>"
    assert shape(text.format(0)).box == (70, 70, 130, 110)
    assert shape(text.format(math.pi / 2)).box == (80, 60, 120, 120)
    half = 50 / math.sqrt(2)  # (60 + 40) / 2, by a cosine and sine of 45 degrees
    corners = (100 - half, 90 - half, 100 + half, 90 + half)
    assert shape(text.format(math.pi / 4)).box == pytest.approx(corners, abs=1e-6)
    assert shape(text.format(math.pi / 4)).repairs == (("turned: by 45 degrees", ENCLOSED),)


@pytest.mark.parametrize(
    "text",
    [
        "<polygon><x1>20</x1><y1>20</y1><x2>90</x2><y2>20</y2><x3>90</x3><y3>80.5</y3></polygon>",
        "<polygon><pt><x>20</x><y>80.5</y></pt><pt><x>90</x><y>20</y></pt><pt><x>50</x><y>40</y></pt></polygon>",
        "<points>20,20;90,20.0; 90,80.5</points>",
        "<segmentation><x>20</x><y>20</y><x>90</x><y>80.5</y><x>30</x><y>30</y></segmentation>",
        "<bndbox><x1>20</x1><y1>20</y1><x2>90</x2><y2>80.5</y2><x3>30</x3><y3>30</y3></bndbox>",
        "<bndbox/><polygon><x1>20</x1><y1>20</y1></polygon><polygon><x1>90</x1><y1>80.5</y1><x2>30</x2><y2>30</y2></polygon>",
    ],
)
def test_polygons(text):
    assert shape(text) == Shape((20, 20, 90, 80.5), (("polygon: of 3 points", ENCLOSED),), encloses=True)


def test_a_bndbox_comes_before_other_shapes():
    assert shape("<polygon><x1>0</x1><y1>0</y1></polygon>" + bndbox(1, 2, 3, 4)) == Shape((1, 2, 3, 4))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "<bndbox> is missing"),
        ("<bndbox/>", "<bndbox> is missing"),
        ("<polygon/>", "<bndbox> is missing"),
        ("<bndbox><x>20</x><y>20</y><w>5</w><h>5</h></bndbox>", "not a polygon: 1 x and 1 y"),
        ("<polygon><x1>1</x1><y1>1</y1><x2>9</x2></polygon>", "not a polygon: 2 x and 1 y"),
        ("<polygon><x1>1</x1><y1>1,5</y1><x2>9</x2><y2>9</y2></polygon>", "not a number: y1 '1,5'"),
        ("<points>1,1;9,nan</points>", "not a number: y 'nan'"),
        ("<bndbox><xmin>1</xmin><ymax>3</ymax></bndbox>", "corner missing: <ymin>, <xmax>"),
        ("<robndbox><cx>1</cx><cy>1</cy><w>5</w><angle>0</angle></robndbox>", "corner missing: <h>"),
        (bndbox("12,5", 1, "", 9), "not a number: xmin '12,5', xmax ''"),
        (bndbox("nan", "inf", "1_0", "0x9"), "not a number: xmin 'nan', ymin 'inf', xmax '1_0', ymax '0x9'"),
        (bndbox(5, 9, 5, 9), "empty: xmin and xmax are both 5, ymin and ymax are both 9"),
        (bndbox(5, 9, 8, 9), "a line: ymin and ymax are both 9"),
        (bndbox(0.1, 0.2, 0.5, 1), "not in pixels: [0.1, 0.2, 0.5, 1] look like shares of the photo"),
        ("<robndbox><cx>1.7e308</cx><cy>1</cy><w>1e308</w><h>1e308</h><angle>1</angle></robndbox>", ENDLESS),
    ],
)
def test_what_is_in_doubt_is_refused(text, reason):
    with pytest.raises(UnusableShapeError) as caught:
        shape(text)
    assert caught.value.reason == reason


@given(st.floats(-1e4, 1e4), st.floats(0, 1e3), st.floats(0, 1e3), st.floats(-10, 10))
def test_a_turned_box_is_inside_of_the_one_that_encloses_it(centre, w, h, angle):
    xmin, ymin, xmax, ymax = turned((centre - w / 2, -h / 2, centre + w / 2, h / 2), math.degrees(angle))
    for x, y in ((w, h), (-w, h), (w, -h), (-w, -h)):
        across = centre + (x * math.cos(angle) - y * math.sin(angle)) / 2
        down = (x * math.sin(angle) + y * math.cos(angle)) / 2
        assert xmin - 1e-5 <= across <= xmax + 1e-5
        assert ymin - 1e-5 <= down <= ymax + 1e-5
