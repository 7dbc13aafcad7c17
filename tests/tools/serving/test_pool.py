"""tools.serving.pool and worker: real processes with a real model, and photos that would harm them."""

import asyncio
import os
import signal
import struct
import time
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from PIL import Image

from detector.base import bars
from detector.base.errors import UserError
from tests.support import finder
from tools.serving import pool as pools
from tools.serving.guard import Refusal
from tools.serving.limits import Limits
from tools.serving.pool import Pool
from tools.serving.worker import Model, Worker

RED, WHITE = (255, 0, 0), (255, 255, 255)
JOB = {"threshold": 0.5, "classes": [1, 2]}
LIMITS = Limits(worker_bytes=50_000_000, pixels=10_000_000, detect_seconds=20)
FOUND = {
    "width": 80,
    "height": 40,
    "detections": [
        {"class": "red", "id": 1, "score": 1.0, "box": [10.0, 5.0, 30.0, 25.0]},
        {"class": "white", "id": 2, "score": 1.0, "box": [40.0, 10.0, 60.0, 30.0]},
    ],
}


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo() -> bytes:
    image = Image.new("RGB", (80, 40))
    image.paste(RED, (10, 5, 30, 25))
    image.paste(WHITE, (40, 10, 60, 30))
    return encoded(image)


def deep_png(kind: int, bands: int, before: bytes = b"") -> bytes:
    """8x8 pixels of 16 bits a value. kind: its colour type. before: chunks before its header."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, kind, 0, 0, 0))
    rows = (b"\0" + bytes(8 * bands * 2)) * 8
    return b"\x89PNG\r\n\x1a\n" + before + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def deep_tiff() -> bytes:
    """8x8 pixels in RGB, of 16 bits a value, as one strip."""
    bits, pixels = struct.pack("<3H", 16, 16, 16), bytes(8 * 8 * 3 * 2)
    tags = ((256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 14))
    tags += ((277, 3, 1, 3), (278, 3, 1, 8), (279, 4, 1, len(pixels)))
    listed = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II*\0" + struct.pack("<I", 14 + len(pixels)) + bits
    return head + pixels + struct.pack("<H", len(tags)) + listed + bytes(4)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(finder.save(tmp_path_factory.mktemp("model") / "export"), "float32", 1.0)


@pytest.fixture(scope="module")
def worker(model: Model) -> Iterator[Worker]:
    made = Worker(model, LIMITS)
    yield made
    made.stop()


def refusal(worker: Worker, content: bytes) -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        worker.detect(JOB, content)
    return caught.value.status, caught.value.reason


def test_a_photo_gives_its_boxes(worker: Worker) -> None:
    assert worker.facts.names == {1: "red", 2: "white"}
    assert worker.detect(JOB, photo()) == FOUND


def test_a_photo_of_a_phone_is_read(worker: Worker) -> None:
    """Its library is loaded when the process is confined already."""
    pillow_heif.register_heif_opener()
    heic = encoded(Image.open(BytesIO(photo())), "HEIF", quality=100)
    found = worker.detect(JOB, heic)
    assert (found["width"], [one["class"] for one in found["detections"]]) == (80, ["red", "white"])


def test_classes_and_threshold_are_those_that_were_asked_for(worker: Worker) -> None:
    red = {**FOUND, "detections": FOUND["detections"][:1]}
    assert worker.detect({"threshold": 0.5, "classes": [1]}, photo()) == red
    assert worker.detect({"threshold": 0.5, "classes": []}, photo()) == {**FOUND, "detections": []}


def test_the_process_can_write_nothing_and_leaves_no_dump(worker: Worker) -> None:
    limits = dict.fromkeys(("Max core file size", "Max file size"), "0")
    told = Path(f"/proc/{worker._process.pid}/limits").read_text()
    assert {name: told.partition(name)[2].split()[0] for name in limits} == limits


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no picture", "is not an image that can be read"),
        (b"http://127.0.0.1:1/a.jpg", "is not an image that can be read"),
        (b"/etc/passwd", "is not an image that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is not an image that can be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not an image that can be read"),
        (photo()[:100], "does not decode to its end"),
        (encoded(Image.new("1", (4000, 4000))), "is too large: 4000x4000 pixels, the limit is 10,000,000"),
        (encoded(Image.new("I;16", (8, 8))), "has more than 8 bits a value"),
        (encoded(Image.new("F", (8, 8)), "TIFF"), "has more than 8 bits a value"),
        (deep_png(2, 3), "has more than 8 bits a value"),
        (deep_png(4, 2), "has more than 8 bits a value"),
        (deep_png(6, 4), "has more than 8 bits a value"),
        (deep_png(2, 3, chunk(b"tEXt", b"a\0its header is no longer first")), "has more than 8 bits a value"),
        (deep_tiff(), "has more than 8 bits a value"),
    ],
)
def test_what_is_no_usable_photo_is_one_line(worker: Worker, content: bytes, words: str) -> None:
    status, reason = refusal(worker, content)
    assert status == 422
    assert reason.startswith(f"photo: {words}") and "\n" not in reason
    assert worker.is_alive()


def test_what_takes_long_to_load_says_so(
    model: Model, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bars, "SECONDS_BETWEEN_LINES", 0.01)
    with pools.opened(model, 1, LIMITS):
        assert capfd.readouterr().err.startswith("loading the model: 00:0")


def test_a_photo_that_needs_too_much_memory_is_refused_and_the_next_one_is_not(worker: Worker) -> None:
    large = encoded(Image.new("RGBA", (3100, 3100), (255, 0, 0, 128)))
    assert refusal(worker, large) == (422, "photo: needs too much memory; save it again as JPEG, or scale it down")
    assert worker.detect(JOB, photo()) == FOUND


def test_a_photo_that_takes_too_long_ends_its_worker_and_another_one_takes_its_place(model: Model) -> None:
    async def both(pool: Pool) -> dict[str, Any]:
        os.kill(pool._workers[0]._process.pid, signal.SIGSTOP)  # as if it took for ever
        with pytest.raises(Refusal) as caught:
            await pool.detect(JOB, photo())
        assert (caught.value.status, caught.value.reason.partition(";")[0]) == (
            422,
            "photo: takes longer than 1 seconds",
        )
        return await pool.detect(JOB, photo())

    with pools.opened(model, 1, Limits(detect_seconds=1)) as pool:
        found = asyncio.run(both(pool))
        assert {name: found[name] for name in FOUND} == FOUND
        assert (pool.restarts, pool.alive()) == (1, 1)
    assert pool.alive() == 0


def test_a_worker_that_was_killed_while_idle_costs_no_photo(worker: Worker, model: Model) -> None:
    async def kill_and_ask(pool: Pool) -> dict[str, Any]:
        os.kill(worker._process.pid, signal.SIGKILL)
        worker._process.join()
        return await pool.detect(JOB, photo())

    pool = Pool([worker], LIMITS)
    assert asyncio.run(kill_and_ask(pool))["detections"] == FOUND["detections"]
    assert pool.restarts == 1


def test_a_model_that_does_not_load_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "label_map.pbtxt").write_text('item { name: "cat" id: 1 }')
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(UserError, match="does not load"):
        Worker(Model(tmp_path, "float32", 1.0), LIMITS)


class Slow:
    """In the place of a worker: it takes a while."""

    facts = None

    def detect(self, *_: Any) -> dict[str, Any]:
        time.sleep(0.3)
        return {}

    def is_alive(self) -> bool:
        return True

    def stop(self) -> None:
        pass


def outcomes(limits: Limits, photos: int) -> list[int]:
    """The statuses of so many photos at once, for one slow worker."""

    async def all_of_them() -> list[int]:
        pool = Pool([Slow()], limits)
        found = await asyncio.gather(*(pool.detect(JOB, b"") for _ in range(photos)), return_exceptions=True)
        assert all(one.retry == 1 for one in found if isinstance(one, Refusal))
        assert pool.waiting == 0
        return [one.status if isinstance(one, Refusal) else 200 for one in found]

    return asyncio.run(all_of_them())


def test_few_photos_wait_and_the_others_are_sent_away() -> None:
    assert outcomes(Limits(waiting=2), 5) == [200, 200, 200, 503, 503]
    assert outcomes(Limits(waiting=64, wait_seconds=0.1), 2) == [200, 503]
