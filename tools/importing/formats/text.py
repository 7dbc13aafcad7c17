"""Label files as text, JSON and YAML: whatever is wrong with one is a `UserError` with its line.

A file may be large, deep or hostile: sizes are limited before anything is parsed, and JSON is taken apart an element at
a time, so that the polygons of a large COCO file are never in memory together.
"""

import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from detector.base.errors import UserError
from tools.importing.formats.folder import Folder

MOST_BYTES = 512 * 2**20  # COCO's own instances_train2017.json has 448 MiB
MOST_YAML = 2**16  # a thousand names of classes; ruamel.yaml reads 7 kB of a list in a second
_MOST_BRACKETS, _MOST_COMMAS = 20_000_000, 100_000_000  # of a JSON: what they stand for needs memory
_MOST_YAML_BRACKETS = 200
_SAVE_AGAIN = "export it again"
_SPACE = re.compile(r"[ \t\r\n]*")


def read(path: Path, shown: str, most: int = MOST_BYTES) -> str:
    """A text file in UTF-8, or in UTF-16 with its mark.

    Raises:
        UserError: it cannot be read, has more than `most` bytes, or another encoding.
    """
    content = _bytes(path, shown, most)
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(shown, "is not UTF-8", "save it as UTF-8", f"line {line}") from None


def _bytes(path: Path, shown: str, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise UserError(shown, f"cannot be read: {error.strerror}", "fix its permissions") from error
    if len(content) > most:
        raise UserError(shown, f"has more than {most:,} bytes", "split it")
    return content


def json_text(path: Path, shown: str) -> str:
    """The text of a JSON file whose content cannot need more memory than a large COCO file does."""
    text = read(path, shown)
    if text.count("[") + text.count("{") > _MOST_BRACKETS or text.count(",") > _MOST_COMMAS:
        raise UserError(shown, "holds too many values", "split it")
    return text


def load_json(text: str, shown: str) -> Any:
    """A JSON document."""
    with _json_faults(shown):
        return _DECODER.decode(text)


def entries(
    folder: Folder, files: Sequence[str], errors: list[UserError]
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(file, place in it, entry) of files that are lists of objects; files that cannot be read are added to `errors`.

    An entry that is no object is given as an empty one.
    """
    for name in files:
        try:
            document = load_json(json_text(folder.path(name), name), name)
        except UserError as error:
            errors.append(error)
            continue
        for index, entry in enumerate(document if isinstance(document, list) else []):
            yield name, f"[{index}]", entry if isinstance(entry, dict) else {}


def elements(text: str, shown: str) -> Iterator[tuple[str, int, Any]]:
    """(key, index, value) of a JSON object: lists are given an element at a time, anything else with index -1.

    Raises:
        UserError: while it is taken apart; broken, nested too deeply, a key twice in one object.
    """
    with _json_faults(shown):
        keys: set[str] = set()
        position = _after(text, 0, "{")
        while not (end := _ends(text, position, "}")):
            key, position = _value(text, position)
            if not isinstance(key, str) or key in keys:
                raise ValueError(f"key {str(key)[:40]!r} twice" if isinstance(key, str) else "a key that is not text")
            keys.add(key)
            position = _after(text, position, ":")
            for index, value, after in _items(text, position):
                position = after
                if index is not None:
                    yield key, index, value
            position = _after_comma(text, position, "}")
        if _skip(text, end) < len(text):
            raise json.JSONDecodeError("something after the end", text, end)


def _items(text: str, position: int) -> Iterator[tuple[int | None, Any, int]]:
    """(index, value, position after it); a last one without an index, for the position after a list."""
    position = _skip(text, position)
    if not text.startswith("[", position):
        value, position = _value(text, position)
        yield -1, value, position
        return
    position, index = position + 1, 0
    while not (end := _ends(text, position, "]")):
        value, position = _value(text, position)
        yield index, value, position
        position, index = _after_comma(text, position, "]"), index + 1
    yield None, None, end


def _value(text: str, position: int) -> tuple[Any, int]:
    start = _skip(text, position)
    try:
        return _DECODER.raw_decode(text, start)
    except StopIteration as error:
        raise json.JSONDecodeError("a value is missing", text, start) from error


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _after(text: str, position: int, mark: str) -> int:
    position = _skip(text, position)
    if not text.startswith(mark, position):
        raise json.JSONDecodeError(f"no {mark}" if position < len(text) else "it is cut off", text, position)
    return position + 1


def _after_comma(text: str, position: int, end: str) -> int:
    """The position after a comma, or of the end."""
    position = _skip(text, position)
    return position if text.startswith(end, position) else _after(text, position, ",")


def _ends(text: str, position: int, end: str) -> int:
    """The position after the end, or 0."""
    position = _skip(text, position)
    return position + 1 if text.startswith(end, position) else 0


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(members)
    if len(made) < len(members):
        keys = [key for key, _ in members]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice[:40]!r} twice")
    return made


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


@contextmanager
def _json_faults(shown: str) -> Iterator[None]:
    try:
        yield
    except json.JSONDecodeError as error:
        reason = f"broken JSON: {error.msg}"
        raise UserError(shown, reason, _SAVE_AGAIN, f"line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise UserError(shown, "broken JSON: nested too deeply", _SAVE_AGAIN) from None
    except ValueError as error:  # a key twice, or a whole number of thousands of digits
        raise UserError(shown, f"broken JSON: {error}", _SAVE_AGAIN) from None


def load_yaml(path: Path, shown: str) -> Any:
    """A small YAML file: text, numbers, lists and mappings alone."""
    from ruamel.yaml import YAML  # here: no other format needs it

    content = read(path, shown, MOST_YAML)
    if content.count("[") + content.count("{") > _MOST_YAML_BRACKETS:
        raise UserError(shown, "broken YAML: nested too deeply", _SAVE_AGAIN)
    try:
        with warnings.catch_warnings(action="ignore"):  # of an anchor twice
            return YAML(typ="safe").load(content)
    except Exception as error:  # ruamel.yaml raises nearly anything on damaged text
        _broken_yaml(shown, error)


def _broken_yaml(shown: str, error: Exception) -> NoReturn:
    mark = getattr(error, "problem_mark", None)
    reason = str(getattr(error, "problem", "") or type(error).__name__)
    raise UserError(shown, f"broken YAML: {reason}", _SAVE_AGAIN, f"line {mark.line + 1}" if mark else "") from None
