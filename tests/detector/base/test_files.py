"""Files and folders that appear atomically."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from detector.base import files
from detector.base.errors import UserError
from tests.support import disk
from tests.support.stage import child


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


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize(("mask", "file_mode", "folder_mode"), [(0o077, 0o600, 0o700), (0o002, 0o664, 0o775)])
def test_permissions_are_those_of_the_umask(tmp_path: Path, mask: int, file_mode: int, folder_mode: int) -> None:
    """Private photos stay private, and what a group shares can be shared."""
    with umask(mask):
        files.write_text(tmp_path / "a", "")
        with files.whole_folder(tmp_path / "out"):
            pass
    assert (tmp_path / "a").stat().st_mode & 0o777 == file_mode
    assert (tmp_path / "out").stat().st_mode & 0o777 == folder_mode


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_appears_while_a_new_folder_is_written_stays(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "pets"
    with pytest.raises(UserError) as caught, files.whole_folder(target, is_new=True) as folder:
        (folder / "a").write_text("ours")
        if kind == "folder":
            files.write_text(target / "thesis.txt", "theirs")
        elif kind == "file":
            target.write_text("theirs")
        else:
            files.write_text(tmp_path / "elsewhere/thesis.txt", "theirs")
            target.symlink_to("elsewhere")
    reason = "appeared while its content was being written, and is left as it is"
    assert caught.value.line() == f"{target}: {reason}; choose another name, or move it away, and run again"
    assert (target if kind == "file" else target / "thesis.txt").read_text() == "theirs"
    assert not list(tmp_path.glob(".*"))


def test_a_kill_between_two_renames_hides_nothing(tmp_path: Path) -> None:
    """The old content is in a temporary folder then, which `hidden` names."""
    code = """
import os, signal
from pathlib import Path
from detector.base import files
rename = Path.rename
def killed(self, to):
    if self.name == "new":
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, to)
Path.rename = killed
with files.whole_folder("model/train") as folder:
    pass
"""
    files.write_text(tmp_path / "model/train/a", "trained")
    assert child("-c", code, cwd=tmp_path).returncode == -signal.SIGKILL
    assert not (tmp_path / "model/train").exists()
    (old,) = files.hidden(tmp_path / "model/train")
    assert (old / "a").read_text() == "trained"
    old.rename(tmp_path / "model/train")
    assert files.hidden(tmp_path / "model/train") == []


@pytest.mark.parametrize("write", [files.write_bytes, lambda path, content: whole_folder_with(path, content)])
def test_a_full_disk_names_the_file_that_is_written(tmp_path: Path, write: object) -> None:
    assert callable(write)
    with disk.small(tmp_path / "disk", "1m") as small:
        files.write_text(small / "out.csv", "old")
        with pytest.raises(OSError, match="No space left on device") as caught:
            write(small / "new" / "out.csv", bytes(2_000_000))
        assert caught.value.filename == str(small / "new" / "out.csv")
        assert {path.name for path in small.rglob("*")} == {"out.csv", "new"}
        assert (small / "out.csv").read_text() == "old"


def whole_folder_with(path: Path, content: bytes) -> None:
    with files.whole_folder(path) as folder:
        (folder / "a").write_bytes(content)
