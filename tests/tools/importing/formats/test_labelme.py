"""LabelMe's JSON files."""

from tests.support.label_files import boxes, errors, notes, only, tree


def labelme(*shapes: object, **more: object) -> dict[str, object]:
    return {"version": "5.2", "flags": {}, "shapes": list(shapes), "imageData": None, **more}


def shape(kind: str, *points: object, label: str = "cat", **more: object) -> dict[str, object]:
    return {"label": label, "points": list(points), "shape_type": kind, "group_id": None, **more}


def test_shapes(tmp_path):
    content = labelme(
        shape("rectangle", [30, 40], [10, 20.5]),
        shape("polygon", [1, 1], [5, 2], [3, 9], label="dog"),
        shape("circle", [20, 20], [23, 24]),
        shape("rectangle", [1, 1], [3, 1], [3, 4], [1, 4], difficult=True),
        shape("point", [1, 1]),
        shape("line", [1, 1], [2, 2]),
        imagePath="..\\photos\\a.jpg",
        imageWidth=200,
        imageHeight=100,
    )
    root = tree(tmp_path, "photos/a.jpg", files={"json/a.json": content})
    dataset = only(root)
    assert boxes(root, dataset)["photos/a.jpg"] == [
        ("cat", (10.0, 20.5, 30.0, 40.0)),
        ("dog", (1.0, 1.0, 5.0, 9.0)),
        ("cat", (15.0, 15.0, 25.0, 25.0)),
        ("cat", (1.0, 1.0, 3.0, 4.0)),
        ("cat", None),
        ("cat", None),
    ]
    assert dataset.photos[0].size == (200, 100)
    assert [box.difficult for box in dataset.photos[0].boxes] == [False, False, False, True, False, False]
    assert [line.partition(":")[0] for line in notes(dataset)] == [
        "2 x a polygon, mask, circle or turned rectangle",
        "1 x a point that makes no box",
        "1 x a line that makes no box",
    ]


def test_the_photo_beside_goes_before_image_path(tmp_path):
    """Both were renamed alike; imagePath is the old name, which another photo may have now."""
    root = tree(
        tmp_path, "a.jpg", "b.jpg", files={"a.json": labelme(shape("rectangle", [1, 1], [2, 2]), imagePath="b.jpg")}
    )
    assert list(boxes(root, only(root))) == ["a.jpg"]


def test_one_broken_file_among_others(tmp_path):
    files = {"a.json": labelme(imagePath="a.jpg"), "b.json": '{"shapes": [], "imagePath": "b.jpg",', "c.json": "{}"}
    root = tree(tmp_path, "a.jpg", "b.jpg", "c.jpg", files=files)
    dataset = only(root)
    assert boxes(root, dataset) == {"a.jpg": []} and errors(dataset) == []
    ((path, error),) = dataset.unusable.items()
    assert path.name == "b.jpg" and error.line().startswith("b.json: line 1 column 37: broken JSON: ")
