"""The words and numbers of a page in the reader's language: English, or what its catalogue has for it.

A message is the English text; {places} are filled, `code` in backticks becomes <code>, and all else is escaped.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Self

from markupsafe import Markup, escape

from detector.base.errors import MOST_NAMES

NOTHING = "–"
_CODE = re.compile("`([^`]+)`")


class _Number(float):
    """A number that `{:.3f}` shows with the decimal sign of a language."""

    def __new__(cls, value: float, decimal: str) -> Self:
        made = super().__new__(cls, value)
        made.decimal = decimal
        return made

    decimal: str

    def __format__(self, spec: str) -> str:
        return super().__format__(spec).replace(".", self.decimal)


@dataclass(frozen=True)
class Message:
    """Words to be said in a language; a value may be a list of names, of which the first are shown."""

    text: str
    values: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return ENGLISH.text(self.text, **self.values)


@dataclass(frozen=True)
class Language:
    """code: of HTML's `lang`. decimal, thousands: signs in a number. words: {English: translated}."""

    code: str = "en"
    decimal: str = "."
    thousands: str = ","
    words: Mapping[str, str] = field(default_factory=dict)

    def text(self, message: str, **values: object) -> str:
        """A message as plain text."""
        translated = self.words.get(message, message)
        return translated.format(**self._shown(values)) if values else translated

    def html(self, message: str, **values: object) -> Markup:
        """A message as HTML."""
        translated = str(escape(self.words.get(message, message)))
        template = Markup(_CODE.sub(r"<code>\1</code>", translated))  # noqa: S704 - escaped; so are the values
        return template.format(**self._shown(values)) if values else template

    def _shown(self, values: Mapping[str, object]) -> dict[str, object]:
        """The values that fill a message, numbers with the signs of the language."""
        return {name: self._value(value) for name, value in values.items()}

    def _value(self, value: object) -> object:
        if isinstance(value, list):
            shown = ", ".join(str(self._value(one)) for one in value[:MOST_NAMES])
            return shown + (self.text(" and {more} more", more=more) if (more := len(value) - MOST_NAMES) > 0 else "")
        if isinstance(value, Message):
            return self.text(value.text, **value.values)
        if type(value) is int:
            return self.whole(value)
        return _Number(value, self.decimal) if isinstance(value, float) else value

    def number(self, value: object, digits: int = 3) -> str:
        """A number with so many digits behind the point, or a dash where there is none."""
        if not isinstance(value, int | float) or not math.isfinite(value):
            return NOTHING
        return f"{value:.{digits}f}".replace(".", self.decimal)

    def whole(self, value: int) -> str:
        """1,000"""
        return f"{value:,}".replace(",", self.thousands)

    def percent(self, share: object) -> str:
        """89 %; never 100 where something is missing, never 0 where there is something."""
        if not isinstance(share, int | float) or not math.isfinite(share):
            return NOTHING
        return f"{100 * (share if share in (0, 1) else min(max(share, 0.01), 0.99)):.0f} %"


ENGLISH = Language()


@cache
def portuguese() -> Language:
    """That of Brazil."""
    words = json.loads(Path(__file__).with_name("pt-BR.json").read_text(encoding="utf-8"))
    return Language("pt-BR", ",", ".", words)
