"""The summary at the end of `make train`: how good the detector is, where the results are, what to try next.

    python -m tools.summary

In:  model/train/train.json, results/train, results/evaluate, dataset/data/{annotation_report,train,test}.csv,
     logs/speed.json; whether the model, report and pictures exist
Out: at most 20 lines on the terminal; and one on stderr, where these are not what dvc.lock names
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detector.annotations import left_out
from detector.base import errors, paths
from detector.base.errors import UserError
from detector.weights import recipe
from tools.checks import enough
from tools.cloud import lineage
from tools.page.inputs import read_metrics, read_yaml
from tools.page.language import ENGLISH, Message
from tools.reporting import advice
from tools.reporting.advice import Finding

CLASSES = 12  # shown one by one; the rest is counted
PLACES = {
    "SavedModel": paths.EXPORT / "saved_model",
    "TFLite": paths.EXPORT / "model.tflite",
    "report": paths.REPORT,
    "pictures": paths.EVALUATE / "pictures",
}
TRAINED = paths.TRAIN / "train.json"  # written last: missing after a training that died
MEASURED = paths.EVALUATE / "metrics.json"


def read(path: Path) -> dict[str, Any]:
    """The metrics in a JSON file.

    Raises:
        UserError: the file is missing or holds no metrics.
    """
    if not path.exists():
        raise UserError(str(path), "not found", "run: make train")
    return read_metrics(path)


def check_trained() -> None:
    """Refuse to summarise after a training that died: results/ are partly its own, partly of the model before it."""
    if not TRAINED.exists() and (MEASURED.exists() or paths.TRAIN_RESULTS.exists()):
        raise UserError(
            str(TRAINED),
            "the last training did not finish",
            "run make train again, or: source .venv/bin/activate; dvc checkout",
        )


def number(metrics: Mapping[str, Any], name: str) -> str:
    """A metric with three digits, or `-` where there was nothing to measure."""
    value = metrics.get(name)
    return f"{value:.3f}" if isinstance(value, int | float) else "-"


def counted(value: object, noun: str) -> str:
    """`1 test image`, or `? test images` where the number is not known."""
    return errors.counted(value, noun) if isinstance(value, int) else f"? {noun}s"


def per_class(metrics: Mapping[str, Any]) -> str:
    """`cat 0.661, dog 0.629 (AP)`."""
    classes: Mapping[str, Mapping[str, Any]] = metrics.get("per_class") or {}
    shown = [f"{name} {number(values, 'AP')}" for name, values in list(classes.items())[:CLASSES]]
    more = [f"and {len(classes) - CLASSES} more"] if len(classes) > CLASSES else []
    return ", ".join(shown + more) + " (AP)"


def intervals(metrics: Mapping[str, Any]) -> str:
    """`AP 0.590 to 0.690, AP50 0.921 to 0.981 with other test images`; of those that were measured, on enough."""
    if enough.has_few_test_photos(metrics) and metrics.get("AP") is not None:
        return "too few test images for an interval"
    known = {name: enough.measured_interval(metrics, name) for name in ("AP", "AP50")}
    shown = [f"{name} {number(one, 'low')} to {number(one, 'high')}" for name, one in known.items() if one]
    return f"{', '.join(shown)} with other test images" if shown else ""


def lines(
    training: Mapping[str, Any],
    metrics: Mapping[str, Any],
    skipped: str,
    warnings: Sequence[Message],
    helpful: Finding,
    dataset: str,
) -> list[str]:
    """The summary.

    Args:
        skipped: how many photos and boxes of the dataset were, and why; empty where none were.
        warnings: what the dataset is too small for.
        helpful: the step that would help most.
        dataset: the name of what it was trained on.
    """
    score = f"AP {number(metrics, 'AP')}, AP50 {number(metrics, 'AP50')}"
    places = [f"  {name:<12}{path}" for name, path in PLACES.items() if path.exists()]
    steps, best = training.get("steps", "?"), training.get("best_step", "?")
    model = f"best at step {best} of {steps}" if training.get("best") else f"after {counted(steps, 'training step')}"
    epochs = f" ({training['epochs']:g} epochs)" if training.get("epochs") else ""
    return [
        f"{score} on {counted(metrics.get('images'), 'test image')}, {model}{epochs}",
        *([f"  {'95 %':<12}{shown}"] if (shown := intervals(metrics)) else []),
        *([f"  {'per class':<12}{per_class(metrics)}"] if metrics.get("per_class") else []),
        *([f"  {'start':<12}{shown}"] if (shown := recipe.described(training.get("start") or {})) else []),
        *([f"  {'left out':<12}{skipped}"] if skipped else []),
        *(f"  {'warning':<12}{words}" for words in warnings),
        *places,
        "Next:",
        *(f"  {command:<42} {what}" for command, what in following(dataset)),
        *most_helpful(helpful),
    ]


def following(dataset: str) -> list[tuple[str, str]]:
    """The commands that go on from here, and what they are for."""
    own = "your own labelled photos, to train on" if dataset in ("", advice.BUILT_IN) else "more labelled photos"
    return [
        ("make predict IMAGES=folder", "your own photos"),
        (advice.adding(dataset), own),
        ("make runs", "all runs, a line each"),
    ]


def most_helpful(best: Finding) -> list[str]:
    """The command of a finding, and why."""
    title, why = (ENGLISH.text(message, **best.values) for message in (best.title, best.why))
    return ["Helps most:", f"  {advice.typed(best.command)}", f"    {title}: {why}"]


def advised(training: Mapping[str, Any], metrics: Mapping[str, Any], dataset: Path) -> Finding:
    """The step that would help most, by the evidence that the report shows, too."""
    from tools.reporting import evidence, measured  # late: they import numpy

    return advice.findings(evidence.of_run(str(dataset), training, metrics, measured.read()))[0]


def folder() -> Path:
    """That of the dataset, by params.yaml; the built-in one where that names none."""
    settings = read_yaml(Path("params.yaml")).get("dataset")
    return Path(str(settings.get("dir", paths.SAMPLE))) if isinstance(settings, dict) else paths.SAMPLE


def main() -> None:
    """Read, print."""
    check_trained()
    lineage.warn(lineage.stale(paths.TRAIN, paths.EVALUATE, paths.EXPORT, paths.DATA))
    training, metrics = read(TRAINED), read(MEASURED)
    dataset = folder()
    warnings = [*enough.of_training(str(training.get("model")), dataset)]
    skipped = left_out.in_words(left_out.of_report())
    errors.say(*lines(training, metrics, skipped, warnings, advised(training, metrics, dataset), dataset.name))


if __name__ == "__main__":
    errors.run(main, __doc__)
