"""storage.download over real HTTP: it resumes, tries again, gives up, and refuses."""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detector.base.errors import UserError
from detector.storage import download
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
    """The names of the files in .work/downloads."""
    return sorted(path.name for path in download.DOWNLOADS.glob("*"))


def refused(url: str, *words: str, digest: str = "") -> None:
    with pytest.raises(UserError) as caught:
        download.get(url, digest)
    assert all(word in caught.value.line() for word in words), caught.value.line()
    assert "\n" not in caught.value.line()


def test_a_whole_file_in_one_go(web):
    path = download.get(f"{web.https}/a.zip", SHA256)
    assert (path.read_bytes(), left()) == (CONTENT, [SHA256])
    assert download.get(f"{web.https}/a.zip", SHA256.upper()) == path  # by its digest, without the network
    assert web.log == [("/a.zip", "", 200)]


def test_a_broken_download_is_resumed(web):
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


def test_a_file_that_changes_meanwhile_is_downloaded_from_scratch(web):
    other = CONTENT[::-1]
    web.play("/a.zip", cut=1000, then=lambda: web.files.update({"/a.zip": other}))
    assert download.get(f"{web.https}/a.zip").read_bytes() == other
    assert web.log == [("/a.zip", "", 200), ("/a.zip", "bytes=1000-", 200)]


@pytest.mark.parametrize("versions", [(), ("Weak",)])
def test_without_a_version_nothing_is_resumed(web, versions):
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


def test_a_server_without_ranges(web):
    web.ranges = False
    web.play("/a.zip", cut=1000)
    assert download.get(f"{web.https}/a.zip").read_bytes() == CONTENT
    assert web.log == [("/a.zip", "", 200), ("/a.zip", "bytes=1000-", 200)]
    web.play("/a.zip", cut=1000, times=99)
    refused(f"{web.https}/a.zip", "1000 of 102400 bytes came")
    assert len(web.log) == 2 + download.TRIES


def test_what_has_come_stays_for_the_next_command_and_never_passes_for_the_whole(web):
    web.play("/a.zip", cut=70_000)
    web.play("/a.zip", cut=0, times=99)
    again = "run the command again: the download is resumed"
    refused(f"{web.https}/a.zip", f"{web.https}/a.zip: 70000 of 102400 bytes came; {again}", digest=SHA256)
    part, about = (Path(download.DOWNLOADS / name) for name in reversed(left()))
    assert (part.suffix, part.stat().st_size, about.suffix) == (".part", 70_000, ".json")
    web.plays.clear()
    web.log.clear()
    assert download.get(f"{web.https}/a.zip", SHA256).read_bytes() == CONTENT
    assert web.log == [("/a.zip", "bytes=70000-", 206)]
    assert left() == [SHA256]


def test_a_part_that_is_too_long_or_wrong_is_downloaded_from_scratch(web):
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
    assert not list(download.DOWNLOADS.glob("*.part"))  # so that the next one starts from scratch
    assert download.get(f"{web.https}/a.zip", SHA256).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again(web, status):
    web.play("/a.zip", status=status, times=3)
    assert download.get(f"{web.https}/a.zip").read_bytes() == CONTENT
    web.play("/a.zip", status=status, times=99)
    refused(f"{web.https}/a.zip", f"the server answers {status} ")
    assert len(web.log) == 4 + download.TRIES


def test_a_server_may_say_when_to_come_back(web):
    web.play("/a.zip", status=429, headers={"Retry-After": "1"})
    start = time.monotonic()
    assert download.get(f"{web.https}/a.zip").read_bytes() == CONTENT
    assert 1 <= time.monotonic() - start < 10
    web.log.clear()
    web.play("/a.zip", status=429, headers={"Retry-After": "3600"}, times=99)
    refused(f"{web.https}/a.zip", "the server answers 429 Too Many Requests")
    assert len(web.log) == 1  # an hour is too long to wait


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/none.zip", "cannot be downloaded: the server answers 404 Not Found; check the address"),
        ("/loop", "cannot be downloaded: Exceeded 10 redirects."),
        ("/file", "cannot be downloaded: it redirects to an address that is not https://"),
        ("/ftp", "cannot be downloaded: it redirects to an address that is not https://"),
        ("/plain", "cannot be downloaded: it redirects to an address that is not https://"),
        ("/page", "is a web page, not an archive; give the address of the file itself"),
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


def test_http_redirects_to_no_other_server_of_this_network(web):
    """Whoever answers in place of a server could have this machine ask its router, or its cloud for a login."""
    web.play("/same", status=302, headers={"Location": f"{web.url}/a.zip"})
    assert download.get(f"{web.url.replace('//', '//me:hidden@')}/same", SHA256).read_bytes() == CONTENT
    web.log.clear()
    (download.DOWNLOADS / SHA256).unlink()
    web.play("/inward", status=302, headers={"Location": f"{web.url.replace('localhost', '127.0.0.1')}/a.zip"})
    refused(f"{web.url}/inward", "it redirects to an address that is not https://", digest=SHA256)
    assert [path for path, *_ in web.log] == ["/inward"]


def test_a_server_that_is_not_who_it_says(web, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    refused(f"{web.https}/a.zip", "certificate verify failed")
    assert left() == []


def test_no_server_and_no_such_host(web):
    refused("https://localhost:9/a.zip", "https://localhost:9/a.zip: cannot be downloaded: ", "Connection refused")
    refused("https://nowhere.invalid/a.zip", "cannot be downloaded: ")
    refused("https://", "cannot be downloaded: it is no address; check the address")
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


def test_ctrl_c_keeps_what_has_come_and_only_one_process_writes_it(web):
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
