"""storage.download over real HTTP: it resumes, tries again, gives up, and refuses; storage.archives unpacks no evil."""

import contextlib
import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import zlib
from pathlib import Path

import pytest

from detector.base.errors import UserError
from detector.storage import archives, download
from tests.support import web as web_server

CONTENT = bytes(range(256)) * 400  # 102,400 bytes
SHA256 = hashlib.sha256(CONTENT).hexdigest()
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """An empty project to stand in."""
    monkeypatch.chdir(web_server.project(tmp_path, monkeypatch))


@pytest.fixture
def web(web):
    web.files["/a.zip"] = CONTENT
    return web


def left() -> list[str]:
    """The names of what lies in .work/downloads."""
    return sorted(path.name for path in download.DOWNLOADS.glob("*"))


def refused(url: str, *words: str, digest: str = "") -> None:
    with pytest.raises(UserError) as caught:
        download.get(url, digest)
    assert all(word in caught.value.line() for word in words), caught.value.line()
    assert "\n" not in caught.value.line()


def test_whole_at_once(web):
    path = download.get(f"{web.https}/a.zip", SHA256)
    assert (path.read_bytes(), left()) == (CONTENT, [SHA256])
    assert download.get(f"{web.https}/a.zip", SHA256.upper()) == path  # by its digest, without the network
    assert web.log == [("/a.zip", "", 200)]


def test_it_goes_on_where_it_broke_off(web):
    web.play("/a.zip", cut=1000)
    web.play("/a.zip", cut=500)
    web.play("/a.zip", cut=0, reset=True)
    assert download.get(f"{web.https}/a.zip").read_bytes() == CONTENT
    assert web.log == [
        *(("/a.zip", "", 200), ("/a.zip", "bytes=1000-", 206)),
        *(("/a.zip", "bytes=1500-", 206), ("/a.zip", "bytes=1500-", 206)),
    ]
    assert left() == [SHA256]


def test_many_breaks_are_no_reason_to_give_up_where_each_brings_something(web):
    web.play("/a.zip", cut=10_000, times=10)
    assert download.get(f"{web.https}/a.zip").read_bytes() == CONTENT
    assert len(web.log) == 11


def test_a_file_that_changes_meanwhile_is_begun_anew(web):
    other = CONTENT[::-1]
    web.play("/a.zip", cut=1000, then=lambda: web.files.update({"/a.zip": other}))
    assert download.get(f"{web.https}/a.zip").read_bytes() == other
    assert web.log == [("/a.zip", "", 200), ("/a.zip", "bytes=1000-", 200)]


@pytest.mark.parametrize("versions", [(), ("Weak",)])
def test_a_server_that_does_not_name_the_version_is_not_trusted_to_go_on(web, versions):
    web.versions = versions
    web.play("/a.zip", cut=1000)
    assert download.get(f"{web.https}/a.zip").read_bytes() == CONTENT
    assert web.log == [("/a.zip", "", 200)] * 2
    web.play("/a.zip", cut=1000, times=99)
    refused(f"{web.https}/a.zip", "1000 of 102400 bytes came; try again")
    assert left() == [SHA256]  # of the first; nothing of the second


def test_the_date_will_do_where_the_tag_is_weak(web):
    web.versions = ("Weak", "Last-Modified")
    web.play("/a.zip", cut=1000)
    assert download.get(f"{web.https}/a.zip").read_bytes() == CONTENT
    assert web.log[-1] == ("/a.zip", "bytes=1000-", 206)


def test_a_server_that_knows_no_ranges(web):
    web.ranges = False
    web.play("/a.zip", cut=1000)
    assert download.get(f"{web.https}/a.zip").read_bytes() == CONTENT
    assert web.log == [("/a.zip", "", 200), ("/a.zip", "bytes=1000-", 200)]
    web.play("/a.zip", cut=1000, times=99)
    refused(f"{web.https}/a.zip", "1000 of 102400 bytes came")
    assert len(web.log) == 2 + download.TRIES


def test_what_has_come_is_kept_for_the_next_command_and_never_taken_for_the_whole(web):
    web.play("/a.zip", cut=70_000)
    web.play("/a.zip", cut=0, times=99)
    again = "run the command again: it goes on from there"
    refused(f"{web.https}/a.zip", f"{web.https}/a.zip: 70000 of 102400 bytes came; {again}", digest=SHA256)
    part, about = (Path(download.DOWNLOADS / name) for name in reversed(left()))
    assert (part.suffix, part.stat().st_size, about.suffix) == (".part", 70_000, ".json")
    web.plays.clear()
    web.log.clear()
    assert download.get(f"{web.https}/a.zip", SHA256).read_bytes() == CONTENT
    assert web.log == [("/a.zip", "bytes=70000-", 206)]
    assert left() == [SHA256]


def test_a_part_that_is_too_long_or_wrong_is_begun_anew(web):
    web.play("/a.zip", cut=70_000)
    web.play("/a.zip", cut=0, times=99)
    refused(f"{web.https}/a.zip", "bytes came")
    web.plays.clear()
    part = next(download.DOWNLOADS.glob("*.part"))
    part.write_bytes(CONTENT + b"more")
    assert download.get(f"{web.https}/a.zip").read_bytes() == CONTENT  # by 416
    (download.DOWNLOADS / SHA256).unlink()
    web.play("/a.zip", cut=70_000)
    web.play("/a.zip", cut=0, times=99)
    refused(f"{web.https}/a.zip", "bytes came")
    web.plays.clear()
    part.write_bytes(b"y" * 70_000)
    refused(f"{web.https}/a.zip", f"not {SHA256}", digest=SHA256)
    assert not list(download.DOWNLOADS.glob("*.part"))  # so that the next one begins anew
    assert download.get(f"{web.https}/a.zip", SHA256).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again(web, status):
    web.play("/a.zip", status=status, times=3)
    assert download.get(f"{web.https}/a.zip").read_bytes() == CONTENT
    web.play("/a.zip", status=status, times=99)
    refused(f"{web.https}/a.zip", f"the server says {status} ")
    assert len(web.log) == 4 + download.TRIES


def test_a_server_may_say_when_to_come_back(web):
    web.play("/a.zip", status=429, headers={"Retry-After": "1"})
    start = time.monotonic()
    assert download.get(f"{web.https}/a.zip").read_bytes() == CONTENT
    assert 1 <= time.monotonic() - start < 10
    web.log.clear()
    web.play("/a.zip", status=429, headers={"Retry-After": "3600"}, times=99)
    refused(f"{web.https}/a.zip", "the server says 429 Too Many Requests")
    assert len(web.log) == 1  # an hour is too long to wait


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/none.zip", "cannot be downloaded: the server says 404 Not Found; check the address"),
        ("/loop", "cannot be downloaded: Exceeded 10 redirects."),
        ("/file", "cannot be downloaded: it redirects to an address that is not https://"),
        ("/ftp", "cannot be downloaded: it redirects to an address that is not https://"),
        ("/plain", "cannot be downloaded: it redirects to an address that is not https://"),
        ("/page", "is a web page, no archive; give the address of the file itself"),
        ("/huge", "1,000,000,000,000,000 bytes, and there is room for "),
        ("/blank here", "URL can't contain control characters"),
    ],
)
def test_addresses_that_are_refused(web, path, words):
    web.play("/loop", status=302, headers={"Location": "/loop"}, times=99)
    web.play("/file", status=302, headers={"Location": "file:///etc/passwd"})
    web.play("/ftp", status=302, headers={"Location": "ftp://localhost/a.zip"})
    web.play("/plain", status=302, headers={"Location": f"{web.url}/a.zip"})
    web.files["/page"] = b"<html>"
    web.play("/page", headers={"Content-Type": "text/html; charset=utf-8"})
    web.files["/huge"] = b"x"
    web.play("/huge", headers={"Content-Length": "1000000000000000"})
    refused(f"{web.https}{path}", words)
    assert left() == []
    assert ("/a.zip", "", 200) not in web.log


def test_a_redirect_that_stays_safe_is_followed(web):
    web.play("/go", status=301, headers={"Location": "/on"})
    web.play("/on", status=307, headers={"Location": f"{web.https}/a.zip"})
    assert download.get(f"{web.https}/go").read_bytes() == CONTENT
    web.play("/up", status=302, headers={"Location": f"{web.https}/a.zip"})
    assert download.get(f"{web.url}/up", SHA256).read_bytes() == CONTENT


def test_a_server_that_is_not_who_it_says(web, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    refused(f"{web.https}/a.zip", "certificate verify failed")
    assert left() == []


def test_no_server_and_no_such_host(web):
    refused("https://localhost:9/a.zip", "https://localhost:9/a.zip: cannot be downloaded: ", "Connection refused")
    refused("https://nowhere.invalid/a.zip", "cannot be downloaded: ")
    refused("https://", "cannot be downloaded: Invalid URL")
    refused("https://localhost:port/a.zip", "cannot be downloaded: ")


def test_no_secret_in_a_message(web):
    for path in ("/none.zip", "/loop"):
        web.play("/loop", status=302, headers={"Location": "/loop?signature=hidden2"}, times=99)
        with pytest.raises(UserError) as caught:
            download.get(f"{web.https.replace('//', '//me:hidden@')}{path}?signature=hidden#hidden")
        assert "hidden" not in caught.value.line()
        assert caught.value.line().startswith(f"{web.https}{path}: ")


def test_another_digest_is_refused(web):
    wrong = "0" * 64
    refused(f"{web.https}/a.zip", f"its sha256 is {SHA256}, not {wrong}", digest=wrong)
    assert left() == []


def get_in_child(url: str) -> subprocess.Popen[str]:
    code = "from detector.base import errors\nfrom detector.storage import download\n"
    code += f"errors.run(lambda: print(download.get({url!r})))"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_keeps_what_has_come_and_no_two_write_the_same_part(web):
    web.play("/a.zip", cut=70_000, wait=60)
    child = get_in_child(f"{web.https}/a.zip")
    assert web.waiting.wait(30)
    part = download.DOWNLOADS / f"{download.key(f'{web.https}/a.zip')}.part"
    with contextlib.suppress(FileNotFoundError):
        while part.stat().st_size < 60_000:
            time.sleep(0.01)
    refused(f"{web.https}/a.zip", "another process is downloading it")
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 130
    assert child.stderr.read() == "interrupted\n"
    come = part.stat().st_size
    assert left() == [f"{part.stem}.json", f"{part.stem}.part"]
    assert download.get(f"{web.https}/a.zip").read_bytes() == CONTENT
    assert web.log[-1] == ("/a.zip", f"bytes={come}-", 206)
    assert left() == [SHA256]


# tar archives; those of zip are in test_dataset_import.py.


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
        (("fine.jpg", b""), "is there twice"),
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


def test_a_tar_that_is_cut_off_or_damaged(tmp_path):
    """Wherever it is cut, also between two files, where tarfile would take it for whole."""
    whole = tar(tmp_path / "a", ("a.jpg", CONTENT), ("b.jpg", CONTENT), mode="w").read_bytes()
    packed = tar(tmp_path / "a", ("a.jpg", CONTENT), ("b.jpg", CONTENT)).read_bytes()
    second = 512 + len(CONTENT)
    flipped = bytearray(packed)
    flipped[-6] ^= 1  # in the checksum
    cases = [whole[:n] for n in (100, 512, 5000, second, second + 100, second + 512, 2 * second)]
    cases += [packed[:n] for n in (5, len(packed) // 2, len(packed) - 4)] + [bytes(flipped), b"", b"no archive"]
    for number, content in enumerate(cases):
        path = tmp_path / f"case{number}/a"
        path.parent.mkdir()
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"^a\.tar: cannot be unpacked: .*; give a whole \.tar"):
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
