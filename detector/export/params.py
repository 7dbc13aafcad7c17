"""Which formats are exported, and how far each may be from the checkpoint: sections `export` and `parity`."""

from collections.abc import Mapping
from dataclasses import dataclass

from detector.base import params

# Format -> (its file or folder in model/export, the precision of its numbers).
FORMATS = {
    "saved_model": ("saved_model", "float32"),
    "tflite": ("model.tflite", "float32"),
    "tflite_float16": ("model_float16.tflite", "float16"),
    "tflite_int8": ("model_int8.tflite", "int8"),
    "tflite_saved_model": ("tflite_saved_model", "float32"),
    "onnx": ("model.onnx", "float32"),
    "onnx_int8": ("model_int8.onnx", "int8"),
}
MEASURED = [name for name in FORMATS if name != "tflite_saved_model"]  # that is raw material for a conversion


@dataclass(frozen=True)
class ExportParams:
    """formats: keys of `FORMATS`. int8_input: of tflite_int8."""

    formats: tuple[str, ...] = params.some_of(*FORMATS)
    int8_input: str = params.one_of("uint8", "float32")


@dataclass(frozen=True)
class ParityParams:
    """max_ap_drop: {precision: how much lower the AP of such a format may be than the checkpoint's}."""

    max_ap_drop: Mapping[str, float] = params.numbers(0, "float32", "float16", "int8")
