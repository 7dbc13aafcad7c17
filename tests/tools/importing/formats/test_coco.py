"""COCO JSON: what is taken, what is left out, what is an error."""

from typing import Any

import pytest

from tests.support.label_files import boxes, errors, notes, only, splits, tree
from tools.importing import tree as trees
from tools.importing.formats import reading

CAT = {"id": 7, "name": "cat"}
DOG = {"id": 3, "name": "dog"}


def image(number: int, name: str, **more: object) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 100, "height": 50, **more}


def annotation(number: int, image_id: int, *bbox: float, category: int = 7, **more: object) -> dict[str, Any]:
    return {"id": number, "image_id": image_id, "category_id": category, "bbox": list(bbox), **more}


def coco(images: list[Any], annotations: list[Any], categories: list[Any] | None = None) -> dict[str, Any]:
    content = {"images": images, "annotations": annotations, "categories": categories or [CAT, DOG]}
    return {"info": {"description": "a"}, "licenses": [], **content}


def test_corners_classes_and_photos_without_objects(tmp_path):
    """Ids with gaps give the order of the classes; x and width are added, so 0.1 + 33.3 keeps all of its digits."""
    content = coco(
        [image(5, "a.jpg"), image(9, "b.jpg")],
        [annotation(1, 5, 0.1, 2, 33.3, 4), annotation(2, 5, 1, 2, 3, 4.5, category=3)],
    )
    root = tree(tmp_path, "a.jpg", "b.jpg", files={"labels.json": content})
    dataset = only(root)
    assert boxes(root, dataset) == {
        "a.jpg": [("cat", (0.1, 2.0, 0.1 + 33.3, 6.0)), ("dog", (1.0, 2.0, 4.0, 6.5))],
        "b.jpg": [],
    }
    assert (dataset.format, dataset.names, errors(dataset)) == ("COCO", ("dog", "cat"), [])
    assert notes(dataset) == ["1 x a photo without a box: taken as one without objects (labels.json: b.jpg)"]
    assert [photo.source for photo in dataset.photos] == ["labels.json: image 5", "labels.json: image 9"]


def test_the_xml(tmp_path):
    """Crowds are difficult, whole numbers have no `.0`, the size is that of the file."""
    content = coco([image(1, "a.jpg", width=200)], [annotation(1, 1, 1, 2, 3, 4.25, iscrowd=1)])
    (photo,) = only(tree(tmp_path, "a.jpg", files={"a.json": content})).photos
    xml = "".join(photo.xml("new.jpg").decode().split())
    assert "<filename>new.jpg</filename>" in xml
    assert "<width>200</width><height>50</height>" in xml
    assert "<difficult>1</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>6.25</ymax></bndbox>" in xml


def test_roboflow_has_a_file_in_each_split_and_an_entry_for_all_classes(tmp_path):
    categories = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "pets"},
    ]
    files = {
        f"{folder}/_annotations.coco.json": coco(
            [image(0, "a.jpg")], [annotation(0, 0, x, 1, 2, 2, category=1)], categories
        )
        for x, folder in enumerate(("test", "train", "valid"))
    }
    root = tree(tmp_path, "train/a.jpg", "valid/a.jpg", "test/a.jpg", files=files)
    dataset = only(root)
    assert {name: many[0][1] for name, many in boxes(root, dataset).items()} == {
        "test/a.jpg": (0.0, 1.0, 2.0, 3.0),
        "train/a.jpg": (1.0, 1.0, 3.0, 3.0),
        "valid/a.jpg": (2.0, 1.0, 4.0, 3.0),
    }
    assert splits(root, dataset) == {"test/a.jpg": "test", "train/a.jpg": "train", "valid/a.jpg": "val"}
    assert dataset.names == ("cat",)
    assert notes(dataset)[0].startswith(
        "3 x a supercategory that no annotation uses: left out (test/_annotations.coco.json"
    )


def test_an_unused_category_that_is_no_group_stays(tmp_path):
    categories = [{"id": 1, "name": "person", "supercategory": "person"}, CAT]
    root = tree(
        tmp_path, "a.jpg", files={"a.json": coco([image(1, "a.jpg")], [annotation(1, 1, 1, 1, 2, 2)], categories)}
    )
    assert only(root).names == ("person", "cat")


def test_cocos_own_layout(tmp_path):
    """The split in a file's name decides between two photos of one name; captions and keypoints are named."""
    files = {
        "annotations/instances_train2017.json": coco([image(1, "1.jpg")], [annotation(1, 1, 1, 1, 2, 2)]),
        "annotations/instances_val2017.json": coco([image(1, "1.jpg")], [annotation(1, 1, 5, 1, 2, 2)]),
        "annotations/captions_val2017.json": coco([image(1, "1.jpg")], [{"id": 1, "image_id": 1, "caption": "a cat"}]),
        "annotations/person_keypoints_val2017.json": coco(
            [image(1, "1.jpg")], [annotation(1, 1, 9, 9, 2, 2, keypoints=[1, 2, 2])]
        ),
        "annotations/image_info_test2017.json": coco([image(1, "1.jpg")], []),
    }
    root = tree(tmp_path, "train2017/1.jpg", "val2017/1.jpg", "test2017/1.jpg", files=files)
    dataset = only(root)
    assert boxes(root, dataset) == {
        "train2017/1.jpg": [("cat", (1.0, 1.0, 3.0, 3.0))],
        "val2017/1.jpg": [("cat", (5.0, 1.0, 7.0, 3.0))],
    }
    assert splits(root, dataset) == {"train2017/1.jpg": "train", "val2017/1.jpg": "val"}
    assert errors(dataset) == []
    assert notes(dataset) == [
        "1 x COCO with caption, not boxes: passed over; export bounding boxes (instances) "
        "(annotations/captions_val2017.json)",
        "1 x no annotations: its photos count as unlabelled (annotations/image_info_test2017.json)",
        "1 x keypoints, beside files of boxes: passed over (annotations/person_keypoints_val2017.json)",
    ]


def test_polygons_and_turned_rectangles(tmp_path):
    made = [
        {"id": 1, "image_id": 1, "category_id": 7, "segmentation": [[1, 2, 5, 2, 5, 8.5], [9, 3, 9, 4, 8, 4]]},
        annotation(2, 1, 10, 10, 20, 10, attributes={"rotation": 90.0}),
        {"id": 3, "image_id": 1, "category_id": 7, "segmentation": {"counts": "abc", "size": [50, 100]}},
    ]
    root = tree(tmp_path, "a.jpg", files={"a.json": coco([image(1, "a.jpg")], made)})
    dataset = only(root)
    (polygon, turned, mask) = boxes(root, dataset)["a.jpg"]
    assert polygon == ("cat", (1.0, 2.0, 9.0, 8.5))
    assert turned[1] == pytest.approx((15, 5, 25, 25))
    assert mask == ("cat", None)
    assert notes(dataset) == [
        "1 x polygons without a bbox: the enclosing box is taken (a.json: annotations[0])",
        "1 x a turned rectangle: the enclosing box is taken (a.json: annotations[1])",
        "1 x neither bbox nor polygons: written as an object without a box, which make train reports "
        "(a.json: annotations[2])",
    ]


def test_unsound_boxes_are_passed_on(tmp_path):
    made = [annotation(1, 1, 90, 40, 20, 20), annotation(2, 1, 5, 5, -2, 0), annotation(3, 1, 1, 1, 2, 2)]
    content = coco([image(1, "a.jpg")], made)
    content["annotations"][2]["bbox"] = [1, None, "x", 2]
    (photo,) = only(tree(tmp_path, "a.jpg", files={"a.json": content})).photos
    over, inverted, broken = (box.corners for box in photo.boxes)
    assert (over, inverted) == ((90, 40, 110, 60), (5, 5, 3, 5))
    assert "<ymin>nan</ymin>" in photo.xml("a.jpg").decode() and broken


def test_what_does_not_fit_together(tmp_path):
    """All errors at once, with their places; what belongs to no photo is left out, and listed."""
    content = coco(
        [image(1, "a.jpg"), image(2, "gone.jpg"), {"id": 3}, image(4, "b.jpg"), {"file_name": "c.jpg"}],
        [annotation(1, 1, 1, 1, 2, 2, category=8), annotation(2, 99, 1, 1, 2, 2), annotation(3, 2, 1, 1, 2, 2), "x"],
        [CAT, {"id": 7, "name": "bird"}],
    )
    dataset = only(tree(tmp_path, "a.jpg", "b.jpg", files={"a.json": content}))
    assert errors(dataset) == [
        "a.json: images[4]: has no id; give it one",
        "a.json: annotations[3]: is not as in COCO; export it again",
        "a.json: categories[1]: id 7 is there twice; give every entry its own",
        "a.json: annotations[0]: category 8 is not in categories; add it there, or change its category_id",
        "a.json: image 3: has no file_name; add it",
    ]
    assert "1 x of an image that is not listed: left out (a.json: annotations[1])" in notes(dataset)
    assert "1 x no photo of this name, or several: its labels are left out (a.json: gone.jpg)" in notes(dataset)


def test_a_photo_that_is_listed_twice(tmp_path):
    content = coco([image(1, "a.jpg"), image(2, "a.jpg")], [annotation(1, 1, 1, 1, 2, 2), annotation(2, 2, 5, 5, 2, 2)])
    root = tree(tmp_path, "a.jpg", files={"a.json": content})
    assert [corners for _, corners in boxes(root, only(root))["a.jpg"]] == [(1, 1, 3, 3), (5, 5, 7, 7)]
    other = tree(tmp_path, files={"b.json": coco([image(1, "a.jpg")], [annotation(1, 1, 9, 9, 2, 2)])})
    assert errors(only(other)) == [
        "b.json: image 1: the labels of its photo differ from those in a.json: image 1; keep one"
    ]


def test_names_from_other_machines(tmp_path):
    """Paths of Windows, addresses, percent encoding, case and a lost suffix; a folder that is here is meant."""
    names = ["C:\\data\\cats\\A.JPG", "https://host/up/b%20c.jpg", "pets/d.jpg", "here/f.jpg", "g"]
    content = coco([image(n, name) for n, name in enumerate(names)], [annotation(n, n, n, 1, 2, 2) for n in range(5)])
    root = tree(
        tmp_path, "photos/a.jpg", "photos/b c.jpg", "photos/d.jpg", "here/x.jpg", "photos/f.jpg", "photos/g.png"
    )
    dataset = only(tree(root, files={"a.json": content}))
    assert {name: many[0][1][0] for name, many in boxes(root, dataset).items() if many[0][1]} == {
        "photos/a.jpg": 0,
        "photos/b c.jpg": 1,
        "photos/d.jpg": 2,
        "photos/g.png": 4,
    }
    assert notes(dataset) == [
        "1 x a photo whose name differs by upper and lower case: taken as photos/a.jpg (a.json: C:\\data\\cats\\A.JPG)",
        "1 x a photo whose name differs by percent encoding: taken as photos/b c.jpg (a.json: https://host/up/b%20c.jpg)",
        "1 x no photo of this name, or several: its labels are left out (a.json: here/f.jpg)",
    ]


def test_detections_are_no_labels(tmp_path):
    root = tree(
        tmp_path, "a.jpg", files={"r.json": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2], "score": 0.5}]}
    )
    contents = reading.read(trees.walk(root))
    assert contents.datasets == ()
    assert [note.line() for note in contents.notes] == [
        "r.json: COCO results, which is not read; these are detections of a model; give the labels"
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (
            '{"images": [], "annotations": [1',
            "annotations[0]: is not as in COCO; export it again | a.json: line 1 column 33: broken JSON: it is cut off",
        ),
        ('{"images": [],\n "images": [], "annotations": []}', "broken JSON: key 'images' twice"),
        ('{"images": [{"id": 1, "id": 2}], "annotations": []}', "broken JSON: key 'id' twice"),
        ('{"images": ' + "[" * 100_000, "broken JSON: nested too deeply"),
        ('{"images": [' + "9" * 5000 + '], "annotations": []}', "broken JSON: Exceeds the limit"),
        (b'{"images": ["\xe7"], "annotations": []}', "line 1: is not UTF-8"),
        ('{"images": 5, "annotations": []}', "images: is not as in COCO"),
        ('{"images": [], "annotations": []} x', "line 1 column 34: broken JSON: something after the end"),
    ],
)
def test_broken_files(tmp_path, content, fault):
    if isinstance(content, str) and '"annotations"' not in content:
        content = content.replace('{"images"', '{"annotations": [], "images"')
    found = errors(only(tree(tmp_path, "a.jpg", files={"a.json": content})))
    assert " | ".join(found).startswith(f"a.json: {fault}")


def test_byte_order_marks(tmp_path):
    text = (
        '{"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "cão"}], "annotations": [%s]}'
    )
    text %= '{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}'
    for encoding in ("utf-8-sig", "utf-16"):
        root = tree(tmp_path / encoding, "a.jpg", files={"a.json": text.encode(encoding)})
        assert boxes(root, only(root)) == {"a.jpg": [("cão", (1, 2, 4, 6))]}
