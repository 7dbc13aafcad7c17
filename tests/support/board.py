"""What is in TensorBoard's event files, as a reader of TFRecords finds it."""

from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.util import tensor_util

from detector.data import records

Found = dict[tuple[str, str], list[tuple[int, Any]]]  # {(run, tag): [(step, value), ...]}


def found(logs: Path) -> Found:
    """All that is in a folder of logs, in the order of its files; every file begins with its version."""
    result: Found = {}
    for path in sorted(logs.glob("*/*/events.out.tfevents.*")):
        first, *others = [Event.FromString(data) for data in records.read_frames(path)]
        assert first.file_version == "brain.Event:2"
        for event in others:
            for value in event.summary.value:
                content = tensor_util.make_ndarray(value.tensor)
                entry = content.item() if content.ndim == 0 else content.tolist()
                result.setdefault((path.parent.name, value.tag), []).append((event.step, entry))
    return result


def steps(logs: Path, run: str, tag: str = "Loss/total_loss") -> list[int]:
    """Those of a curve."""
    return [step for step, _ in found(logs).get((run, tag), [])]
