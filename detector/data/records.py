"""TFRecord files of `tf.train.Example`, written and read without TensorFlow.

A TFRecord is a row of frames: the length (8 bytes), its checksum (4), the data, its checksum (4), all little-endian;
checksums are masked CRC-32C (tensorflow/core/lib/hash/crc32c.h). An Example is a protobuf map from names to lists of
bytes, floats or integers (tensorflow/core/example/{example,feature}.proto), of which the few messages are built here.
"""

import os
import struct
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from detector.base.errors import UserError

Value = Sequence[bytes] | Sequence[float] | Sequence[int]  # all of one kind
Example = Mapping[str, Value]

_FRAME_BYTES = 8 + 4 + 4  # around the data: the length and two checksums
_MASK_DELTA = 0xA282EAD8
_KIND = descriptor_pb2.FieldDescriptorProto
_LISTS = {  # message: (its field of Feature, kind of value)
    "BytesList": ("bytes_list", _KIND.TYPE_BYTES),
    "FloatList": ("float_list", _KIND.TYPE_FLOAT),
    "Int64List": ("int64_list", _KIND.TYPE_INT64),
}
_DAMAGED = "make it again: dvc repro --force csv2record"


def encode(example: Example) -> bytes:
    """A serialized `tf.train.Example`, the same bytes for the same content; an empty list has no kind.

    Raises:
        TypeError: a list holds anything but bytes, floats or integers, or a mixture.
    """
    message = _EXAMPLE()
    for name in sorted(example):
        values = list(example[name])
        feature = message.features.feature[name]
        if values:
            getattr(feature, _field(name, values)).value.extend(values)
    return bytes(message.SerializeToString(deterministic=True))


def decode(serialized: bytes) -> dict[str, list[Any]]:
    """The reverse of `encode`: {name: list of bytes, floats (of 32 bits) or integers}; ValueError on other bytes."""
    try:
        message = _EXAMPLE.FromString(serialized)
    except DecodeError as error:
        raise ValueError(f"not a tf.train.Example: {error}") from error
    example = {}
    for name in sorted(message.features.feature):
        feature = message.features.feature[name]
        kind = feature.WhichOneof("kind")
        example[name] = list(getattr(feature, kind).value) if kind else []
    return example


def write_frame(file: BinaryIO, data: bytes) -> None:
    """Append one record to an open TFRecord."""
    length = struct.pack("<Q", len(data))
    file.write(length + _checksum(length) + data + _checksum(data))


def read_frames(path: str | Path) -> Iterator[bytes]:
    """The records of a TFRecord, every checksum verified.

    Raises:
        UserError: the file is missing, cut off or damaged, with the number of the record.
    """
    with _opened(path) as (file, size):
        number, end = 0, 0
        while end < size:
            number += 1
            data = _frame(file, size - end, str(path), number)
            end += _FRAME_BYTES + len(data)
            yield data


def offsets(path: str | Path) -> "array[int]":
    """The byte at which each record of a TFRecord begins; every checksum is verified. Errors as in `read_frames`."""
    starts, end = array("q"), 0
    for data in read_frames(path):
        starts.append(end)
        end += _FRAME_BYTES + len(data)
    return starts


@contextmanager
def named_damage(path: str | Path) -> Iterator[None]:
    """TensorFlow's error about a TFRecord that was damaged or removed while in use becomes one of `read_frames`."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ in ("DataLossError", "NotFoundError"):  # by name: this module needs no TensorFlow
            offsets(path)
        raise


def read(path: str | Path) -> Iterator[dict[str, list[Any]]]:
    """The examples of a TFRecord, decoded. Errors as in `read_frames`."""
    for number, data in enumerate(read_frames(path), start=1):
        yield _example(data, str(path), number)


def read_every(path: str | Path, step: int, starts: "array[int]") -> Iterator[dict[str, list[Any]]]:
    """The first of every `step` examples, decoded; `starts` are the `offsets` of all. Errors as in `read_frames`."""
    with _opened(path) as (file, size):
        for number in range(0, len(starts), step):
            file.seek(starts[number])
            data = _frame(file, size - starts[number], str(path), number + 1)
            yield _example(data, str(path), number + 1)


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[BinaryIO, int]]:
    """An open TFRecord and its size."""
    try:
        with Path(path).open("rb") as file:
            yield file, os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise UserError(str(path), "not found", "run: dvc repro csv2record") from None


def _frame(file: BinaryIO, left: int, path: str, number: int) -> bytes:
    """The record that begins here, with `left` bytes to the end of the file."""
    header = file.read(12)
    length = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else 0
    if len(header) < 12 or header[8:] != _checksum(header[:8]) or length > left - _FRAME_BYTES:
        raise UserError(path, "cut off or damaged", _DAMAGED, item=f"record {number}")
    data = file.read(length)
    if file.read(4) != _checksum(data):
        raise UserError(path, "damaged: its checksum is wrong", _DAMAGED, item=f"record {number}")
    return data


def _example(data: bytes, path: str, number: int) -> dict[str, list[Any]]:
    try:
        return decode(data)
    except ValueError as error:
        raise UserError(path, str(error), _DAMAGED, item=f"record {number}") from error


def _checksum(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF)


def _field(name: str, values: Sequence[object]) -> str:
    for kind, field in ((bytes, "bytes_list"), (float, "float_list"), (int, "int64_list")):
        if all(isinstance(value, kind) and not isinstance(value, bool) for value in values):
            return field
    raise TypeError(f"{name} holds {values[0]!r} and the like: give bytes, floats or integers, all of one kind")


def _build_example() -> Any:
    """The class of `tf.train.Example`, in its own pool so that it never meets TensorFlow's."""
    package = "passo.records"
    file = descriptor_pb2.FileDescriptorProto(name="passo/records.proto", package=package, syntax="proto3")
    feature = descriptor_pb2.DescriptorProto(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, (field, kind)) in enumerate(_LISTS.items(), start=1):
        values = file.message_type.add(name=name)
        values.field.add(name="value", number=1, label=_KIND.LABEL_REPEATED, type=kind)
        feature.field.add(
            name=field, number=number, type=_KIND.TYPE_MESSAGE, type_name=f".{package}.{name}", oneof_index=0
        )
    file.message_type.append(feature)
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry", options=descriptor_pb2.MessageOptions(map_entry=True))
    entry.field.add(name="key", number=1, type=_KIND.TYPE_STRING)
    entry.field.add(name="value", number=2, type=_KIND.TYPE_MESSAGE, type_name=f".{package}.Feature")
    features.field.add(
        name="feature",
        number=1,
        label=_KIND.LABEL_REPEATED,
        type=_KIND.TYPE_MESSAGE,
        type_name=f".{package}.Features.FeatureEntry",
    )
    example = file.message_type.add(name="Example")
    example.field.add(name="features", number=1, type=_KIND.TYPE_MESSAGE, type_name=f".{package}.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Example"))


_EXAMPLE = _build_example()
