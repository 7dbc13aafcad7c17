"""Train variants of the recipe with several seeds each, and compare them: the tables of docs/measurements.md.

    python -m tools.lab.ablation tools/lab/ablation.yaml [--only base,ema] [--seeds 1,2,3] [--output .work/ablation]

The plan is YAML: `<variant>: {<key of params.yaml's train section>: <value>, ...}`, over the params.yaml of the project
in the current directory, whose records and initial checkpoint must exist (`dvc repro train_tpu`). Every variant is
trained with every seed by stages.train_tpu and measured by stages.evaluate, in its own folder under --output. A
finished training is not repeated, one that died is resumed. Choose by the validation split: the table has the AP and
AP50 of the best checkpoint there, and then on the test split. Minutes are those of stages.train_tpu, all its sessions
together.
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from detector.base import errors, files, params, paths
from detector.base.errors import UserError
from detector.data.params import DatasetParams

REPOSITORY = Path(__file__).resolve().parents[2]
SCORES = ("val AP", "val AP50", "test AP", "test AP50")
RESULT = "done.json"
CLOCK = "seconds"  # of training so far
Row = tuple[str, int, Mapping[str, float]]


def main() -> None:
    arguments = _arguments()
    plan = _plan(Path(arguments.plan), arguments.only)
    rows: list[Row] = []
    for seed in arguments.seeds:  # the outer loop, so that an ablation that is stopped early has every variant
        for variant, overrides in plan.items():
            folder = Path(arguments.output) / f"{variant}-seed{seed}"
            print(f"{variant}, seed {seed}: {folder}", flush=True)
            rows.append((variant, seed, _measure(folder, {**overrides, "seed": seed})))
            print(_table(rows), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.lab.ablation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plan", help="YAML: {variant: {key: value}}")
    parser.add_argument("--only", type=lambda names: names.split(","), help="variants, with commas; default: all")
    parser.add_argument("--seeds", type=lambda seeds: [int(seed) for seed in seeds.split(",")], default=[1, 2, 3])
    parser.add_argument("--output", default=".work/ablation", help="default: %(default)s")
    return parser.parse_args()


def _plan(path: Path, only: Sequence[str] | None) -> dict[str, dict[str, Any]]:
    try:
        plan = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, YAMLError) as error:
        raise UserError(str(path), f"cannot be read: {error}", "give a YAML file: {variant: {key: value}}") from error
    if not isinstance(plan, dict) or not all(isinstance(overrides, dict) for overrides in plan.values()):
        raise UserError(str(path), "holds no {variant: {key: value}}", "see tools/lab/ablation.yaml")
    if unknown := sorted(set(only or ()) - plan.keys()):
        raise UserError(str(path), f"unknown variant {', '.join(unknown)}", f"there are {', '.join(plan)}")
    return {name: overrides for name, overrides in plan.items() if not only or name in only}


def _measure(folder: Path, overrides: Mapping[str, Any]) -> dict[str, float]:
    """The scores of one training, and its minutes; trained only if `folder` has no result yet."""
    document = _with(overrides)
    result = folder / RESULT
    if result.exists():
        saved: dict[str, Any] = json.loads(result.read_text())
        if saved["of"] == _identity(document):
            return dict(saved["scores"])
        remedy = f"remove it: rm -r {shlex.quote(str(folder))}"
        raise UserError(str(folder), "holds a training with other params or data", remedy)
    _prepare(folder, document)
    clock = folder / CLOCK
    started = time.monotonic() - (float(clock.read_text()) if clock.exists() else 0)
    try:
        _run("train_tpu", folder)
    finally:  # the minutes of a training that died count too
        seconds = time.monotonic() - started
        files.write_text(clock, f"{seconds}\n")
    _run("evaluate", folder)
    scores = {**_scores(folder), "minutes": round(seconds / 60, 2)}
    shutil.rmtree(folder / paths.TRAIN)  # checkpoints of a whole ablation would fill the disk
    files.write_text(result, json.dumps({"of": _identity(document), "scores": scores}, indent=2) + "\n")
    return scores


def _identity(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the scores depend on: the params, the records, the initial weights."""
    inputs = [*map(paths.record, paths.SPLITS), *sorted(paths.PRETRAINED.glob("ckpt-1.*"))]
    digests = {path.as_posix(): files.sha256(path) for path in inputs if path.exists()}
    return {"train": document["train"], "dataset": document["dataset"], "files": digests}


def _with(overrides: Mapping[str, Any]) -> dict[str, Any]:
    document = params.read()
    if unknown := sorted(overrides.keys() - document["train"].keys()):
        raise UserError(params.PARAMS_FILE, "unknown key", "correct the plan", item=f"train.{unknown[0]}")
    document["train"].update(overrides)
    return document


def _prepare(folder: Path, document: Mapping[str, Any]) -> None:
    """A project of symbolic links to this one's data."""
    folder.mkdir(parents=True, exist_ok=True)
    with files.whole_file(folder / params.PARAMS_FILE) as path, path.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(document, file)
    dataset = Path(params.load("dataset", DatasetParams).dir)
    for needed in (dataset, paths.DATA, paths.PRETRAINED):
        if not needed.exists():
            raise UserError(str(needed), "not found", "run: dvc repro train_tpu")
        link = folder / needed
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(needed.resolve())


def _run(stage: str, folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    before = signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the training, which saves first
    try:
        code = subprocess.run(
            [sys.executable, "-m", f"stages.{stage}"], cwd=folder, env=environment, check=False
        ).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    if code == errors.EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise UserError(str(folder), f"stages.{stage} ended with {code}", "see above; run again to resume")


def _scores(folder: Path) -> dict[str, float]:
    """Of the best checkpoint, on the validation split and on the test split."""
    test = json.loads((folder / paths.EVALUATE / "metrics.json").read_text())
    best = json.loads((folder / paths.TRAIN / "train.json").read_text())["best"]
    values = (best["AP"], best["AP50"], test["AP"], test["AP50"])
    return {name: float(value) for name, value in zip(SCORES, values, strict=True)}


def _table(rows: Iterable[Row]) -> str:
    """Markdown: the mean of each variant's seeds, and their range."""
    grouped: dict[str, list[Mapping[str, float]]] = {}
    for variant, _, scores in rows:
        grouped.setdefault(variant, []).append(scores)
    lines = [f"| variant | seeds | {' | '.join(SCORES)} | minutes |", "| --- |" + " --- |" * (len(SCORES) + 2)]
    for variant, runs in grouped.items():
        cells = [_cell([scores[name] for scores in runs]) for name in SCORES]
        minutes = statistics.mean(scores["minutes"] for scores in runs)
        lines.append(f"| {variant} | {len(runs)} | {' | '.join(cells)} | {minutes:.1f} |")
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    mean = f"{statistics.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    errors.run(main)
