"""A second name for a file, or a copy where the file system has none."""

import os

from tools.importing import linking


def test_a_second_name_needs_no_room_and_a_link_stays_one(tmp_path):
    (tmp_path / "a").write_text("mine")
    (tmp_path / "link").symlink_to("a")
    for name in ("a", "link"):
        linking.linked(tmp_path / name, tmp_path / f"{name}_2")
    assert (tmp_path / "a_2").samefile(tmp_path / "a")
    assert os.readlink(tmp_path / "link_2") == "a"  # noqa: PTH115


def test_without_such_names_it_is_a_copy(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError("as on exFAT")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_text("mine")
    linking.linked(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "mine" and not (tmp_path / "b").samefile(tmp_path / "a")
