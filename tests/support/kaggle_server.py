"""The calls of Kaggle's API that kagglehub makes for a dataset, on loopback.

kagglesdk has an environment for its developers, http://localhost/api/v1/SERVICE/METHOD, but only on port 80. So this
server is an HTTP proxy for that address: `environment()` holds the variables with which a process finds it.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SERVICE = "http://localhost/api/v1/datasets.DatasetApiService/"
BLOB = "http://localhost/blob/"
SIGNATURE = "X-Goog-Signature=secret"  # with which anybody could download it


@dataclass
class Kaggle:
    datasets: dict[tuple[str, int], bytes] = field(default_factory=dict)  # {(owner/name, version): zip}
    private: set[str] = field(default_factory=set)  # datasets that need a token
    token: str = "secret-token"  # noqa: S105
    log: list[tuple[str, str]] = field(default_factory=list)  # (method of the API or GET, Range)
    cut: int | None = None  # bytes of the next download, then the connection is closed
    status: int = 0  # of every download, if not 0
    port: int = 0

    def environment(self, home: Path) -> dict[str, str]:
        return {
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "http_proxy": f"http://127.0.0.1:{self.port}",
            "no_proxy": "",
            "HOME": str(home),
        }


class Handler(BaseHTTPRequestHandler):
    kaggle: Kaggle

    def do_POST(self) -> None:
        method = self.path.removeprefix(SERVICE)
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.kaggle.log.append((method, ""))
        name = f"{request['ownerSlug']}/{request['datasetSlug']}"
        versions = [version for known, version in self.kaggle.datasets if known == name]
        version = request.get("datasetVersionNumber") or max(versions, default=0)
        if version not in versions:
            return self.answer(404, {"code": 404, "message": "Not found"})
        if name in self.kaggle.private and self.headers.get("Authorization") != f"Bearer {self.kaggle.token}":
            return self.answer(403, {"code": 403, "message": "Permission 'datasets.get' was denied"})
        if method == "GetDataset":
            return self.answer(200, {"ref": name, "currentVersionNumber": version})
        assert method == "DownloadDataset", method
        self.send_response(302)
        self.send_header("Location", f"{BLOB}{name}/{version}?{SIGNATURE}")
        self.send_header("Content-Length", "0")
        return self.end_headers()

    def do_GET(self) -> None:
        owner, name, version = self.path.removeprefix(BLOB).removesuffix(f"?{SIGNATURE}").split("/")
        content, byte_range = self.kaggle.datasets[f"{owner}/{name}", int(version)], self.headers.get("Range", "")
        self.kaggle.log.append(("GET", byte_range))
        if self.kaggle.status:
            return self.answer(self.kaggle.status, {})
        start = int(byte_range.removeprefix("bytes=").removesuffix("-") or 0)
        self.send_response(206 if start else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end, self.kaggle.cut = self.kaggle.cut, None
        self.wfile.write(content[start:] if end is None else content[start:end])
        return None

    def answer(self, status: int, body: dict[str, object]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve() -> Iterator[Kaggle]:
    kaggle = Kaggle()
    handler = type("BoundHandler", (Handler,), {"kaggle": kaggle})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        kaggle.port = server.server_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield kaggle
        server.shutdown()
