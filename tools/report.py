"""One page to explore a run: how good it is, what it gets wrong, how it learned, what would help, where it came from.

    make report            (or: python -m tools.report)

In:  model/train/train.json, results/train (DVCLive), results/evaluate, results/parity, model/export, params.yaml,
     dvc.lock, git, dataset/data/{*.csv,annotation_report.csv}, and the test images; for what is missing, the page shows
     the command that makes it; and logs/bench_predict, if `make bench-predict` has run, or logs/latency.json
Out: results/report.html, and results/report.pt-BR.html in Portuguese: each self-contained, so it opens offline and can
     be mailed. No font, picture or script from elsewhere; its one script is allowed by its hash, and all can be read
     without. The same inputs give the same bytes: what a photo takes is measured once for each model, and kept in
     logs/latency.json.
"""

import base64
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from detector.annotations import left_out
from detector.base import errors, files, paths
from detector.base.errors import UserError
from detector.weights import recipe
from tools.checks import enough
from tools.cloud import lineage
from tools.page import charts
from tools.page.inputs import read_metrics, read_yaml
from tools.page.language import ENGLISH, Language, portuguese
from tools.page.rendering import render
from tools.reporting import (
    advice,
    album,
    before,
    confusions,
    content,
    costs,
    curves,
    data,
    evidence,
    fixing,
    latency,
    measured,
    model,
    origin,
)

TEMPLATE = "report/page.html.j2"
SCRIPTS = ("threshold.js", "gallery.js", "charts.js", "table.js")
FOLDER = Path(__file__).parent / "page" / "report"
SHOWN = (paths.DATA, paths.TRAIN, paths.TRAIN_RESULTS, paths.EVALUATE, paths.EXPORT, paths.PREDICT)
PORTUGUESE = paths.REPORT.with_name("report.pt-BR.html")
MOST_BYTES = 5_900_000  # of a page, so that it can be mailed


def main() -> None:
    """Read, render, write."""
    shown = context()
    for path, page in pages(shown).items():
        files.write_text(path, page)
        size = f"{len(page.encode()) / 1e6:.1f} MB"
        errors.say(f"{path}: {size}, opens in any browser, offline too" if path == paths.REPORT else f"{path}: {size}")
    lineage.warn(shown["stale"])


def pages(shown: dict[str, Any]) -> dict[Path, str]:
    """Both pages. Where boxes by the thousand make one too large, it has fewer photos."""
    made = {
        path: render(TEMPLATE, shown | in_words(shown, language) | {"other": other.name})
        for path, language, other in ((paths.REPORT, ENGLISH, PORTUGUESE), (PORTUGUESE, portuguese(), paths.REPORT))
    }
    photos = shown["photos"]
    if photos and max(len(page.encode()) for page in made.values()) > MOST_BYTES:
        return pages(shown | {"photos": photos[: len(photos) * 3 // 4]})
    return made


def context() -> dict[str, Any]:
    """What the templates show, whatever the language."""
    metrics, trained = read_metrics(paths.EVALUATE / "metrics.json"), read_metrics(paths.TRAIN / "train.json")
    if not metrics and not curves.training(ENGLISH, trained):
        raise UserError("results", "nothing to report yet", "run: make train")
    sections = read_yaml(Path("params.yaml"))
    params = {name: section for name, section in sections.items() if isinstance(section, dict)}
    dataset = str(params.get("dataset", {}).get("dir", paths.SAMPLE))
    found = measured.read()
    head, changed = origin.commit()
    cost = costs.read()
    photos = album.photos(found, dataset) if found else []
    return {
        "metrics": metrics,
        "trained": trained,
        "params": params,
        "dataset": dataset,
        "measured": found,
        "confusion": confusions.confusion(found.images, list(found.names), found.place) if found else None,
        "gains": fixing.gains(found.images, list(found.names)) if found else {},
        "photos": photos,
        "are_photos_here": bool(photos),
        "typed": advice.typed,
        "warnings": [*enough.of_training(str(trained.get("model")), Path(dataset))] if metrics else [],
        "interval_of": functools.partial(enough.measured_interval, metrics),
        "has_few_test_photos": enough.has_few_test_photos(metrics),
        "findings": advice.findings(evidence.of_run(dataset, trained, metrics, found)),
        "before": before.last_commit(),
        "splits": data.splits(),
        "left_out": left_out.of_report(),
        "remarks": origin.remarks(),
        "start": recipe.name_of(trained.get("start") or {}),
        "formats": model.formats(cost["cpu_ms"] if cost else latency.of_formats()),
        "machine": latency.machine(),
        "licences": model.licences(),
        "cost": cost,
        "lineage": origin.outputs(read_yaml(lineage.LOCK)),
        "stale": lineage.stale(*SHOWN),
        "commit": head,
        "changed": changed,
        "frame": charts,
    }


def in_words(shown: dict[str, Any], language: Language) -> dict[str, Any]:
    """What differs with the language: words, numbers, charts, and what the script reads."""
    found, metrics = shown["measured"], shown["metrics"]
    script = "".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS) if found else ""
    result = {
        "language": language,
        "_": language.html,
        "plain": language.text,
        "opening": lambda text: text[:1].upper() + text[1:],
        "number": language.number,
        "whole": language.whole,
        "percent": language.percent,
        "training": curves.training(language, shown["trained"]),
        "precision_recall": curves.precision_recall(language, metrics),
        "script": Markup(script),  # noqa: S704 - ours
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "data": "",
    }
    if not found:
        return result
    numbers = content.now(found)
    page = content.for_script(found, shown["confusion"], shown["photos"], language)
    return result | {
        "now": numbers,
        "kind_names": content.KIND_NAMES,
        "classes": content.class_rows(found, metrics),
        "matrix": content.matrix(found, shown["confusion"], language),
        "over_threshold": curves.over_threshold(language, found),
        "calibration": curves.calibration(language, found),
        "sentence": content.sentence(numbers),
        "data": Markup(json.dumps(page, separators=(",", ":")).replace("<", "\\u003c")),  # noqa: S704 - no end of the element
    }


if __name__ == "__main__":
    errors.run(main, __doc__)
