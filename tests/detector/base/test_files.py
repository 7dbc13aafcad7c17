"""Files and folders that appear atomically."""

from pathlib import Path

import pytest

from detector.base import files


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
