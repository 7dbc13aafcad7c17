"""Tables of boxes: which are taken, and how."""

import pytest

from tests.support.label_files import boxes, errors, notes, only, splits, tree
from tools.importing import tree as trees
from tools.importing.formats import reading, tables

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax\n"


def test_the_apis_csv(tmp_path):
    rows = "train/a.jpg,100,50,cat,1,2.5,3,4\nb.jpg,100,50,,,,,\ntrain/a.jpg,100,50,dog,5,6,7,8\n"
    root = tree(tmp_path, "train/a.jpg", "train/b.jpg", files={"train_labels.csv": HEADER + rows})
    dataset = only(root)
    assert boxes(root, dataset) == {
        "train/a.jpg": [("cat", (1.0, 2.5, 3.0, 4.0)), ("dog", (5.0, 6.0, 7.0, 8.0))],
        "train/b.jpg": [],
    }
    assert set(splits(root, dataset).values()) == {"train"}
    assert (dataset.names, errors(dataset)) == (("cat", "dog"), [])


@pytest.mark.parametrize(
    "content",
    [
        "class;x_min;y_min;x_max;y_max;image\ncat;1,5;2;3;4;a.jpg\n",
        "image_path\tx1\ty1\tx2\ty2\tlabel\nC:\\photos\\a.jpg\t1.5\t2\t3\t4\tcat\n",
        "\ufeffImage Name,XMIN,YMIN,XMAX,YMAX,cell_type\r\na.jpg,1.5,2,3,4,cat\r\n",
        "photos/a.jpg,1.5,2,3,4,cat\nphotos/b.jpg,,,,,\n",
        "UNASSIGNED,gs://bucket/a.jpg,cat,0.015,0.04,,,0.03,0.08,,\n",
        "filename,class,xmin,ymin,xmax,ymax\na.jpg,cat,0.015,0.04,0.03,0.08\n",
    ],
)
def test_dialects(tmp_path, content):
    root = tree(tmp_path, "photos/a.jpg", "photos/b.jpg", files={"labels.csv": content})
    dataset = only(root)
    ((name, corners),) = boxes(root, dataset)["photos/a.jpg"]
    assert name == "cat" and corners == pytest.approx((1.5, 2, 3, 4)) and errors(dataset) == []


def test_open_images(tmp_path):
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf\n"
    files = {
        "train-annotations-bbox.csv": header + "0a1b,xclick,/m/01yrx,1,0.25,0.5,0,1,0,1,1\n",
        "class-descriptions-boxable.csv": "/m/01yrx,Cat\n/m/0bt9lr,Dog\n",
    }
    dataset = only(tree(tmp_path, "photos/0a1b.jpg", files=files))
    (box,) = dataset.photos[0].boxes
    assert (box.name, box.corners, box.difficult, box.truncated) == ("Cat", (25.0, 0.0, 50.0, 50.0), True, True)
    assert dataset.photos[0].split == "train" and notes(dataset) == []


def test_open_images_from_fiftyone_and_without_names(tmp_path):
    """FiftyOne's names have no header; codes without names stay, and are said."""
    header = "ImageID,LabelName,XMin,XMax,YMin,YMax\n"
    files = {"labels/detections.csv": header + "0a1b,/m/01yrx,0,0.5,0,1\n0a1b,/m/0bt9lr,0,0.5,0,0.5\n"}
    files["metadata/classes.csv"] = '/m/01yrx,Cat\n/m/011k07,"Tortoise, or turtle"\n'
    dataset = only(tree(tmp_path, "data/0a1b.jpg", files=files))
    assert dataset.names == ("/m/0bt9lr", "Cat") and dataset.descriptions == ("metadata/classes.csv",)
    assert notes(dataset) == [
        "1 x a code in place of a class: taken as its name; class-descriptions-boxable.csv of Open Images, put there, "
        "gives the real one (labels/detections.csv: /m/0bt9lr)"
    ]


def test_all_boxes_of_a_photo_in_one_cell(tmp_path):
    """Global Wheat of 2021: one class, and a column of where the photos are from."""
    rows = "a.jpg,1 2 30 40;5 6 7.5 8,usask_1\nb.jpg,no_box,ethz_1\nc.jpg,,ethz_1\nd.jpg,1 2 3;4 5 6 x,ethz_1\n"
    files = {"competition_train.csv": "image_name,BoxesString,domain\n" + rows}
    root = tree(tmp_path, "images/a.jpg", "images/b.jpg", "images/c.jpg", "images/d.jpg", files=files)
    dataset = only(root)
    taken = {name.removeprefix("images/"): found for name, found in boxes(root, dataset).items()}
    assert taken.pop("a.jpg") == [("object", (1, 2, 30, 40)), ("object", (5, 6, 7.5, 8))]
    assert (taken.pop("b.jpg"), taken.pop("c.jpg")) == ([], [])
    assert [name for name, _ in taken.pop("d.jpg")] == ["object", "object"]  # neither can be read, and both are there
    assert errors(dataset) == []
    assert notes(dataset)[:2] == [
        "2 x a corner that is not a number: make train reports it "
        "(competition_train.csv: line 5, competition_train.csv: line 5)",
        "1 x no column for a class: all boxes are of one class, object (competition_train.csv)",
    ]


def test_boxes_in_one_cell(tmp_path):
    """Global Wheat: one class, and a column of where the photos are from."""
    rows = 'a,100,50,"[10.0, 5, 20.5, 30]",usask_1\na,100,50,"[0, 0, 1, 2]",usask_1\nb,100,50,,ethz_1\n'
    root = tree(tmp_path / "1", "a.jpg", "b.jpg", files={"train.csv": "image_id,width,height,bbox,source\n" + rows})
    dataset = only(root)
    assert boxes(root, dataset) == {"a.jpg": [("object", (10, 5, 30.5, 35)), ("object", (0, 0, 1, 2))], "b.jpg": []}
    assert errors(dataset) == [] and notes(dataset)[:2] == [
        "1 x boxes in one cell: taken as [x, y, width, height] (train.csv)",
        "1 x no column for a class: all boxes are of one class, object (train.csv)",
    ]
    files = {"train.csv": 'filename,class,bbox\na.jpg,cat,"[1, 2, 3, 4]"\nb.jpg,cat,"1 2 3"\n'}
    dataset = only(tree(tmp_path / "2", "a.jpg", "b.jpg", files=files))
    assert dataset.names == ("cat",)
    assert notes(dataset)[0] == "1 x a corner that is not a number: make train reports it (train.csv: line 3)"
    files = {"train.csv": 'filename,width,height,class,bbox\na.jpg,100,50,cat,"[60, 10, 90, 40]"\n'}
    assert errors(only(tree(tmp_path / "3", "a.jpg", files=files))) == [
        "train.csv: line 2: [x, y, width, height] would reach out of the photo; "
        "if these are corners, put them into columns xmin, ymin, xmax, ymax"
    ]


def test_lisa(tmp_path):
    header = (
        "Filename;Annotation tag;Upper left corner X;Upper left corner Y;Lower right corner X;Lower right corner Y;"
        "Occluded,On another road;Origin file;Origin frame number\n"
    )
    files = {"dayClip1/frameAnnotationsBOX.csv": header + "dayTraining/c--00001.jpg;stop;10;5;20;30;0,0;c.mp4;1\n"}
    root = tree(tmp_path, "dayClip1/frames/c--00001.jpg", files=files)
    dataset = only(root)
    assert boxes(root, dataset) == {"dayClip1/frames/c--00001.jpg": [("stop", (10, 5, 20, 30))]}
    assert errors(dataset) == notes(dataset) == []


def test_what_is_no_table_of_labels(tmp_path):
    files = {
        "a.csv": "filename,width,height,class,xmin,ymin,xmax,ymax,score\na.jpg,9,9,cat,1,1,2,2,0.5\n",
        "b.csv": "name,age\ncat,3\n",
        "c.csv": "filename,a,b,xmin,ymin,xmax,ymax\na.jpg,,,1,1,2,2\n",
    }
    contents = reading.read(trees.walk(tree(tmp_path, "a.jpg", files=files)))
    assert contents.datasets == ()
    assert [note.line() for note in contents.notes] == [
        "a.csv: a column score: detections of a model, not labels; passed over",
        "c.csv: a table of boxes without a class; passed over; give it a column class",
    ]


def test_faults(tmp_path):
    rows = "a.jpg,100,50,cat,1,x,3,4\n,100,50,cat,1,2,3,4\na.jpg,100,60,cat\n"
    dataset = only(tree(tmp_path / "1", "a.jpg", files={"a.csv": HEADER + rows}))
    assert errors(dataset) == ["a.csv: line 3: names no photo; fill that cell, or remove the line"]
    assert notes(dataset) == [
        "2 x a corner that is not a number: make train reports it (a.csv: line 2, a.csv: line 4)",
        "1 x a photo with several sizes: its first one is taken (a.csv: line 2)",
    ]
    dataset = only(tree(tmp_path / "2", "a.jpg", files={"a.csv": HEADER + 'a.jpg,"' + "x" * 200_000}))
    assert errors(dataset) == ["a.csv: line 2: broken table: field larger than field limit (131072); save it again"]
    dataset = only(tree(tmp_path / "3", "a.jpg", files={"a.csv": "a.jpg,50,50,10,10,cat\n"}))
    assert errors(dataset) == ["a.csv: line 1: x2, y2 are not right of and below x1, y1; give the table a header"]


def test_a_photo_in_the_table_of_all_and_in_that_of_its_split(tmp_path):
    row = "a.jpg,100,50,cat,1,2,3,4\n"
    files = {"all.csv": HEADER + row, "test.csv": HEADER + row}
    root = tree(tmp_path, "a.jpg", files=files)
    dataset = only(root)
    assert splits(root, dataset) == {"a.jpg": "test"} and errors(dataset) == []
    assert notes(dataset) == [
        "1 x a photo labelled twice alike, in test and in no split: taken once, in test (all.csv: line 2)"
    ]


def test_layout_of_nothing():
    assert tables.layout("") is None and tables.layout("\n\n") is None and tables.layout("a,b,c,d,e,f") is None
