"""VIA's JSON and CSV."""

import json
import math

import pytest

from tests.support.label_files import boxes, errors, notes, only, tree
from tools.importing import tree as trees
from tools.importing.formats import reading


def region(kind: str, attributes: object, **shape: object) -> dict[str, object]:
    return {"shape_attributes": {"name": kind, **shape}, "region_attributes": attributes}


REGIONS = [
    region("rect", {"class": "cat", "id": "1"}, x=1, y=2, width=3, height=4.5),
    region("polygon", {"class": "dog", "id": "2"}, all_points_x=[5, 9, 7], all_points_y=[1, 2, 8]),
    region("circle", {"class": "dog", "id": "3"}, cx=20, cy=20, r=5),
    region("ellipse", {"class": {"cat": True, "dog": False}, "id": "4"}, cx=20, cy=20, rx=4, ry=2, theta=math.pi / 2),
    region("point", {"class": "cat", "id": "5"}, cx=1, cy=1),
]
CORNERS = [
    ("cat", (1.0, 2.0, 4.0, 6.5)),
    ("dog", (5.0, 1.0, 9.0, 8.0)),
    ("dog", (15.0, 15.0, 25.0, 25.0)),
    ("cat", pytest.approx((18, 16, 22, 24))),
    ("cat", None),
]
ENTRY = {"filename": "a.jpg", "size": 7, "regions": REGIONS, "file_attributes": {}}


@pytest.mark.parametrize("is_project", [False, True])
def test_json(tmp_path, is_project):
    """The annotations alone; a project, of VIA 1, whose regions are a mapping."""
    entry = ENTRY | ({"regions": dict(enumerate(REGIONS))} if is_project else {})
    entries = {"a.jpg7": entry, "b.jpg9": {"filename": "b.jpg", "regions": [], "file_attributes": {}}}
    content = {"_via_settings": {}, "_via_img_metadata": entries} if is_project else entries
    root = tree(tmp_path, "a.jpg", "b.jpg", files={"via.json": content})
    dataset = only(root)
    assert boxes(root, dataset) == {"a.jpg": CORNERS, "b.jpg": []}
    assert notes(dataset)[:2] == [
        "3 x a polygon, circle or ellipse: the enclosing box is taken "
        "(via.json: a.jpg: region 2, via.json: a.jpg: region 3, via.json: a.jpg: region 4)",
        "1 x a point that makes no box: written as an object without a box, which make train reports "
        "(via.json: a.jpg: region 5)",
    ]
    assert errors(dataset) == []


def test_csv(tmp_path):
    def cell(value: object) -> str:
        return '"' + json.dumps(value).replace('"', '""') + '"'

    lines = ["#filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"]
    for number, one in enumerate(REGIONS):
        shape, attributes = cell(one["shape_attributes"]), cell(one["region_attributes"])
        lines.append(f'a.jpg,7,"{{}}",5,{number},{shape},{attributes}')
    lines.append('b.jpg,9,"{}",0,0,"{}","{}"')
    root = tree(tmp_path, "a.jpg", "b.jpg", files={"via.csv": "\n".join(lines)})
    assert boxes(root, only(root)) == {"a.jpg": CORNERS, "b.jpg": []}


def test_the_class_attribute(tmp_path):
    """The only one, one that is called class, or one that every region has; otherwise it is an error."""
    for number, (attributes, name) in enumerate(
        [({"pet": "cat"}, "cat"), ({"a": "x", "Label": "cat"}, "cat"), ({"a": "x", "b": "y"}, None), ({}, None)]
    ):
        entry = ENTRY | {"regions": [region("rect", attributes, x=1, y=1, width=1, height=1)]}
        dataset = only(tree(tmp_path / str(number), "a.jpg", files={"via.json": {"a": entry}}))
        assert dataset.names == ((name,) if name else ())
        assert len(errors(dataset)) == (name is None)
    assert errors(dataset) == [
        "via.json: no attribute of the regions is the class: none; call one of them class, and set it for every region"
    ]


def test_faults(tmp_path):
    assert errors(only(tree(tmp_path, "a.jpg", files={"via.json": {"a": {"regions": [], "shape_attributes": 1}}}))) == [
        "via.json: an entry has no filename; export it from VIA again"
    ]
    via3 = {"metadata": {"1": {"vid": "1", "xy": [2, 1, 1, 5, 5], "av": {"1": "cat"}}}}
    assert (
        reading.read(trees.walk(tree(tmp_path / "3", "a.jpg", files={"via.json": via3}))).notes[0].done
        == "export it as COCO from VIA"
    )
