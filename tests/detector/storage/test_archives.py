"""storage.archives: a tar is unpacked whole or refused, whatever it holds; an object of a bucket is verified.

Those of zip are in tests/tools/importing/test_sources.py, more of buckets and npm in tests/stages/test_pretrained.py
and tests/detector/weights/test_open_images.py.
"""

import io
import tarfile
import time
import zipfile
import zlib
from pathlib import Path

import pytest

from detector.base.errors import UserError
from detector.storage import archives, zip_archive
from tests.support.gcs_server import Server

CONTENT = bytes(range(256)) * 400  # 102,400 bytes


def test_an_object_is_verified_though_its_download_was_resumed(
    gcs: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """google-cloud-storage compares no checksum then."""
    for name, value in gcs.environment().items():
        monkeypatch.setenv(name, value)
    gcs.create("weights")
    gcs.put("weights", "a.tar", CONTENT)
    gcs.fault(path=r"a\.tar.*alt=media", cut=70_000)
    assert archives.download_gs("gs://weights/a.tar", tmp_path).read_bytes() == CONTENT
    (tmp_path / "a.tar").unlink()
    gcs.store.bucket("weights").live["a.tar"].metadata["crc32c"] = "AAAAAA=="
    gcs.fault(path=r"a\.tar.*alt=media", cut=70_000, times=2)
    with pytest.raises(UserError, match=r"^gs://weights/a\.tar: a\.tar came damaged, twice; run the command again$"):
        archives.download_gs("gs://weights/a.tar", tmp_path)
    assert list(tmp_path.iterdir()) == []


def tar(path: Path, *members: tuple[str | tarfile.TarInfo, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as file:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def unpack(path: Path) -> dict[str, bytes]:
    folder = path.parent / "inside/out"
    folder.parent.mkdir(exist_ok=True)
    archives.unpack_tar(path, folder, "a.tar")
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_of_any_compression(tmp_path, mode):
    long = "n" * 200 + "/" + "é" * 120
    content = {"a.jpg": b"1", "x/b.jpg": CONTENT, long: b"2"}
    hidden = {"./.git/config": b"3", "x/._b.jpg": b"4", "__MACOSX/a.jpg": b"5"}
    folder = tarfile.TarInfo("./")
    folder.type = tarfile.DIRTYPE
    path = tar(tmp_path / "a", (folder, b""), *content.items(), *hidden.items(), mode=mode)
    assert unpack(path) == content


@pytest.mark.parametrize(
    ("member", "fault"),
    [
        (("../a.jpg", b""), "would be written outside of the folder"),
        (("x/../../a.jpg", b""), "would be written outside of the folder"),
        (("/tmp/a.jpg", b""), "would be written outside of the folder"),
        (("C:\\a.jpg", b""), "would be written outside of the folder"),
        (("C:/a.jpg", b""), "would be written outside of the folder"),
        (special("..", tarfile.DIRTYPE), "would be written outside of the folder"),
        (special("a.jpg", tarfile.SYMTYPE, "/etc/passwd"), "is a link, a device or a sparse file"),
        (special("a.jpg", tarfile.LNKTYPE, "fine.jpg"), "is a link, a device or a sparse file"),
        (special("a.jpg", tarfile.CHRTYPE), "is a link, a device or a sparse file"),
        (special("a.jpg", tarfile.FIFOTYPE), "is a link, a device or a sparse file"),
        (("fine.jpg", b""), "exists twice"),
        (("Fine.JPG", b""), "differs from 'fine.jpg' in upper and lower case alone"),
        (("n" * 256, b""), "has a name that is too long"),
        (("n/" * 600 + "a.jpg", b""), "has a name that is too long"),
    ],
)
def test_a_tar_with_an_evil_member(tmp_path, member, fault):
    path = tar(tmp_path / "a", ("fine.jpg", b"1"), member)
    with pytest.raises(UserError) as caught:
        unpack(path)
    name = member[0] if isinstance(member[0], str) else member[0].name
    assert caught.value.line().startswith(f"a.tar: {name} leaves the archive: it {fault}; ")
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} <= {"a", "ca.pem", "fine.jpg"}


@pytest.mark.parametrize("name", ["2026-11-01 07:12:10.jpg", "a:b/c.jpg", "x/C:/a.jpg", "1:.jpg", "C:a.jpg"])
def test_a_colon_is_a_letter_like_others(tmp_path, name):
    assert archives.path_fault(name, {}) == ""
    assert unpack(tar(tmp_path / "a", (name, b"1"))) == {name: b"1"}


@pytest.mark.parametrize("name", ["C:/a.jpg", "c:/a.jpg", "C:\\a.jpg", "./C:/a.jpg", "C:"])
def test_a_drive_is_outside_of_the_folder(name):
    assert archives.path_fault(name, {}) == "would be written outside of the folder"


def test_a_tar_that_is_cut_off_or_damaged(tmp_path):
    """Wherever it is cut, also between two files, where tarfile would take it for whole."""
    whole = tar(tmp_path / "a", ("a.jpg", CONTENT), ("b.jpg", CONTENT), mode="w").read_bytes()
    packed = tar(tmp_path / "a", ("a.jpg", CONTENT), ("b.jpg", CONTENT)).read_bytes()
    second = 512 + len(CONTENT)
    flipped = bytearray(packed)
    flipped[-6] ^= 1  # in the checksum
    cases = [whole[:n] for n in (100, 512, 5000, second, second + 100, second + 512, 2 * second)]
    cases += [packed[:n] for n in (5, len(packed) // 2, len(packed) - 4)] + [bytes(flipped), b"", b"not an archive"]
    for number, content in enumerate(cases):
        path = tmp_path / f"case{number}/a"
        path.parent.mkdir()
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"^a\.tar: cannot be unpacked: .*; give a complete \.tar"):
            unpack(path)


def bomb(*, zeros: int, before: bytes = b"", after: bytes = b"") -> bytes:
    """A gzip of `before`, that many MiB of zeros (a kilobyte each, as one block over and over), and `after`."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9, wbits=-15)
    start = packer.compress(before) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + start + block * zeros + packer.compress(after) + packer.flush() + bytes(8)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (header("a.jpg", 10 * 2**30), "bytes that unpack to 10,737,418,240: a zip bomb; nothing was unpacked"),
        (header("@LongLink", 10 * 2**30, tarfile.GNUTYPE_LONGNAME), "a header that is too long"),
        (header("pax", 10 * 2**30, tarfile.XHDTYPE), "a header that is too long"),
    ],
)
def test_a_tar_bomb_of_10_gb(tmp_path, start, reason):
    (tmp_path / "a").write_bytes(bomb(zeros=10 * 1024, before=start))
    begun = time.monotonic()
    with pytest.raises(UserError, match=reason):
        unpack(tmp_path / "a")
    assert time.monotonic() - begun < 20
    assert sum(path.stat().st_size for path in (tmp_path / "inside").rglob("*")) < 2**20


def test_a_tar_bomb_behind_the_end_of_the_tar(tmp_path):
    (tmp_path / "a").write_bytes(bomb(zeros=1024, before=header("a.jpg", 0) + bytes(1024)))
    with pytest.raises(UserError, match=r"bytes that unpack to 268,\d\d\d,\d\d\d: a zip bomb"):
        unpack(tmp_path / "a")


def test_headers_that_hide_in_each_other_do_not_end_in_a_traceback(tmp_path):
    nested = b"".join(header("@LongLink", 2, tarfile.GNUTYPE_LONGNAME) + b"a\0" + bytes(510) for _ in range(3000))
    (tmp_path / "a").write_bytes(nested + header("a.jpg", 0) + bytes(1024))
    with pytest.raises(UserError, match="cannot be unpacked: maximum recursion depth"):
        unpack(tmp_path / "a")


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_of_too_many_files(tmp_path, monkeypatch, kind):
    """A few megabytes of names would fill the inodes of a disk; here 20 stand for the 150,000 that are allowed."""
    monkeypatch.setattr(archives, "MOST_FILES", 20)
    path = tmp_path / "a"
    if kind == "tar":
        tar(path, *((f"{number}.jpg", b"") for number in range(21)))
    else:
        with zipfile.ZipFile(path, "w") as file:
            for number in range(21):
                file.writestr(f"{number}.jpg", b"")
    with pytest.raises(UserError, match="21 files or more; at most 20 are unpacked; unpack it yourself, and give"):
        zip_archive.unpack(path, tmp_path / "out")
