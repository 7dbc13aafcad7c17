"""How long the exported models take for a photo on this machine: the CPU of one thread, from its pixels to boxes.

It is never the same twice, so it is no output of DVC: logs/latency.json keeps it by machine and by each model's hash,
and the report has the same bytes until one of these is another. What TensorFlow runs is left out: it takes too long to
start.
"""

import json
import platform
import re
import statistics
import time
from pathlib import Path

import numpy as np

from detector.base import files, paths
from detector.export.params import FORMATS

FILE = Path("logs/latency.json")
MODELS = (".onnx", ".tflite")
PHOTO = (480, 640, 3)  # rows, columns, channels
RUNS, SECONDS = 15, 0.3  # of a model, after the first: at most; two are made in any case


def of_formats() -> dict[str, float]:
    """Format -> ms of CPU, of those in model/export that are run without TensorFlow."""
    known, on = _kept(), machine()
    paths_of = {name: paths.EXPORT / file for name, (file, _) in FORMATS.items() if file.endswith(MODELS)}
    keys = {name: f"{on}, {files.sha256(path)}" for name, path in paths_of.items() if path.is_file()}
    measured = {key: measure(paths_of[name]) for name, key in keys.items() if key not in known}
    if new := {key: value for key, value in measured.items() if value is not None}:
        known |= new
        files.write_text(FILE, json.dumps(known, indent=1) + "\n")
    return {name: known[key] for name, key in keys.items() if key in known}


def machine() -> str:
    """Its processor, by the name that Linux has for it."""
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except (OSError, ValueError):
        found = None
    return found[1] if found else platform.machine()


def measure(path: Path) -> float | None:
    """The median, in ms; None where the model does not run."""
    from detector.prediction import detector  # late: only for a new model

    pixels = np.random.default_rng(1).integers(0, 256, PHOTO, dtype=np.uint8)
    taken: list[float] = []
    try:
        run = detector.load_file(path).run
        run(pixels)
        while len(taken) < 2 or (len(taken) < RUNS and sum(taken) < SECONDS):
            start = time.process_time()
            run(pixels)
            taken.append(time.process_time() - start)
    except Exception:  # each runtime raises its own; what is wrong with a model is for predict to say
        return None
    return round(1000 * statistics.median(taken), 1)


def _kept() -> dict[str, float]:
    try:
        kept = dict(json.loads(FILE.read_text(encoding="utf-8")))
        return {key: value for key, value in kept.items() if isinstance(value, float)}
    except (OSError, ValueError, TypeError):
        return {}
