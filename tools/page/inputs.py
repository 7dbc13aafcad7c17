"""The files that the report and the summary show, read and checked for what the two rely on."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from detector.base import naming
from detector.base.errors import UserError

REMAKE = "restore it with dvc checkout, or make it again with dvc repro"
TABLES = ("per_class", "loss", "AP_interval", "AP50_interval", "start")  # of metrics.json and train.json


def read_metrics(path: Path) -> dict[str, Any]:
    """The metrics in a JSON file, empty where it is missing."""
    content = read_json(path, {})
    tables = [content.get(name, {}) for name in TABLES] if isinstance(content, dict) else [None]
    classes = tables[0].values() if isinstance(tables[0], dict) else [None]
    if not all(isinstance(table, dict) for table in [*tables, *classes]):
        raise UserError(str(path), "holds no metrics", REMAKE)
    return dict(content)


def read_json(path: Path, default: Any) -> Any:
    """The content of a JSON file, or `default` where it is missing."""
    return _read(path, json.loads, default, "JSON", REMAKE)


def read_yaml(path: Path) -> dict[str, Any]:
    """The sections of a YAML file, empty where it is missing."""
    remedy = f"restore it: git checkout {path}"
    content = _read(path, YAML(typ="safe", pure=True).load, {}, "YAML", remedy) or {}
    if not isinstance(content, dict):
        raise UserError(str(path), "holds no sections", remedy)
    return content


def read_rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    """The rows of a CSV or TSV with a header line, none where it is missing."""

    def rows(text: str) -> list[dict[str, str]]:
        table = csv.DictReader(io.StringIO(text), delimiter=delimiter)
        return [{key: naming.from_cell(value or "") for key, value in row.items() if key} for row in table]

    return list(_read(path, rows, [], "CSV", REMAKE))


def points(rows: Iterable[Mapping[str, str]], x: str, y: str, path: Path) -> list[tuple[float, float]]:
    """Two columns of a table as numbers, sorted by the first; errors are about `path`."""
    try:
        return sorted((float(row[x]), float(row[y])) for row in rows)
    except (KeyError, ValueError) as error:
        raise UserError(str(path), f"needs numbers in {x} and {y}: {error}", REMAKE) from error


def _read(path: Path, parse: Callable[[str], Any], default: Any, kind: str, remedy: str) -> Any:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
    except (ValueError, YAMLError, csv.Error, RecursionError) as error:
        raise UserError(str(path), f"not valid {kind}: {error}", remedy) from error
