"""Before TensorFlow starts: wait for all workers, and gather a value of each.

Plain connections from every other worker to the chief, on the port that TensorFlow takes over after it. TensorFlow's
own way to meet does not end at Ctrl-C, does not print whom it waits for, and never gives up.
"""

import contextlib
import json
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from io import BufferedRWPair
from typing import Any

from detector.base import errors
from detector.base.errors import UserError
from detector.multihost.cluster import VARIABLE, Cluster, are_addresses

WAIT_SECONDS = 600  # for the others
NOTE_SECONDS = 3  # after which it is printed for whom
HELLO_SECONDS = 5  # in which a connection must name its worker
POLL_SECONDS = 0.5
MOST_BYTES = 2**20  # of one message


class Meeting:
    """The workers, connected; `streams`: from the chief to each other one, or from that one to the chief (0)."""

    def __init__(self, cluster: Cluster, streams: Mapping[int, BufferedRWPair]) -> None:
        self._cluster, self._streams = cluster, streams

    def gather(self, own: object) -> list[Any]:
        """Every worker's JSON value, the chief's first. All workers call this, and wait for the last one.

        Raises:
            UserError: a worker has left.
        """
        if not self._cluster.is_chief:
            _send(self._streams[0], own)
            return list(self._receive(0))
        values = [own, *(self._receive(index) for index in range(1, self._cluster.count))]
        for stream in self._streams.values():
            _send(stream, values)
        return values

    def _receive(self, index: int) -> Any:
        with contextlib.suppress(OSError, ValueError):
            return json.loads(self._streams[index].readline(MOST_BYTES))
        remedy = "what it printed says why; then start all workers again"
        raise UserError(self._cluster.name(index), "left before training began", remedy)


def _send(stream: BufferedRWPair, value: object) -> None:
    with contextlib.suppress(OSError):  # that it has left is reported when its answer is awaited
        stream.write(json.dumps(value).encode() + b"\n")
        stream.flush()


@contextlib.contextmanager
def meeting(cluster: Cluster) -> Iterator[Meeting]:
    """Wait until every worker has connected; alone, there is nobody to wait for.

    Raises:
        UserError: one did not come in time, it was given another cluster, or this one's port is taken.
    """
    with contextlib.ExitStack() as stack:
        connections = _connect_all(cluster, stack) if cluster.count > 1 else {}
        streams = {index: stack.enter_context(one.makefile("rwb")) for index, one in connections.items()}
        yield Meeting(cluster, streams)


def _port(cluster: Cluster) -> socket.socket:
    """This worker's own port, which TensorFlow needs next, and the chief needs now."""
    port = cluster.addresses[cluster.index].rpartition(":")[2]
    try:
        server = socket.create_server(("", int(port)), backlog=cluster.count)
    except (OSError, OverflowError) as error:
        reason = f"{cluster.name(cluster.index)} is this one, but its port cannot be used: {error}"
        raise UserError(VARIABLE, reason, "end what uses it, or give another one, to every worker") from error
    server.settimeout(POLL_SECONDS)
    return server


def _connect_all(cluster: Cluster, stack: contextlib.ExitStack) -> dict[int, socket.socket]:
    """A connection to every worker that this one talks to, by index; the stack closes them."""
    connections: dict[int, socket.socket] = {}
    wanted = set(range(1, cluster.count)) if cluster.is_chief else {0}
    began, is_noted = time.monotonic(), False
    with _port(cluster) as server:
        while missing := wanted - set(connections):
            passed, names = time.monotonic() - began, ", ".join(map(cluster.name, sorted(missing)))
            if passed > WAIT_SECONDS:
                remedy = "start it; where it runs, its address or the firewall keeps this host from it"
                raise UserError(names, f"did not come within {WAIT_SECONDS // 60} minutes", remedy)
            if passed > NOTE_SECONDS and not is_noted:
                errors.say(f"waiting for {names}", file=sys.stderr)
                is_noted = True
            index, connection = _accepted(server, cluster) if cluster.is_chief else (0, _connected(cluster))
            if connection:
                stack.enter_context(connection).settimeout(WAIT_SECONDS)
                connections[index] = connection
    return connections


def _connected(cluster: Cluster) -> socket.socket | None:
    """A connection to the chief, with this worker's index and addresses sent."""
    host, _, port = cluster.addresses[0].rpartition(":")
    try:
        connection = socket.create_connection((host, int(port)), HELLO_SECONDS)
        connection.sendall(json.dumps([cluster.index, cluster.addresses]).encode() + b"\n")
    except OSError:
        time.sleep(POLL_SECONDS)
        return None
    return connection


def _line(connection: socket.socket) -> bytes:
    """The first line, and nothing past it, in at most `HELLO_SECONDS`."""
    line, end = b"", time.monotonic() + HELLO_SECONDS
    while not line.endswith(b"\n"):
        connection.settimeout(max(0.001, end - time.monotonic()))
        ready = connection.recv(MOST_BYTES, socket.MSG_PEEK)
        part = connection.recv(ready.find(b"\n") + 1 or len(ready))
        line += part
        if not part or len(line) > MOST_BYTES or time.monotonic() > end:
            raise ValueError("no line")
    return line


def _accepted(server: socket.socket, cluster: Cluster) -> tuple[int, socket.socket | None]:
    """A connection from another worker, and its index; anybody else is ignored."""
    try:
        connection, (host, *_) = server.accept()
        index, addresses = json.loads(_line(connection))
    except (OSError, ValueError, TypeError, RecursionError):
        return 0, None
    if type(index) is not int or not are_addresses(addresses):
        return 0, None
    if addresses != list(cluster.addresses):
        reason = f"the worker on {host} was given another cluster: {addresses}"
        raise UserError(VARIABLE, reason, "give every worker the same one; only task differs")
    return (index, connection) if index in range(1, cluster.count) else (0, None)
