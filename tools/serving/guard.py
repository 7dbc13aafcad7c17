"""What every request passes before the application sees it: who may ask, how often, how much, how slowly.

An ASGI middleware of the standard library alone. It reads the body to its end, within its limits, so the application
never waits for a client. An answer is JSON with one line, `{"error": "..."}`, where a request is refused.

- Host is an IP address, localhost or a name that was given: a page of a stranger whose domain leads here (DNS
  rebinding) has another one. Origin, which browsers send, is this server's own: no page of another site may ask.
- A token, where there is one, is asked for by all paths but a few, and compared in constant time.
- Each address has a rate. IPv6 hands out networks of 64 bits, so these count as one address.
"""

import asyncio
import contextlib
import hmac
import ipaddress
import json
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from detector.base import errors
from tools.serving.limits import Limits

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEALTH = "/health"  # needs no token: who watches over a server has none
GONE = 499  # as nginx calls a client that went away; it gets no answer
MOST_ADDRESSES = 10_000  # that are remembered
LINGER_SECONDS = 1  # in which a refused body is dropped: a connection that is closed before may take the answer along
SAFE = {  # of every answer, unless it has its own
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818 - not an error of the server
    """A request that is not granted. status: of HTTP. reason: one line. retry: seconds until it may come again."""

    status: int
    reason: str
    retry: float = 0
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        return json.dumps({"error": errors.printable(self.reason)}).encode()

    def all_headers(self) -> dict[str, str]:
        retry = {"retry-after": str(math.ceil(self.retry))} if self.retry else {}
        return {"content-type": "application/json", **retry, **self.headers}


@dataclass(frozen=True)
class Seen:
    """An answered request. route: the path's pattern, one of a few; empty for a path that is not served."""

    address: str
    method: str
    path: str
    route: str
    status: int
    seconds: float

    def line(self) -> str:
        """For a log; a query may hold anything, so it is left out."""
        return f"{self.address} {self.method} {self.path[:200]} {self.status} {self.seconds:.3f} s"


@dataclass(frozen=True)
class Policy:
    """Who may ask.

    names: of the host, beside IP addresses and localhost. token: empty for none. open: paths that need none.
    """

    names: frozenset[str] = frozenset()
    token: str = ""
    open: frozenset[str] = frozenset({HEALTH})

    def check(self, path: str, headers: "Headers") -> None:
        host = headers.one("host")
        if not self._is_ours(host):
            raise Refusal(421, "this host name is not served here; start the server with --name=NAME")
        if headers.one("origin") not in ("", f"http://{host}", f"https://{host}"):  # https: of a proxy before it
            raise Refusal(403, "pages of other sites may not ask this server")
        if self.token and path not in self.open and not self._is_token(headers.one("authorization")):
            reason = "a token is needed, in the header Authorization: Bearer TOKEN"
            raise Refusal(401, reason, headers={"www-authenticate": "Bearer"})

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in {"localhost", *self.names} or bool(ipaddress.ip_address(name))
        except ValueError:
            return False

    def _is_token(self, header: str) -> bool:
        scheme, _, token = header.partition(" ")
        same = hmac.compare_digest(token.strip().encode(), self.token.encode())
        return same and scheme.lower() == "bearer"


class Headers:
    """Those of a request."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self._pairs = [(name.lower(), value.decode("latin-1")) for name, value in pairs]

    def size(self) -> int:
        """Bytes of them all."""
        return sum(len(name) + len(value) for name, value in self._pairs)

    def one(self, name: str) -> str:
        """The value of a header; empty where there is none. Raises: Refusal: there are two."""
        values = [value for own, value in self._pairs if own == name.encode()]
        if len(values) > 1:
            raise Refusal(400, f"the header {name} is there twice")
        return values[0] if values else ""


class Rates:
    """How often each address may ask: `rate` times a second in the long run, `burst` times at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self._step, self._ahead = (1 / rate if rate > 0 else 0), (burst / rate if rate > 0 else 0)
        self._next: dict[str, float] = {}  # {address: when it would ask next, had it kept to the rate}

    def check(self, address: str, now: float) -> None:
        if not self._step:
            return
        key = network(address)
        then = max(self._next.get(key, now), now)
        if then - now > self._ahead - self._step:
            raise Refusal(429, "too many requests from this address", retry=then - now - self._ahead + self._step)
        self._next[key] = then + self._step
        if len(self._next) > MOST_ADDRESSES:
            self._next = {one: due for one, due in self._next.items() if due > now}


def network(address: str) -> str:
    """What counts as one address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # of a test, or a socket of the file system
        return address
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped:  # as a socket for both kinds shows those of IPv4
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


class _Answer:
    """`send`, with the headers that every answer has; it knows what was sent."""

    def __init__(self, send: Send) -> None:
        self._send, self.status = send, 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = list(message.get("headers", []))
            names = {name.lower() for name, _ in own}
            safe = [(name.encode(), value.encode()) for name, value in SAFE.items() if name.encode() not in names]
            message = {**message, "headers": [*own, *safe]}
        await self._send(message)

    async def refuse(self, refusal: Refusal, receive: Receive) -> None:
        """Answer with a refusal, unless an answer has begun, and end the connection; what else comes is dropped."""
        if self.status:
            return
        body, headers = refusal.body(), refusal.all_headers()
        headers |= {"content-length": str(len(body)), "connection": "close"}
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self({"type": "http.response.start", "status": refusal.status, "headers": pairs})
        await self({"type": "http.response.body", "body": body, "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while (await receive()).get("more_body"):
                    pass
        await self({"type": "http.response.body"})


class Guard:
    """The middleware. seen: called with each request, when it has been answered."""

    def __init__(self, app: App, policy: Policy, limits: Limits, seen: Callable[[Seen], None]) -> None:
        self._app, self._policy, self._limits, self._seen = app, policy, limits, seen
        self._rates = Rates(limits.rate, limits.burst)
        self._requests, self._held = 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the start and the end of the server; it takes no web sockets
            return await self._app(scope, receive, send)
        started, answer = time.monotonic(), _Answer(send)
        address = (scope.get("client") or ("local", 0))[0]
        try:
            await self._guarded(scope, receive, answer, address)
        except Refusal as refusal:
            await answer.refuse(refusal, receive)
        except Exception as error:  # a mistake of ours ends one request, not the server
            errors.say(f"error: {type(error).__name__}: {errors.printable(str(error))}")
            await answer.refuse(Refusal(500, "the server has failed"), receive)
        finally:
            route = getattr(scope.get("route"), "path", "")
            method, status = scope["method"], answer.status or GONE
            self._seen(Seen(address, method, scope["path"], route, status, time.monotonic() - started))

    async def _guarded(self, scope: Scope, receive: Receive, answer: _Answer, address: str) -> None:
        headers = Headers(scope["headers"])
        if headers.size() > self._limits.headers:  # h11 has a limit as well, for what has not come to its end
            raise Refusal(431, f"the headers have {headers.size():,} bytes; at most {self._limits.headers:,} are taken")
        self._rates.check(address, time.monotonic())
        self._policy.check(scope["path"], headers)
        with self._place():
            body = bytearray()
            try:
                if await self._read(body, headers, receive):
                    await self._app(scope, _replay(bytes(body), receive), answer)
            finally:
                self._held -= len(body)

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        if self._requests >= self._limits.requests:
            raise Refusal(503, "too many requests at a time", retry=1)
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    async def _read(self, body: bytearray, headers: Headers, receive: Receive) -> bool:
        """Read into `body`; False where the client went away."""
        most = self._limits.body
        length = headers.one("content-length")
        if length.isdecimal() and int(length) > most:
            raise Refusal(413, f"the body has {int(length):,} bytes; at most {most:,} are taken")
        try:
            async with asyncio.timeout(self._limits.read_seconds):
                while (message := await receive())["type"] == "http.request":
                    body += message.get("body", b"")
                    self._held += len(message.get("body", b""))
                    if len(body) > most:
                        raise Refusal(413, f"the body has more than {most:,} bytes")
                    if self._held > self._limits.held_bytes:
                        raise Refusal(503, "too many bytes at a time", retry=1)
                    if not message.get("more_body"):
                        return True
        except TimeoutError:
            reason = f"the body did not come within {self._limits.read_seconds:g} seconds"
            raise Refusal(408, reason) from None
        return False


def _replay(body: bytes, receive: Receive) -> Receive:
    """What gives the body once more, and then what the client does."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return first.pop() if first else await receive()

    return again
