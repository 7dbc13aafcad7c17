"""From a model on the disk to a server that answers, and back to a machine as it was."""

import json
import re
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.base import errors, params, paths
from detector.prediction import threads
from detector.prediction.detector import FORMATS
from detector.prediction.params import PredictParams, given_threshold
from tools.serving import demo, pool, server, snapshots
from tools.serving.api import Api
from tools.serving.guard import HEALTH, Guard, Policy, Seen
from tools.serving.limits import Limits
from tools.serving.worker import Facts, Model


@dataclass(frozen=True)
class Options:
    """What a command line says.

    names: of the host, that clients may use. model: a folder, or empty for model/export. threshold: a score, or empty
    for params.yaml's. token: empty for none. page: whether the demo's page is at /.
    """

    host: str
    port: int
    model: str
    threshold: str
    token: str
    limits: Limits
    names: Sequence[str] = ()
    workers: int = 0
    page: bool = False


def run(options: Options) -> None:
    """Load the model, and answer until SIGINT, SIGTERM or SIGHUP."""
    asked = given_threshold(options.threshold)
    settings = params.load("predict", PredictParams)
    precision = settings.precision
    if precision not in FORMATS:
        errors.say(f"predict.precision: {precision} needs OpenVINO, which the server does not have: float32 instead")
        precision = "float32"
    listener = server.bound(options.host, options.port)
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn has handlers of its own, and calls these in the end
        signal.signal(number, lambda *_: sys.exit(0))
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # a terminal that is closed; nohup ignores it
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    names = frozenset(name.lower() for name in (options.host, socket.gethostname(), *options.names))
    policy = Policy(names, options.token, frozenset({HEALTH, "/"} if options.page else {HEALTH}))
    with snapshots.taken(options.model) as folder:
        lowest = settings.threshold(folder, asked)
        model = Model(folder, precision, settings.agnostic_nms)
        with pool.opened(model, max(options.workers, 0) or threads.cores(), options.limits) as workers:
            api = api_of(workers, folder, lowest, options)

            def seen(request: Seen) -> None:
                api.metrics.seen(request)
                errors.say(request.line())

            errors.say(*start_lines(options, listener, workers.facts, lowest))
            server.run(Guard(api.app(), policy, options.limits, seen), listener, options.limits, seen)


def api_of(workers: pool.Pool, folder: Path, lowest: float, options: Options) -> Api:
    """The answers; with the page, if that is asked for."""
    record, facts = read(folder / paths.MODEL_RECORD), workers.facts
    if not options.page:
        return Api(workers, record, lowest)
    card = folder / snapshots.CARD
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL).strip()  # what Hugging Face reads, not people
    shown = {"names": facts.names, "model": facts.digest, "record": record, "card": text, "threshold": lowest}
    limits = {"pixels": options.limits.pixels, "bytes": options.limits.body}
    return Api(workers, record, lowest, demo.page({**shown, "token": options.token, "limits": limits}))


def start_lines(options: Options, listener: socket.socket, facts: Facts, lowest: float) -> list[str]:
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    model = f"{options.model or paths.EXPORT}: {errors.few(list(facts.names.values()))}, scores from {lowest:g} up"
    if options.page:
        return [model, f"open {url}/ in a browser; Ctrl-C ends it"]
    return [
        model,
        f"serves {url}/v1/detect; /v1/model /health /metrics /openapi.json; Ctrl-C ends it",
        f"try: curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' {url}/v1/detect",
    ]


def read(record: Path) -> dict[str, Any]:
    """What model.json says; nothing where there is none."""
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
