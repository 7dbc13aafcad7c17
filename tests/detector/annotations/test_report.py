"""detector.annotations.report: what the annotation report says, in lines and counts."""

from pathlib import Path

from detector.annotations import left_out, report
from detector.annotations.report import FileProblem
from detector.annotations.voc import ERROR, REPAIRED, SKIPPED, WARNING, Problem


def lines():
    def one(name, item, reason, action=SKIPPED):
        return FileProblem("train", Path("dataset/pets/train") / name, Problem(item, reason, "so", action))

    return [
        *(one(f"{number}.jpg", "", "has no label") for number in range(4)),
        one("4.jpg", "", "does not decode to its end: x: y; z"),
        *(one("5.xml", f"object {number} (cat)", "empty: xmin") for number in (1, 2)),
        one("6.xml", "object 1 (\x1b[2J)", "outside: box"),
        one("7.xml", "", "broken XML: no"),
        one("8.xml", "", "<filename> is missing", REPAIRED),
        one("9.xml", "", "many objects: 101", WARNING),
        one("a.xml", "", "unknown class emu", ERROR),
    ]


COUNTS = {
    "photos": {"has no label": 4, "does not decode to its end": 1},
    "boxes": {"empty": 2, "outside": 1},
}


def test_the_counts_are_those_of_the_file(tmp_path):
    report.write(tmp_path / "report.csv", lines())
    assert left_out.of_report(tmp_path / "report.csv") == report.count(lines()) == COUNTS
    assert left_out.in_words(COUNTS) == (
        "5 photos (has no label 4, does not decode to its end 1), 3 boxes (empty 2, outside 1)"
    )


def test_nothing_was_left_out(tmp_path):
    report.write(tmp_path / "report.csv", [])
    nothing = {"photos": {}, "boxes": {}}
    assert (tmp_path / "report.csv").read_text() == "split,filename,object,problem,action\n"
    assert left_out.of_report(tmp_path / "report.csv") == left_out.of_report(tmp_path / "missing.csv") == nothing
    assert left_out.in_words(nothing) == ""
    assert list(report.summary([])) == []


def test_the_console_has_a_line_for_each_kind():
    assert list(report.summary(lines())) == [
        "repaired: dataset/pets/train/8.xml: <filename> is missing; so",
        "skipped: 2 boxes: empty: train/5.xml",
        "skipped: dataset/pets/train/6.xml: object 1 (\\x1b[2J): outside: box; so",
        "skipped: dataset/pets/train/7.xml: broken XML: no; so",
        "skipped: dataset/pets/train/4.jpg: does not decode to its end: x: y; z; so",
        "skipped: 4 photos: has no label: train/0.jpg, train/1.jpg, train/2.jpg and 1 more",
        "warning: dataset/pets/train/9.xml: many objects: 101; so",
    ]


def test_nothing_in_the_file_steers_a_terminal(tmp_path):
    report.write(tmp_path / "report.csv", lines())
    assert "\x1b" not in (tmp_path / "report.csv").read_text()
