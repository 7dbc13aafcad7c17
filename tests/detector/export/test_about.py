"""A model's own record: how it was trained, and what was left out of its dataset, counted by hand."""

import json
from pathlib import Path

import pytest

from detector.export import about

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


def write_report(folder: Path, rows: list[str]) -> Path:
    report = folder / "annotation_report.csv"
    report.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return report


def test_the_record_is_that_of_the_training_and_of_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dataset/data").mkdir(parents=True)
    write_report(Path("dataset/data"), ROWS)
    Path("train.json").write_text('{"steps": 300, "start": {"source": "open_images"}}')
    about.write(Path(), Path("exported"))
    record = json.loads(Path("exported/about.json").read_text())
    assert record == {"steps": 300, "start": {"source": "open_images"}, "left_out": COUNTS}
