"""A CSV of boxes as columns of numbers, checked row by row and sorted by image. `tables` makes images of them.

Python's own reader finds any fault and names its row. A large file without quotes and faults is read by pandas, which
takes a tenth of the time, to the same columns.
"""

import csv
import functools
import io
import itertools
import math
import operator
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detector.base import errors, naming
from detector.base.errors import UserError

BOX_COLUMNS = ["xmin", "ymin", "xmax", "ymax"]
COLUMNS = ["filename", "width", "height", "class", *BOX_COLUMNS]
IS_CROWD = "is_crowd"  # the last column of labels: 0 or 1
SCORE = "score"  # the last column of detections
MOST_PIXELS = 1_000_000  # of a side
LARGE = 4_000_000  # bytes; a smaller file is read before pandas is imported

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Names = npt.NDArray[np.object_]

_NO_BOX, _UNKNOWN = 0, -1  # in the place of a class id
# In a name: surrogates, which stand for bytes that are not UTF-8, and what leads out of the folder of the photos.
_UNFIT = re.compile(r"[\0\ud800-\udfff]|^/|(^|/)\.\.(/|\Z)")
_SUSPECT = re.compile(r"[\0\ud800-\udfff/]|\.\.")  # in many names at once
_ROWS = 10_000  # in memory as text
_SHOWN = 40  # characters of a cell, in an error


@dataclass(frozen=True)
class Columns:
    """R rows of a box each, or of an image without boxes.

    rows: (R,) where they are in the file; the header is row 1. filenames: (R,) texts. sizes: (R, 2) width and height,
    whole numbers. classes: (R,) ids, 0 without a box. numbers: (R, 5) xmin, ymin, xmax, ymax and the last column.
    """

    rows: Ints
    filenames: Names
    sizes: Floats
    classes: Ints
    numbers: Floats

    def starts(self) -> Ints:
        """(I,) the index of each image's first row."""
        names = self.filenames
        return np.flatnonzero(np.append(np.ones(1, bool), names[1:] != names[:-1])[: len(names)])


class _RefusedError(Exception):
    """Why this is no table of boxes, and in which row."""

    def __init__(self, reason: str, row: int = 0) -> None:
        super().__init__(reason)
        self.item = f"row {row}" if row else ""


class _Faults(list[tuple[int, str]]):
    """The rows that are wrong, and why."""

    def refuse(self) -> None:
        """Stop if there are any: with the first one, and how many more rows are wrong."""
        if self:
            row, reason = min(self, key=operator.itemgetter(0))
            others = len({row for row, _ in self}) - 1
            raise _RefusedError(reason + (f" (and {errors.counted(others, 'more row')})" if others else ""), row)


def read(path: Path, label_map: Mapping[str, int], last: str, remedy: str) -> Columns:
    """The rows of a file, sorted by file name; those of one image keep their order, and have one size.

    Args:
        label_map: class name -> id.
        last: `SCORE`, or `IS_CROWD`, which may be missing and then is 0. Other columns are passed over.
        remedy: for errors.

    Raises:
        UserError: with the number of the first row that is wrong, and how many more are.
    """
    try:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")  # the mark that Windows puts before UTF-8
        quick = _by_pandas(content, label_map, last) if len(content) > LARGE else None
        return _sorted(quick or _by_csv(content, label_map, last))
    except FileNotFoundError:
        raise UserError(str(path), "not found", remedy) from None
    except OSError as error:
        raise UserError(str(path), f"cannot be read: {error.strerror}", remedy) from error
    except _RefusedError as refused:
        raise UserError(str(path), str(refused), remedy, refused.item) from refused


def _by_csv(content: bytes, label_map: Mapping[str, int], last: str) -> Columns:
    reader = csv.reader(io.StringIO(content.decode(errors="surrogateescape"), newline=""), strict=True)
    try:
        table = _Table(next(reader, []), label_map, last)
        parts = [table.columns([])]
        while rows := list(itertools.islice(reader, _ROWS)):
            parts.append(table.columns(rows))
    except csv.Error as error:
        raise _RefusedError(f"not a table of boxes: {error}", reader.line_num) from error
    table.faults.refuse()
    return Columns(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


class _Table:
    """What the header says, and what is wrong with the rows that were turned into columns."""

    def __init__(self, header: Sequence[str], label_map: Mapping[str, int], last: str) -> None:
        wanted = [*COLUMNS, last]
        if missing := [name for name in wanted if name not in {*header, IS_CROWD}]:
            raise _RefusedError(f"not a table of boxes: missing columns: {', '.join(missing)}")
        if twice := [name for name in wanted if header.count(name) > 1]:
            raise _RefusedError(f"not a table of boxes: two columns are called {twice[0]}")
        self._header, self._last, self._known = header, last, ", ".join(label_map)
        self._box = f"{', '.join(BOX_COLUMNS)} and {last}"
        self._ids = {**label_map, **{naming.cell(name): number for name, number in label_map.items()}, "": _NO_BOX}
        self._count = 1  # rows so far, with the header
        self.faults = _Faults()

    def columns(self, rows: Sequence[Sequence[str]]) -> tuple[Ints, Names, Floats, Ints, Floats]:
        """The arrays of `Columns` for the next rows of the file."""
        places, text = self._by_name(rows)
        cells, *sides, names = (text[name] for name in COLUMNS[:4])
        filenames = [naming.from_cell(name) for name in cells]
        box = [text[name] for name in (*BOX_COLUMNS, self._last)]
        classes = np.array([self._ids.get(name, _UNKNOWN) for name in names], dtype=np.int64)
        sizes, numbers = (np.stack([_floats(cells) for cells in columns], axis=1) for columns in (sides, box))
        is_box, allowed = classes != _NO_BOX, _allowed(numbers, self._last)
        filled = [not is_box[k] and any(cells[k] for cells in box) for k in range(len(places))]
        note = functools.partial(self._note, places)
        note(_unfit(filenames), "{} is not the name of a file", filenames)
        note(~_whole(sizes), f"width and height are {{}}, not whole numbers from 1 to {MOST_PIXELS:,}", *sides)
        note(classes == _UNKNOWN, f"unknown class {{}}; the label map has {self._known}", names)
        note(is_box & ~allowed, f"{self._box} are {{}}, not numbers that are allowed", *box)
        note(filled, f"no class, but {self._box} are {{}}", *box)
        return places, np.array(filenames, dtype=object), sizes, classes, numbers

    def _by_name(self, rows: Sequence[Sequence[str]]) -> tuple[Ints, dict[str, Sequence[str]]]:
        """The places of the rows that have as many cells as the header, and their columns; empty lines are no rows."""
        count, lengths = len(self._header), np.array([len(row) for row in rows], dtype=np.int64)
        places = np.arange(self._count + 1, self._count + 1 + len(rows))
        self._count += len(rows)
        for k in np.flatnonzero((lengths != count) & (lengths > 0)):
            self.faults.append((int(places[k]), f"has {lengths[k]} cells, the header has {count}"))
        rows = [row for row in rows if len(row) == count]
        columns = zip(*rows, strict=True) if rows else [()] * count
        text: dict[str, Sequence[str]] = dict(zip(self._header, columns, strict=True))
        text.setdefault(self._last, ["0" if name else "" for name in text["class"]])
        return places[lengths == count], text

    def _note(self, places: Ints, wrong: npt.ArrayLike, reason: str, *columns: Sequence[str]) -> None:
        """Note the rows of a mask; the `{}` in `reason` stands for their cells in these columns."""
        for k in np.flatnonzero(wrong).tolist():
            cells = ", ".join(repr(column[k][:_SHOWN]) for column in columns)
            self.faults.append((int(places[k]), reason.replace("{}", cells, 1)))


def _floats(cells: Sequence[str]) -> Floats:
    """(R,) NaN for what is not a number."""
    if "" not in cells:
        with suppress(ValueError):
            return np.array(list(map(float, cells)), dtype=np.float64)
    return np.array([_float(cell) for cell in cells], dtype=np.float64)


def _float(cell: str) -> float:
    with suppress(ValueError):
        return float(cell or "nan")
    return math.nan


def _whole(sizes: Floats) -> Bools:
    """(R,) whether both sides can be those of an image."""
    return np.asarray(((sizes >= 1) & (sizes <= MOST_PIXELS) & (sizes == np.floor(sizes))).all(axis=1))


def _allowed(numbers: Floats, last: str) -> Bools:
    """(R,) whether the numbers can be those of a box."""
    return np.asarray(np.isfinite(numbers).all(axis=1) & (np.isin(numbers[:, 4], (0, 1)) | (last == SCORE)))


def _unfit(filenames: Sequence[str]) -> list[bool]:
    """For each name, whether no file can have it."""
    if "" not in filenames and not _SUSPECT.search("".join(filenames)):  # as a rule one look is enough
        return [False] * len(filenames)
    return [not name or bool(_UNFIT.search(name)) for name in filenames]


def _by_pandas(content: bytes, label_map: Mapping[str, int], last: str) -> Columns | None:
    """The same columns as `_by_csv`; None for a file with quotes, or in which something may be wrong."""
    import pandas as pd  # late: it takes longer than most files

    header = content.partition(b"\n")[0].decode(errors="replace").split(",")
    if not set(header) >= set(COLUMNS) or len(set(header)) < len(header) or not _is_plain(content, len(header)):
        return None
    sides, box = COLUMNS[1:3], [*BOX_COLUMNS, last]
    kinds = {"filename": str, "class": str, **dict.fromkeys([*sides, *box], np.float64)}
    try:
        frame = pd.read_csv(
            io.BytesIO(content),
            usecols=lambda name: name in kinds,
            dtype=kinds,
            keep_default_na=False,
            na_values={name: [""] for name in (*sides, *box)},
        )
        classes = frame["class"].map({**label_map, "": _NO_BOX}).fillna(_UNKNOWN).to_numpy(np.int64)
        if last == IS_CROWD and last not in frame.columns:
            frame[last] = np.where(classes == _NO_BOX, np.nan, 0)
        columns = Columns(
            rows=np.arange(2, len(frame) + 2, dtype=np.int64),
            filenames=frame["filename"].to_numpy(object),
            sizes=frame[sides].to_numpy(np.float64),
            classes=np.asarray(classes, dtype=np.int64),
            numbers=frame[box].to_numpy(np.float64),
        )
    except (ValueError, KeyError):  # pandas' own and UnicodeDecodeError are ValueErrors, too
        return None
    return columns if _is_sound(columns, last) else None


def _is_sound(columns: Columns, last: str) -> bool:
    """Whether `_by_csv` would find no fault."""
    is_box = columns.classes != _NO_BOX
    sound = (columns.classes != _UNKNOWN).all() and _whole(columns.sizes).all()
    sound = sound and _allowed(columns.numbers[is_box], last).all() and np.isnan(columns.numbers[~is_box]).all()
    return bool(sound) and not any(_unfit(columns.filenames.tolist()))


def _is_plain(content: bytes, count: int) -> bool:
    """Whether there are neither quotes nor odd ends of lines, and `count` cells in every line.

    A cell that begins with ' is one that stands for another (`naming.cell`).
    """
    if any(part in content for part in (b'"', b"\r", b"\0", b"\n'", b",'")) or not content.endswith(b"\n"):
        return False
    text = np.frombuffer(content, dtype=np.uint8)
    ends, commas = np.flatnonzero(text == ord("\n")), np.flatnonzero(text == ord(","))
    if len(commas) != len(ends) * (count - 1):
        return False
    first, last = commas[:: count - 1], commas[count - 2 :: count - 1]  # of every line
    return bool((last < ends).all() and (first[1:] > ends[:-1]).all())


def _sorted(columns: Columns) -> Columns:
    names = columns.filenames
    order = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
    result = Columns(*(column[order] for column in vars(columns).values()))
    starts = result.starts()
    first = np.repeat(starts, np.diff(np.append(starts, len(names))))  # (R,) the first row of each row's image
    faults = _Faults()
    for k in np.flatnonzero((result.sizes != result.sizes[first]).any(axis=1)).tolist():
        here, there = ("{:.0f}x{:.0f}".format(*result.sizes[row]) for row in (k, first[k]))
        reason = f"{result.filenames[k][:_SHOWN]!r} is {here}, in row {result.rows[first[k]]} {there}"
        faults.append((int(result.rows[k]), reason))
    faults.refuse()
    return result
