"""What a TFLite model says of itself: TFLite Metadata, which MediaPipe Tasks and Android's libraries ask for.

A flatbuffer of its own inside the model's, by the published schema (mediapipe/tasks/metadata/metadata_schema.fbs), and
behind it all a zip archive with the label files, which `unzip model.tflite labels.txt` or Python's zipfile reads, too.
MediaPipe's and tflite-support's own writers cannot be used: the one lacks a module of its package, the other is dead.

A class name cannot forge a label in labels.txt, a line for each class: `labels.read` refuses names with ends of lines
and other control characters, in whatever way they are written (detector/base/naming.py).
"""

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np

import detector.model.tensorflow_env  # noqa: F401 (TensorFlow's settings, before its modules are imported below)
from detector.base import paths
from detector.data import labels

Values = Mapping[str, Any]  # of a table, by its fields; of a union: (the table's name, its values)

LABELS = "labels.txt"
OUTPUTS = ("location", "category", "score", "number of detections")  # by these names MediaPipe finds them
_PARSER = "1.0.0"  # the first version of the schema, which has all that is written here

# The tables of the schema as far as they are written here, each field at its place.
_TABLES = {
    "ModelMetadata": (
        *("name:string", "description:string", "version:string", "subgraph_metadata:[SubGraphMetadata]"),
        *("author:string", "license:string", "associated_files:[AssociatedFile]", "min_parser_version:string"),
    ),
    "SubGraphMetadata": (
        *("name:string", "description:string"),
        *("input_tensor_metadata:[TensorMetadata]", "output_tensor_metadata:[TensorMetadata]"),
    ),
    "TensorMetadata": (
        *("name:string", "description:string", "dimension_names:[string]", "content:Content"),
        *("process_units:[ProcessUnit]", "stats:Stats", "associated_files:[AssociatedFile]"),
    ),
    "AssociatedFile": ("name:string", "description:string", "type:byte"),
    "Content": ("content_properties:ContentProperties", "range:ValueRange"),
    "FeatureProperties": (),
    "ImageProperties": ("color_space:byte",),
    "BoundingBoxProperties": ("index:[uint]", "type:byte", "coordinate_type:byte"),
    "ValueRange": ("min:int", "max:int"),
    "ProcessUnit": ("options:ProcessUnitOptions",),
    "NormalizationOptions": ("mean:[float]", "std:[float]"),
    "ScoreThresholdingOptions": ("global_score_threshold:float",),
    "Stats": ("max:[float]", "min:[float]"),
}
_UNIONS = {
    "ContentProperties": ("FeatureProperties", "ImageProperties", "BoundingBoxProperties"),
    "ProcessUnitOptions": ("NormalizationOptions", "ScoreCalibrationOptions", "ScoreThresholdingOptions"),
}
_SCALARS = {"byte": "Int8", "int": "Int32", "float": "Float32"}
_NUMBERS = {"[uint]": np.uint32, "[float]": np.float32}
_LABEL_FILE, _RGB, _BOUNDARIES, _RATIO = 3, 1, 1, 0  # TENSOR_VALUE_LABELS and the like, of the schema's enums
_EACH_OBJECT = {"min": 2, "max": 2}  # a range of dimensions: what is described is one of the M objects
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed time, so that the same model gives the same bytes


@dataclass(frozen=True)
class Card:
    """What the metadata says beside what the model shows: for people, but for `score_threshold`.

    MediaPipe leaves out detections below it, unless it is asked for other ones; None leaves out none.
    """

    name: str
    description: str
    licence: str
    score_threshold: float | None


def add(tflite: bytes, label_map: Path, card: Card) -> bytes:
    """The model with metadata and label files inside, its outputs in the order of OUTPUTS.

    Raises:
        UserError: the label map cannot be read, or a class has a name that could be mistaken (`labels.read`).
    """
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    names = labels.read(label_map)
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(tflite))
    (graph,) = model.subgraphs
    (graph.outputs,) = [last.outputs for last in graph.operators if set(last.outputs) == set(graph.outputs)]
    is_float = graph.tensors[graph.inputs[0]].type == schema.TensorType.FLOAT32
    described = _packed(lambda builder: _table(builder, "ModelMetadata", _described(card, is_float=is_float)), b"M001")
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(described, np.uint8)
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata.append(entry)
    files = {paths.LABEL_MAP: label_map.read_bytes(), LABELS: "".join(f"{name}\n" for name in names).encode()}
    return _with_files(_packed(model.Pack, b"TFL3"), files)


def _described(card: Card, *, is_float: bool) -> Values:
    """The values of ModelMetadata."""
    feature: tuple[str, Values] = ("FeatureProperties", {})
    corners = {"index": [1, 0, 3, 2], "type": _BOUNDARIES, "coordinate_type": _RATIO}  # ours begin with ymin
    threshold = ("ScoreThresholdingOptions", {"global_score_threshold": card.score_threshold})
    lowest, highest = (-1, 1) if is_float else (0, 255)
    image = {
        "name": "image",
        "description": "An RGB photo.",
        "content": {"content_properties": ("ImageProperties", {"color_space": _RGB})},
        # For uint8, too: its quantisation turns what is normalised to [-1, 1] back into pixels.
        "process_units": [{"options": ("NormalizationOptions", {"mean": [127.5], "std": [127.5]})}],
        "stats": {"max": [highest], "min": [lowest]},
    }
    outputs: list[dict[str, Any]] = [
        {
            "description": "Where the objects are: ymin, xmin, ymax, xmax, as fractions of the photo.",
            "content": {"content_properties": ("BoundingBoxProperties", corners), "range": _EACH_OBJECT},
        },
        {
            "description": "What they are: a line of the label file, from 0.",
            "content": {"content_properties": feature, "range": _EACH_OBJECT},
            "associated_files": [{"name": LABELS, "description": "A line for each class.", "type": _LABEL_FILE}],
        },
        {
            "description": "How sure the detector is, from 0 to 1; the highest first.",
            "content": {"content_properties": feature, "range": _EACH_OBJECT},
            "process_units": None if card.score_threshold is None else [{"options": threshold}],
        },
        {"description": "How many objects there are.", "content": {"content_properties": feature}},
    ]
    named = [{"name": name, **values} for name, values in zip(OUTPUTS, outputs, strict=True)]
    return {
        "name": card.name,
        "description": card.description,
        "subgraph_metadata": [{"input_tensor_metadata": [image], "output_tensor_metadata": named}],
        "license": card.licence,
        "min_parser_version": _PARSER,
    }


class _Builder(flatbuffers.Builder):  # type: ignore[misc]
    """Puts vectors at multiples of 16 bytes, where the schema wants weights, and TensorFlow's Python code does not."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:  # noqa: N802, N803 (their names)
        return int(super().StartVector(elemSize, numElems, max(alignment, 16)))


def _packed(pack: Callable[[flatbuffers.Builder], int], identifier: bytes) -> bytes:
    """A flatbuffer whose root `pack` writes."""
    builder = _Builder(1024)
    builder.Finish(pack(builder), file_identifier=identifier)
    return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, name: str, values: Values) -> int:
    """Write a table: first what it refers to, then its fields, each in its slot. Returns where it is."""
    slots: list[tuple[Callable[[int, Any, int], None], Any]] = []
    for field in _TABLES[name]:
        key, _, kind = field.partition(":")
        value = values.get(key)
        if kind in _UNIONS:  # which table it is, from 1, has a slot of its own
            variant, value = values[key]
            slots.append((builder.PrependUint8Slot, _UNIONS[kind].index(variant) + 1))
            kind = variant
        if kind in _SCALARS:
            slots.append((getattr(builder, f"Prepend{_SCALARS[kind]}Slot"), value or 0))
        else:
            slots.append((builder.PrependUOffsetTRelativeSlot, _referred(builder, kind, value)))
    builder.StartObject(len(slots))
    for number, (prepend, value) in enumerate(slots):
        prepend(number, value, 0)
    return int(builder.EndObject())


def _referred(builder: flatbuffers.Builder, kind: str, value: Any) -> int:
    """Write a string, a vector or a table. Returns where it is; 0 for None."""
    if value is None:
        return 0
    if kind == "string":
        return int(builder.CreateString(value))
    if kind in _NUMBERS:
        return int(builder.CreateNumpyVector(np.array(value, _NUMBERS[kind])))
    if not kind.startswith("["):
        return _table(builder, kind, value)
    places = [_table(builder, kind.strip("[]"), item) for item in value]
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return int(builder.EndVector())


def _with_files(tflite: bytes, files: Mapping[str, bytes]) -> bytes:
    """The model with a zip archive behind it; its files are stored as they are, for MediaPipe to read in place."""
    file = io.BytesIO(tflite)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as packed:
        for name, content in files.items():
            packed.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), content)
    return file.getvalue()
