"""uvicorn, with limits on connections and on the time for headers, and a log of one line for each request."""

import asyncio
import functools
import logging
import resource
import socket
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from detector.base import errors
from detector.base.errors import UserError
from tools.serving.guard import SAFE, App, Refusal, Seen, network
from tools.serving.limits import Limits

BACKLOG = 64  # connections that wait to be accepted; as many are accepted at once
MOST_FILES, OTHER_FILES = 4096, 100  # that this process asks for, connections among them; all that are none
LAST_PORT = 65_535  # Python would take a larger one for what is left of it
STOP_SECONDS = 10  # for the requests that are being answered when the server is to end
MALFORMED = {  # h11's status -> what the client is told; h11's own words may hold a header
    400: "the request is not valid HTTP/1.1, or its header Host is missing",
    431: "the headers are too long",
    501: "of Transfer-Encoding only chunked is taken",
}


class _Lines(logging.Handler):
    """The warnings of uvicorn and asyncio, a line each, without the traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        errors.say(f"{record.levelname.lower()}: {errors.printable(record.getMessage())}")


def bound(host: str, port: int) -> socket.socket:
    """The socket to listen on. Raises: UserError: the address is not this machine's, or the port is in use."""
    if not 0 <= port <= LAST_PORT:
        raise UserError(f"{host}:{port}", "is no port", f"give one from 1 to {LAST_PORT}: PORT=8001")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        raise UserError(f"{host}:{port}", f"cannot listen there: {error}", "give another one: PORT=8001") from None
    return listener


def run(app: App, listener: socket.socket, limits: Limits, seen: Callable[[Seen], None]) -> None:
    """Answer requests until SIGINT or SIGTERM; those that are being answered end first.

    Args:
        seen: called with what is no HTTP, which `app` never sees, once that has been answered.
    """
    for name in ("uvicorn", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [_Lines(logging.WARNING)], False
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg != "Invalid HTTP request received.")  # ours
    room = _Room(limits, max(1, min(limits.connections, _files() - OTHER_FILES)), seen)
    config = uvicorn.Config(
        app,
        http=functools.partial(_Impatient, room),
        backlog=BACKLOG,
        ws="none",
        access_log=False,
        log_config=None,
        proxy_headers=False,  # whoever asks could name any address
        server_header=False,
        h11_max_incomplete_event_size=limits.headers,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    uvicorn.Server(config).run([listener])


def _files() -> int:
    """How many files this process may open: what it is given at the start may be few, and it may ask for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(soft, most)


@dataclass
class _Room:
    """What all connections share. most: of them. seen: as for `run`. opened: connections, by address."""

    limits: Limits
    most: int
    seen: Callable[[Seen], None]
    opened: Counter[str] = field(default_factory=Counter)

    def is_full(self, address: str) -> bool:
        of_address = self.limits.of_address if self.limits.rate else self.most
        return self.opened[address] > of_address or self.opened.total() > self.most


class _Impatient(H11Protocol):  # type: ignore[misc]
    """uvicorn's protocol, which closes a connection on which no whole head of a request has come for some time.

    uvicorn has a limit for silence alone: a client that sends a letter now and then would keep its connection for ever.
    So would one that takes no answers: it is closed as well, once they have filled what is kept to be sent.
    Of connections it has none. What is above `most`, or of one address above its own, is closed as it comes.
    """

    def __init__(self, room: _Room, **given: Any) -> None:
        super().__init__(**given)
        self._room = room
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._address = network(self.client[0] if self.client else "")
        self._room.opened[self._address] += 1
        self._wait()
        if self._room.is_full(self._address):
            transport.abort()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._patience.cancel()
        self._wait()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; uvicorn's answer is text without the safe headers, and 400 whatever is wrong."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):  # else an answer has begun
            status = getattr(sys.exception(), "error_status_hint", 400)
            refusal = Refusal(status, MALFORMED.get(status, msg))
            body, headers = refusal.body(), refusal.all_headers() | SAFE | {"connection": "close"}
            pairs = [*headers.items(), ("content-length", str(len(body)))]
            answer = h11.Response(status_code=status, headers=pairs, reason=HTTPStatus(status).phrase)
            is_head = not self._is_idle() and self.scope["method"] == "HEAD"
            for event in (answer, *([] if is_head else [h11.Data(data=body)]), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event))
            if self._is_idle():  # else the guard tells of it
                self._room.seen(Seen((self.client or ("local", 0))[0], "-", "-", "", status, 0))
        self.transport.close()

    def pause_writing(self) -> None:  # the client does not take its answers
        super().pause_writing()
        self._unread = self.loop.call_later(self._room.limits.read_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._take_back()

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.cancel()
        self._take_back()
        self._room.opened[self._address] -= 1
        if not self._room.opened[self._address]:
            del self._room.opened[self._address]
        super().connection_lost(exc)

    def _take_back(self) -> None:
        if self._unread:
            self._unread.cancel()

    def _wait(self) -> None:
        self._patience = self.loop.call_later(self._room.limits.read_seconds, self._give_up)

    def _give_up(self) -> None:
        if self._is_idle() or self.transport.is_closing():  # closing, it waits for the client to read the rest
            self.transport.abort()
        else:
            self._wait()

    def _is_idle(self) -> bool:
        """No request is being answered."""
        return self.cycle is None or bool(self.cycle.response_complete)
