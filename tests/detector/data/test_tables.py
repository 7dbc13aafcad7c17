"""The tables of boxes and of detections: what is read is what was written, to the last digit."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.base.errors import UserError
from detector.data import columns, labels, tables
from tests.support.boxes import image, with_crowds

LABEL_MAP = {"cat": 1, 'do"g, né': 2}
NAMES = labels.by_id(LABEL_MAP)
HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax"
LABELS = HEADER + ",is_crowd\n"
DETECTIONS = HEADER + ",score\n"
SIZES = "width and height are {}, not whole numbers from 1 to 1,000,000"
NUMBERS = "xmin, ymin, xmax, ymax and score are {}, not numbers that are allowed"


def test_a_csv_keeps_fractions_and_images_without_objects(tmp_path: Path) -> None:
    images = [with_crowds(image("a.jpg", (0, 0, 256, 128, 1), (64.5, 32, 128, 96, 2)), 1), image("b.jpg")]
    tables.write_csv(tmp_path / "x.csv", images, NAMES)
    assert (tmp_path / "x.csv").read_text(encoding="utf-8") == LABELS + (
        "a.jpg,500,400,cat,0.0,0.0,256.0,128.0,0\n"
        'a.jpg,500,400,"do""g, né",64.5,32.0,128.0,96.0,1\n'
        "b.jpg,500,400,,,,,,\n"
    )
    first, second = tables.read_csv(tmp_path / "x.csv", LABEL_MAP)
    assert (first.filename, first.width, first.height) == ("a.jpg", 500, 400)
    np.testing.assert_array_equal(first.boxes, [[0, 0, 256, 128], [64.5, 32, 128, 96]])
    np.testing.assert_array_equal(first.classes, [1, 2])
    np.testing.assert_array_equal(first.scores, [1, 1])
    assert (first.is_crowd.tolist(), second.is_crowd.tolist()) == ([False, True], [])
    assert (second.filename, second.boxes.shape, second.classes.shape) == ("b.jpg", (0, 4), (0,))


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "＝", "＋", "－", "＠"])
def test_names_that_are_formulas_to_a_spreadsheet_are_cells_of_text_and_come_back(tmp_path: Path, sign: str) -> None:
    names = ["cat", f"{sign}1", f"'{sign}1", "'cat", f"cat{sign}1"]
    cells = ["cat", f"'{sign}1", f"''{sign}1", "'cat", f"cat{sign}1"]
    images = [image(name, (0, 0, 9, 9, number, 0.5)) for number, name in enumerate(names, start=1)]
    tables.write_csv(tmp_path / "x.csv", images, dict(enumerate(names, start=1)), scores=True)
    rows = [line.split(",") for line in (tmp_path / "x.csv").read_text(encoding="utf-8").splitlines()[1:]]
    assert [row[0] for row in rows] == [row[3] for row in rows] == cells
    for large in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(columns, "LARGE", 0 if large else columns.LARGE)
            read = tables.read_csv(tmp_path / "x.csv", {n: k for k, n in enumerate(names, start=1)}, scores=True)
        assert_same(read, sorted(images, key=lambda one: one.filename))


def test_without_the_column_nothing_is_a_crowd(tmp_path: Path) -> None:
    """As in every CSV that was written before there was one."""
    (tmp_path / "x.csv").write_text(HEADER + "\na.jpg,9,9,cat,0,0,1,1\nb.jpg,9,9,,,,,\n")
    first, second = tables.read_csv(tmp_path / "x.csv", LABEL_MAP)
    assert (first.is_crowd.tolist(), second.is_crowd.tolist()) == ([False], [])


def test_detections_have_their_scores(tmp_path: Path) -> None:
    images = [image("a.jpg", (1, 2, 3.5, 4, 2, 0.9), (1 / 3, 0, 2, 3, 1, 0.25)), image("b.jpg")]
    tables.write_csv(tmp_path / "x.csv", images, NAMES, scores=True)
    assert (tmp_path / "x.csv").read_text(encoding="utf-8") == DETECTIONS + (
        'a.jpg,500,400,"do""g, né",1.0,2.0,3.5,4.0,0.9\n'
        "a.jpg,500,400,cat,0.3333333333333333,0.0,2.0,3.0,0.25\n"
        "b.jpg,500,400,,,,,,\n"
    )


def assert_same(read: list[tables.ImageBoxes], expected: list[tables.ImageBoxes]) -> None:
    for one, other in zip(read, expected, strict=True):
        assert (one.filename, one.width, one.height) == (other.filename, other.width, other.height)
        for field in ("boxes", "classes", "scores", "is_crowd"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
            assert getattr(one, field).dtype == getattr(other, field).dtype


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ROW = st.tuples(*[FLOATS] * 4, st.sampled_from([1, 2]), FLOATS)
FILENAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(
    lambda name: not name.startswith("/") and ".." not in name.split("/")
)


@settings(max_examples=60)
@given(st.dictionaries(FILENAMES, st.lists(ROW, max_size=3), max_size=3))
def test_what_is_read_is_what_was_written(tmp_path_factory: pytest.TempPathFactory, content: dict[str, list]) -> None:  # type: ignore[type-arg]
    path = tmp_path_factory.getbasetemp() / "round.csv"
    images = [image(name, *rows) for name, rows in sorted(content.items())]
    tables.write_csv(path, images[::-1], NAMES, scores=True)
    assert_same(tables.read_csv(path, LABEL_MAP, scores=True), images)
    labelled = [with_crowds(image(name, *(row[:5] for row in rows)), 1) for name, rows in sorted(content.items())]
    tables.write_csv(path, labelled[::-1], NAMES)
    assert_same(tables.read_csv(path, LABEL_MAP), labelled)


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


BOX = "a.jpg,300,200,cat,1,2,3,4,0.9\n"
OTHER_TABLE = "not a table of boxes: missing columns: "


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "not found"),
        ("", OTHER_TABLE + ", ".join([*columns.COLUMNS, "score"])),
        ("a,b\n1,2\n", OTHER_TABLE + ", ".join([*columns.COLUMNS, "score"])),
        (b"\xff\xfe", OTHER_TABLE + ", ".join([*columns.COLUMNS, "score"])),
        (HEADER + "\na.jpg,300,200,cat,1,2,3,4\n", OTHER_TABLE + "score"),
        (HEADER + ",score,xmin\n", "not a table of boxes: two columns are called xmin"),
        (DETECTIONS + "a.jpg,300,200,cat,1,2,x,4,0.9\n", "row 2: " + NUMBERS.format("'1', '2', 'x', '4', '0.9'")),
        (DETECTIONS + BOX + "a.jpg,300,200,cat,1,2\n", "row 3: has 6 cells, the header has 9"),
        (DETECTIONS + "a.jpg,300,200\n" + BOX, "row 2: has 3 cells, the header has 9"),
        (DETECTIONS + BOX.strip() + ",\n", "row 2: has 10 cells, the header has 9"),
        (DETECTIONS + BOX + "\n\n,300,200,cat,1,2,3,4,1\n", "row 5: '' is not the name of a file"),
        (DETECTIONS + "a\0.jpg,300,200,cat,1,2,3,4,1\n", "row 2: 'a\\x00.jpg' is not the name of a file"),
        (DETECTIONS.encode() + b"\xe9,300,200,cat,1,2,3,4,1\n", "row 2: '\\udce9' is not the name of a file"),
        (DETECTIONS + "a.jpg,wide,200,cat,1,2,3,4,0.9\n", "row 2: " + SIZES.format("'wide', '200'")),
        (DETECTIONS + BOX + "b.jpg,inf,200,cat,1,2,3,4,0.9\n", "row 3: " + SIZES.format("'inf', '200'")),
        (DETECTIONS + "a.jpg,1e400,200,,,,,,\n", "row 2: " + SIZES.format("'1e400', '200'")),
        (DETECTIONS + "a.jpg,300,200.5,,,,,,\n", "row 2: " + SIZES.format("'300', '200.5'")),
        (DETECTIONS + "a.jpg,-300,200,,,,,,\n", "row 2: " + SIZES.format("'-300', '200'")),
        (DETECTIONS + "a.jpg,,200,,,,,,\n", "row 2: " + SIZES.format("'', '200'")),
        (DETECTIONS + "a.jpg,0,1000001,,,,,,\n", "row 2: " + SIZES.format("'0', '1000001'")),
        (
            DETECTIONS + f"a.jpg,300,200,cat,{'9' * 400},2,3,4,1\n",
            "row 2: " + NUMBERS.format(f"'{'9' * 40}', '2', '3', '4', '1'"),
        ),
        (DETECTIONS + "a.jpg,300,200,cat,1,2,inf,4,0.9\n", "row 2: " + NUMBERS.format("'1', '2', 'inf', '4', '0.9'")),
        (DETECTIONS + "a.jpg,300,200,cat,1,2,3,,0.9\n", "row 2: " + NUMBERS.format("'1', '2', '3', '', '0.9'")),
        (
            DETECTIONS + "a.jpg,300,200,,1,2,3,4,0.9\n",
            "row 2: no class, but xmin, ymin, xmax, ymax and score are '1', ",
        ),
        (
            DETECTIONS + "a.jpg,300,200,cow,1,2,3,4,0.9\n",
            "row 2: unknown class 'cow'; the label map has cat, do\"g, né",
        ),
        (DETECTIONS + 3 * "a.jpg,300,200,cow,1,2,3,4,0.9\n", "né (and 2 more rows)"),
        (DETECTIONS + BOX + "a.jpg,300,201,,,,,,\n", "row 3: 'a.jpg' is 300x201, in row 2 300x200"),
        (DETECTIONS + '"a.jpg"b,300,200,,,,,,\n', "row 2: not a table of boxes: ',' expected after '\"'"),
        (DETECTIONS + '"a.jpg,300,200,,,,,,\n', "row 2: not a table of boxes: unexpected end of data"),
        (DETECTIONS + "a" * 200_000, "row 2: not a table of boxes: field larger than field limit"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: str | bytes | None, reason: str) -> None:
    path = tmp_path / "d.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        tables.read_csv(path, LABEL_MAP, scores=True, remedy="run: dvc repro evaluate")
    line = caught.value.line()
    assert line.startswith(f"{path}: ") and line.endswith("; run: dvc repro evaluate")
    assert reason in line


@pytest.mark.parametrize("value", ["2", "-1", "0.5", "", "yes"])
def test_is_crowd_is_0_or_1(tmp_path: Path, value: str) -> None:
    (tmp_path / "x.csv").write_text(LABELS + f"a.jpg,300,200,cat,1,2,3,4,{value}\n")
    with pytest.raises(UserError, match=f"row 2: xmin, .*, ymax and is_crowd are '1', '2', '3', '4', '{value}', not "):
        tables.read_csv(tmp_path / "x.csv", LABEL_MAP)


def test_other_columns_another_order_and_a_mark_of_windows(tmp_path: Path) -> None:
    text = "note,is_crowd,ymax,xmax,ymin,xmin,class,height,width,filename\r\nx,1,4,3,2,1,cat,200.0,3e2,a.jpg\r\n"
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    expected = with_crowds(image("a.jpg", (1, 2, 3, 4, 1), size=(300, 200)), 0)
    assert_same(tables.read_csv(tmp_path / "x.csv", LABEL_MAP), [expected])


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: Is a directory; run: dvc repro xml2csv"):
        tables.read_csv(tmp_path, LABEL_MAP)


# Large files, by pandas.


@pytest.fixture
def always_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "LARGE", 0)


PLAIN = {"cat": 1, "dog": 2}
CELLS = st.sampled_from(
    [
        "a.jpg",
        "b.jpg",
        "cat",
        "dog",
        "cow",
        "",
        "0",
        "1",
        "3",
        "500",
        "2.5",
        "-1",
        "inf",
        "nan",
        "1e400",
        " 1",
        "1_0",
        "é",
    ]
)
ROWS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["a.jpg", "b.jpg"]), st.just("cat"), st.integers(0, 9), st.integers(0, 1)).map(
            lambda row: f"{row[0]},500,400,{row[1]},{row[2]},1.5,3,4,{row[3]}"
        ),
        st.sampled_from(["c.jpg,9,9,,,,,,", "a.jpg,500,400,,,,,,", "", "c.jpg,9,9", '"c.jpg",9,9,,,,,,']),
        st.lists(CELLS, min_size=8, max_size=10).map(",".join),
    ),
    max_size=6,
)


@settings(max_examples=300)
@given(ROWS, st.sampled_from([LABELS, DETECTIONS, HEADER + "\n", "note," + LABELS]), st.sampled_from(["\n", ""]))
def test_both_readers_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str], header: str, end: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "both.csv"
    path.write_text(header + "\n".join(rows) + end, encoding="utf-8")
    results: list[list[tables.ImageBoxes] | str] = []
    for large in (10**9, -1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(columns, "LARGE", large)
            try:
                results.append(tables.read_csv(path, PLAIN, scores=header == DETECTIONS))
            except UserError as error:
                results.append(error.line())
    if isinstance(results[0], str) or isinstance(results[1], str):
        assert results[0] == results[1]
    else:
        assert_same(results[1], results[0])


def test_a_large_file_is_read_by_pandas(tmp_path: Path, always_large: None, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [with_crowds(image(f"{k:03}.jpg", (k, 1 / 3, 200, 300, 1), (0.1, 0.2, 0.7, 0.9, 2)), 1) for k in range(99)]
    tables.write_csv(tmp_path / "x.csv", [*images, image("null")][::-1], labels.by_id(PLAIN))
    monkeypatch.delattr(columns, "_by_csv")
    assert_same(tables.read_csv(tmp_path / "x.csv", PLAIN), [*images, image("null")])


def test_ten_thousands_of_rows_have_their_numbers(tmp_path: Path) -> None:
    """More than are in memory as text."""
    rows = [f"{k:06}.jpg,9,9,cat,0,0,1,1,0\n" for k in range(2 * columns._ROWS + 5)]
    (tmp_path / "x.csv").write_text(LABELS + "".join(rows))
    assert [one.filename for one in tables.read_csv(tmp_path / "x.csv", LABEL_MAP)] == [row[:10] for row in rows]
    rows[2 * columns._ROWS] = "b.jpg,9,9,cat,0,0,1,x,0\n"
    (tmp_path / "x.csv").write_text(LABELS + "".join(rows))
    with pytest.raises(UserError, match=f"x.csv: row {2 * columns._ROWS + 2}: "):
        tables.read_csv(tmp_path / "x.csv", LABEL_MAP)


VALID = (LABELS + BOX.replace("0.9", "1") + 'é.jpg,30,20,"do""g, né",1e1,2.5,30,20,0\nb.jpg,7,9,,,,,,\n').encode()
PIECES = [
    b"1e400",
    b"inf",
    b"-",
    b"nan",
    b"9" * 400,
    b"\0",
    b'"',
    b'""',
    b",",
    b"\n",
    b"\r",
    b"\xff",
    b"\xef\xbb\xbf",
    b"_",
]


@settings(max_examples=600)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(VALID)), st.integers(0, 8), st.one_of(st.sampled_from(PIECES), st.binary(max_size=3))
        ),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_a_changed_file_is_images_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int, bytes]], is_large: bool
) -> None:
    content = VALID
    for place, removed, added in changes:
        content = content[:place] + added + content[place + removed :]
    path = tmp_path_factory.getbasetemp() / "changed.csv"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "LARGE", -1 if is_large else 10**9)
        try:
            images = tables.read_csv(path, LABEL_MAP)
        except UserError as error:
            assert "\n" not in error.line() and error.line().isprintable()
            return
    assert sorted({one.filename for one in images}) == [one.filename for one in images]
    for one in images:
        assert 1 <= one.width <= columns.MOST_PIXELS and 1 <= one.height <= columns.MOST_PIXELS
        assert one.boxes.shape == (len(one.classes), 4) and np.isfinite(one.boxes).all()
        assert set(one.classes.tolist()) <= {1, 2} and len(one.is_crowd) == len(one.scores) == len(one.classes)


def test_a_split_that_is_missing_is_made_by_xml2csv(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not found; run: dvc repro xml2csv"):
        tables.read_csv(tmp_path / "x.csv", LABEL_MAP)


def test_scores_choose_and_sort() -> None:
    one = image("a.jpg", (0, 0, 1, 1, 1, 0.2), (0, 0, 2, 2, 2, 0.9), (0, 0, 3, 3, 1, 0.5), (0, 0, 4, 4, 2, 0.9))
    assert one.above(0.5).boxes[:, 3].tolist() == [2, 3, 4]
    assert one.best_first().boxes[:, 3].tolist() == [2, 4, 3, 1]  # equal scores in their order
    assert list(one.subset(slice(1)).rows()) == [(1, [0, 0, 1, 1], 0.2)]
    assert tables.most_boxes([one, image("b.jpg")]) == 4 and tables.most_boxes([]) == 1


def test_crowds_are_no_objects() -> None:
    one = with_crowds(image("a.jpg", (0, 0, 1, 1, 1, 0.2), (0, 0, 2, 2, 2, 0.9), (0, 0, 3, 3, 1, 0.5)), 0, 2)
    assert one.objects.boxes[:, 3].tolist() == [2]
    assert one.best_first().is_crowd.tolist() == [False, True, True]
    assert one.above(0.5).is_crowd.tolist() == [False, True]
    assert tables.most_boxes([one]) == 3
    plain = image("a.jpg", (0, 0, 1, 1, 1))
    assert plain.objects is plain and plain.is_crowd.tolist() == [False]
