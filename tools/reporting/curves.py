"""The line charts of the report, in the reader's language."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from detector.base import paths
from tools.page import charts
from tools.page.inputs import points, read_rows
from tools.page.language import Language
from tools.reporting import counting
from tools.reporting.counting import GRID
from tools.reporting.measured import Measured

LOSSES = {  # DVCLive's name -> the page's
    "loss/total_loss": "total",
    "val/loss": "validation",
    "loss/localization_loss": "localization",
    "loss/classification_loss": "classification",
    "loss/regularization_loss": "regularization",
}
VALIDATION = {"val/AP50": "AP50", "val/AP": "AP"}
CLASSES = 6  # lines of a chart: there are as many colours


def training(language: Language, trained: Mapping[str, Any]) -> list[charts.Chart]:
    """The loss and validation charts, of what was logged, with the best step."""
    losses, scores = logged(LOSSES, language), logged(VALIDATION, language)
    steps = max((line[-1][0] for line in [*losses.values(), *scores.values()]), default=0.0)
    best = trained.get("best_step") if trained.get("best") else None
    marks = (
        {language.text("best: step {step}", step=best): float(best)} if isinstance(best, int) and best <= steps else {}
    )
    step = language.text("step")
    result = [charts.chart(language.text("Loss"), step, losses, x_max=steps, marks=marks)] if losses else []
    if scores:
        title = language.text("Validation accuracy")
        result.append(charts.chart(title, step, scores, x_max=steps, y_max=1.0, marks=marks))
    return result


def logged(names: Mapping[str, str], language: Language) -> dict[str, list[charts.Point]]:
    """The (step, value) points of DVCLive's scalars, by their name on the page; without those that were not logged."""
    lines = {}
    for name, shown in names.items():
        path = paths.TRAIN_RESULTS / f"plots/metrics/{name}.tsv"
        lines[language.text(shown)] = points(read_rows(path, "\t"), "step", name.rpartition("/")[2], path)
    return {shown: line for shown, line in lines.items() if line}


def precision_recall(language: Language, metrics: Mapping[str, Any]) -> charts.Chart | None:
    """Precision over recall, one line per class: of many, those of the least AP."""
    path = paths.EVALUATE / "precision_recall.csv"
    rows = read_rows(path)
    by_class: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_class.setdefault(row.get("class", ""), []).append(row)
    aps = {name: metrics.get("per_class", {}).get(name, {}).get("AP", 0.0) for name in by_class}
    worst = sorted(by_class, key=lambda name: aps[name])[:CLASSES]
    lines = {name: points(by_class[name], "recall", "precision", path) for name in by_class if name in worst}
    names = (language.text("Precision over recall"), language.text("recall"))
    return charts.chart(*names, lines, x_max=1.0, y_max=1.0) if rows else None


def over_threshold(language: Language, measured: Measured) -> charts.Chart:
    """Precision, recall and F1 over the score threshold."""
    counts = measured.counts
    values = {"precision": counts.precision(), "recall": counts.recall(), "F1": counts.f1()}
    lines = {language.text(name): [*zip(GRID.tolist(), line.tolist(), strict=True)] for name, line in values.items()}
    names = (language.text("By threshold"), language.text("threshold"))
    return charts.chart(*names, lines, x_max=1.0, y_max=1.0, marks={language.text("threshold"): measured.threshold})


def calibration(language: Language, measured: Measured) -> tuple[charts.Chart, float] | None:
    """How often detections of a score are right, beside the score itself; and how far off the scores are on average."""
    tenths = counting.calibration(measured.images)
    if not tenths:
        return None
    scores, shares, numbers = (np.array(column) for column in zip(*tenths, strict=True))
    lines = {
        language.text("right"): [*zip(scores.tolist(), shares.tolist(), strict=True)],
        language.text("as sure as it says"): [(0.0, 0.0), (1.0, 1.0)],
    }
    chart = charts.chart(language.text("Calibration"), language.text("score"), lines, x_max=1.0, y_max=1.0)
    return chart, float(np.average(np.abs(shares - scores), weights=numbers))
