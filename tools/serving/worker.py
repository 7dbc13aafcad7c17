"""A process that reads photos and detects in them, and may be killed: the photos come from strangers.

It holds the model, talks over one pipe, in bytes and JSON, and can write no file and leave no dump of its memory. Its
memory is limited; a photo that needs more is refused. One that takes too long, or makes it crash, is its end.
"""

import json
import multiprocessing
import resource
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from detector.base import errors
from detector.base.errors import UserError
from detector.pictures import images
from detector.prediction import detector as detectors
from detector.prediction import predictions
from detector.prediction.detector import Detector
from detector.prediction.selection import Selection
from tools.serving.guard import Refusal
from tools.serving.limits import Limits

START_SECONDS = 120  # to import the runtime and load the model, on a busy machine
OPEN_FILES = 64
PHOTO = "photo"  # what errors call it: it has no name that counts


@dataclass(frozen=True)
class Model:
    """What a worker loads. folder: with the model's file and its label map. precision: predict.precision."""

    folder: Path
    precision: str
    agnostic_nms: float


@dataclass(frozen=True)
class Facts:
    """Of a loaded model. names: class id -> name. digest: of its file and of the names, in hexadecimal."""

    names: Mapping[int, str]
    digest: str


class Worker:
    """The process, seen from outside. It is used by one thread at a time."""

    def __init__(self, model: Model, limits: Limits) -> None:
        self._model, self._limits = model, limits
        self.facts = self.start()

    def start(self) -> Facts:
        """Start the process. Raises: UserError: it cannot load the model."""
        context = multiprocessing.get_context("spawn")  # a fork would copy the locks of other threads
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, self._model, self._limits), daemon=True)
        self._process.start()
        theirs.close()
        try:
            told = json.loads(self._pipe.recv_bytes()) if self._pipe.poll(START_SECONDS) else {}
        except (EOFError, OSError):
            told = {}
        if "names" in told:
            return Facts({int(number): name for number, name in told["names"].items()}, told["digest"])
        self.stop()
        late = str(self._model.folder), "the process that loads it has ended, or is too slow", "close other programs"
        raise UserError(*told.get("error", late))

    def detect(self, job: Mapping[str, Any], photo: bytes) -> dict[str, Any]:
        """What `answer` gives. Raises: Refusal: the photo cannot be used; it may have been the process's end."""
        try:
            self._pipe.send_bytes(json.dumps(job).encode())
            self._pipe.send_bytes(photo)
            if not self._pipe.poll(self._limits.detect_seconds):
                self.stop()
                reason = f"takes longer than {self._limits.detect_seconds:g} seconds"
                raise Refusal(422, f"{PHOTO}: {reason}; save it again as JPEG, or scale it down")
            found: dict[str, Any] = json.loads(self._pipe.recv_bytes())
        except (EOFError, OSError):
            self.stop()
            raise Refusal(500, f"{PHOTO}: the process that read it has ended") from None
        if "log" in found:
            errors.say(found["log"])
        if "status" in found:
            raise Refusal(found["status"], found["error"])
        return found

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


# In the process.


def work(pipe: Connection, model: Model, limits: Limits) -> None:
    """Load the model, then answer photos until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes: the server ends this one
    try:
        detector = detectors.load(model.folder, model.precision)
        detector.detect(Image.new("RGB", (300, 300)), PHOTO)  # takes the memory that all others use again
    except UserError as error:
        pipe.send_bytes(json.dumps({"error": [error.where, error.reason, error.remedy]}).encode())
        return
    _confine(limits)
    pipe.send_bytes(json.dumps({"names": dict(detector.names), "digest": detector.digest}).encode())
    try:
        while True:
            job, photo = json.loads(pipe.recv_bytes()), pipe.recv_bytes()
            pipe.send_bytes(json.dumps(answer(detector, model, limits, job, photo)).encode())
    except EOFError:  # the server has ended
        return


def _confine(limits: Limits) -> None:
    """From here on: so much memory beside what is there, no file written, no dump of the memory, few files open."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for kind, most in (
        (resource.RLIMIT_AS, used + limits.worker_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
    ):
        resource.setrlimit(kind, (most, most))


def answer(detector: Detector, model: Model, limits: Limits, job: Mapping[str, Any], photo: bytes) -> dict[str, Any]:
    """The detections in a photo; or the status and the line of an error, and a line for the log.

    Args:
        job: threshold, the lowest score; classes, the ids of those that are wanted.
    """
    try:
        picture = images.open_upright(PHOTO, photo, most_pixels=limits.pixels, deep=False)
        found = detector.detect(picture, PHOTO)
    except UserError as error:
        return {"status": 422, "error": error.line()}
    except MemoryError:
        return {"status": 422, "error": f"{PHOTO}: needs too much memory; save it again as JPEG, or scale it down"}
    except Exception as error:  # of a runtime: the client learns only that it was
        log = f"error: {type(error).__name__}: {errors.printable(str(error))}"
        return {"status": 500, "error": "the detector has failed", "log": log}
    wanted = found.subset(np.isin(found.classes, job["classes"]))
    shown = predictions.rounded(Selection(job["threshold"], model.agnostic_nms)(wanted))
    rows = [
        {"class": detector.names[number], "id": number, "score": score, "box": box}
        for number, box, score in shown.rows()
    ]
    return {"width": found.width, "height": found.height, "detections": rows}
