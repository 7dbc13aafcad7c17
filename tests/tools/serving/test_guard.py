"""tools.serving.guard: who may ask, how often, how much and how slowly; by ASGI, without a server."""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tools.serving.guard import GONE, Guard, Policy, Rates, Refusal, Seen
from tools.serving.limits import Limits

ANYBODY, LIMITS = Policy(), Limits()
TOKEN = "t" * 20
HOST = ("host", "127.0.0.1:8000")


async def echo(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """The application: answers with what it was sent."""
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
    await send({"type": "http.response.body", "body": message["body"]})


async def broken(*_: Any) -> None:
    raise RuntimeError("/home/me/secret.py\x1b[31m")


class Asked:
    """A request that went through the guard: its answer, and what the log was told."""

    def __init__(
        self,
        *headers: tuple[str, str],
        body: Iterable[bytes | float] = (b"",),
        policy: Policy = ANYBODY,
        limits: Limits = LIMITS,
        app: Any = echo,
        path: str = "/v1/detect",
        guard: Guard | None = None,
    ) -> None:
        self.seen: list[Seen] = []
        self.messages: list[Any] = []
        guard = guard or Guard(app, policy, limits, self.seen.append)
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in (headers or (HOST,))]
        scope = {"type": "http", "method": "POST", "path": path, "headers": pairs, "client": ("127.0.0.1", 9)}
        chunks = list(body)

        async def receive() -> Any:
            while chunks:
                chunk = chunks.pop(0)
                if isinstance(chunk, bytes):
                    return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}
                await asyncio.sleep(chunk)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self.messages.append(message)

        asyncio.run(guard(scope, receive, send))

    @property
    def status(self) -> int:
        return self.messages[0]["status"] if self.messages else 0

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def error(self) -> str:
        return str(json.loads(self.body)["error"])


def test_the_application_gets_the_whole_body_at_once() -> None:
    asked = Asked(body=[b"ab", 0.01, b"", b"cd"])
    assert (asked.status, asked.body) == (200, b"abcd")
    assert [(one.status, one.method, one.path, one.address) for one in asked.seen] == [
        (200, "POST", "/v1/detect", "127.0.0.1")
    ]


def test_every_answer_has_the_safe_headers() -> None:
    for asked in (Asked(), Asked(("host", "evil.example"))):
        assert asked.headers["x-content-type-options"] == "nosniff"
        assert asked.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "access-control-allow-origin" not in asked.headers
    assert Asked().headers["x-own"] == "1"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost:8000", 200),
        ("LOCALHOST", 200),
        ("[::1]:8000", 200),
        ("192.168.1.5", 200),  # an address cannot be made to lead elsewhere
        ("detector.example:443", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("evil.example@localhost.evil.example", 421),
        ("", 421),
        ("[", 421),
        ("[::1", 421),
    ],
)
def test_the_host_is_an_address_or_a_name_that_was_given(host: str, status: int) -> None:
    assert Asked(("host", host), policy=Policy(frozenset({"detector.example"}))).status == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8000", 200),
        ("https://127.0.0.1:8000", 200),
        ("http://127.0.0.1:9000", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1:8000.evil.example", 403),
    ],
)
def test_no_page_of_another_site_may_ask(origin: str, status: int) -> None:
    assert Asked(HOST, ("origin", origin)).status == status


def test_a_header_that_is_there_twice_is_refused() -> None:
    assert Asked(HOST, ("host", "localhost")).error == "the header host is there twice"
    assert Asked(HOST, ("content-length", "1"), ("content-length", "2")).status == 400


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        ("Bearer ", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer \xe9", 401),
    ],
)
def test_the_token_is_asked_for(header: str, status: int) -> None:
    asked = Asked(HOST, ("authorization", header), policy=Policy(token=TOKEN))
    assert asked.status == status
    assert status == 200 or asked.headers["www-authenticate"] == "Bearer"


def test_health_alone_needs_no_token() -> None:
    assert Asked(policy=Policy(token=TOKEN)).status == 401
    assert Asked(policy=Policy(token=TOKEN), path="/health").status == 200
    assert Asked(policy=Policy(token=TOKEN), path="/metrics").status == 401


def test_a_body_that_says_that_it_is_too_large_is_not_read() -> None:
    asked = Asked(HOST, ("content-length", "11"), body=[60.0, b"x"], limits=Limits(body=10))
    assert (asked.status, asked.error) == (413, "the body has 11 bytes; at most 10 are taken")
    assert asked.headers["connection"] == "close"


def test_a_body_that_does_not_say_is_read_to_the_limit() -> None:
    assert Asked(body=[b"x" * 6, b"x" * 5, 60.0], limits=Limits(body=10)).error == "the body has more than 10 bytes"
    assert Asked(body=[b"x" * 6, b"x" * 4], limits=Limits(body=10)).status == 200
    assert Asked(HOST, ("content-length", "-1"), limits=Limits(body=10)).status == 200  # h11 refuses it before


def test_a_slow_body_is_given_up() -> None:
    asked = Asked(body=[b"x", 60.0, b"x"], limits=Limits(read_seconds=0.05))
    assert (asked.status, asked.error) == (408, "the body did not come within 0.05 seconds")


def test_a_client_that_goes_away_gets_no_answer() -> None:
    asked = Asked(body=[0.0])
    assert (asked.messages, [one.status for one in asked.seen]) == ([], [GONE])


def test_all_bodies_together_have_a_limit_and_give_their_room_back() -> None:
    guard = Guard(echo, Policy(), Limits(held_bytes=10), lambda _: None)
    for _ in range(3):
        assert Asked(body=[b"x" * 10], guard=guard).status == 200
        asked = Asked(body=[b"x" * 11], guard=guard)
        assert (asked.status, asked.headers["retry-after"]) == (503, "1")


def test_no_more_than_so_many_requests_at_a_time() -> None:
    assert Asked(limits=Limits(requests=0)).status == 503
    guard = Guard(echo, Policy(), Limits(requests=1), lambda _: None)
    assert [Asked(guard=guard).status for _ in range(3)] == [200] * 3


def test_a_mistake_of_ours_is_one_line_without_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    asked = Asked(app=broken)
    assert (asked.status, asked.error) == (500, "the server has failed")
    assert capsys.readouterr().out == "error: RuntimeError: /home/me/secret.py\\x1b[31m\n"


def test_the_log_has_no_query_and_its_line_is_one() -> None:
    (seen,) = Asked(path="/\x1b[31m\n" + "x" * 1000).seen
    assert seen.line().startswith("127.0.0.1 POST /\x1b[31m\n")  # errors.say escapes it
    assert len(seen.line()) < 250


def test_an_address_has_a_rate() -> None:
    rates = Rates(rate=2, burst=4)
    for _ in range(4):
        rates.check("10.0.0.1", now=100)
    with pytest.raises(Refusal) as caught:
        rates.check("10.0.0.1", now=100)
    assert (caught.value.status, caught.value.retry) == (429, 0.5)
    assert caught.value.all_headers()["retry-after"] == "1"
    rates.check("10.0.0.2", now=100)
    rates.check("10.0.0.1", now=100.5)
    with pytest.raises(Refusal):
        rates.check("10.0.0.1", now=100.9)


def test_a_network_of_ipv6_is_one_address_and_few_are_remembered() -> None:
    rates = Rates(rate=1, burst=1)
    rates.check("2001:db8::1", now=0)
    with pytest.raises(Refusal):
        rates.check("2001:db8::ffff", now=0)
    rates.check("2001:db8:0:1::1", now=0)
    rates.check("::ffff:10.0.0.1", now=0)  # IPv4, on a socket that takes both
    rates.check("::ffff:10.0.0.2", now=0)
    with pytest.raises(Refusal):
        rates.check("10.0.0.1", now=0)
    for number in range(30_000):
        rates.check(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", now=number)
    assert len(rates._next) <= 10_001


def test_no_rate_is_no_limit() -> None:
    rates = Rates(rate=0, burst=0)
    for _ in range(1000):
        rates.check("10.0.0.1", now=0)
