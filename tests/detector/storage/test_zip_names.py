"""Names in zips: as Explorer, PowerShell and macOS write them, and as nobody should."""

import unicodedata
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.base.errors import UserError
from detector.storage import zip_archive, zip_names


class Raw(zipfile.ZipInfo):
    """A member whose name is written as these bytes, without the flag for UTF-8."""

    raw = b""

    def _encodeFilenameFlags(self):  # noqa: N802 (zipfile's own)
        return self.raw, self.flag_bits & ~0x800


def packed(path, *names):
    with zipfile.ZipFile(path, "w") as file:
        for number, name in enumerate(names):
            info = Raw(f"{number}") if isinstance(name, bytes) else zipfile.ZipInfo(name)
            if isinstance(info, Raw):
                info.raw = name
            file.writestr(info, b"1")
    return path


def read(tmp_path, *names):
    with zipfile.ZipFile(packed(tmp_path / "a.zip", *names)) as file:
        return zip_names.read(file.infolist())


@pytest.mark.parametrize("name", ["cão no sofá.jpg", "Ação é ótima.jpg", "über Äpfel.jpg", "CÃO.jpg", "naïve.jpg"])
def test_an_accent_is_what_it_was(tmp_path, name):
    decomposed = unicodedata.normalize("NFD", name).encode()
    for raw in (name.encode("cp850"), name.encode(), decomposed, name):
        assert read(tmp_path, raw, "plain.jpg") == [name, "plain.jpg"]


@pytest.mark.parametrize("name", ["cão.jpg", "Avião.jpg", "naïve.jpg"])
def test_windows_own_code_page(tmp_path, name):
    assert read(tmp_path, name.encode("cp1252")) == [name]


def test_backslashes_are_folders_where_nothing_else_is(tmp_path):
    assert read(tmp_path, "pets\\", "pets\\a.jpg") == ["pets/", "pets/a.jpg"]
    assert read(tmp_path, "pets/", "pets/a\\b.jpg") == ["pets/", "pets/a\\b.jpg"]


@pytest.mark.parametrize("name", ["..\\a.jpg", "x\\..\\..\\a.jpg", "\\a.jpg", "C:\\a.jpg", "\\\\server\\a.jpg"])
def test_backslashes_lead_nowhere(tmp_path, name):
    path = packed(tmp_path / "a.zip", "fine.jpg", name)
    with pytest.raises(UserError, match="would be written outside of the folder; nothing was unpacked"):
        zip_archive.unpack(path, tmp_path / "out")
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["a.zip"]


@given(st.lists(st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name), max_size=4))
def test_any_bytes_are_some_name(names):
    members = []
    for name in names:
        info = zipfile.ZipInfo("x")
        info.filename, info.flag_bits = name.decode("cp437"), 0
        members.append(info)
    assert len(zip_names.read(members)) == len(names)
