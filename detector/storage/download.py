"""A file from the web: a broken download is resumed, and tried again where that can help; only whole files come out.

What has come so far is in .work/downloads/<key>.part, and what the server calls that version of the file (its ETag or
Last-Modified) is beside it, in <key>.json: only a server that still has the same version is asked for the rest. A whole
file has its sha256 as its name. An address may redirect to https:// alone; an http:// one to its own server, too, and
no further: anyone on the way can answer it, and would have this machine ask others in its network.

PASSO_BACKOFF_SECONDS is the first wait between two tries (default 1); each further one is twice as long.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from detector.base import errors, files
from detector.base.bars import counter
from detector.base.errors import UserError

if TYPE_CHECKING:
    from requests import Response, Session

DOWNLOADS = Path(".work/downloads")  # DVC deletes a stage's output before each run, and not these
CHUNK = 2**16  # bytes; what an interrupt may lose
TIMEOUT_SECONDS = 60
TRIES = 5  # without a new byte, before giving up
LONGEST_WAIT = 60  # seconds that a server may ask for
REPORTED_FROM = 5  # seconds; a shorter wait is not worth a line
MOST_BYTES = 2**37  # 128 GiB: no file that belongs here is larger
MOST_REDIRECTS = 10
RETRIED = (429, 500, 502, 503, 504)


class _BrokenError(Exception):
    """A try that failed where another may succeed; `wait` is what the server asks for, in seconds."""

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait


class _UnfinishedError(UserError):
    """No further try is made now; the next command resumes."""


def get(url: str, digest: str = "") -> Path:
    """The file at `url`, which becomes .work/downloads/<its sha256>; one that exists with this digest is taken.

    Args:
        digest: its sha256, 64 hexadecimal digits; without one, whatever the server sends is taken.

    Raises:
        UserError: no connection, an HTTP error, a redirect that leads elsewhere, a body cut short, no room, or another
            digest.
    """
    if digest and (existing := kept(digest)):
        return existing
    if re.search(r"[\x00-\x20\x7f]", url):
        reason = "cannot be downloaded: URL can't contain control characters"
        raise UserError(errors.redacted(url), reason, "write %20 for a blank")
    with _partial(url) as part:
        _fill(url, part)
        actual = files.sha256(part)
        if digest and actual != digest.lower():
            raise UserError(
                errors.redacted(url), f"its sha256 is {actual}, not {digest}", "check the address and the sha256"
            )
        return part.replace(DOWNLOADS / actual)


def kept(digest: str) -> Path | None:
    """What an earlier run has downloaded, by its sha256, if it exists and is undamaged."""
    place = DOWNLOADS / digest.lower()
    return place if place.is_file() and files.sha256(place) == digest.lower() else None


def key(url: str) -> str:
    """The name of what has come from an address, until it is whole."""
    return hashlib.sha256(url.encode()).hexdigest()[:32]


@contextmanager
def _partial(url: str) -> Iterator[Path]:
    """Yields the path of what has come so far, ours alone; it stays after a broken connection and Ctrl-C alone."""
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    part, keep = DOWNLOADS / f"{key(url)}.part", False
    with part.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(errors.redacted(url), "another process is downloading it", "wait for that one") from None
        try:
            yield part
        except (_UnfinishedError, KeyboardInterrupt):
            keep = bool(_version(part))
            raise
        finally:
            if not keep:
                part.with_suffix(".json").unlink(missing_ok=True)
                part.unlink(missing_ok=True)


def _version(part: Path) -> str:
    """What the server called the version of the file that `part` is the beginning of; empty where unknown."""
    try:
        return str(json.loads(part.with_suffix(".json").read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _fill(url: str, part: Path) -> None:
    """Download until `part` is whole, in as many tries as add to it, and a few more."""
    connection, tries, most = session(url), 0, part.stat().st_size
    while True:
        try:
            return _attempt(connection, url, part)
        except _BrokenError as error:
            come = part.stat().st_size
            tries, most = (1 if come > most else tries + 1), max(come, most)
            wait = max(float(os.environ.get("PASSO_BACKOFF_SECONDS", "1")) * 2 ** (tries - 1), error.wait)
            if tries >= TRIES or error.wait > LONGEST_WAIT:
                remedy = "run the command again: the download is resumed" if _version(part) else "try again"
                raise _UnfinishedError(errors.redacted(url), str(error), remedy) from error
            if wait >= REPORTED_FROM:
                errors.say(f"{errors.redacted(url)}: {error}; trying again in {wait:.0f} s", file=sys.stderr)
            time.sleep(wait)


def session(url: str) -> "Session":
    """To ask for an address with: it follows redirects to https://, and from http:// to the same server."""
    import requests

    connection = requests.Session()
    connection.max_redirects = MOST_REDIRECTS
    plain = connection.adapters.pop("http://")
    if url.lower().startswith("http:"):
        server = re.split("[/?#]", url.partition("//")[2], maxsplit=1)[0]
        for name in (server, server.rpartition("@")[2]):
            connection.mount(f"http://{name}/", plain)
    return connection


def _attempt(connection: "Session", url: str, part: Path) -> None:
    import requests
    import urllib3

    have, version = part.stat().st_size, _version(part)
    headers = {"Accept-Encoding": "identity"}
    if have and version:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    try:
        with connection.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
            _receive(response, url, part)
    except requests.exceptions.InvalidSchema as error:
        reason = "it redirects to an address that is not https://, or to no web address at all"
        raise UserError(errors.redacted(url), f"cannot be downloaded: {reason}", "do not trust it") from error
    except (requests.exceptions.TooManyRedirects, requests.exceptions.SSLError, ValueError) as error:
        is_web = isinstance(error, requests.exceptions.TooManyRedirects | requests.exceptions.SSLError)
        cause = errors.innermost(error) if is_web else "it is no address"  # which the error may quote, with a password
        reason = f"cannot be downloaded: {cause}"
        raise UserError(errors.redacted(url), reason, "check the address") from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _BrokenError(f"cannot be downloaded: {errors.innermost(error)}") from error
    except OSError as error:
        raise UserError(
            errors.redacted(url), f"cannot be written to {DOWNLOADS}: {error.strerror}", "fix that"
        ) from error


def _receive(response: "Response", url: str, part: Path) -> None:
    """Append what the server sends to `part`, or write it from scratch where it sends the whole file."""
    from urllib3.exceptions import HTTPError

    start, total = _extent(response, url, part)
    room = min(shutil.disk_usage(part.parent).free, MOST_BYTES - start)
    _check_room(url, (total or 0) - start, room)
    if not start:
        _begin(response, part)
    name = urllib.parse.urlsplit(url).path.rpartition("/")[2]
    with (
        part.open("ab") as out,
        counter(errors.printable(name), total, initial=start, unit="B", unit_scale=True) as shown,
    ):
        try:
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                _check_room(url, out.tell() - start + len(chunk), room)
                out.write(chunk)
                shown.update(len(chunk))
        except HTTPError as error:
            if total is None:
                raise
            raise _BrokenError(f"{out.tell()} of {total} bytes came") from error
        if total is not None and out.tell() != total:
            raise _BrokenError(f"{out.tell()} of {total} bytes came")


def _begin(response: "Response", part: Path) -> None:
    """Empty `part`, and write down which version of the file it will hold, if the server says."""
    about = part.with_suffix(".json")
    about.unlink(missing_ok=True)
    os.truncate(part, 0)
    tag = response.headers.get("ETag", "")
    version = response.headers.get("Last-Modified", "") if tag.startswith("W/") or not tag else tag
    if version:
        files.write_text(about, json.dumps({"version": version}))


def _extent(response: "Response", url: str, part: Path) -> tuple[int, int | None]:
    """(The byte at which the body begins, the bytes of the whole file or None) of an answer that can be used."""
    from urllib3.util import Retry

    status, length = response.status_code, response.headers.get("Content-Length", "")
    if status == 206:
        given = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if given and int(given[1]) == part.stat().st_size:
            return int(given[1]), int(given[2])
    if status in (206, 416):  # not the rest of what is here: all of it again
        part.with_suffix(".json").unlink(missing_ok=True)
        raise _BrokenError("the server does not continue where it stopped")
    answer = f"cannot be downloaded: the server answers {status} {response.reason}"
    if status in RETRIED:
        after = response.headers.get("Retry-After")
        raise _BrokenError(answer, Retry().parse_retry_after(after) if after else 0)
    if status != 200:
        raise UserError(errors.redacted(url), answer, "check the address")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise UserError(errors.redacted(url), "is a web page, not an archive", "give the address of the file itself")
    return 0, int(length) if length.isdecimal() else None


def _check_room(url: str, size: int, room: int) -> None:
    if size > room:
        raise UserError(errors.redacted(url), f"{size:,} bytes, and there is room for {room:,}", "make room")
