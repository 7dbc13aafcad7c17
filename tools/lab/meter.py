"""What it costs to predict on photos, for processes of tools.lab.bench_predict. Standard library only: YOLO11n's
environment has nothing of ours.
"""

import json
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

Whole = Callable[[Path], object]  # all that is done with a photo
Decode = Callable[[Path], Any]
Model = Callable[[Any], object]  # on a decoded photo


def report(whole: Whole, decode: Decode, model: Model, photos: Sequence[Path], threads: int) -> None:
    """Print, as a line of JSON, what `measured` gives."""
    print(json.dumps(measured(whole, decode, model, photos, threads)), flush=True)


def measured(
    whole: Whole, decode: Decode, model: Model, photos: Sequence[Path], threads: int
) -> dict[str, float | dict[str, float]]:
    """CPU of all threads of this process, and wall time, each photo once.

    start_cpu_s: until each thread has done its first photo. cpu_ms, images_per_second, p50_ms, p95_ms: of `whole`,
    `threads` photos at a time. memory_mb: the most so far. model: of `model`, one photo at a time.
    """
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(whole, photos[:threads]))  # each of them starts a thread
        start = time.process_time()
        seconds: list[float] = []
        wall, cpu = time.perf_counter(), time.process_time()
        list(pool.map(lambda photo: seconds.append(_cost(whole, photo)[0]), photos))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "start_cpu_s": start,
        "cpu_ms": 1000 * cpu / len(photos),
        "images_per_second": len(photos) / wall,
        **_quantiles(seconds),
        "memory_mb": memory,
        "model": _alone(decode, model, photos),
    }


def _alone(decode: Decode, model: Model, photos: Sequence[Path]) -> dict[str, float]:
    model(decode(photos[0]))
    costs = [_cost(model, decode(photo)) for photo in photos]
    return {"cpu_ms": 1000 * statistics.mean(cpu for _, cpu in costs), **_quantiles([wall for wall, _ in costs])}


def _cost(work: Callable[[Any], object], what: object) -> tuple[float, float]:
    """Seconds of wall time, and of CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    work(what)
    return time.perf_counter() - wall, time.process_time() - cpu


def _quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """The median and the 95th percentile, in ms."""
    ordered = sorted(seconds)
    return {"p50_ms": 1000 * statistics.median(ordered), "p95_ms": 1000 * ordered[int(0.95 * (len(ordered) - 1))]}
