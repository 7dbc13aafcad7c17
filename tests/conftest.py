"""What all tests share.

They send Ctrl-C and hang-ups, which a shell that runs `make test &`, or nohup, has its children ignore: undone here. A
machine that is busy is no error, so hypothesis sets no deadline.
"""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support import web as web_server
from tests.support.gcs_server import Server, serve

for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)

settings.register_profile("passo", deadline=None)
settings.load_profile("passo")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest file first: with two workers it would else run last and alone."""
    items.sort(key=lambda item: item.path.name != "test_end_to_end.py")


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
