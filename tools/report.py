"""One page that shows a whole run: how it learned, how good it is, what it gets wrong, and what it was made from.

    make report            (or: python -m tools.report)

In:  model/train/train.json, results/train (DVCLive), results/evaluate, results/predict, params.yaml, dvc.lock, git, and
     dataset/data/{*.csv,annotation_report.csv}; for what is missing, the page shows the command that makes it; and
     logs/bench_predict, if `make bench-predict` has run
Out: results/report.html, self-contained: no script, font or picture from elsewhere, so it opens offline and can be
     mailed. The same inputs give the same bytes.
"""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detector.annotations import left_out
from detector.base import errors, files, paths
from detector.base.errors import UserError
from detector.weights import recipe
from detector.weights.params import NO_START, STARTS
from tools.cloud import git, lineage
from tools.lab import bench_predict
from tools.page import charts, pictures
from tools.page.inputs import REMAKE, points, read_json, read_metrics, read_rows, read_yaml
from tools.page.rendering import render

TEMPLATE = "report.html.j2"
LOSSES = {  # DVCLive's name -> the page's
    "loss/total_loss": "total",
    "val/loss": "validation",
    "loss/localization_loss": "localization",
    "loss/classification_loss": "classification",
    "loss/regularization_loss": "regularization",
}
GIVEN = ("dataset/", f"{STARTS}/")  # whose folders are the user's, unless a stage makes them
SHOWN = (paths.DATA, paths.TRAIN, paths.TRAIN_RESULTS, paths.EVALUATE, paths.EXPORT, paths.PREDICT)
VALIDATION = {"val/AP50": "AP50", "val/AP": "AP"}


def main() -> None:
    """Read, render, write."""
    shown = context()
    page = render(TEMPLATE, shown)
    files.write_text(paths.REPORT, page)
    lineage.warn(shown["stale"])
    errors.say(f"{paths.REPORT}: {len(page.encode()) / 1e6:.1f} MB, opens in any browser, offline too")


def context() -> dict[str, Any]:
    """Everything that the template shows."""
    metrics = read_metrics(paths.EVALUATE / "metrics.json")
    result = {
        "metrics": metrics,
        "training": training(),
        "precision_recall": precision_recall(),
        "confusion": confusion(list(metrics.get("per_class", {}))),
        "side_by_side": pictures.side_by_side(),
        "predictions": pictures.predictions(),
    }
    if not any(result.values()):
        raise UserError("results", "nothing to report yet", "run: make train")
    sections = read_yaml(Path("params.yaml"))
    trained = read_metrics(paths.TRAIN / "train.json")
    return result | {
        "trained": trained,
        "params": {name: section for name, section in sections.items() if isinstance(section, dict)},
        "splits": splits(),
        "remarks": remarks(),
        "left_out": left_out.in_words(left_out.of_report()),
        "start": recipe.described(trained.get("start") or {}),
        "lineage": outputs(read_yaml(lineage.LOCK)),
        "stale": lineage.stale(*SHOWN),
        "cost": cost(),
        "commit": commit(),
        "frame": charts,
    }


def training() -> list[charts.Chart]:
    """The loss and validation charts, of what was logged."""
    losses, scores = logged(LOSSES), logged(VALIDATION)
    steps = max((line[-1][0] for line in [*losses.values(), *scores.values()]), default=0.0)
    result = [charts.chart("Loss", "step", losses, x_max=steps)] if losses else []
    return result + ([charts.chart("Validation accuracy", "step", scores, x_max=steps, y_max=1.0)] if scores else [])


def logged(names: Mapping[str, str]) -> dict[str, list[charts.Point]]:
    """The (step, value) points of DVCLive's scalars, by their name on the page; without those that were not logged."""
    lines = {}
    for name, shown in names.items():
        path = paths.TRAIN_RESULTS / f"plots/metrics/{name}.tsv"
        lines[shown] = points(read_rows(path, "\t"), "step", name.rpartition("/")[2], path)
    return {shown: line for shown, line in lines.items() if line}


def precision_recall() -> charts.Chart | None:
    """Precision over recall, one line per class."""
    path = paths.EVALUATE / "precision_recall.csv"
    rows = read_rows(path)
    by_class: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_class.setdefault(row.get("class", ""), []).append(row)
    lines = {name: points(of_class, "recall", "precision", path) for name, of_class in by_class.items()}
    return charts.chart("Precision over recall", "recall", lines, x_max=1.0, y_max=1.0) if rows else None


def confusion(classes: Sequence[str]) -> dict[str, Any] | None:
    """Counts of (actual, predicted) as a table; `percent` is the share of the row, which colours the cell."""
    path = paths.EVALUATE / "confusion.csv"
    rows = read_rows(path)
    if not rows:
        return None
    try:
        counts = Counter((row["actual"], row["predicted"]) for row in rows)
    except KeyError as error:
        raise UserError(str(path), f"has no column {error}", REMAKE) from error
    names = [*classes, *sorted({name for pair in counts for name in pair} - set(classes))]
    return {"names": names, "rows": [(actual, _cells(counts, actual, names)) for actual in names]}


def _cells(counts: Mapping[tuple[str, str], int], actual: str, names: Sequence[str]) -> list[dict[str, Any]]:
    row = {predicted: counts.get((actual, predicted), 0) for predicted in names}
    total = sum(row.values()) or 1
    return [
        {"count": count, "percent": round(100 * count / total), "right": predicted == actual}
        for predicted, count in row.items()
    ]


def splits() -> list[str]:
    """How many images and boxes each split has, in words."""
    result = []
    for split in paths.SPLITS:
        rows = read_rows(paths.csv(split))
        if rows:
            count, boxes = len({row.get("filename") for row in rows}), sum(bool(row.get("class")) for row in rows)
            result.append(f"{split}: {count:,} images, {boxes:,} boxes")
    return result


def cost() -> dict[str, Any] | None:
    """What predictions cost, as `make bench-predict` has measured it."""
    path = bench_predict.OUTPUT / "results.json"
    found = read_json(path, None)
    if found is None:
        return None
    try:
        chart = base64.b64encode(path.with_name("chart.svg").read_bytes()).decode()
        rows = [bench_predict.cells(row) for row in found["rows"]]
        return {"about": dict(found["about"]), "head": bench_predict.HEAD, "rows": rows, "chart": chart}
    except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
        raise UserError(str(path), f"is not what is read here: {error}", "run: make bench-predict") from error


def remarks() -> dict[str, int] | None:
    """How many lines the annotation report has, by action; None before xml2csv has run."""
    path = paths.DATA / "annotation_report.csv"
    return dict(sorted(Counter(row.get("action", "") for row in read_rows(path)).items())) if path.is_file() else None


def outputs(lock: Mapping[str, Any]) -> list[dict[str, str]]:
    """Each output in dvc.lock, and each dataset and model to start from that no stage made, with its content hash."""
    stages = lock.get("stages") or {}
    if not isinstance(stages, dict) or not all(isinstance(stage, dict) for stage in stages.values()):
        raise UserError("dvc.lock", "its stages are not a mapping", "restore it: git checkout dvc.lock")
    outs = [(name, out) for name, stage in sorted(stages.items()) for out in stage.get("outs") or []]
    not_given = {NO_START.as_posix(), *(out["path"] for _, out in outs)}
    deps = {dep["path"]: dep for stage in stages.values() for dep in stage.get("deps") or []}
    data = [("given", dep) for path, dep in sorted(deps.items()) if path.startswith(GIVEN) and path not in not_given]
    return [{"by": by, "path": entry["path"], "hash": str(entry.get("md5", ""))} for by, entry in data + outs]


def commit() -> str:
    """The git commit, marked if tracked files were changed since; empty outside of a repository."""
    try:
        head = git.run("rev-parse", "HEAD").strip()
        return head + (
            " with uncommitted changes" if git.run("status", "--porcelain", "--untracked-files=no", "--", ".") else ""
        )
    except ValueError:
        return ""


if __name__ == "__main__":
    errors.run(main, __doc__)
