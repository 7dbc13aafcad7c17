"""Tables of boxes, a row each: CSV, or with tabs or semicolons.

filename,width,height,class,xmin,ymin,xmax,ymax     the Object Detection API's, in any order and by other usual names
ImageID,...,LabelName,...,XMin,XMax,YMin,YMax,...   Open Images, in fractions; IsGroupOf becomes difficult
image_id,width,height,bbox                          Global Wheat's of 2020: [x, y, width, height] in one cell
image_name,BoxesString,domain                       its successor's: xmin ymin xmax ymax;... in one cell, or no_box
Filename;Annotation tag;Upper left corner X;...     LISA's
path,x1,y1,x2,y2,class                              RetinaNet's, without a header
TRAIN,path,class,x,y,,,x,y,,                        AutoML's and TFLite Model Maker's, without a header, in fractions

A row with a photo and nothing else is a photo without objects. The split is in the file's name, its folder's, or a
column `split`. Open Images' codes become names where a table `code,name` lies in the tree: its own
class-descriptions-boxable.csv, FiftyOne's metadata/classes.csv. A table that has no column for a class has one class.
"""

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from detector.annotations import shapes
from detector.base.errors import UserError
from detector.pictures import images
from tools.importing import splits
from tools.importing.formats import labelled, text
from tools.importing.formats.folder import Folder
from tools.importing.formats.labelled import Box, Corners, Findings, Labels, Reading

CORNERS = ("xmin", "ymin", "xmax", "ymax")
DELIMITERS = ",;\t|"
_NAMES = {  # a column, and what it is called without `_`, in the order of preference
    "photo": ("filename", "filepath", "imagepath", "path", "imagefilename", "image", "imagename", "imageid", "file"),
    "class": (
        *("class", "classname", "label", "labelname", "category", "categoryname", "object", "name"),
        "annotationtag",
    ),
    "xmin": ("xmin", "x1", "left", "xtl", "upperleftcornerx"),
    "ymin": ("ymin", "y1", "top", "ytl", "upperleftcornery"),
    "xmax": ("xmax", "x2", "right", "xbr", "lowerrightcornerx"),
    "ymax": ("ymax", "y2", "bottom", "ybr", "lowerrightcornery"),
    "box": ("bbox", "boundingbox"),
    "boxes": ("boxesstring",),
    "width": ("width", "imagewidth"),
    "height": ("height", "imageheight"),
    "split": ("split", "subset", "set"),
    "difficult": ("iscrowd", "difficult", "isgroupof"),
    "truncated": ("truncated", "istruncated"),
    "score": ("score",),
}
_RETINANET = dict(zip(("photo", *CORNERS, "class"), range(6), strict=True))
_AUTOML = {"split": 0, "photo": 1, "class": 2, "xmin": 3, "ymin": 4, "xmax": 7, "ymax": 8}
_AUTOML_SETS = ("TRAIN", "TRAINING", "VALIDATE", "VALIDATION", "TEST", "UNASSIGNED")
_NO_CLASS = ("", "area", "confidence", "domain", "id", "index", "source", "unnamed0")  # never the class
_CODE = re.compile(r"/[mgt]/\w+")  # of a class of Open Images
_DESCRIPTIONS = re.compile(rb'(\xef\xbb\xbf)?([^/\n]*\n)?"?/[mgt]/\w+"?,')  # code,name; also below a header
_LONGEST = 2**16  # letters of a header; the csv module refuses cells of twice as many
_PHOTO = re.compile("file|image|path", re.IGNORECASE)  # a part of all names of that column
_NUMBER = re.compile(labelled.NUMBER)
ONE_CLASS = "object"  # the name of the class where a table has none


@dataclass(frozen=True)
class Layout:
    """How a table is to be read. columns: {what: its place in a row}. fractions: None where the numbers tell.

    unknown: the places of further columns, of which one may hold the class.
    """

    delimiter: str
    columns: Mapping[str, int]
    has_header: bool = True
    fractions: bool | None = None
    unknown: Sequence[int] = ()

    @property
    def in_one_cell(self) -> bool:
        """Whether a box is `[x, y, width, height]` in one cell."""
        return "box" in self.columns and not self.columns.keys() >= {*CORNERS}

    @property
    def has_boxes(self) -> bool:
        """Whether its header names boxes."""
        return bool({"box", "boxes"} & self.columns.keys()) or self.columns.keys() >= {*CORNERS}


def layout(content: str) -> Layout | None:
    """The layout of a table of boxes by its first lines, or None."""
    first = next((line for line in content.splitlines() if line.strip()), "")[:_LONGEST]
    found = header(first)
    if found and found.has_boxes:
        if "class" not in found.columns and len(found.unknown) == 1:  # such as cell_type
            return replace(found, columns={**found.columns, "class": found.unknown[0]}, unknown=())
        return found
    for delimiter in DELIMITERS:
        row = next(csv.reader([first], delimiter=delimiter), [])
        if len(row) in (6, 11) and _is_box(row):
            return Layout(delimiter, _RETINANET if len(row) == 6 else _AUTOML, False, len(row) == 11)
    return None


def header(line: str) -> Layout | None:
    """The columns that a line names, or None where a photo is not among them."""
    line = line[:_LONGEST]
    if not _PHOTO.search(line):  # as in each of a hundred thousand files of YOLO
        return None
    for delimiter in DELIMITERS:
        row = next(csv.reader([line], delimiter=delimiter), [])
        words = [re.sub("[^a-z0-9]", "", cell.lower()) for cell in row]
        found = {what: [words.index(name) for name in names if name in words] for what, names in _NAMES.items()}
        columns = {what: places[0] for what, places in found.items() if places}
        if "photo" in columns:
            others = {place for place, word in enumerate(words) if word not in _NO_CLASS} - set(columns.values())
            is_open_images = {"imageid", "labelname"} <= set(words)
            return Layout(delimiter, columns, fractions=True if is_open_images else None, unknown=sorted(others))
    return None


def _is_box(row: list[str]) -> bool:
    """Whether a row without a header is one of a table: RetinaNet's six cells, or AutoML's eleven."""
    if len(row) == 11:
        return row[0].strip().upper() in _AUTOML_SETS and images.is_image(row[1].strip())
    corners = [shapes.number(cell) for cell in row[1:5]]
    is_full = not any(map(math.isnan, corners)) and bool(row[5].strip())
    return images.is_image(row[0].strip()) and (is_full or not any(cell.strip() for cell in row[1:]))


def rows(content: str, name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of a table, without empty lines. Raises: UserError: where the CSV is broken."""
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, [cell.strip() for cell in row]
    except csv.Error as error:
        raise UserError(name, f"broken table: {error}", "save it again", f"line {reader.line_num}") from None


def read(folder: Folder, files: list[str], findings: Findings) -> Reading:
    """The labels of some tables of one dataset."""
    described = _descriptions(folder, findings)
    codes = {code: word for one in described.values() for code, word in one.items()}
    labels: list[Labels] = []
    for name in files:
        try:
            content = text.read(folder.path(name), name)
            if not (found := layout(content)):
                raise UserError(name, "is no table of boxes any more", "save it again")
            labels += _table(content, name, found, codes, findings)
        except UserError as error:
            findings.errors.append(error)
    return Reading(labels, labelled.sorted_names(labels), [*described])


@dataclass(frozen=True)
class _Row:
    line: int
    split: str
    photo: str
    size: labelled.Size | None
    box: Box | None


def _table(content: str, name: str, found: Layout, codes: Mapping[str, str], findings: Findings) -> Iterator[Labels]:
    if problem := _not_labels(found):
        findings.note(name, "", *problem)
        return
    lines = rows(content, name, found.delimiter)
    if found.has_header:
        next(lines)
    read_rows = [row for line, cells in lines for row in _rows(line, cells, found, codes)]
    for row in read_rows:
        if not row.photo:
            findings.error(name, f"line {row.line}", "names no photo", "fill that cell, or remove the line")
        elif row.box and row.box.corners and not all(map(math.isfinite, row.box.corners)):
            findings.note(name, f"line {row.line}", "a corner that is not a number", "make train reports it")
    corners = [value for row in read_rows if row.box and row.box.corners for value in row.box.corners]
    if found.columns is _RETINANET and (bad := _not_corners(read_rows)):
        findings.error(name, f"line {bad}", "x2, y2 are not right of and below x1, y1", "give the table a header")
        return
    if found.in_one_cell:
        findings.note(name, "", "boxes in one cell", "taken as [x, y, width, height]")
        if bad := _beyond(read_rows):
            reason = "[x, y, width, height] would reach out of the photo"
            remedy = "if these are corners, put them into columns xmin, ymin, xmax, ymax"
            findings.error(name, f"line {bad}", reason, remedy)
    if "class" not in found.columns:
        findings.note(name, "", "no column for a class", f"all boxes are of one class, {ONE_CLASS}")
    for code in sorted({row.box.name for row in read_rows if row.box and _CODE.fullmatch(row.box.name)}):
        done = "taken as its name; class-descriptions-boxable.csv of Open Images, put there, gives the real one"
        findings.note(name, code, "a code in place of a class", done)
    fractions = _are_fractions(corners) if found.fractions is None else found.fractions
    if fractions and found.fractions is None:
        findings.note(name, "", "all corners are from 0 to 1", "taken as shares of the photo's sides")
    default = splits.of_file(name)
    photos: dict[tuple[str, str], list[_Row]] = {}
    for row in read_rows:
        if row.photo:
            photos.setdefault((row.photo, row.split), []).append(row)
    for (photo, split), many in photos.items():
        boxes = tuple(row.box for row in many if row.box)
        size = None if fractions else many[0].size
        if any(row.size != many[0].size for row in many):
            findings.note(name, f"line {many[0].line}", "a photo with several sizes", "its first one is taken")
        yield Labels(photo, name, f"line {many[0].line}", boxes, size, split or default, fractions)


def _not_labels(found: Layout) -> tuple[str, str] | None:
    if "score" in found.columns:
        return "a column score: detections of a model, not labels", "passed over"
    if "class" not in found.columns and found.unknown:
        return "a table of boxes without a class", "passed over; give it a column class"
    return None


def _rows(line: int, cells: list[str], found: Layout, codes: Mapping[str, str]) -> list[_Row]:
    """A row; with a cell `xmin ymin xmax ymax;...` one for each of its boxes, or one without a box."""
    row = _row(line, cells, found, codes)
    if "boxes" not in found.columns:
        return [row]
    place = found.columns["boxes"]
    parts = [part.strip() for part in cells[place].split(";")] if place < len(cells) else []
    boxes = [part for part in parts if part]
    if not boxes or boxes == ["no_box"]:
        return [replace(row, box=None)]
    name = row.box.name if row.box else ONE_CLASS
    return [replace(row, box=Box(name, _corners(box))) for box in boxes]


def _row(line: int, cells: list[str], found: Layout, codes: Mapping[str, str]) -> _Row:
    def cell(what: str) -> str:
        place = found.columns.get(what, len(cells))
        return cells[place] if place < len(cells) else ""

    corners = [_number(cell(what), found.delimiter) for what in CORNERS]
    word = codes.get(cell("class"), cell("class"))
    has_box = bool(word) or any(cell(what) for what in (*CORNERS, "box"))
    box = Box(
        word if "class" in found.columns else ONE_CLASS,
        _of_cell(cell("box")) if found.in_one_cell else (corners[0], corners[1], corners[2], corners[3]),
        labelled.flag(cell("difficult")),
        labelled.flag(cell("truncated")),
    )
    size = labelled.size(_number(cell("width"), found.delimiter), _number(cell("height"), found.delimiter))
    return _Row(line, splits.mentioned(cell("split")), cell("photo"), size, box if has_box else None)


def _corners(text: str) -> Corners:
    """The box of `xmin ymin xmax ymax`."""
    values = [_number(value, ",") for value in text.split()]
    xmin, ymin, xmax, ymax = values if len(values) == 4 else [math.nan] * 4
    return xmin, ymin, xmax, ymax


def _of_cell(cell: str) -> Corners:
    """The box of a cell `[x, y, width, height]`."""
    x, y, width, height = map(float, values) if len(values := _NUMBER.findall(cell)) == 4 else [math.nan] * 4
    return x, y, x + width, y + height


def _number(cell: str, delimiter: str) -> float:
    """A number, with a decimal comma where commas do not separate cells."""
    return shapes.number(cell.replace(",", ".") if delimiter != "," and "." not in cell else cell)


def _not_corners(read_rows: list[_Row]) -> int:
    """The first line that can only be x, y, width, height; 0 where there is none."""
    boxes = [(row.line, row.box.corners) for row in read_rows if row.box and row.box.corners]
    return next((line for line, (x1, y1, x2, y2) in boxes if x2 < x1 or y2 < y1), 0)


def _beyond(read_rows: list[_Row]) -> int:
    """The first line whose box reaches out of its photo, if most do; else 0."""
    sized = [(row.line, row.box.corners, row.size) for row in read_rows if row.box and row.box.corners and row.size]
    beyond = [line for line, (_, _, right, bottom), (width, height) in sized if right > width or bottom > height]
    return beyond[0] if len(beyond) * 2 > len(sized) else 0


def _are_fractions(corners: list[float]) -> bool:
    finite = [value for value in corners if math.isfinite(value)]
    return any(0 < value < 1 for value in finite) and all(0 <= value <= 1 for value in finite)


def _descriptions(folder: Folder, findings: Findings) -> dict[str, dict[str, str]]:
    """{table: {code: name}} of those that name Open Images' classes."""
    found: dict[str, dict[str, str]] = {}
    for name in folder.others:
        if name.lower().endswith(".csv") and _DESCRIPTIONS.match(folder.head(name)):
            try:
                cells = [row for _, row in rows(text.read(folder.path(name), name), name, ",")]
            except UserError as error:
                findings.errors.append(error)
            else:
                found[name] = {row[0]: row[1] for row in cells if len(row) == 2 and _CODE.fullmatch(row[0])}
    return found
