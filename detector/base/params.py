"""params.yaml -> one frozen dataclass per section, checked.

The dataclass of a section is in params.py of the room that uses it. A stage calls `load("section", Class)` once, in
`main`; `make doctor` checks them all. There are no defaults in Python: params.yaml is the only place where a number is
chosen. `whole`, `number`, `one_of`, `flag` and `text` make fields that know what is allowed; an unknown, missing,
mistyped or out-of-range value is an error that names the key.

Read as YAML 1.2, as DVC reads it: `1e-3` is a number and `no` is a string.

Not pydantic: its errors would have to be translated one by one into these lines (the value, and the whole range that is
allowed), which is most of this file; and its import takes 0.12 s, as long as all else that a quick stage imports.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from detector.base.errors import UserError

PARAMS_FILE = "params.yaml"
MOST_BYTES = 2**16  # ours has 3 kB; the reader takes a second for 10
# Here, too: a stage refuses an unknown section without importing the rooms of the others.
SECTIONS = ("sample", "dataset", "pretrained", "train", "evaluate", "export", "parity", "predict")
_UNFIT = re.compile("[\0\ud800-\udfff]")  # what no path, no address and no file of UTF-8 can hold
Section = TypeVar("Section")


def whole(low: int, high: float = math.inf) -> Any:
    """A field for an int in [low, high]."""
    return _field(f"a whole number {_range(low, high)}", lambda value: type(value) is int and low <= value <= high)


def number(low: float, high: float = math.inf, *, auto: bool = False) -> Any:
    """A field for a float in [low, high], which may be written as an int; with `auto` that word is allowed, too."""

    def accepts(value: Any) -> bool:
        is_number = type(value) in (int, float) and low <= value <= high and value != math.inf
        return is_number or (auto and value == "auto")

    allowed = f"a number {_range(low, high)}" + (", or auto" if auto else "")
    return _field(allowed, accepts, lambda value: value if value == "auto" else float(value))


def one_of(*choices: str) -> Any:
    """A field for one of these words."""
    return _field(f"one of {', '.join(choices)}", lambda value: value in choices)


def some_of(*choices: str) -> Any:
    """A field for a list of at least one of these words, each once."""

    def accepts(value: Any) -> bool:
        return (
            isinstance(value, list) and all(value.count(one) == 1 and one in choices for one in value) and value != []
        )

    return _field(f"a list of {', '.join(choices)}", accepts, tuple)


def numbers(low: float, *keys: str) -> Any:
    """A field for a mapping from each of these keys to a number from `low` up."""

    def accepts(value: Any) -> bool:
        return isinstance(value, dict) and value.keys() == set(keys) and all(map(is_number, value.values()))

    def is_number(value: Any) -> bool:
        return type(value) in (int, float) and low <= value < math.inf

    return _field(f"a number {_range(low, math.inf)} for each of {', '.join(keys)}", accepts)


def flag() -> Any:
    """A field for true or false."""
    return _field("true or false", lambda value: isinstance(value, bool))


def text(allowed: str, *, empty: bool = False) -> Any:
    """A field for a string; `allowed` says in words what belongs there."""

    def accepts(value: Any) -> bool:
        return isinstance(value, str) and (empty or bool(value.strip())) and not _UNFIT.search(value)

    return _field(allowed, accepts)


def _field(allowed: str, accepts: Callable[[Any], bool], convert: Callable[[Any], object] = lambda value: value) -> Any:
    return dataclasses.field(metadata={"allowed": allowed, "accepts": accepts, "convert": convert})


def _range(low: float, high: float) -> str:
    return f"from {low:.10g}" + (f" to {high:.10g}" if high < math.inf else " up")


def read(path: str | Path = PARAMS_FILE) -> dict[str, Any]:
    """The sections of `path`, unchecked.

    Raises:
        UserError: it is missing, or is not YAML with sections.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(str(path), f"has more than {MOST_BYTES:,} bytes", "restore it: git checkout params.yaml")
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(str(path), "not found", "run from the project's root") from None
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise UserError(str(path), reason, "restore it: git checkout params.yaml") from error
    except (YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(str(path), f"not valid YAML: {error}", "fix that line") from error
    if not isinstance(document, dict):
        raise UserError(str(path), "has no sections", "restore it: git checkout params.yaml")
    return document


def load(section: str, cls: type[Section], path: str | Path = PARAMS_FILE, *, partial: bool = False) -> Section:
    """The section of `path` as a frozen `cls`; with `partial`, keys without a field in `cls` are ignored.

    Raises:
        UserError: it names `section.key`, its value and what is allowed.
    """
    return checked(read(path), section, cls, path, partial=partial)


def checked(
    document: Mapping[str, Any],
    section: str,
    cls: type[Section],
    path: str | Path = PARAMS_FILE,
    *,
    partial: bool = False,
) -> Section:
    """`load`, for sections that were already read; errors name `path`."""
    for fault in faults(document, section, cls, path, partial=partial):
        raise fault
    values, fields = document[section], dataclasses.fields(cls)  # type: ignore[arg-type]
    return cls(**{field.name: field.metadata["convert"](values[field.name]) for field in fields})


def faults(
    document: Mapping[str, Any], section: str, cls: type, path: str | Path = PARAMS_FILE, *, partial: bool = False
) -> Iterator[UserError]:
    """All errors of a section; `checked` raises the first."""
    for name in document:
        if name not in SECTIONS:
            yield UserError(str(path), "unknown section", f"there are {', '.join(SECTIONS)}", item=str(name))
    values = document.get(section)
    if not isinstance(values, dict):
        yield UserError(str(path), f"section {section} is missing or empty", "restore it: git checkout params.yaml")
        return
    fields = {field.name: field.metadata for field in dataclasses.fields(cls)}
    for key, value in values.items():
        if key not in fields and not partial:
            reason = f"unknown key (its value is {value!r})"
            yield UserError(str(path), reason, _other_keys(section, str(key), list(fields)), item=f"{section}.{key}")
    for key, meta in fields.items():
        item, remedy = f"{section}.{key}", f"give {meta['allowed']}"
        if key not in values:
            yield UserError(str(path), "missing", remedy, item=item)
        elif not meta["accepts"](values[key]):
            yield UserError(str(path), f"{values[key]!r} is not allowed", remedy, item=item)


def _other_keys(section: str, key: str, keys: Sequence[str]) -> str:
    import difflib  # here: only an error needs it

    similar = difflib.get_close_matches(key, keys, n=1)
    return f"did you mean {similar[0]}?" if similar else f"{section} has {', '.join(keys)}"
