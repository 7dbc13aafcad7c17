"""What the server counts, as Prometheus reads it."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as TEXT

from tools.serving.guard import Seen
from tools.serving.pool import Pool

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
METHODS = ("GET", "POST")
__all__ = ["TEXT", "Metrics"]


class Metrics:
    """Of one server. No label has a value that a client chooses: each would be kept for ever."""

    def __init__(self, pool: Pool) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "passo_requests", "Answered requests", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "passo_request_seconds", "From the headers to the answer", ["route"], buckets=SECONDS, registry=registry
        )
        self._detections = Counter("passo_detections", "Boxes in answers", ["class"], registry=registry)
        for name, text, value in (
            ("passo_photos_waiting", "Photos that wait for a worker", lambda: pool.waiting),
            ("passo_workers_alive", "Workers that take photos", pool.alive),
            ("passo_worker_restarts", "Workers that were started again", lambda: pool.restarts),
        ):
            Gauge(name, text, registry=registry).set_function(value)
        ProcessCollector(registry=registry)

    def seen(self, request: Seen) -> None:
        method = request.method if request.method in METHODS else "other"
        self._requests.labels(method, request.route or "other", request.status).inc()
        self._seconds.labels(request.route or "other").observe(request.seconds)

    def detected(self, names: list[str]) -> None:
        for name in names:
            self._detections.labels(name).inc()

    def text(self) -> bytes:
        return bytes(generate_latest(self._registry))
