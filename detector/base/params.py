"""params.yaml -> one frozen dataclass per section, checked.

The dataclass of a section is in params.py of the room that uses it. A stage calls `load("section", Class)` once, in
`main`; `make doctor` checks them all. There are no defaults in Python: params.yaml is the only place where a number is
chosen. `number`, `one_of`, `flag` and `text` make fields that know what is allowed; an unknown, missing, mistyped or
out-of-range value is an error that names the key.

Read as YAML 1.2, as DVC reads it: `1e-3` is a number and `no` is a string.

Not pydantic: its errors would have to be translated one by one into these lines (the value, and the whole range that is
allowed), which is most of this file; and its import takes 0.12 s, as long as all else that a quick stage imports.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from detector.base.errors import UserError

PARAMS_FILE = "params.yaml"
# Here, too: a stage refuses an unknown section without importing the rooms of the others.
SECTIONS = ("sample", "dataset", "pretrained", "train", "evaluate", "predict")
Section = TypeVar("Section")


def number(low: float, high: float = math.inf, *, auto: bool = False) -> Any:
    """A field for an int or a float, by its annotation, in [low, high]; with `auto` (`float | str`) that word, too."""
    return dataclasses.field(metadata={"low": low, "high": high, "auto": auto})


def one_of(*choices: str) -> Any:
    """A field for one of these words."""
    return dataclasses.field(metadata={"choices": choices})


def flag() -> Any:
    """A field for true or false."""
    return dataclasses.field(metadata={"flag": True})


def text(allowed: str, *, empty: bool = False) -> Any:
    """A field for a string; `allowed` says in words what belongs there."""
    return dataclasses.field(metadata={"text": allowed, "empty": empty})


def _is_int(field: dataclasses.Field[Any]) -> bool:
    return field.type in (int, "int")  # the latter under `from __future__ import annotations`


def _allowed(field: dataclasses.Field[Any]) -> str:
    meta = field.metadata
    if "choices" in meta:
        return "one of " + ", ".join(meta["choices"])
    if "flag" in meta:
        return "true or false"
    if "text" in meta:
        return str(meta["text"])
    kind = "a whole number" if _is_int(field) else "a number"
    bounds = f" from {meta['low']:.10g}" + (f" to {meta['high']:.10g}" if meta["high"] < math.inf else " up")
    return kind + bounds + (", or auto" if meta["auto"] else "")


def _is_allowed(field: dataclasses.Field[Any], value: object) -> bool:
    meta = field.metadata
    if "choices" in meta:
        return value in meta["choices"]
    if "flag" in meta:
        return isinstance(value, bool)
    if "text" in meta:
        return isinstance(value, str) and (bool(value.strip()) or meta["empty"])
    if meta["auto"] and value == "auto":
        return True
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    return (not _is_int(field) or isinstance(value, int)) and meta["low"] <= value <= meta["high"]


def _converted(field: dataclasses.Field[Any], value: Any) -> Any:
    return float(value) if "low" in field.metadata and not _is_int(field) and value != "auto" else value


def read(path: str | Path = PARAMS_FILE) -> dict[str, Any]:
    """The sections of `path`, unchecked.

    Raises:
        UserError: it is missing, or is not YAML with sections.
    """
    path = Path(path)
    try:
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(str(path), "not found", "run from the project's root") from None
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise UserError(str(path), reason, "restore it: git checkout params.yaml") from error
    except (YAMLError, UnicodeDecodeError) as error:
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
    for name in document:
        if name not in SECTIONS:
            raise UserError(str(path), "unknown section", f"there are {', '.join(SECTIONS)}", item=str(name))
    values = document.get(section)
    if not isinstance(values, dict):
        raise UserError(str(path), f"section {section} is missing or empty", "restore it: git checkout params.yaml")
    fields: Sequence[dataclasses.Field[Any]] = dataclasses.fields(cls)  # type: ignore[arg-type]
    names = [field.name for field in fields]
    for key, value in values.items():
        if key not in names and not partial:
            reason = f"unknown key (its value is {value!r})"
            raise UserError(str(path), reason, f"{section} has {', '.join(names)}", item=f"{section}.{key}")
    for field in fields:
        item = f"{section}.{field.name}"
        if field.name not in values:
            raise UserError(str(path), "missing", f"give {_allowed(field)}", item=item)
        value = values[field.name]
        if not _is_allowed(field, value):
            raise UserError(str(path), f"{value!r} is not allowed", f"give {_allowed(field)}", item=item)
    return cls(**{field.name: _converted(field, values[field.name]) for field in fields})
