"""Errors, whole files, label maps and tables: what every stage stands on."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from detector import files, labels, tables
from detector.errors import UserError

REPOSITORY = Path(__file__).parent.parent
LABEL_MAP = {"cat": 1, "dog": 2}


def run(code: str, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_users_mistake_is_one_line_and_exit_code_2() -> None:
    code = (
        "from detector import errors\n"
        "def main(): raise errors.UserError('cat.xml', 'xmin 9 is\\nright of xmax 4', 'redraw it', item='object 2')\n"
        "errors.run(main)"
    )
    done = run(code)
    assert done.returncode == 2
    assert done.stderr == "error: cat.xml: object 2: xmin 9 is right of xmax 4; redraw it\n"
    assert done.stdout == ""


def test_an_interrupt_is_130_so_that_dvc_records_no_finished_stage() -> None:
    done = run("from detector import errors\ndef main(): raise KeyboardInterrupt\nerrors.run(main)")
    assert done.returncode == 130
    assert done.stderr == "interrupted\n"


def test_our_own_mistake_keeps_its_traceback() -> None:
    done = run("from detector import errors\ndef main(): raise ValueError('a bug')\nerrors.run(main)")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    files.write_text(target, "first\n")
    with pytest.raises(RuntimeError), files.whole_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_bytes() == b"first\n"
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]
    assert target.stat().st_mode & 0o777 == 0o644


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with files.whole_folder(target) as temporary:
        (temporary / "a").write_text("1")
    with pytest.raises(RuntimeError), files.whole_folder(target) as temporary:
        (temporary / "b").write_text("2")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in target.iterdir()] == ["a"]


def test_a_label_map_survives_a_round_trip_in_id_order(tmp_path: Path) -> None:
    labels.write(tmp_path / "map.pbtxt", ["cão", "a 'quoted' \"name\"", "gato"])
    assert list(labels.read(tmp_path / "map.pbtxt").items()) == [("cão", 1), ("a 'quoted' \"name\"", 2), ("gato", 3)]


def test_ids_come_from_the_map_not_from_its_order(tmp_path: Path) -> None:
    (tmp_path / "map.pbtxt").write_text("item{ id: 2 name: 'dog' }\nitem{ id: 1\n name: 'cat' }")
    assert labels.read(tmp_path / "map.pbtxt") == {"cat": 1, "dog": 2}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "holds no item"),
        ("item { id: 1 name: 'cat'", "not a label map"),
        ("item { id: 0 name: 'cat' }", r"ids are \[0\]; give 1 to 1"),
        ("item { id: 1 name: 'cat' } item { id: 3 name: 'dog' }", r"ids are \[1, 3\]; give 1 to 2"),
        ("item { id: 1 name: 'cat' } item { id: 1 name: 'dog' }", r"ids are \[1, 1\]; give 1 to 2"),
        ("item { id: 1 name: 'cat' } item { id: 2 name: 'cat' }", "two items share a name"),
        ("item { id: 1 }", "has none"),
    ],
)
def test_a_wrong_label_map_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "map.pbtxt").write_text(content)
    with pytest.raises(UserError, match=reason):
        labels.read(tmp_path / "map.pbtxt")


def row(filename: str, name: str = "", box: tuple[object, ...] = ("", "", "", "")) -> dict[str, object]:
    return dict(zip(tables.COLUMNS, [filename, 256, 128, name, *box], strict=True))


def test_a_csv_keeps_fractions_and_images_without_objects(tmp_path: Path) -> None:
    rows = [row("b.jpg"), row("a.jpg", "dog", (64.5, 32, 128, 96)), row("a.jpg", "cat", (0, 0, 256, 128))]
    tables.write_csv(tmp_path / "x.csv", rows)
    assert (tmp_path / "x.csv").read_text() == (
        "filename,width,height,class,xmin,ymin,xmax,ymax\n"
        "a.jpg,256,128,cat,0,0,256,128\n"
        "a.jpg,256,128,dog,64.5,32,128,96\n"
        "b.jpg,256,128,,,,,\n"
    )
    first, second = tables.read_csv(tmp_path / "x.csv", LABEL_MAP)
    assert (first.filename, first.width, first.height) == ("a.jpg", 256, 128)
    np.testing.assert_array_equal(first.boxes, [[0, 0, 256, 128], [64.5, 32, 128, 96]])
    np.testing.assert_array_equal(first.classes, [1, 2])
    assert (second.filename, second.boxes.shape, second.classes.shape) == ("b.jpg", (0, 4), (0,))


def test_names_that_look_like_nothing_or_numbers_stay_names(tmp_path: Path) -> None:
    tables.write_csv(tmp_path / "x.csv", [row("007", "NA", (0, 0, 1, 1)), row("null")])
    images = tables.read_csv(tmp_path / "x.csv", {"NA": 1})
    assert [(image.filename, len(image.boxes)) for image in images] == [("007", 1), ("null", 0)]


def test_an_empty_csv_has_no_images(tmp_path: Path) -> None:
    tables.write_csv(tmp_path / "x.csv", [])
    assert tables.read_csv(tmp_path / "x.csv", LABEL_MAP) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [("", "not a CSV"), ("a,b\n1,2\n", "lacks the columns filename"), (None, "not found; run: dvc repro xml2csv")],
)
def test_a_wrong_csv_is_refused(tmp_path: Path, content: str | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "x.csv").write_text(content)
    with pytest.raises(UserError, match=reason):
        tables.read_csv(tmp_path / "x.csv", LABEL_MAP)


def test_an_unknown_class_is_named(tmp_path: Path) -> None:
    tables.write_csv(tmp_path / "x.csv", [row("a.jpg", "bird", (0, 0, 1, 1))])
    with pytest.raises(UserError, match="unknown class bird; the label map has cat, dog"):
        tables.read_csv(tmp_path / "x.csv", LABEL_MAP)
