"""Tests send Ctrl-C and hang-ups, which a shell that runs `make test &`, or nohup, has its children ignore: undone."""

import signal
from collections.abc import Iterator

import pytest

from tests.support import web as web_server
from tests.support.gcs_server import Server, serve

for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)


@pytest.fixture
def gcs() -> Iterator[Server]:
    """A Cloud Storage server on loopback, empty."""
    with serve() as server:
        yield server


@pytest.fixture
def web() -> Iterator[web_server.Web]:
    """A web server on loopback, empty."""
    with web_server.serve() as server:
        yield server
