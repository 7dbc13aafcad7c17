"""The label map: class names and their ids, in the Object Detection API's `label_map.pbtxt`.

Ids come from here alone and start at 1 (0 is the background). Needs no TensorFlow: the protos import protobuf only.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from google.protobuf import text_format
from object_detection.protos.string_int_label_map_pb2 import StringIntLabelMap

from detector.base import files
from detector.base.errors import UserError

BACKGROUND = "background"  # in the evaluation, a place without an object; so not allowed as a class name


def read(path: str | Path) -> dict[str, int]:
    """The label map as {class name: id}, ordered by id; ids are 1, 2, ... without a gap.

    Raises:
        UserError: the file is missing or unreadable, empty, or holds a duplicate or unnamed item, a gap in the
            ids, or a class with the name of the background.
    """
    path = Path(path)
    proto = StringIntLabelMap()
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), proto)
    except FileNotFoundError:
        raise UserError(str(path), "not found", "give a label map, or let make dataset derive it") from None
    except OSError as error:
        raise UserError(str(path), f"cannot be read: {error.strerror}", "put a label map there") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise UserError(
            str(path), f"not a label map: {error}", "items look like: item { id: 1 name: 'cat' }"
        ) from error
    items = sorted((item.id, item.name) for item in proto.item)
    if not items:
        raise UserError(str(path), "has no items", "items look like: item { id: 1 name: 'cat' }")
    if [number for number, _ in items] != list(range(1, len(items) + 1)):
        raise UserError(str(path), f"ids are {[number for number, _ in items]}", f"give 1 to {len(items)}, each once")
    label_map = {name: number for number, name in items}
    if len(label_map) != len(items) or "" in label_map:
        raise UserError(str(path), "two items share a name, or one has none", "give every id its own name")
    if BACKGROUND in label_map:
        reason = f"{BACKGROUND} is not allowed as a class name: it means that no object was found"
        raise UserError(str(path), reason, "rename it, in the XML too", item=f"id {label_map[BACKGROUND]}")
    return label_map


def by_id(label_map: Mapping[str, int]) -> dict[int, str]:
    """{id: class name}, in the order of the label map."""
    return {class_id: name for name, class_id in label_map.items()}


def render(names: Sequence[str]) -> str:
    """The text of a label map that gives `names` the ids 1, 2, ... in their order."""
    proto = StringIntLabelMap()
    for number, name in enumerate(names, start=1):
        proto.item.add(id=number, name=name)
    return str(text_format.MessageToString(proto, as_utf8=True))


def write(path: str | Path, names: Sequence[str]) -> None:
    """Write the label map that gives `names` the ids 1, 2, ... in their order."""
    files.write_text(path, render(names))
