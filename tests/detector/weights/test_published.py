"""Where the file of Open Images' detector comes from: real servers on loopback, networks that refuse, or are silent.

The published file is 10 MB: here it is a small one, whose digest takes the place of the pinned one.
"""

import base64
import hashlib
import http.server
import io
import json
import os
import shutil
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector.base.errors import UserError
from detector.storage import download
from detector.weights import published
from tests.support import web as web_server
from tests.support.web import Web

NPM, PATH = shutil.which("npm"), os.environ["PATH"]
CONTENT = b"a detector" * 100
MEMBER = "package/objectron_solution_packed_assets.data"
REFUSES = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project of a user who has kept nothing, on a machine without network and npm."""
    root = web_server.project(tmp_path, monkeypatch)
    monkeypatch.chdir(root)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_registry", REFUSES)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(published, "URL", "https://localhost:9/a.tflite")
    monkeypatch.setattr(published, "BYTES", len(CONTENT))
    monkeypatch.setattr(published, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    return root


@pytest.fixture
def publisher(web: Web, monkeypatch: pytest.MonkeyPatch) -> Web:
    """A server that has the file."""
    web.files["/a.tflite"] = CONTENT
    monkeypatch.setattr(published, "URL", f"{web.https}/a.tflite?generation=1")
    return web


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """A real npm registry on loopback, for the `tarball` in the dict; its digest is that of `claimed`, if there."""
    if not NPM:
        pytest.skip("npm is not installed")
    name, _, version = published.PACKAGE.rpartition("@")
    served: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "tarball" not in served or "objectron" not in self.path:
                return self.answer(404, b'{"error": "Not found"}')
            if self.path.endswith(".tgz"):
                return self.answer(200, served["tarball"])
            integrity = (
                "sha512-" + base64.b64encode(hashlib.sha512(served.get("claimed", served["tarball"])).digest()).decode()
            )
            dist = {"tarball": f"{address}/objectron.tgz", "integrity": integrity}
            document = {"name": name, "versions": {version: {"name": name, "version": version, "dist": dist}}}
            return self.answer(200, json.dumps({**document, "dist-tags": {"latest": version}}).encode())

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        address = f"http://127.0.0.1:{listening.server_port}"
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        monkeypatch.setenv("npm_config_registry", address)
        monkeypatch.setenv("PATH", PATH)
        yield served
        listening.shutdown()


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"localhost:{listening.getsockname()[1]}"


def tarball(member: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in (
            ("package/package.json", b'{"name": "@mediapipe/objectron", "version": "0"}'),
            (member, content),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def refused(*words: str) -> str:
    with pytest.raises(UserError) as caught:
        published.file()
    line = caught.value.line()
    assert line.startswith("Open Images' detector: cannot be fetched: localhost: "), line
    assert line.endswith("; check the connection; or install npm, where that is missing")
    assert all(word in line for word in words), line
    assert published.kept() is None
    assert not list(Path().rglob("*")), "something was left behind"
    return line


def cached() -> Path:
    return next(published.places())


def test_it_is_fetched_once_for_all_projects_of_a_user(
    publisher: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    file = published.file()
    assert file == tmp_path / "cache/passo" / published.SHA256
    assert file.read_bytes() == CONTENT
    assert capfd.readouterr().out == "Open Images' detector: 0 MB from localhost\n"
    (tmp_path / "another").mkdir()
    monkeypatch.chdir(tmp_path / "another")
    assert published.file() == file
    assert [path for path, *_ in publisher.log] == ["/a.tflite"]
    assert capfd.readouterr().out == ""
    assert list(file.parent.iterdir()) == [file]


def test_a_damaged_one_is_fetched_again(publisher: Web) -> None:
    published.file().write_bytes(b"damaged")
    assert published.kept() is None
    assert published.file().read_bytes() == CONTENT


@pytest.mark.parametrize("home", ["relative/path", ""])
def test_without_an_absolute_cache_home_it_is_in_the_users_own(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", home)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cached() == tmp_path / "home/.cache/passo" / published.SHA256


def test_where_the_cache_cannot_be_written_to_the_project_keeps_it(
    publisher: Web, tmp_path: Path, project: Path
) -> None:
    (tmp_path / "cache").write_text("a file in its place")
    file = published.file()
    assert file == download.DOWNLOADS / published.SHA256
    assert published.file() == file and len(publisher.log) == 1


def test_a_folder_or_a_pipe_in_its_place_is_not_it(publisher: Web) -> None:
    cached().mkdir(parents=True)
    assert published.file() == download.DOWNLOADS / published.SHA256


def test_npm_has_it_where_the_publisher_cannot_be_reached(
    registry: dict[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    registry["tarball"] = tarball(MEMBER, b"x" * 184 + CONTENT + b"more")
    assert published.file() == cached()
    assert cached().read_bytes() == CONTENT
    assert capfd.readouterr().out == f"downloading {published.PACKAGE} by npm\n"


@pytest.mark.parametrize(
    ("play", "words"),
    [
        ({"status": 404}, "answers 404"),
        ({"status": 503}, "answers 503"),
        ({"cut": 10}, "the download broke off"),
        ({"reset": True, "cut": 10}, "localhost: "),  # before or after its headers: it depends
        ({"status": 302, "headers": {"Location": "http://localhost:9/"}}, "cannot be reached: No connection adapters"),
    ],
)
def test_answers_that_are_of_no_use(publisher: Web, play: dict[str, object], words: str) -> None:
    publisher.play("/a.tflite", **play, times=9)
    refused(words, "comes by npm, which is not installed")


@pytest.mark.parametrize("content", [b"", b"a web page", CONTENT + b"more", CONTENT * 1000])
def test_another_file_is_not_taken(publisher: Web, content: bytes) -> None:
    publisher.files["/a.tflite"] = content
    refused("localhost: its file's sha256 is ", f"not {published.SHA256}; @mediapipe")


def test_a_registry_that_cannot_be_trusted(registry: dict[str, bytes]) -> None:
    refused("npm cannot download it", "404")
    registry["tarball"] = tarball(MEMBER, b"x" * 1000)
    digest = hashlib.sha256(b"x" * (1000 - 184)).hexdigest()
    refused(f"its file's sha256 is {digest}, not {published.SHA256}")
    registry["tarball"] = tarball("package/other.data", b"x")
    refused("cannot be unpacked", "objectron_solution_packed_assets.data")
    registry["claimed"] = b"another"
    refused("npm cannot download it", "EINTEGRITY")


def test_a_network_that_refuses_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    if NPM:
        monkeypatch.setenv("PATH", PATH)
    refused("cannot be reached", "Connection refused", "ECONNREFUSED" if NPM else "not installed")


def test_a_network_without_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "URL", "https://name.invalid/a.tflite")
    with pytest.raises(UserError, match=r"name\.invalid: cannot be reached: .*; @mediapipe.*not installed"):
        published.file()


def test_a_network_that_is_silent_takes_seconds(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "URL", f"https://{silent}/a.tflite")
    monkeypatch.setattr(published, "SECONDS", 3.0)
    monkeypatch.setattr(published, "HTTPS_SECONDS", 1.0)
    if NPM:
        monkeypatch.setenv("PATH", PATH)
        monkeypatch.setenv("npm_config_registry", f"http://{silent}")
    before = time.monotonic()
    line = refused("no answer within 2 s" if NPM else "not installed")
    assert time.monotonic() - before < 4
    assert "no answer within 1 s" in line or "timed out" in line  # whichever clock is the first


def test_a_name_server_that_is_silent_takes_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def ask(*_: object, **__: object) -> None:
        over.wait(60)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    monkeypatch.setattr(published, "HTTPS_SECONDS", 0.6)
    before = time.monotonic()
    refused("no answer within 1 s")
    assert time.monotonic() - before < 3
    over.set()


def test_together_they_wait_ten_seconds_at_most() -> None:
    assert published.HTTPS_SECONDS < published.SECONDS <= 10


def test_the_address_is_the_one_that_mediapipe_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert published.URL.endswith("/object_detection_ssd_mobilenetv2_oidv4_fp16.tflite?generation=1782183628179438")
    assert published.URL.startswith("https://storage.googleapis.com/mediapipe-assets/")
    assert published.SHA256 == "d0a5255bf8c4f5a0bc4240741a76c41d5e939f7655078f945f50ab53a9375da6"
