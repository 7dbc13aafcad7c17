"""TensorBoard's event files, without TensorFlow: a TFRecord of messages, each with a step and a time."""

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.image import metadata as images
from tensorboard.plugins.scalar import summary_v2 as scalars_plugin
from tensorboard.plugins.text import summary_v2 as texts_plugin
from tensorboard.util import tensor_util

from detector.base import files
from detector.base.errors import UserError
from detector.data import records

VERSION = "brain.Event:2"


def named(mark: str) -> str:
    """The name of an event file; TensorBoard reads those of a folder in the order of their names."""
    return f"events.out.tfevents.{mark}"


def scalars(step: int, values: Mapping[str, float]) -> Any:
    """Points of curves, by tag."""
    parts = [scalars_plugin.scalar_pb(tag, value).value[0] for tag, value in values.items()]
    return _event(step, Summary(value=parts))


def text(step: int, tag: str, markdown: str) -> Any:
    """A text."""
    return _event(step, texts_plugin.text_pb(tag, markdown))


def picture(step: int, tag: str, jpeg: bytes, size: tuple[int, int]) -> Any:
    """A JPEG of `size` (width, height). TensorFlow's own function would write a PNG, which is six times as large."""
    width, height = (str(side).encode() for side in size)
    tensor = tensor_util.make_tensor_proto([width, height, jpeg])
    metadata = images.create_summary_metadata(display_name=None, description=None)
    return _event(step, Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)]))


def write(path: Path, events: Iterable[Any]) -> None:
    """Write a file that nothing is added to."""
    with files.whole_file(path) as temporary:
        append(temporary, events)


def append(path: Path, events: Iterable[Any]) -> None:
    """Add to a file, which is made where it does not exist; a kill leaves whole events, and perhaps a part of one.

    A full disk leaves it as it was: what came behind a part of an event could not be read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    size = path.stat().st_size
    try:
        with path.open("ab") as file:
            if not size:
                records.write_frame(file, Event(wall_time=time.time(), file_version=VERSION).SerializeToString())
            for event in events:
                records.write_frame(file, event.SerializeToString())
    except OSError:
        os.truncate(path, size)
        raise


def cut(path: Path, last: int) -> int:
    """Remove what is later than the step `last`, and what a kill has left of an event; returns the newest step left.

    A file without any event is removed.
    """
    kept: list[bytes] = []
    steps = [0]
    with suppress(UserError):  # cut off
        for data in records.read_frames(path):
            steps.append(Event.FromString(data).step)
            if steps[-1] > last:
                break
            kept.append(data)
    if len(kept) <= 1:  # the version
        path.unlink()
        return 0
    with files.whole_file(path) as temporary, temporary.open("wb") as file:
        for data in kept:
            records.write_frame(file, data)
    return max(step for step in steps if step <= last)


def _event(step: int, summary: Any) -> Any:
    return Event(wall_time=time.time(), step=step, summary=summary)
