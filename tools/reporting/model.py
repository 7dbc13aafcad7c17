"""What the report says of the exported model: each format's bytes, AP and speed, and its licences."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.base import paths
from detector.export.params import FORMATS
from tools.page.inputs import read_json
from tools.reporting import album

USES = {  # of a format: for what
    "saved_model": "TensorFlow and TensorFlow Serving",
    "tflite": "phones and small boards, as exact as the checkpoint",
    "tflite_float16": "the same in half the bytes",
    "tflite_int8": "a quarter of the bytes, the fastest on a CPU without OpenVINO",
    "tflite_saved_model": "to convert to TFLite yourself",
    "onnx": "ONNX Runtime, OpenVINO; `make predict` runs it",
    "onnx_int8": "ONNX Runtime, in a quarter of the bytes",
}


@dataclass(frozen=True)
class Format:
    """ap: on the test images, None where parity has not run. cpu_ms: of a photo on one core; None: not measured."""

    name: str
    file: str
    use: str
    megabytes: float
    ap: float | None
    cpu_ms: float | None


def formats(speeds: Mapping[str, float]) -> list[Format]:
    """The formats that are in model/export. speeds: format -> ms."""
    parity = read_json(paths.PARITY / "metrics.json", {})
    found = []
    for name, (file, _) in FORMATS.items():
        path = paths.EXPORT / file
        if path.exists():
            aps = parity.get(name) if isinstance(parity, dict) else None
            ap = aps.get("AP") if isinstance(aps, dict) else None
            found.append(Format(name, file, USES[name], size(path) / 1e6, ap, speeds.get(name)))
    return found


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if album.is_file(file))


def licences() -> dict[str, str]:
    """Of the code, the initial weights, the photos and the model, as model.json has them; empty without it."""
    record = read_json(paths.EXPORT / paths.MODEL_RECORD, {})
    listed: Any = record.get("licences") if isinstance(record, dict) else None
    if not isinstance(listed, dict):
        return {}
    return {str(of): str(licence or "") for of, licence in listed.items()}
