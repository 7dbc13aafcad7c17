"""Errors, whole files, label maps and tables: what every stage stands on."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from detector.base import files
from detector.base.errors import UserError
from detector.data import labels, tables

REPOSITORY = Path(__file__).resolve().parents[3]
LABEL_MAP = {"cat": 1, "dog": 2}


def run(code: str, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_users_mistake_is_one_line_and_exit_code_2() -> None:
    code = (
        "from detector.base import errors\n"
        "def main(): raise errors.UserError('cat.xml', 'xmin 9 is\\nright of xmax 4', 'redraw it', item='object 2')\n"
        "errors.run(main)"
    )
    done = run(code)
    assert done.returncode == 2
    assert done.stderr == "error: cat.xml: object 2: xmin 9 is right of xmax 4; redraw it\n"
    assert done.stdout == ""


def test_an_interrupt_is_130_so_that_dvc_records_no_finished_stage() -> None:
    done = run("from detector.base import errors\ndef main(): raise KeyboardInterrupt\nerrors.run(main)")
    assert done.returncode == 130
    assert done.stderr == "interrupted\n"


def test_our_own_mistake_keeps_its_traceback() -> None:
    done = run("from detector.base import errors\ndef main(): raise ValueError('a bug')\nerrors.run(main)")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    "module",
    [
        *(f"stages.{n}" for n in ("sample", "xml2csv", "csv2record", "pretrained", "evaluate")),
        "tools.report",
        "tools.summary",
    ],
)
def test_a_stage_has_a_manual_and_takes_no_arguments(tmp_path: Path, module: str) -> None:
    def stage(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    for option in ("--help", "-h"):
        done = stage(option)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"python -m {module}" in done.stdout
    done = stage("--steps", "5000")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: --steps 5000: this command takes no arguments; "
        "values are in params.yaml; for one run: dvc exp run -S section.key=value\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_written_atomically(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    files.write_text(target, "first\n")
    with pytest.raises(RuntimeError), files.whole_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_bytes() == b"first\n"
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]
    assert target.stat().st_mode & 0o777 == 0o644


def test_a_folder_is_written_atomically(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with files.whole_folder(target) as temporary:
        (temporary / "a").write_text("1")
    with pytest.raises(RuntimeError), files.whole_folder(target) as temporary:
        (temporary / "b").write_text("2")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in target.iterdir()] == ["a"]


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127])
def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path, name: str) -> None:
    files.write_bytes(tmp_path / "files" / name, b"1")
    with files.whole_folder(tmp_path / "folders" / name) as temporary:
        (temporary / "a").write_text("1")
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(["files", "folders", "a", name, name])


def test_an_interrupt_while_a_folder_is_replaced_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    files.write_text(target / "a", "old")
    rename = Path.rename

    def interrupted(self: Path, to: Path) -> Path:
        if self.name == "new":
            raise KeyboardInterrupt
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), files.whole_folder(target) as temporary:
        (temporary / "a").write_text("new")
    assert [(path.name, path.read_text()) for path in target.iterdir()] == [("a", "old")]
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_may_take_the_place_of_a_link(tmp_path: Path) -> None:
    files.write_text(tmp_path / "elsewhere/a", "theirs")
    (tmp_path / "out").symlink_to("elsewhere")
    with files.whole_folder(tmp_path / "out") as temporary:
        (temporary / "b").write_text("ours")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b"]
    assert (tmp_path / "elsewhere/a").read_text() == "theirs"


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
        ("item { id: 1 name: 'background' }", "id 1: no class may be named background: it means that there is no"),
    ],
)
def test_a_wrong_label_map_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "map.pbtxt").write_text(content)
    with pytest.raises(UserError, match=reason):
        labels.read(tmp_path / "map.pbtxt")


def test_a_label_map_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.pbtxt").mkdir()
    (tmp_path / "file").touch()
    for path, reason in (("folder.pbtxt", "Is a directory"), ("file/x.pbtxt", "Not a directory")):
        with pytest.raises(UserError, match=f"{path}: cannot be read: {reason}; put a label map there"):
            labels.read(tmp_path / path)


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
