"""The metadata inside a TFLite model, read back by a reader of its own; and label files that nobody can forge.

What the real readers make of it is in test_mediapipe.py.
"""

import dataclasses
import io
import sys
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flatbuffers import number_types as flags
from flatbuffers.table import Table
from google.protobuf import text_encoding

from detector.base.errors import UserError
from detector.data import labels
from detector.export import tflite_metadata

CARD = tflite_metadata.Card("Cats", "Finds cats and dogs.", "Apache-2.0", 0.3)
SIDE = 8
WEIGHTS = 37  # bytes: a length after which nothing lies at a multiple of 16 by itself


@pytest.fixture(params=["FLOAT32", "UINT8"])
def model(request: pytest.FixtureRequest) -> bytes:
    """A model of one operation, whose outputs are named the other way round, as TensorFlow names them."""
    from tensorflow.lite.python import schema_py_generated as schema  # behind tensorflow_env's settings
    from tensorflow.lite.tools import flatbuffer_utils

    def tensor(name: str, kind: str, shape: list[int], buffer: int = 0) -> Any:
        made = schema.TensorT()
        made.name, made.type, made.shape, made.buffer = name, getattr(schema.TensorType, kind), shape, buffer
        return made

    graph, code, operation, whole = schema.SubGraphT(), schema.OperatorCodeT(), schema.OperatorT(), schema.ModelT()
    shapes = {"boxes": [1, 9, 4], "classes": [1, 9], "scores": [1, 9], "number": [1]}
    graph.tensors = [
        tensor("input", request.param, [1, SIDE, SIDE, 3]),
        *(tensor(name, "FLOAT32", shape) for name, shape in shapes.items()),
        tensor("weights", "UINT8", [WEIGHTS], buffer=1),
    ]
    operation.inputs, operation.outputs = np.array([0, 5], np.int32), np.array([1, 2, 3, 4], np.int32)
    graph.inputs, graph.outputs, graph.operators = [0], [4, 3, 2, 1], [operation]
    code.builtinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "TFLite_Detection_PostProcess"
    whole.version, whole.operatorCodes, whole.subgraphs = 3, [code], [graph]
    whole.buffers, whole.metadata = [schema.BufferT(), schema.BufferT()], []
    whole.buffers[1].data = np.arange(WEIGHTS, dtype=np.uint8)
    return flatbuffer_utils.convert_object_to_bytearray(whole)


def label_map(folder: Path, *names: str) -> Path:
    labels.write(folder / "label_map.pbtxt", names)
    return folder / "label_map.pbtxt"


def unpacked(content: bytes) -> Any:
    from tensorflow.lite.tools import flatbuffer_utils

    return flatbuffer_utils.read_model_from_bytearray(bytearray(content))


class Written:
    """A table that was written, its fields by their slots in metadata_schema.fbs; a union has two."""

    def __init__(self, content: bytes, place: int) -> None:
        self.table = Table(content, place)

    def _at(self, slot: int) -> int:
        return int(self.table.Offset(4 + 2 * slot))

    def text(self, slot: int) -> str:
        return self.table.String(self._at(slot) + self.table.Pos).decode()

    def number(self, slot: int, kind: Any = flags.Int8Flags) -> float:
        return self.table.Get(kind, self._at(slot) + self.table.Pos) if self._at(slot) else 0

    def child(self, slot: int) -> "Written":
        return Written(self.table.Bytes, self.table.Indirect(self._at(slot) + self.table.Pos))

    def children(self, slot: int) -> list["Written"]:
        if not self._at(slot):
            return []
        start, count = self.table.Vector(self._at(slot)), self.table.VectorLen(self._at(slot))
        return [Written(self.table.Bytes, self.table.Indirect(start + 4 * number)) for number in range(count)]

    def numbers(self, slot: int, kind: Any = flags.Float32Flags) -> list[float]:
        return self.table.GetVectorAsNumpy(kind, self._at(slot)).tolist()


def metadata(content: bytes) -> Written:
    model = unpacked(content)
    (entry,) = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    written = bytes(model.buffers[entry.buffer].data)
    assert written[4:8] == b"M001"
    return Written(written, int.from_bytes(written[:4], "little"))


def test_it_says_what_the_model_is(model: bytes, tmp_path: Path) -> None:
    root = metadata(tflite_metadata.add(model, label_map(tmp_path, "cat", "dog"), CARD))
    assert (root.text(0), root.text(1), root.text(5), root.text(7)) == (
        CARD.name,
        CARD.description,
        CARD.licence,
        "1.0.0",
    )
    (graph,) = root.children(3)
    (image,) = graph.children(2)
    content, (unit,), stats = image.child(3), image.children(4), image.child(5)
    assert (image.text(0), content.number(0), content.child(1).number(0)) == ("image", 2, 1)  # ImageProperties: RGB
    assert (unit.number(0), unit.child(1).numbers(0), unit.child(1).numbers(1)) == (1, [127.5], [127.5])
    is_float = unpacked(model).subgraphs[0].tensors[0].type == 0
    assert (stats.numbers(1), stats.numbers(0)) == (([-1], [1]) if is_float else ([0], [255]))


def test_it_names_the_outputs_in_their_order(model: bytes, tmp_path: Path) -> None:
    content = tflite_metadata.add(model, label_map(tmp_path, "cat", "dog"), CARD)
    written = unpacked(content).subgraphs[0]
    assert [written.tensors[place].name for place in written.outputs] == [b"boxes", b"classes", b"scores", b"number"]
    outputs = metadata(content).children(3)[0].children(3)
    assert [output.text(0) for output in outputs] == ["location", "category", "score", "number of detections"]
    assert [output.child(3).number(0) for output in outputs] == [3, 1, 1, 1]  # BoundingBoxProperties, FeatureProperties
    location, category, score, number = outputs
    corners = location.child(3).child(1)
    assert corners.numbers(0, flags.Uint32Flags) == [1, 0, 3, 2]  # where xmin, ymin, xmax, ymax are
    assert (corners.number(1), corners.number(2)) == (1, 0)  # BOUNDARIES, RATIO
    for each in (location, category, score):
        assert [each.child(3).child(2).number(slot, flags.Int32Flags) for slot in (0, 1)] == [2, 2]
    (file,) = category.children(6)
    assert (file.text(0), file.number(2)) == ("labels.txt", 3)  # TENSOR_VALUE_LABELS
    (unit,) = score.children(4)
    assert (unit.number(0), unit.child(1).number(0, flags.Float32Flags)) == (3, pytest.approx(0.3))
    assert not number.children(4)


def test_without_a_threshold_none_is_written(model: bytes, tmp_path: Path) -> None:
    card = dataclasses.replace(CARD, score_threshold=None)
    content = tflite_metadata.add(model, label_map(tmp_path, "cat"), card)
    assert not metadata(content).children(3)[0].children(3)[2].children(4)


def test_weights_lie_where_the_schema_wants_them(model: bytes, tmp_path: Path) -> None:
    """At multiples of 16 bytes; and they are the same."""
    content = tflite_metadata.add(model, label_map(tmp_path, "cat"), CARD)
    weights = bytes(range(WEIGHTS))
    assert content.count(weights) == 1 and content.index(weights) % 16 == 0
    assert content.index(b"M001") % 16 == 4


def test_the_label_files_are_packed_behind_it_byte_for_byte(model: bytes, tmp_path: Path) -> None:
    path = tmp_path / "label_map.pbtxt"
    path.write_bytes(
        "item { id: 1 name: 'gaivota \u00e1' }\r\n# caf\xe9\n".encode() + b"# caf\xe9\nitem { id: 2 name: 'b' }"
    )
    first, second = (tflite_metadata.add(model, path, CARD) for _ in range(2))
    assert first == second
    with zipfile.ZipFile(io.BytesIO(first)) as packed:
        assert packed.testzip() is None
        assert packed.read("labels.txt").decode() == "gaivota \u00e1\nb\n"
        assert packed.read("label_map.pbtxt") == path.read_bytes()
        assert {entry.compress_type for entry in packed.infolist()} == {zipfile.ZIP_STORED}


ENDS = "".join(letter for letter in map(chr, range(sys.maxunicode + 1)) if len(f"a{letter}b".splitlines()) == 2)
CONTROLS = "".join(chr(number) for number in range(256) if unicodedata.category(chr(number)) == "Cc")


@pytest.mark.parametrize("letter", sorted({*ENDS, *CONTROLS}))
def test_no_class_name_forges_a_label(model: bytes, tmp_path: Path, letter: str) -> None:
    """`labels.read` refuses it, which `add` calls; escaped in the label map, or as it is."""
    for written in (text_encoding.CEscape(f"cat{letter}person", as_utf8=False), f"cat{letter}person"):
        path = tmp_path / "label_map.pbtxt"
        path.write_text(f'item {{ id: 1 name: "{written}" }}', encoding="utf-8", newline="")
        with pytest.raises(UserError, match=r"label_map\.pbtxt"):
            tflite_metadata.add(model, path, CARD)
