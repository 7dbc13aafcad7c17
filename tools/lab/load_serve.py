"""The server under load, beside a plain FastAPI loop: many clients, and among them some that mean harm.

    python -m tools.lab.load_serve [--seconds 60] [--clients 200] [--bad 0.05] [--only serve|plain]

    model/export, the dataset's test photos, .venv-serve (make serve) -> two tables on the terminal

Each client has an address of its own on loopback, and asks again as soon as it has its answer, or when Retry-After
says. A share of the requests is bad: damaged, too large, slow, or hostile (`BAD`). The other server (plain_server.py)
is what a tutorial has: Pillow and ONNX Runtime in one `async def`. Client and server share the machine's cores.
"""

import argparse
import asyncio
import contextlib
import random
import re
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

import psutil
from PIL import Image

from detector.base import params, paths
from detector.base.errors import UserError
from detector.data.params import DatasetParams
from detector.prediction import photos

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".venv-serve" / "bin" / "python"
SERVERS = {"serve": ["tools.serve", "--port=0", f"--model={paths.EXPORT}"], "plain": ["tools.lab.plain_server"]}
PATIENCE = 30  # seconds that a client waits for an answer
GOOD = "photo"
LARGE = 30_000_000  # bytes


@dataclass(frozen=True)
class Outcome:
    """Of a request. status: of HTTP; `closed` where the server ended the connection, `nothing` where none came."""

    kind: str
    status: str
    seconds: float


def main() -> None:
    arguments = _arguments()
    inputs, _ = photos.find([paths.images(params.load("dataset", DatasetParams).dir, "test")])
    if not PYTHON.exists() or not inputs:
        raise UserError(str(PYTHON.parent.parent), "packages and test photos are needed", "run: make train, make serve")
    contents = [photo.path.read_bytes() for photo in inputs]
    bad = bad_requests(contents[0])
    for name in [arguments.only] if arguments.only else SERVERS:
        with started(SERVERS[name]) as (process, port):
            outcomes = asyncio.run(load(port, contents, bad, arguments, process))
            print("\n".join(table(name, outcomes, arguments, process, port)), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.lab.load_serve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=60, help="for each server; default: %(default)s")
    parser.add_argument("--clients", type=int, default=200, help="at a time; default: %(default)s")
    parser.add_argument("--bad", type=float, default=0.05, help="share of the requests; default: %(default)s")
    parser.add_argument("--only", choices=SERVERS, help="one of the two")
    return parser.parse_args()


@contextlib.contextmanager
def started(command: Sequence[str]) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """A server, and its port."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([str(PYTHON), "-um", *command], stdout=output, stderr=subprocess.STDOUT)
        try:
            while not (found := re.search(rb"http://127\.0\.0\.1:([1-9]\d*)", said(output))):
                if process.poll() is not None:
                    raise UserError(" ".join(command), said(output).decode(errors="replace"))
                time.sleep(0.1)
            yield process, int(found[1])
        finally:
            process.kill()  # one that is busy would not end for minutes
            process.wait()


def said(output: IO[bytes]) -> bytes:
    output.seek(0)
    return output.read()


# Requests, as bytes; a number between two parts is a wait of so many seconds.

Request = Sequence[bytes | float]


def request(body: bytes, head: str = "", path: str = "/v1/detect", host: str = "localhost") -> bytes:
    length = "" if "ength" in head or "chunked" in head else f"Content-Length: {len(body)}\r\n"
    lines = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/jpeg\r\nConnection: close\r\n{length}{head}\r\n"
    )
    return lines.encode("latin-1") + body


def bad_requests(photo: bytes) -> dict[str, Request]:
    """By kind."""
    bomb, deep = BytesIO(), BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    Image.new("I;16", (4_000, 4_000)).save(deep, "PNG")
    whole = request(photo)
    half = len(whole) // 2
    return {
        "cut photo": [request(photo[: len(photo) // 2])],
        "no photo": [request(b"GET http://169.254.169.254/ /etc/passwd" * 100)],
        "bomb, 400 megapixels": [request(bomb.getvalue())],
        "16 bits a value": [request(deep.getvalue())],
        "30 MB": [request(bytes(LARGE))],
        "30 MB, unannounced": [
            request(b"", head="Transfer-Encoding: chunked\r\n"),
            b"%x\r\n%s\r\n0\r\n\r\n" % (LARGE, bytes(LARGE)),
        ],
        "slow body": [whole[:half], 15.0, whole[half:]],
        "slow headers": [b"POST /v1/detect HTTP/1.1\r\nX-", 15.0, b"A: b\r\n"],
        "long headers": [request(photo, head=f"X: {'x' * 100_000}\r\n")],
        "host of others": [request(photo, host="evil.example")],
        "path of others": [request(photo, path="/..%2f..%2f..%2fetc/passwd")],
        "no HTTP": [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100)],
    }


async def load(
    port: int,
    contents: Sequence[bytes],
    bad: dict[str, Request],
    arguments: argparse.Namespace,
    process: "subprocess.Popen[bytes]",
) -> list[Outcome]:
    """All clients until the time is over, or the server has ended."""
    end, outcomes = time.monotonic() + arguments.seconds, list[Outcome]()

    async def client(number: int) -> None:
        choose = random.Random(number)  # noqa: S311 (the same requests each time)
        while time.monotonic() < end and process.poll() is None:
            kind = choose.choice(list(bad)) if choose.random() < arguments.bad else GOOD
            parts = [request(choose.choice(contents))] if kind == GOOD else bad[kind]
            outcome, retry = await ask(port, f"127.0.{1 + number // 250}.{1 + number % 250}", kind, parts)
            outcomes.append(outcome)
            await asyncio.sleep(retry)

    await asyncio.gather(*map(client, range(arguments.clients)))
    return outcomes


async def ask(port: int, address: str, kind: str, parts: Request) -> tuple[Outcome, float]:
    """One request; and the seconds after which the server would have the next one."""
    started, head = time.monotonic(), b""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
            with contextlib.closing(writer):
                sending = asyncio.create_task(_send(writer, parts))
                head = await reader.read(4096)
                sending.cancel()
                while await reader.read(65536):
                    pass
        status = head[9:12].decode() if head.startswith(b"HTTP/1.1 ") else "closed"
    except TimeoutError:
        status = "nothing"
    except OSError:
        status = head[9:12].decode() if head else "closed"
    retry = re.search(rb"(?i)retry-after: (\d+)", head)
    return Outcome(kind, status, time.monotonic() - started), float(retry[1]) if retry else 0


async def _send(writer: asyncio.StreamWriter, parts: Request) -> None:
    with contextlib.suppress(OSError):  # the answer may come before the end
        for part in parts:
            if isinstance(part, bytes):
                writer.write(part)
                await writer.drain()
            else:
                await asyncio.sleep(part)


# What is printed.


def table(
    name: str, outcomes: Sequence[Outcome], arguments: argparse.Namespace, process: "subprocess.Popen[bytes]", port: int
) -> list[str]:
    answered = [one.seconds for one in outcomes if (one.kind, one.status) == (GOOD, "200")]
    percentiles = statistics.quantiles(answered, n=20) if len(answered) > 1 else [float("nan")] * 19
    lines = [
        f"{name}: {arguments.clients} clients, {arguments.seconds:g} s, {arguments.bad:.0%} bad",
        f"  photos answered   {len(answered)}, {len(answered) / arguments.seconds:.1f} a second",
        f"  seconds           p50 {percentiles[9]:.2f}, p95 {percentiles[18]:.2f}",
        f"  afterwards        {_afterwards(process, port)}",
    ]
    kinds = Counter((one.kind, one.status) for one in outcomes)
    for kind in [GOOD, *sorted({one.kind for one in outcomes} - {GOOD})]:
        statuses = ", ".join(f"{status} {count}" for (own, status), count in sorted(kinds.items()) if own == kind)
        lines.append(f"  {kind:22}{statuses}")
    return lines


def _afterwards(process: "subprocess.Popen[bytes]", port: int) -> str:
    """Whether the server lives, and what memory it has."""
    if process.poll() is not None:
        return f"ended with exit code {process.returncode}"
    own = psutil.Process(process.pid)
    megabytes = sum(one.memory_info().rss for one in (own, *own.children(recursive=True))) / 1e6
    outcome, _ = asyncio.run(ask(port, "127.0.0.1", GOOD, [request(b"x")]))
    return f"answers within {outcome.seconds:.2f} s, has {megabytes:.0f} MB"


if __name__ == "__main__":
    from detector.base import errors

    errors.run(main)
