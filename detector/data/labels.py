"""The label map: class names and their ids, in the Object Detection API's `label_map.pbtxt`.

Ids come from here alone and are 1, 2, ... without a gap (0 is the background). Files as people have them number
otherwise, too: wherever the meaning is plain, `parse` gives the classes in the order of their ids and says what it
repaired. A stage sees the same ids whatever the file says, and what is handed on (`copy`) says what the stages see.
Needs no TensorFlow.
"""

import shutil
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_encoding

from detector.base import files, naming
from detector.base.errors import UserError, few
from detector.data import label_map_text
from detector.data.label_map_text import EXAMPLE, Item

BACKGROUND = "background"  # in the evaluation, a place without an object; so not allowed as a class name
MOST_CLASSES = 10_000
_SHOWN = 40  # letters of a name that is too long
_NOT_A_CLASS = {BACKGROUND, "__background__", "none_of_the_above", "???"}  # names that other tools give to id 0


@dataclass(frozen=True)
class LabelMap:
    """The classes of a label map in the order of its ids.

    names: name n, from 1, has the id n in Passo. ids: those that the file gives them. repairs: what was changed, in
    words; without any, the file can be used as it is.
    """

    names: list[str]
    ids: list[int]
    repairs: list[str]

    def numbered(self) -> dict[str, int]:
        """{class name: id}, ordered by id."""
        return {name: number for number, name in enumerate(self.names, start=1)}

    def by_own_id(self) -> dict[int, str]:
        """{id in the file: class name}, for what was made with that file."""
        return dict(zip(self.ids, self.names, strict=True))


def parse(content: bytes, where: str, classes: Collection[str] | None = None) -> LabelMap:
    """A label map from the content of its file.

    Args:
        where: its name, for errors.
        classes: the names that the annotations use, where they are known: they decide whether `name` or `display_name`
            is the class, and in which Unicode form it is written.

    Raises:
        UserError: it cannot be read as a label map, is empty or too large; an item has no id or no name, or one that
            cannot be printed; two have the same; one is named as the background.
    """
    used = classes or ()
    items, repairs = label_map_text.read(content, where)
    if background := [item.name or item.display_name for item in items if _is_background(item, used)]:
        repairs.append(f"{background[0]} with id 0 left out: 0 is the background")
    items = [item for item in items if not _is_background(item, used)]
    _check_ids(items, where)
    items = sorted(items, key=lambda item: item.id or 0)
    names, more = _names(items, used)
    repairs += more
    _check_names(items, names, where)
    ids = [item.id or 0 for item in items]
    changed = [
        f"{name} {old} is {new}" for new, (old, name) in enumerate(zip(ids, names, strict=True), 1) if old != new
    ]
    if changed:
        repairs.append(f"ids numbered from 1 without gaps: {few(changed)}")
    return LabelMap(names, ids, repairs)


def load(path: str | Path) -> LabelMap:
    """The label map in a file. Raises: UserError: it is missing or unreadable, or as of `parse`."""
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError(str(path), "is not a file", "put a label map there")  # a pipe would never end
    try:
        with path.open("rb") as file:
            content = file.read(label_map_text.MOST_BYTES + 1)
    except FileNotFoundError:
        raise UserError(str(path), "not found", "give a label map, or let make dataset derive it") from None
    except OSError as error:
        raise UserError(str(path), f"cannot be read: {error.strerror}", "put a label map there") from error
    return parse(content, str(path))


def read(path: str | Path) -> dict[str, int]:
    """The label map as {class name: id}, ordered by id; ids are 1, 2, ... without a gap. Errors as of `load`."""
    return load(path).numbered()


def copy(source: Path, target: Path) -> None:
    """Copy a label map for others to read: byte for byte, or as `write` has it where something had to be repaired."""
    label_map = load(source)
    if label_map.repairs:
        write(target, label_map.names)
    else:
        shutil.copyfile(source, target)


def may_be_label_map(name: str) -> bool:
    """Whether a file may be a label map, by its name: .pbtxt, .pbtxt.txt (Windows hides suffixes), labelmap.txt."""
    name = name.casefold()
    is_pbtxt = name.endswith((".pbtxt", ".pbtxt.txt"))
    return not name.startswith(".") and (is_pbtxt or (name.endswith(".txt") and "label" in name and "map" in name))


def is_label_map(name: str, content: bytes) -> bool:
    """Whether a file that may be a label map is one, or is meant as one.

    A .pbtxt with `label` and `map` in its name is, whatever it holds, so that its faults are reported; others are if
    they hold items: CVAT's labelmap.txt and TensorFlow's graph.pbtxt do not.
    """
    name = name.casefold()
    if ".pbtxt" in name and "label" in name and "map" in name:
        return True
    try:
        return bool(label_map_text.read(content, name)[0])
    except UserError:
        return False


def by_id(label_map: Mapping[str, int]) -> dict[int, str]:
    """{id: class name}, in the order of the label map."""
    return {class_id: name for name, class_id in label_map.items()}


def render(names: Sequence[str]) -> str:
    """The text of a label map that gives `names` the ids 1, 2, ... in their order."""
    items = [(number, text_encoding.CEscape(name, as_utf8=True)) for number, name in enumerate(names, start=1)]
    return "".join(f'item {{\n  name: "{name}"\n  id: {number}\n}}\n' for number, name in items)


def write(path: str | Path, names: Sequence[str]) -> None:
    """Write the label map that gives `names` the ids 1, 2, ... in their order."""
    files.write_text(path, render(names))


def fault(name: str) -> str:
    """Why a class cannot have this name, in words; empty where it can."""
    if not name:
        return "has no name"
    if name == BACKGROUND:
        return f"{BACKGROUND} is not allowed as a class name: it means that no object was found"
    if len(name) > naming.LONGEST:
        return f"the name {name[:_SHOWN]}... has {len(name):,} letters, more than {naming.LONGEST}"
    unfit = naming.fault(name)
    return f"the name {name!a} {unfit}" if unfit else ""


def _is_background(item: Item, used: Collection[str]) -> bool:
    names = {item.name.strip(), item.display_name.strip()} - {""}
    return item.id == 0 and bool({name.casefold() for name in names} & _NOT_A_CLASS) and not names & set(used)


def _check_ids(items: Sequence[Item], where: str) -> None:
    if not items:
        raise UserError(where, "has no items", EXAMPLE)
    if len(items) > MOST_CLASSES:
        raise UserError(where, f"has {len(items):,} classes; at most {MOST_CLASSES:,} are supported")
    lines: dict[int, int] = {}
    for item in items:
        if item.id is None or item.id < 0:
            reason = "has no id" if item.id is None else f"the id is {item.id}"
            raise UserError(where, reason, "give every item its own id: 1, 2, ...", _place(item))
        if item.id in lines:
            reason = f"the id is {item.id}, as that of line {lines[item.id]}"
            raise UserError(where, reason, "give every item its own id", _place(item))
        lines[item.id] = item.line


def _check_names(items: Sequence[Item], names: Sequence[str], where: str) -> None:
    lines: dict[str, int] = {}
    for item, name in zip(items, names, strict=True):
        if reason := fault(name):
            remedy = "rename it, in the annotations too" if name else "give every item its own name"
            raise UserError(where, reason, remedy, f"line {item.line}: id {item.id}")
        if name in lines:
            raise UserError(
                where, f"the name is that of line {lines[name]}", "give every id its own name", _place(item)
            )
        lines[name] = item.line


def _place(item: Item) -> str:
    name = item.name.strip() or item.display_name.strip()
    return f"line {item.line}" + (f": {name}" if name else "")


def _names(items: Sequence[Item], used: Collection[str]) -> tuple[list[str], list[str]]:
    """The class of each item, and what was chosen or changed, in words."""
    names, displayed = [item.name.strip() for item in items], [item.display_name.strip() for item in items]
    if len(set(displayed) & set(used)) > len(set(names) & set(used)):
        repairs = [f"display_name taken as the class, which the annotations use: {few(displayed)}"]
        chosen = [shown or name for name, shown in zip(names, displayed, strict=True)]
    else:
        filled = [shown for name, shown in zip(names, displayed, strict=True) if shown and not name]
        repairs = [f"display_name taken as the class where there is no name: {few(filled)}"] if filled else []
        chosen = [name or shown for name, shown in zip(names, displayed, strict=True)]
    if trimmed := [
        name for item, name in zip(items, chosen, strict=True) if name not in (item.name, item.display_name)
    ]:
        repairs.append(f"spaces around names removed: {few(trimmed)}")
    forms = {unicodedata.normalize("NFC", name): name for name in sorted(used) if name not in chosen}
    as_used = [forms.get(unicodedata.normalize("NFC", name), name) if name not in used else name for name in chosen]
    if respelled := [name for name, old in zip(as_used, chosen, strict=True) if name != old]:
        repairs.append(f"accents written in the Unicode form of the annotations: {few(respelled)}")
    return as_used, repairs
