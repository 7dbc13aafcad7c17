"""The curves as pictures, with matplotlib: drawn without a screen, the same bytes for the same numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from detector.data.tables import Ints
from detector.evaluation.curves import RECALLS, Curve
from detector.pictures.draw import colour

matplotlib.use("Agg")
matplotlib.rcParams["text.parse_math"] = False  # a $ in the name of a class is one
LINES = ("-", "--", ":", "-.")  # different without colours too
MOST_CELLS = 30  # rows of a confusion matrix whose counts are written in


def precision_recall(path: Path, curves: Mapping[int, Curve], names: Mapping[int, str], iou_threshold: float) -> None:
    """A PNG with one line per class: interpolated precision over recall, and the area under it."""
    figure, axes = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
    for k, (class_id, curve) in enumerate(curves.items()):
        red, green, blue = (value / 255 for value in colour(class_id))
        label = f"{names[class_id]}  AP {curve.interpolated.mean():.3f}"
        axes.plot(RECALLS, curve.interpolated, LINES[k % 4], color=(red, green, blue), linewidth=2.2, label=label)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.03))
    axes.set_title(f"Precision over recall at IoU {iou_threshold:g}")
    axes.grid(alpha=0.3)
    if len(curves) <= MOST_CELLS:
        axes.legend(loc="lower left")
    _save(figure, path)


def confusion_matrix(path: Path, matrix: Ints, names: Sequence[str], title: str) -> None:
    """A PNG of (C + 1, C + 1) counts, coloured by share. names: C + 1, the last the background.

    The share is that of the objects of the row's class; in the last row, of false detections, that of all detections
    of the column's class.
    """
    count = len(names)
    side = min(4 + 0.55 * count, 24)
    figure, axes = plt.subplots(figsize=(side + 0.8, side), layout="constrained")
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shares[-1] = matrix[-1] / np.maximum(matrix.sum(axis=0), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(count), names, rotation=0 if count < 6 else 90)
    axes.set_yticks(range(count), names)
    axes.set(xlabel="predicted", ylabel="actual", title=title)
    for row, column in np.ndindex(matrix.shape) if count <= MOST_CELLS else ():
        if (row, column) != (count - 1, count - 1):  # nothing detected where there is nothing: cannot be counted
            ink = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=ink)
    _save(figure, path)


def _save(figure: "plt.Figure", path: Path) -> None:
    figure.savefig(path, dpi=120, format="png", metadata={"Software": None})
    plt.close(figure)
