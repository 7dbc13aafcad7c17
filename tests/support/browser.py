"""A headless Chromium that reaches this machine alone, by its DevTools protocol: what a user does, and sees."""

import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tornado.websocket import WebSocketClientConnection, websocket_connect

needed = pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--lang=en")
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


class Page:
    """said: messages on the console and errors. asked: the addresses that were asked for."""

    def __init__(self, address: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._socket: WebSocketClientConnection = self._loop.run_until_complete(_connected(address))
        self._number, self.said, self.asked = 0, list[str](), list[str]()

    def call(self, method: str, **parameters: Any) -> Any:
        """A call of the protocol, and its result."""
        return self._loop.run_until_complete(self._call(method, parameters))

    async def _call(self, method: str, parameters: dict[str, Any]) -> Any:
        self._number += 1
        await self._socket.write_message(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(await self._socket.read_message() or "null")
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._heard(message.get("method"), message.get("params"))

    def _heard(self, method: str, told: Any) -> None:
        if method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.said.append(json.dumps(told))
        elif method == "Network.requestWillBeSent":
            self.asked.append(told["request"]["url"])

    def go(self, url: str) -> None:
        for domain in ("Runtime", "Log", "Network", "Page", "DOM"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        done = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait(self, expression: str, seconds: float = 30) -> Any:
        """The value of an expression, once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < end, f"{expression}; {self.said}"
            time.sleep(0.05)
        return value

    def choose(self, selector: str, *files: Path) -> None:
        """Files for an input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in files])

    def press(self, key: str, code: int) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)

    def size(self, width: int, height: int = 900) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def picture(self, path: Path) -> None:
        """A PNG of the whole page."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


async def _connected(address: str) -> WebSocketClientConnection:
    return await websocket_connect(address, max_message_size=2**28)


@contextmanager
def opened(url: str, *options: str) -> Iterator[Page]:
    """The page at an address of 127.0.0.1."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = ["chromium", *OPTIONS, OFFLINE, f"--user-data-dir={folder}", *options, "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            page = Page(_address(Path(folder) / "DevToolsActivePort"))
            page.go(url)
            yield page
        finally:
            process.kill()
            process.wait()


def _address(file: Path) -> str:
    """Of the first page's socket."""
    import urllib.request

    end = time.monotonic() + 60
    while not (file.is_file() and len(lines := file.read_text().splitlines()) == 2):
        assert time.monotonic() < end, "chromium does not start"
        time.sleep(0.1)
    with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json") as answer:
        pages = json.load(answer)
    return str(next(one["webSocketDebuggerUrl"] for one in pages if one["type"] == "page"))
