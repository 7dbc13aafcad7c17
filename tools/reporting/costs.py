"""What predictions cost, as `make bench-predict` has measured it."""

import base64
from typing import Any

from detector.base.errors import UserError
from detector.export.params import FORMATS
from tools.lab import bench_predict
from tools.page.inputs import read_json


def read() -> dict[str, Any] | None:
    """The table and the chart, and `cpu_ms`: format -> ms of a photo on one core; None where nothing was measured."""
    path = bench_predict.OUTPUT / "results.json"
    found = read_json(path, None)
    if found is None:
        return None
    try:
        chart = base64.b64encode(path.with_name("chart.svg").read_bytes()).decode()
        rows = [bench_predict.cells(row) for row in found["rows"]]
        speeds = {row["key"]: row["cpu_ms"] for row in found["rows"] if row["cores"] == 1 and row.get("key") in FORMATS}
        return {
            "about": dict(found["about"]),
            "head": bench_predict.HEAD,
            "rows": rows,
            "chart": chart,
            "cpu_ms": speeds,
        }
    except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
        raise UserError(str(path), f"is not what is read here: {error}", "run: make bench-predict") from error
