"""`python -m tools.serve` in another process, in the environment that `make serve` makes, and a client of it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.stage import REPOSITORY

PYTHON = REPOSITORY / ".venv-serve" / "bin" / "python"
needed = pytest.mark.skipif(not PYTHON.exists(), reason="the server's packages are not installed; run: make serve")


class NotStartedError(Exception):
    """With what the server printed."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Served:
    """A running server. output: the file with what it prints."""

    process: "subprocess.Popen[bytes]"
    port: int
    output: Path

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request; headers as keywords, `_` for `-`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        names = {name.lower(): value for name, value in answer.getheaders()}
        result = Answer(answer.status, names, answer.read())
        connection.close()
        return result

    def detect(self, photo: bytes, query: str = "", **headers: str) -> Answer:
        return self.ask("POST", f"/v1/detect{query}", photo, **{"Content_Type": "image/png", **headers})

    def raw(self, content: bytes, seconds: float = 60) -> bytes:
        """All that comes back for these bytes, until the server closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(content)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def log(self) -> str:
        return self.output.read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def served(root: Path, *arguments: str, command: str = "tools.serve", **environment: str) -> Iterator[Served]:
    """The server in the project `root`, with one worker, on a free port."""
    output = root / "served.log"
    words = [str(PYTHON), "-m", command, "--port=0", "--workers=1", *arguments]
    outside = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", "TMPDIR": str(root), **environment}
    with output.open("wb") as file:
        process = subprocess.Popen(words, cwd=root, env=outside, stdout=file, stderr=subprocess.STDOUT)
    try:
        while not (found := re.search(r"(?:serves|open) http://\S+?:(\d+)/", output.read_text())):
            if process.poll() is not None:
                raise NotStartedError(output.read_text())
            time.sleep(0.05)
        yield Served(process, int(found[1]), output)
    finally:
        process.kill()
        process.wait()
