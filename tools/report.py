"""One page that shows a whole run: how it learned, how good it is, what it gets wrong, and what it was made from.

    make report            (or: python -m tools.report)

In:  model/train/train.json, results/train (DVCLive), results/evaluate, results/predict, params.yaml, dvc.lock, git, and
     dataset/data/annotation_report.csv; what is missing is named on the page, with the command that makes it
Out: results/report.html, self-contained: no script, no font, no picture from elsewhere, so it opens offline and can be
     mailed. The same inputs give the same bytes.
"""

import base64
import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from detector.base import errors, files, paths
from detector.base.errors import UserError
from detector.pictures import images
from tools.cloud import git
from tools.page import charts

TEMPLATE = "report.html.j2"
REMAKE = "restore it with dvc checkout, or make it again with dvc repro"
PICTURES = 24  # of each kind
SHEET_WIDTH, PHOTO_WIDTH = 1000, 520  # pixels, about twice what the page shows
PICTURE_BYTES = 85_000  # at most, so that the page with all its pictures stays under 5 MB
LOSSES = {  # DVCLive's name -> what the page calls it
    "loss/total_loss": "total",
    "val/loss": "validation",
    "loss/localization_loss": "localization",
    "loss/classification_loss": "classification",
    "loss/regularization_loss": "regularization",
}
VALIDATION = {"val/AP50": "AP50", "val/AP": "AP"}


def read_metrics(path: Path) -> dict[str, Any]:
    """The metrics in a JSON file, empty where there is no such file."""
    content = read_json(path, {})
    names = ("per_class", "loss", "AP_interval", "AP50_interval")
    tables = [content.get(name, {}) for name in names] if isinstance(content, dict) else [None]
    classes = tables[0].values() if isinstance(tables[0], dict) else [None]
    if not all(isinstance(table, dict) for table in [*tables, *classes]):
        raise UserError(str(path), "does not hold metrics", REMAKE)
    return dict(content)


def read_json(path: Path, default: Any) -> Any:
    """The content of a JSON file, or `default` where there is no such file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(str(path), f"not valid JSON: {error}", REMAKE) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The sections of a YAML file, empty where there is no such file."""
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(str(path), f"not valid YAML: {error}", f"restore it: git checkout {path}") from error
    if not isinstance(content, dict):
        raise UserError(str(path), "holds no sections", f"restore it: git checkout {path}")
    return content


def read_rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    """The rows of a CSV or TSV with a header line, none where there is no such file."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                {key: value or "" for key, value in row.items() if key}
                for row in csv.DictReader(file, delimiter=delimiter)
            ]
    except FileNotFoundError:
        return []
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(str(path), f"not a table: {error}", REMAKE) from error


def points(rows: Iterable[Mapping[str, str]], x: str, y: str, path: Path) -> list[charts.Point]:
    """Two columns of a table as numbers, sorted by the first."""
    try:
        return sorted((float(row[x]), float(row[y])) for row in rows)
    except (KeyError, ValueError) as error:
        raise UserError(str(path), f"needs numbers in {x} and {y}: {error}", REMAKE) from error


def scalar(name: str) -> list[charts.Point]:
    """The (step, value) points of one of DVCLive's scalars, none where it was not logged."""
    path = paths.TRAIN_RESULTS / f"plots/metrics/{name}.tsv"
    return points(read_rows(path, "\t"), "step", name.rpartition("/")[2], path)


def training() -> list[charts.Chart]:
    """The loss and validation charts, of what was logged."""
    logged = {name: found for name in [*LOSSES, *VALIDATION] if (found := scalar(name))}
    steps = max((found[-1][0] for found in logged.values()), default=0.0)
    losses = {LOSSES[name]: found for name, found in logged.items() if name in LOSSES}
    scores = {VALIDATION[name]: found for name, found in logged.items() if name in VALIDATION}
    result = [charts.chart("Loss", "step", losses, x_max=steps)] if losses else []
    return result + ([charts.chart("Validation accuracy", "step", scores, x_max=steps, y_max=1.0)] if scores else [])


def precision_recall() -> charts.Chart | None:
    """Precision over recall, one line per class."""
    path = paths.EVALUATE / "precision_recall.csv"
    rows = read_rows(path)
    if not rows:
        return None
    names = list(dict.fromkeys(row.get("class", "") for row in rows))
    lines = {
        name: points([row for row in rows if row.get("class") == name], "recall", "precision", path) for name in names
    }
    return charts.chart("Precision over recall", "recall", lines, x_max=1.0, y_max=1.0)


def confusion(classes: Sequence[str]) -> dict[str, Any] | None:
    """Counts of (actual, predicted) as a table; `share` is the part of the row, which colours the cell."""
    path = paths.EVALUATE / "confusion.csv"
    rows = read_rows(path)
    if not rows:
        return None
    try:
        counts = Counter((row["actual"], row["predicted"]) for row in rows)
    except KeyError as error:
        raise UserError(str(path), f"has no column {error}", REMAKE) from error
    seen = {name for pair in counts for name in pair}
    names = [*classes, *sorted(seen - set(classes))]
    table = [(actual, [_cell(counts, actual, predicted, names) for predicted in names]) for actual in names]
    return {"names": names, "rows": table}


def _cell(counts: Mapping[tuple[str, str], int], actual: str, predicted: str, names: Sequence[str]) -> dict[str, Any]:
    total = sum(counts.get((actual, name), 0) for name in names)
    count = counts.get((actual, predicted), 0)
    return {"count": count, "percent": round(100 * count / total) if total else 0, "right": actual == predicted}


def side_by_side() -> list[dict[str, str]]:
    """The side-by-side pictures, the worst first, with what is wrong in each."""
    folder = paths.EVALUATE / "pictures"
    entries = read_json(folder / "pictures.json", [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) and "file" in e for e in entries):
        raise UserError(str(folder / "pictures.json"), "is not a list of pictures", REMAKE)
    entries = sorted(entries, key=lambda entry: entry.get("rank", 0))[:PICTURES]
    found = [(entry, folder / Path(str(entry["file"])).name) for entry in entries]
    return [
        {
            "source": data_uri(path, SHEET_WIDTH),
            "name": str(entry.get("filename", entry["file"])),
            "errors": error_counts(entry),
        }
        for entry, path in found
        if path.is_file()
    ]


def error_counts(entry: Mapping[str, Any]) -> str:
    """The counts of an entry of pictures.json in words: `1 missed, 2 false`."""
    counts = {k: v for k, v in entry.items() if isinstance(v, int) and not isinstance(v, bool) and k != "rank" and v}
    return ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in counts.items()) or "no error"


def predictions() -> list[dict[str, str]]:
    """Some photos with their predictions, evenly picked from all."""
    folder = paths.PREDICT / "pictures"
    every = sorted(path for path in folder.rglob("*") if images.is_image(path))
    picked = [every[k * len(every) // PICTURES] for k in range(PICTURES)] if len(every) > PICTURES else every
    return [{"source": data_uri(path, PHOTO_WIDTH), "name": path.relative_to(folder).as_posix()} for path in picked]


def data_uri(path: Path, width: int) -> str:
    """A picture as a `data:` URI: a JPEG of at most `width` pixels and `PICTURE_BYTES`."""
    picture = images.open_upright(path)
    if picture.width > width:
        height = max(1, round(picture.height * width / picture.width))
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    for quality in (84, 74, 62, 48, 30):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= PICTURE_BYTES:
            break
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def splits() -> list[str]:
    """How many images and boxes each split has, in words."""
    result = []
    for split in paths.SPLITS:
        rows = read_rows(paths.csv(split))
        if rows:
            count, boxes = len({row.get("filename") for row in rows}), sum(bool(row.get("class")) for row in rows)
            result.append(f"{split}: {count:,} images, {boxes:,} boxes")
    return result


def remarks() -> dict[str, int] | None:
    """How many annotations were repaired or remarked on, by action; None where xml2csv did not run."""
    path = paths.DATA / "annotation_report.csv"
    return dict(sorted(Counter(row.get("action", "") for row in read_rows(path)).items())) if path.is_file() else None


def lineage(lock: Mapping[str, Any]) -> list[dict[str, str]]:
    """Each output that dvc.lock records, and the data that no stage made, with its content hash."""
    stages = lock.get("stages") or {}
    if not isinstance(stages, dict) or not all(isinstance(stage, dict) for stage in stages.values()):
        raise UserError("dvc.lock", "its stages are no mapping", "restore it: git checkout dvc.lock")
    outs = [(name, out) for name, stage in sorted(stages.items()) for out in stage.get("outs") or []]
    made = {out["path"] for _, out in outs}
    given = {dep["path"]: dep for stage in stages.values() for dep in stage.get("deps") or []}
    data = [("given", dep) for path, dep in sorted(given.items()) if path.startswith("dataset/") and path not in made]
    return [{"by": by, "path": entry["path"], "hash": str(entry.get("md5", ""))} for by, entry in data + outs]


def commit() -> str:
    """The git commit, marked if tracked files were changed since; empty outside a repository."""
    try:
        head = git.run("rev-parse", "HEAD").strip()
        return head + (" with uncommitted changes" if git.run("status", "--porcelain", "--untracked-files=no") else "")
    except ValueError:
        return ""


def context() -> dict[str, Any]:
    """Everything that the template shows."""
    metrics = read_metrics(paths.EVALUATE / "metrics.json")
    result = {
        "metrics": metrics,
        "training": training(),
        "precision_recall": precision_recall(),
        "confusion": confusion(list(metrics.get("per_class", {}))),
        "side_by_side": side_by_side(),
        "predictions": predictions(),
    }
    if not any(result.values()):
        raise UserError("results", "there is nothing to report yet", "run: make train")
    parameters = read_yaml(Path("params.yaml"))
    return result | {
        "trained": read_metrics(paths.TRAIN / "train.json"),
        "params": {name: section for name, section in parameters.items() if isinstance(section, dict)},
        "splits": splits(),
        "remarks": remarks(),
        "lineage": lineage(read_yaml(Path("dvc.lock"))),
        "commit": commit(),
        "frame": charts,
    }


def render(values: Mapping[str, Any]) -> str:
    """The page; every string is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(values)


def main() -> None:
    """Read, render, write."""
    page = render(context())
    files.write_text(paths.REPORT, page)
    print(f"{paths.REPORT}: {len(page.encode()) / 1e6:.1f} MB, opens in any browser, offline too")


if __name__ == "__main__":
    errors.run(main, __doc__)
