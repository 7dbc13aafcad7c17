"""What was left out, counted by hand from a report."""

from pathlib import Path

import pytest

from detector.annotations import left_out

HEADER = "split,filename,object,problem,action\n"
ROWS = [
    "train,a.jpg,,without a label file; label it,skipped",
    "test,b.jpg,,without a label file; label it,skipped",
    "train,c.jpg,,broken XML: no tag; fix it,skipped",
    'train,d.xml,object 2 (cat),"empty: 3, 3; draw it again",skipped',
    "train,d.xml,object 1 (cat),xmax 81 was clipped to 80; -,repaired",
    "train,e.jpg,,<filename> is stale; -,warning",
]
COUNTS = {"photos": {"without a label file": 2, "broken XML": 1}, "boxes": {"empty": 1}}
NONE: dict[str, dict[str, int]] = {"photos": {}, "boxes": {}}


def write_report(folder: Path, rows: list[str]) -> Path:
    report = folder / "annotation_report.csv"
    report.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return report


@pytest.mark.parametrize(("rows", "counts"), [(ROWS, COUNTS), (ROWS[4:], NONE), ([], NONE)])
def test_what_was_left_out_by_reason(tmp_path: Path, rows: list[str], counts: object) -> None:
    assert left_out.of_report(write_report(tmp_path, rows)) == counts


def test_without_a_report_nothing_is_known_to_be_left_out(tmp_path: Path) -> None:
    assert left_out.of_report(tmp_path / "none.csv") == NONE


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (NONE, ""),
        (COUNTS, "3 photos (without a label file 2, broken XML 1), 1 box (empty 1)"),
        ({"photos": {"broken XML": 1}, "boxes": {}}, "1 photo (broken XML 1)"),
        ({"photos": {}, "boxes": {"empty": 1, "inside out": 1}}, "2 boxes (empty 1, inside out 1)"),
    ],
)
def test_in_words(counts: dict[str, dict[str, int]], words: str) -> None:
    assert left_out.in_words(counts) == words
