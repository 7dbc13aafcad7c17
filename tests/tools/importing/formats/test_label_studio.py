"""Label Studio's JSON and JSON-MIN."""

import pytest

from tests.support.label_files import boxes, errors, notes, only, tree


def rectangle(label: str, *place: float, rotation: float = 0, **more: object) -> dict[str, object]:
    value = dict(zip(("x", "y", "width", "height"), place, strict=True), rotation=rotation, rectanglelabels=[label])
    return {"type": "rectanglelabels", "original_width": 200, "original_height": 100, "value": value, **more}


def test_tasks(tmp_path):
    """Percent of the original size; turned about the upper left corner; the photo's own name behind eight digits."""
    polygon = {"points": [[0, 0], [50, 0], [25, 50]], "polygonlabels": ["dog"]}
    result = [
        rectangle("cat", 10, 20, 30, 40),
        rectangle("cat", 50, 50, 10, 10, rotation=90),
        {"type": "polygonlabels", "original_width": 200, "original_height": 100, "value": polygon},
        {"type": "choices", "value": {"choices": ["sunny"]}},
    ]
    tasks = [
        {"id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-a%20b.jpg"}, "annotations": [{"result": result}]},
        {"id": 2, "data": {"image": "/data/local-files/?d=pets/b.jpg"}, "annotations": [{"result": []}]},
        {"id": 3, "data": {"image": "c.jpg"}, "annotations": []},
    ]
    root = tree(tmp_path, "a b.jpg", "b.jpg", "c.jpg", files={"project.json": tasks})
    dataset = only(root)
    found = boxes(root, dataset)
    assert found["a b.jpg"] == [
        ("cat", (20.0, 20.0, 80.0, 60.0)),
        ("cat", pytest.approx((90, 50, 100, 70))),
        ("dog", (0.0, 0.0, 100.0, 50.0)),
    ]
    assert found["b.jpg"] == [] and "c.jpg" not in found
    assert dataset.photos[0].size == (200, 100) and errors(dataset) == []
    assert notes(dataset)[0].startswith("2 x a polygon, ellipse or turned rectangle: the enclosing box is taken")


def test_json_min(tmp_path):
    region = rectangle("cat", 10, 20, 30, 40)
    value = region.pop("value")
    task = {"image": "/data/upload/a.jpg", "id": 1, "label": [{**region, **value}], "annotator": 1}
    root = tree(tmp_path, "a.jpg", files={"min.json": [task]})
    assert boxes(root, only(root)) == {"a.jpg": [("cat", (20.0, 20.0, 80.0, 60.0))]}


def test_several_annotators_and_no_photo(tmp_path):
    one, other = ({"result": [rectangle(name, 1, 1, 1, 1)]} for name in ("cat", "dog"))
    tasks = [
        {"id": 1, "data": {"image": "a.jpg"}, "annotations": [{"was_cancelled": True}, one, other]},
        {"id": 2, "data": {"text": "hello"}, "annotations": [one]},
    ]
    root = tree(tmp_path, "a.jpg", files={"a.json": tasks})
    dataset = only(root)
    assert dataset.names == ("cat",)
    assert errors(dataset) == ["a.json: [1]: names no photo; export it again"]
    assert notes(dataset) == ["1 x labelled several times: the first is taken (a.json: [0])"]
