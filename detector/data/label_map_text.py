"""The text of a label map: protobuf's text format of one message, `item { id: 1 name: 'cat' display_name: 'Cat' }`.

Read here by its grammar, not by protobuf, whose errors do not name the item and whose parser passes over a misspelt
`itme { }` as soon as it passes over unknown fields. Comments may hold bytes of any encoding; names are UTF-8.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from google.protobuf import text_encoding

from detector.base.errors import UserError, few

MOST_BYTES = 2**20  # LVIS' 1,203 classes with their ancestors have 0.2 MiB
EXAMPLE = "items look like: item { id: 1 name: 'cat' }"
SAVE_AS_UTF8 = "open it in an editor and save it as UTF-8"
_OTHER_FIELDS = {"keypoints", "ancestor_ids", "descendant_ids", "frequency", "instance_count"}  # known, not used
_BYTE_ORDER_MARKS = {  # the longest first: UTF-32's begins with UTF-16's
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_ESCAPE = r"""\\(?:[abfnrtv\\'"?]|[0-7]{1,3}|[xX][0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"""
_TOKEN = re.compile(
    rf"""(?P<space>\s+|\#[^\n]*)
    |(?P<text>"(?:[^"\\\n]|{_ESCAPE})*"|'(?:[^'\\\n]|{_ESCAPE})*')
    |(?P<curly>[‘’‚“”„][^‘’‚“”„"'\\\n]*[‘’“”])
    |(?P<word>[A-Za-z_]\w*)
    |(?P<number>[-+]?[0-9.][\w.+-]*)
    |(?P<mark>[{{}}<>\[\]:,;])
    |(?P<other>.)""",
    re.VERBOSE,
)
_SURROGATE = re.compile("[\udc80-\udcff]")  # what a byte becomes that is not UTF-8
_MOST_SHOWN = 30  # letters of the file, in an error
_BRACKETS = {"{": "}", "<": ">", "[": "]"}


@dataclass
class Item:
    """An item as it stands in the file; id: None where it has none. line: where it begins, from 1."""

    line: int
    id: int | None = None
    name: str = ""
    display_name: str = ""
    given: set[str] = field(default_factory=set)  # the fields that it has


class Token(NamedTuple):
    """A piece of the text; kind: a group of `_TOKEN`, or `end`. offset: of its first letter. line: from 1."""

    kind: str
    text: str
    offset: int
    line: int

    def is_utf8(self) -> bool:
        return not _SURROGATE.search(self.text)

    def shown(self) -> str:
        """In words, for an error; of any text no more than a line holds."""
        if self.kind == "end":
            return "the end of the file"
        if not self.is_utf8():
            return "text that is not UTF-8"
        if self.kind == "other" and self.text in "\"'":
            return f"{self.text} without its end on the same line, or before an unknown escape,"
        text = self.text if len(self.text) <= _MOST_SHOWN else f"{self.text[:_MOST_SHOWN]}..."
        return text if text.isprintable() else ascii(text)


def read(content: bytes, where: str) -> tuple[list[Item], list[str]]:
    """The items in the order of the file, and what was repaired in reading, in words.

    Raises:
        UserError: `where`, with the line and column: it is not a label map, or not one in UTF-8 or UTF-16.
    """
    if len(content) > MOST_BYTES:
        raise UserError(where, f"has {len(content):,} bytes: no label map is so large", EXAMPLE)
    text, repairs = _decode(content, where)
    reader = _Reader(text, where)
    items = list(_items(reader))
    if reader.is_curly:
        repairs.append("curly quotes taken as straight ones")
    if reader.ignored:
        repairs.append(f"fields that no label map has were ignored: {few(sorted(reader.ignored))}")
    return items, repairs


def _decode(content: bytes, where: str) -> tuple[str, list[str]]:
    """The text with plain newlines, and what was repaired. Bytes that are not UTF-8 become surrogates."""
    mark = next((mark for mark in _BYTE_ORDER_MARKS if content.startswith(mark)), b"")
    encoding = _BYTE_ORDER_MARKS.get(mark) or _unmarked(content[:2])
    try:
        text = content.decode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "strict")
    except UnicodeDecodeError:
        raise UserError(where, f"is not the {encoding} that it begins as", SAVE_AS_UTF8) from None
    if "\0" in text:
        raise UserError(where, "holds NUL bytes: it is not a text file", EXAMPLE)
    words = {"utf-8": [], "utf-8-sig": ["its byte order mark was removed"]}
    repairs = words.get(encoding, [f"converted from {encoding.upper()} to UTF-8"])
    if not repairs and _SURROGATE.search(text):
        repairs = ["its comments are not UTF-8: they were removed"]  # elsewhere, the reader refuses them
    return text.replace("\r\n", "\n").replace("\r", "\n"), repairs


def _unmarked(start: bytes) -> str:
    """The encoding of a text without a byte order mark: its first letter is ASCII."""
    if len(start) == 2 and b"\0" in start and start != b"\0\0":
        return "utf-16-be" if start[0] == 0 else "utf-16-le"
    return "utf-8"


class _Reader:
    """The tokens of a text, one after the other: `token` is the next one."""

    def __init__(self, text: str, where: str) -> None:
        self.text, self.where = text, where
        self.is_curly = False
        self.ignored: set[str] = set()
        self._tokens = self._scan()
        self.token = next(self._tokens)

    def _scan(self) -> Iterator[Token]:
        line = 1
        for match in _TOKEN.finditer(self.text):
            if match.lastgroup != "space":
                yield Token(match.lastgroup or "", match.group(), match.start(), line)
            line += match.group().count("\n")
        while True:
            yield Token("end", "", len(self.text), line)

    def advance(self) -> Token:
        """Step to the next token; return the one before."""
        before, self.token = self.token, next(self._tokens)
        return before

    def accept(self, *marks: str) -> str:
        """Step over one of these marks; '' where the next token is none of them."""
        return self.advance().text if self.token.kind == "mark" and self.token.text in marks else ""

    def expect(self, mark: str) -> None:
        if not self.accept(mark):
            raise self.error(mark)

    def error(self, expected: str, remedy: str = EXAMPLE) -> UserError:
        place = f"line {self.token.line}, column {self.token.offset - self.text.rfind(chr(10), 0, self.token.offset)}"
        remedy = remedy if self.token.is_utf8() else SAVE_AS_UTF8
        return UserError(self.where, f"{self.token.shown()} where {expected} is expected", remedy, place)


def _items(reader: _Reader) -> Iterator[Item]:
    while reader.token.kind != "end":
        if reader.token.text != "item":
            raise reader.error("item { ... }")
        reader.advance()
        reader.accept(":")
        if not reader.accept("["):
            yield _item(reader)
        else:
            while not reader.accept("]"):
                yield _item(reader)
                reader.accept(",")
        reader.accept(",", ";")


def _item(reader: _Reader) -> Item:
    item = Item(reader.token.line)
    opened = reader.accept("{", "<")
    if not opened:
        raise reader.error("{")
    while not reader.accept(_BRACKETS[opened]):
        if reader.token.kind != "word":
            raise reader.error(f"id, name or {_BRACKETS[opened]}")
        if reader.token.text in item.given:
            raise reader.error(f"no second {reader.token.text}", "give every item one id and one name")
        _field(reader, item)
        reader.accept(",", ";")
    return item


def _field(reader: _Reader, item: Item) -> None:
    name = reader.advance().text
    if name in ("id", "name", "display_name"):
        item.given.add(name)
        reader.expect(":")
        setattr(item, name, _number(reader) if name == "id" else _text(reader))
        return
    if name not in _OTHER_FIELDS:
        reader.ignored.add(name)
    _skip(reader)


def _number(reader: _Reader) -> int:
    if not re.fullmatch(r"[-+]?\d{1,9}", reader.token.text, re.ASCII):
        raise reader.error("a whole number", "the id is a number without quotes: id: 1")
    return int(reader.advance().text)


def _text(reader: _Reader) -> str:
    """A text in quotes; several in a row are one."""
    parts = []
    while reader.token.kind in ("text", "curly"):
        token = reader.token
        try:
            parts.append(
                text_encoding.CUnescape(token.text[1:-1]).decode() if token.kind == "text" else token.text[1:-1]
            )
        except UnicodeError:
            raise reader.error("a name in UTF-8", SAVE_AS_UTF8) from None
        reader.is_curly |= token.kind == "curly"
        reader.advance()
    if not parts:
        raise reader.error("a text in straight quotes", "write it as: name: 'cat'")
    return "".join(parts)


def _skip(reader: _Reader) -> None:
    """Step over the value of a field: one in brackets, texts in a row, or a single word or number."""
    reader.accept(":")
    closing = []
    while True:
        if opened := reader.accept(*_BRACKETS):
            closing.append(_BRACKETS[opened])
        elif closing and reader.accept(closing[-1]):
            closing.pop()
        elif reader.token.kind in ("end", "other") or (reader.token.kind == "mark" and not closing):
            raise reader.error(closing[-1] if closing else "a value")
        elif reader.advance().kind == "text" and reader.token.kind == "text":
            continue
        if not closing:
            return
