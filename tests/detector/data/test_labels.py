"""The label map: what is read is what was written, and wrong ones are refused."""

from pathlib import Path

import pytest

from detector.base.errors import UserError
from detector.data import labels


def test_a_label_map_survives_a_round_trip_in_id_order(tmp_path: Path) -> None:
    labels.write(tmp_path / "map.pbtxt", ["cão", "a 'quoted' \"name\"", "gato"])
    assert list(labels.read(tmp_path / "map.pbtxt").items()) == [("cão", 1), ("a 'quoted' \"name\"", 2), ("gato", 3)]


def test_ids_come_from_the_map_not_from_its_order(tmp_path: Path) -> None:
    (tmp_path / "map.pbtxt").write_text("item{ id: 2 name: 'dog' }\nitem{ id: 1\n name: 'cat' }")
    assert labels.read(tmp_path / "map.pbtxt") == {"cat": 1, "dog": 2}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "has no items"),
        ("item { id: 1 name: 'cat'", "not a label map"),
        ("item { id: 0 name: 'cat' }", r"ids are \[0\]; give 1 to 1"),
        ("item { id: 1 name: 'cat' } item { id: 3 name: 'dog' }", r"ids are \[1, 3\]; give 1 to 2"),
        ("item { id: 1 name: 'cat' } item { id: 1 name: 'dog' }", r"ids are \[1, 1\]; give 1 to 2"),
        ("item { id: 1 name: 'cat' } item { id: 2 name: 'cat' }", "two items share a name"),
        ("item { id: 1 }", "has none"),
        ("item { id: 1 name: 'background' }", "id 1: background is not allowed as a class name: it means that no"),
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


def test_names_by_id_in_the_order_of_the_map() -> None:
    assert list(labels.by_id({"cat": 1, "dog": 2}).items()) == [(1, "cat"), (2, "dog")]
