"""uvicorn, with a time limit for headers, and a log of one line for each request."""

import asyncio
import logging
import socket

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from detector.base import errors
from detector.base.errors import UserError
from tools.serving.guard import App
from tools.serving.limits import Limits

BACKLOG = 512  # connections that wait to be accepted
LAST_PORT = 65_535  # Python would take a larger one for what is left of it
STOP_SECONDS = 10  # for the requests that are being answered when the server is to end


class _Lines(logging.Handler):
    """uvicorn's warnings, a line each, without the traceback."""

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


def run(app: App, listener: socket.socket, limits: Limits) -> None:
    """Answer requests until SIGINT or SIGTERM; those that are being answered end first."""
    logger = logging.getLogger("uvicorn")
    logger.handlers, logger.propagate = [_Lines(logging.WARNING)], False
    config = uvicorn.Config(
        app,
        http=_impatient(limits),
        ws="none",
        access_log=False,
        log_config=None,
        proxy_headers=False,  # whoever asks could name any address
        server_header=False,
        h11_max_incomplete_event_size=limits.headers,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    uvicorn.Server(config).run([listener])


def _impatient(limits: Limits) -> type[asyncio.Protocol]:
    """uvicorn's protocol, which closes a connection on which no whole head of a request has come for some time.

    uvicorn has a limit for silence alone: a client that sends a letter now and then would keep its connection for ever.
    """

    class Impatient(H11Protocol):  # type: ignore[misc]
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._wait()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._patience.cancel()
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._patience.cancel()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._patience = self.loop.call_later(limits.read_seconds, self._give_up)

        def _give_up(self) -> None:
            if self.cycle is None or self.cycle.response_complete:  # no request is being answered
                self.transport.abort()

    return Impatient
