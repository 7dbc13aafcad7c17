"""The tables of boxes and of detections: what is read is what was written, to the last digit."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.base.errors import UserError
from detector.data import labels, tables
from tests.support.boxes import image

LABEL_MAP = {"cat": 1, 'do"g, né': 2}
NAMES = labels.by_id(LABEL_MAP)
HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax"
DETECTIONS = HEADER + ",score\n"


def test_a_csv_keeps_fractions_and_images_without_objects(tmp_path: Path) -> None:
    images = [image("a.jpg", (0, 0, 256, 128, 1), (64.5, 32, 128, 96, 2)), image("b.jpg")]
    tables.write_csv(tmp_path / "x.csv", images, NAMES)
    assert (tmp_path / "x.csv").read_text(encoding="utf-8") == HEADER + (
        '\na.jpg,500,400,cat,0.0,0.0,256.0,128.0\na.jpg,500,400,"do""g, né",64.5,32.0,128.0,96.0\nb.jpg,500,400,,,,,\n'
    )
    first, second = tables.read_csv(tmp_path / "x.csv", LABEL_MAP)
    assert (first.filename, first.width, first.height) == ("a.jpg", 500, 400)
    np.testing.assert_array_equal(first.boxes, [[0, 0, 256, 128], [64.5, 32, 128, 96]])
    np.testing.assert_array_equal(first.classes, [1, 2])
    np.testing.assert_array_equal(first.scores, [1, 1])
    assert (second.filename, second.boxes.shape, second.classes.shape) == ("b.jpg", (0, 4), (0,))


def test_detections_have_their_scores(tmp_path: Path) -> None:
    images = [image("a.jpg", (1, 2, 3.5, 4, 2, 0.9), (1 / 3, 0, 2, 3, 1, 0.25)), image("b.jpg")]
    tables.write_csv(tmp_path / "x.csv", images, NAMES, scores=True)
    assert (tmp_path / "x.csv").read_text(encoding="utf-8") == DETECTIONS + (
        'a.jpg,500,400,"do""g, né",1.0,2.0,3.5,4.0,0.9\n'
        "a.jpg,500,400,cat,0.3333333333333333,0.0,2.0,3.0,0.25\n"
        "b.jpg,500,400,,,,,,\n"
    )


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ROW = st.tuples(*[FLOATS] * 4, st.sampled_from([1, 2]), FLOATS)
FILENAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(FILENAMES, st.lists(ROW, max_size=3), max_size=3))
def test_what_is_read_is_what_was_written(tmp_path_factory: pytest.TempPathFactory, content: dict[str, list]) -> None:  # type: ignore[type-arg]
    path = tmp_path_factory.getbasetemp() / "round.csv"
    images = [image(name, *rows) for name, rows in sorted(content.items())]
    tables.write_csv(path, images[::-1], NAMES, scores=True)
    read = tables.read_csv(path, LABEL_MAP, scores=True)
    assert [(one.filename, one.width, one.height) for one in read] == [(one.filename, 500, 400) for one in images]
    for one, other in zip(read, images, strict=True):
        for field in ("boxes", "classes", "scores"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
            assert getattr(one, field).dtype == getattr(other, field).dtype


def test_rows_of_one_image_may_be_apart_and_keep_their_order(tmp_path: Path) -> None:
    rows = ("b.jpg,9,9,cat,2,0,3,1\n", "a.jpg,9,9,cat,0,0,1,1\n", "b.jpg,9,9,cat,1,0,3,1\n")
    (tmp_path / "x.csv").write_text(HEADER + "\n" + "".join(rows))
    first, second = tables.read_csv(tmp_path / "x.csv", LABEL_MAP)
    assert (first.filename, second.boxes[:, 0].tolist()) == ("a.jpg", [2, 1])


def test_names_that_look_like_nothing_or_numbers_stay_names(tmp_path: Path) -> None:
    tables.write_csv(tmp_path / "x.csv", [image("007", (0, 0, 1, 1, 1)), image("null")], {1: "NA"})
    images = tables.read_csv(tmp_path / "x.csv", {"NA": 1})
    assert [(one.filename, len(one.boxes)) for one in images] == [("007", 1), ("null", 0)]


def test_an_empty_csv_has_no_images(tmp_path: Path) -> None:
    tables.write_csv(tmp_path / "x.csv", [], NAMES)
    assert tables.read_csv(tmp_path / "x.csv", LABEL_MAP) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "not found"),
        ("", "not a table of boxes: No columns"),
        (
            "a,b\n1,2\n",
            "not a table of boxes: missing columns: filename, width, height, class, xmin, ymin, xmax, ymax, score",
        ),
        (HEADER + "\na.jpg,300,200,cat,1,2,3,4\n", "not a table of boxes: missing columns: score"),
        (DETECTIONS + "a.jpg,300,200,cat,1,2,x,4,0.9\n", "could not convert string to float: 'x'"),
        (DETECTIONS + "a.jpg,300,200,cat,1,2\n", "not a table of boxes: a box with an empty cell"),
        (DETECTIONS + "a.jpg,wide,200,cat,1,2,3,4,0.9\n", "not a table of boxes: invalid literal for int"),
        (DETECTIONS + "a.jpg,inf,200,cat,1,2,3,4,0.9\n", "cannot convert float infinity to integer"),
        (DETECTIONS + f"a.jpg,300,200,cat,{'9' * 400},2,3,4,0.9\n", "int too large to convert to float"),
        (DETECTIONS + "a.jpg,300,200,cat,1,2,inf,4,0.9\n", "a box with an empty cell, or an infinite number"),
        (DETECTIONS + "a.jpg,300,200,cow,1,2,3,4,0.9\n", 'unknown class cow; the label map has cat, do"g, né'),
        (b"\xff\xfe", "not a table of boxes: "),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: str | bytes | None, reason: str) -> None:
    path = tmp_path / "d.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        tables.read_csv(path, LABEL_MAP, scores=True, remedy="run: dvc repro evaluate")
    line = caught.value.line()
    assert line.startswith(f"{path}: ") and reason in line and line.endswith("; run: dvc repro evaluate")


def test_a_split_that_is_missing_is_made_by_xml2csv(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not found; run: dvc repro xml2csv"):
        tables.read_csv(tmp_path / "x.csv", LABEL_MAP)


def test_scores_choose_and_sort() -> None:
    one = image("a.jpg", (0, 0, 1, 1, 1, 0.2), (0, 0, 2, 2, 2, 0.9), (0, 0, 3, 3, 1, 0.5), (0, 0, 4, 4, 2, 0.9))
    assert one.above(0.5).boxes[:, 3].tolist() == [2, 3, 4]
    assert one.best_first().boxes[:, 3].tolist() == [2, 4, 3, 1]  # equal scores in their order
    assert list(one.subset(slice(1)).rows()) == [(1, [0, 0, 1, 1], 0.2)]
    assert tables.most_boxes([one, image("b.jpg")]) == 4 and tables.most_boxes([]) == 1
