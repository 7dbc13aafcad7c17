"""TFRecords: TensorFlow's own parser reads what is written, and damage is reported."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.base.errors import UserError
from detector.data import records
from tests.support.stage import child

values = st.one_of(
    st.lists(st.binary(max_size=30), max_size=5),
    st.lists(st.floats(width=32, allow_nan=False), max_size=5),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5),
)
examples = st.dictionaries(st.text(max_size=10), values, max_size=6)


def record(*examples) -> bytes:
    file = io.BytesIO()
    for example in examples:
        records.write_frame(file, records.encode(example))
    return file.getvalue()


@given(examples)
def test_round_trip(example):
    assert records.decode(records.encode(example)) == example
    assert records.encode(dict(reversed(example.items()))) == records.encode(example)


@given(st.lists(examples, max_size=4))
def test_file_round_trip(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("records") / "a.record"
    path.write_bytes(record(*content))
    assert list(records.read(path)) == content


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


EXAMPLE = {
    "image/encoded": [b"\xff\xd8\x00"],
    "image/height": [256],
    "image/object/bbox/xmin": [0.25, 1 / 3],
    "image/object/class/text": ["café".encode()],
    "none": [],
}


def test_tensorflow_reads_the_file(tf, tmp_path):
    path = tmp_path / "a.record"
    path.write_bytes(record(EXAMPLE, {}, EXAMPLE))
    frames = [frame.numpy() for frame in tf.data.TFRecordDataset(str(path))]
    assert frames == list(records.read_frames(path))
    feature = tf.train.Example.FromString(frames[0]).features.feature
    assert list(feature["image/encoded"].bytes_list.value) == [b"\xff\xd8\x00"]
    assert list(feature["image/height"].int64_list.value) == [256]
    assert list(feature["image/object/bbox/xmin"].float_list.value) == [0.25, np.float32(1 / 3)]
    assert not tf.train.Example.FromString(frames[1]).features.feature


def test_bytes_are_those_of_tensorflow(tf, tmp_path):
    example = tf.train.Example()
    for name, kind in (
        ("image/encoded", "bytes_list"),
        ("image/height", "int64_list"),
        ("image/object/bbox/xmin", "float_list"),
        ("image/object/class/text", "bytes_list"),
    ):
        getattr(example.features.feature[name], kind).value.extend(EXAMPLE[name])
    example.features.feature["none"].SetInParent()
    serialized = example.SerializeToString(deterministic=True)
    assert records.encode(EXAMPLE) == serialized
    with tf.io.TFRecordWriter(str(tmp_path / "a.record")) as writer:
        writer.write(serialized)
    assert (tmp_path / "a.record").read_bytes() == record(EXAMPLE)


def test_needs_no_tensorflow():
    assert child("-c", "import sys, detector.data.records; sys.exit('tensorflow' in sys.modules)").returncode == 0


def test_offsets(tmp_path):
    """Three records of 3, 0 and 1 bytes, each with 16 bytes around it."""
    path = tmp_path / "a.record"
    with path.open("wb") as file:
        for data in (b"abc", b"", b"d"):
            records.write_frame(file, data)
    assert list(records.offsets(path)) == [0, 19, 35]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="record 3: cut off or damaged"):
        records.offsets(path)
    path.write_bytes(b"")
    assert not records.offsets(path)


def test_every_third_example_is_found_without_the_others(tmp_path):
    path = tmp_path / "a.record"
    content = [{"number": [number], "data": [b"x" * number]} for number in range(8)]
    path.write_bytes(record(*content))
    starts = records.offsets(path)
    assert list(records.read_every(path, 3, starts)) == [content[0], content[3], content[6]]
    assert list(records.read_every(path, 8, starts)) == [content[0]]
    whole = path.read_bytes()
    path.write_bytes(whole[: starts[6] + 20])
    with pytest.raises(UserError, match="record 7: cut off or damaged"):
        list(records.read_every(path, 3, starts))
    path.write_bytes(whole[: starts[3]] + b"y" * 20 + whole[starts[3] + 20 :])
    with pytest.raises(UserError, match="record 4: cut off or damaged"):
        list(records.read_every(path, 3, starts))
    path.unlink()
    with pytest.raises(UserError, match="not found; run: dvc repro csv2record"):
        list(records.read_every(path, 3, starts))


@pytest.mark.parametrize("at", [0, 8, 12, 20, -1])  # length, its checksum, the data, the data's checksum
def test_a_flipped_bit_is_found(tmp_path, at):
    content = bytearray(record(EXAMPLE))
    content[at] ^= 1
    path = tmp_path / "a.record"
    path.write_bytes(record(EXAMPLE) + content)
    with pytest.raises(UserError, match=r"record 2: .*damaged.*dvc repro --force csv2record"):
        list(records.read(path))


@pytest.mark.parametrize("keep", [1, 11, 12, 30, -1])
def test_a_cut_file_is_found(tmp_path, keep):
    path = tmp_path / "a.record"
    path.write_bytes(record(EXAMPLE)[:keep])
    with pytest.raises(UserError, match="record 1: cut off or damaged"):
        list(records.read(path))


def test_other_faults(tmp_path):
    with pytest.raises(UserError, match="not found; run: dvc repro csv2record"):
        list(records.read(tmp_path / "none.record"))
    file = io.BytesIO()
    records.write_frame(file, b"\xff\xff")
    (tmp_path / "a.record").write_bytes(file.getvalue())
    with pytest.raises(UserError, match=r"record 1: not a tf\.train\.Example"):
        list(records.read(tmp_path / "a.record"))
    (tmp_path / "empty.record").write_bytes(b"")
    assert list(records.read(tmp_path / "empty.record")) == []
    for mixture in (["text"], [1, b"a"], [True]):
        with pytest.raises(TypeError, match="all of one kind"):
            records.encode({"a": mixture})
