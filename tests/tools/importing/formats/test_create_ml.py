"""CreateML's JSON."""

from tests.support.label_files import boxes, errors, notes, only, splits, tree


def test_centres(tmp_path):
    place = {"x": 10, "y": 20, "width": 5, "height": 8}
    files = {
        "train/_annotations.createml.json": [
            {"image": "a.jpg", "annotations": [{"label": "cat", "coordinates": place}, {"label": "dog"}]},
            {"imagefilename": "b.jpg", "annotation": []},
            {"annotations": []},
        ]
    }
    root = tree(tmp_path, "train/a.jpg", "train/b.jpg", files=files)
    dataset = only(root)
    assert boxes(root, dataset) == {"train/a.jpg": [("cat", (7.5, 16.0, 12.5, 24.0)), ("dog", None)], "train/b.jpg": []}
    assert set(splits(root, dataset).values()) == {"train"}
    where = "train/_annotations.createml.json: [2]"
    assert errors(dataset) == [f"{where}: has no image or no list of annotations; export it again"]
    assert notes(dataset)[0].startswith("1 x no coordinates: written as an object without a box")
