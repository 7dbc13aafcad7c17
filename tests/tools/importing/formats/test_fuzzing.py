"""Damaged label files: whatever one holds, its reader answers with photos, notes and errors of one line, and soon."""

import json
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.annotations import voc
from detector.base.errors import UserError
from tests.support.label_files import only, tree
from tests.support.stage import child
from tools.importing import tree as trees
from tools.importing.formats import labelled, reading

BOX = {
    "id": 1,
    "image_id": 1,
    "category_id": 1,
    "bbox": [1.5, 2, 3, 4],
    "segmentation": [[1, 2, 3, 4, 5, 6]],
    "iscrowd": 0,
}
SHAPE = {
    "shape_attributes": {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4},
    "region_attributes": {"c": "cat"},
}
RESULT = {
    "original_width": 100,
    "original_height": 50,
    "value": {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": 5, "rectanglelabels": ["cat"]},
}
FILES: dict[str, tuple[str, object]] = {
    "COCO": (
        "instances.json",
        {
            "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 50}],
            "categories": [{"id": 1, "name": "cat", "supercategory": "pet"}],
            "annotations": [BOX, BOX | {"id": 2, "bbox": []}],
        },
    ),
    "VIA": ("via.json", {"a.jpg1": {"filename": "a.jpg", "regions": [SHAPE], "file_attributes": {}}}),
    "VIA's CSV": (
        "via.csv",
        "filename,region_shape_attributes,region_attributes\n"
        'a.jpg,"{""name"":""circle"",""cx"":9,""cy"":9,""r"":3}","{""class"":""cat""}"\n',
    ),
    "LabelMe": (
        "a.json",
        {
            "shapes": [{"label": "cat", "points": [[1, 2], [3, 4]], "shape_type": "rectangle"}],
            "imagePath": "a.jpg",
            "imageData": None,
            "imageHeight": 50,
            "imageWidth": 100,
        },
    ),
    "Label Studio": ("ls.json", [{"id": 1, "data": {"image": "/u/a.jpg"}, "annotations": [{"result": [RESULT]}]}]),
    "CreateML": (
        "c.json",
        [
            {
                "image": "a.jpg",
                "annotations": [{"label": "cat", "coordinates": {"x": 9, "y": 9, "width": 3, "height": 4}}],
            }
        ],
    ),
    "CVAT": (
        "cvat.xml",
        "<annotations><meta><task><labels><label><name>cat</name></label></labels></task></meta>"
        '<image id="0" name="a.jpg" width="100" height="50">'
        '<box label="cat" xtl="1" ytl="2" xbr="3" ybr="4" rotation="5"/>'
        '<polygon label="cat" points="1,2;3,4;5,6"/></image></annotations>',
    ),
    "YOLO": ("a.txt", "0 0.5 0.5 0.25 0.25\n0 0.1 0.1 0.2 0.2 0.3 0.1\n"),
    "YOLO's names": ("data.yaml", "train: images/train\nval: [a, b]\nnames:\n  0: cat\n  1: 'dog'\n"),
    "YOLO's data": ("obj.data", "train = train.txt\nnames = classes.txt\n"),
    "CSV": ("a.csv", "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,100,50,cat,1,2,3,4\n"),
    "Global Wheat of 2021": ("w.csv", "image_name,BoxesString,class\na,1 2 3 4;5 6 7 8,cat\nb,no_box,\n"),
    "Global Wheat": ("w.csv", 'image_id,width,height,class,bbox\na,100,50,cat,"[1, 2, 3, 4]"\n'),
    "OIDv4": ("a.txt", "cat 10 20 30 40\nTraffic light 1 2 3 4 difficult\n"),
    "KITTI": ("a.txt", "cat 0.00 0 1.85 38.63 18.5 42.5 20 1.67 1.87 3.69 -16.53 2.39 58.49 1.57\n"),
    "RetinaNet": ("r.csv", "a.jpg,1,2,3,4,cat\na.jpg,,,,,\n"),
    "AutoML": ("m.csv", "TRAIN,gs://b/a.jpg,cat,0.1,0.2,,,0.3,0.4,,\nTEST,b.jpg,cat,0.1,0.2,,,0.3,0.4,,\n"),
}
TOKENS = [
    *(b"NaN", b"-Infinity", b"1e999", b"-1", b"0", b"null", b"true", b"{}", b"[]", b'""', b'"x"', b"9" * 400, b"0.5"),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b"'",
        b"\\",
        b"\\u0000",
        b"\\ud800",
        b"<",
        b">",
        b"&amp;",
        b"&b;",
        b"../",
    ),
    *(
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\r",
        b"\n",
        b"\t",
        b" ",
        b"[" * 3000,
        b'{"a":' * 3000,
        b"\xc2\x85",
    ),
    *(b"<!DOCTYPE a>", b"<a>" * 2000, b"*a", b"&a ", b"!!python/object:os.system ", b"%s", b"\x1b[31m", "ã".encode()),
]
EDITS = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True), st.integers(0, 12), st.one_of(st.sampled_from(TOKENS), st.binary(max_size=3))
    ),
    min_size=1,
    max_size=4,
)


def damaged(content: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """The content with each edit made: at a place, so many bytes removed, others put there."""
    for place, removed, inserted in edits:
        start = int(place * (len(content) + 1))
        content = content[:start] + inserted + content[start + removed :]
    return content


@pytest.fixture(scope="module")
def root() -> Path:
    with tempfile.TemporaryDirectory() as folder:
        yield tree(
            Path(folder), "a.jpg", "images/train/b.jpg", files={"classes.txt": "cat\ndog\n", "train.txt": "a.jpg\n"}
        )


def check(root: Path, name: str, content: bytes) -> None:
    """Read the tree with that file; what comes out is in order."""
    files = {name: content} if name.endswith((".json", ".xml", ".csv")) else {name: content, "a.txt": content}
    if name != "a.txt":
        files["a.txt"] = b"0 0.5 0.5 0.5 0.5\n" if not name.endswith((".json", ".xml", ".csv")) else b""
    tree(root, files=files)
    start = time.monotonic()
    try:
        contents = reading.read(trees.walk(root))
    finally:
        for file in files:
            (root / file).unlink()
    assert time.monotonic() - start < 10
    for dataset in contents.datasets:
        for error in (*dataset.errors, *dataset.unusable.values()):
            assert isinstance(error, UserError) and "\n" not in error.line()
        assert all("\n" not in line for line in labelled.summary((*dataset.notes, *contents.notes)))
        if not dataset.errors:
            for photo in dataset.photos:
                annotation, _ = voc.parse(photo.xml("a.jpg"), None)
                assert annotation and annotation.size == photo.size


@pytest.mark.parametrize("kind", [kind for kind in FILES if not kind.startswith("YOLO's")])
def test_the_sound_file_is_read(tmp_path, kind):
    name, content = FILES[kind]
    dataset = only(tree(tmp_path, "a.jpg", files={name: content, "classes.txt": "cat"}))
    assert dataset.photos[0].boxes[0].name == "cat" and not dataset.errors and not dataset.unusable


@pytest.mark.parametrize("kind", FILES)
@settings(deadline=None, max_examples=60)
@given(edits=EDITS)
def test_a_damaged_file(root, kind, edits):
    name, content = FILES[kind]
    text = content if isinstance(content, str) else json.dumps(content)
    check(root, name, damaged(text.encode(), edits))


@settings(deadline=None, max_examples=60)
@given(content=st.binary(max_size=200), name=st.sampled_from([name for name, _ in FILES.values()]))
def test_any_bytes(root, content, name):
    check(root, name, content)


def test_the_loop_of_make_test_fuzz():
    done = child("-m", "tests.fuzz.readers", "--minutes=0.05", "--seed=2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("28 kinds of input, 0 failures, ")
