"""A web server for tests, on loopback, over http:// and https://, that breaks off, redirects and refuses on demand.

with serve() as web:                            # or the fixture `web`
    web.files["/a.zip"] = b"..."
    web.play("/a.zip", cut=10)                  # the next answer ends after 10 bytes of its body
    web.play("/a.zip", status=503, headers={"Retry-After": "1"})
    web.play("/a.zip", status=302, headers={"Location": "..."}, times=99)
    web.url, web.https, web.log                 # addresses without the path; [(path, its Range or "", status)]
"""

import hashlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support import gcs_tls


@dataclass
class Play:
    """What the next `times` answers for a path are to be; an empty one is a usual answer."""

    cut: int | None = None  # bytes of the body, then the connection is closed
    reset: bool = False  # and not closed, but reset
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0  # seconds after the cut
    times: int = 1
    then: Callable[[], object] = lambda: None  # what happens after it


@dataclass
class Web:
    files: dict[str, bytes] = field(default_factory=dict)
    plays: dict[str, list[Play]] = field(default_factory=dict)
    log: list[tuple[str, str, int]] = field(default_factory=list)
    url: str = ""
    https: str = ""
    ranges: bool = True
    versions: tuple[str, ...] = ("ETag",)  # of ETag, Last-Modified
    waiting: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def play(self, path: str, **options: Any) -> None:
        self.plays.setdefault(path, []).append(Play(**options))

    def next(self, path: str) -> Play:
        """What to do now."""
        plays = self.plays.get(path) or [Play()]
        plays[0].times -= 1
        return plays[0] if plays[0].times > 0 or path not in self.plays else plays.pop(0)

    def version(self, content: bytes) -> dict[str, str]:
        digest = hashlib.sha256(content).hexdigest()
        known = {"ETag": f'"{digest[:16]}"', "Weak": f'W/"{digest[:16]}"', "Last-Modified": f"day {digest[:4]}"}
        return {name.replace("Weak", "ETag"): known[name] for name in self.versions}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        play, content = self.web.next(path), self.web.files.get(path)
        if play.status or content is None:
            return self.send(path, play.status or 404, play.headers, b"x", play)
        headers, start, status = self.web.version(content), 0, 200
        wanted = self.headers.get("Range", "")
        if wanted and self.web.ranges and self.headers.get("If-Range", "") in ("", *headers.values()):
            start, status = int(wanted.removeprefix("bytes=").removesuffix("-")), 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if start >= len(content) > 0:
            return self.send(path, 416, {}, b"", play)
        return self.send(path, status, headers | play.headers, content[start:], play)

    def send(self, path: str, status: int, headers: Mapping[str, str], body: bytes, play: Play) -> None:
        self.web.log.append((path, self.headers.get("Range", ""), status))
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | dict(headers)).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if play.cut is None else body[: play.cut])
        self.wfile.flush()
        play.then()
        if play.wait:
            self.web.waiting.set()
            self.web.go_on.wait(play.wait)
        if play.cut is not None or play.reset:
            self.close_connection = True
        if play.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that goes away is no news."""


@contextmanager
def serve() -> Iterator[Web]:
    web = Web()
    handler = type("BoundHandler", (Handler,), {"web": web})
    servers = [_Server(("127.0.0.1", 0), handler) for _ in range(2)]
    servers[1].socket = gcs_tls.context().wrap_socket(servers[1].socket, server_side=True)
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    web.url, web.https = (
        f"{scheme}://localhost:{server.server_port}" for scheme, server in zip(("http", "https"), servers, strict=True)
    )
    try:
        yield web
    finally:
        web.go_on.set()
        for server in servers:
            server.shutdown()
            server.server_close()


def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for a project, on a machine that trusts the test's authority and tries again at once."""
    (tmp_path / "ca.pem").write_bytes(gcs_tls.authority())
    (tmp_path / "project").mkdir()
    monkeypatch.setenv("PASSO_BACKOFF_SECONDS", "0.01")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    return tmp_path / "project"
