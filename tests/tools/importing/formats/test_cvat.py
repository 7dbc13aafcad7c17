"""CVAT's own XML."""

import pytest

from tests.support.label_files import boxes, errors, notes, only, splits, tree

HEAD = """<?xml version="1.0" encoding="utf-8"?>
<!-- made by CVAT -->
<annotations><version>1.1</version>
<meta><task><labels><label><name>dog</name><attributes/></label><label><name>cat</name></label></labels></task></meta>
"""


def test_shapes_splits_and_the_order_of_classes(tmp_path):
    shapes = """
<image id="0" name="day 1/a.jpg" width="200" height="100" subset="Validation">
  <box label="cat" occluded="1" xtl="1.5" ytl="2" xbr="3" ybr="4" z_order="0"><attribute name="x">1</attribute></box>
  <box label="cat" xtl="10" ytl="10" xbr="30" ybr="20" rotation="90"/>
  <polygon label="dog" points="1.0,2.0;5,9;3,1"/>
  <ellipse label="dog" cx="20" cy="20" rx="5" ry="3"/>
  <mask label="cat" rle="1,2" left="4" top="5" width="6" height="7"/>
  <points label="cat" points="1,1"/>
  <tag label="sunny"/>
</image>
<image id="1" name="day 1/b.jpg" width="100" height="50"/>
<track id="0" label="cat"><box frame="0" xtl="1" ytl="1" xbr="2" ybr="2"/></track>
</annotations>"""
    root = tree(tmp_path, "images/day 1/a.jpg", "images/day 1/b.jpg", files={"annotations.xml": HEAD + shapes})
    dataset = only(root)
    assert boxes(root, dataset) == {
        "images/day 1/a.jpg": [
            ("cat", (1.5, 2.0, 3.0, 4.0)),
            ("cat", pytest.approx((15, 5, 25, 25))),
            ("dog", (1.0, 1.0, 5.0, 9.0)),
            ("dog", (15.0, 17.0, 25.0, 23.0)),
            ("cat", (4.0, 5.0, 10.0, 12.0)),
            ("cat", None),
        ],
        "images/day 1/b.jpg": [],
    }
    assert splits(root, dataset) == {"images/day 1/a.jpg": "val", "images/day 1/b.jpg": ""}
    assert (dataset.names, errors(dataset)) == (("dog", "cat"), [])
    assert [line.partition(":")[0] for line in notes(dataset)] == [
        "4 x a polygon, mask, ellipse or turned box",
        "1 x a points that makes no box",
        "1 x a track of a video",
        "1 x a photo without a box",
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (HEAD + "<image id='0' name='a.jpg'>", "annotations.xml: broken XML: "),
        (HEAD + "<image id='0'/></annotations>", "annotations.xml: image 0: has no name"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>', "annotations.xml: holds a document type"),
    ],
)
def test_faults(tmp_path, content, fault):
    (error,) = errors(only(tree(tmp_path, "a.jpg", files={"annotations.xml": content})))
    assert error.startswith(fault)
