"""The table of detections: what is read is what was written, to the last digit."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.base.errors import UserError
from detector.data.tables import ImageBoxes
from detector.evaluation import detections

NAMES = {1: "cat", 2: 'do"g, né'}
LABEL_MAP = {name: number for number, name in NAMES.items()}
HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax,score\n"


def image(filename: str, *rows: tuple[float, ...]) -> ImageBoxes:
    """Rows are (xmin, ymin, xmax, ymax, class, score)."""
    values = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return ImageBoxes(filename, 300, 200, values[:, :4], values[:, 4].astype(np.int64), values[:, 5])


def test_the_table(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    detections.write(path, [image("b.jpg"), image("a.jpg", (1, 2, 3.5, 4, 2, 0.9), (1 / 3, 0, 2, 3, 1, 0.25))], NAMES)
    assert path.read_text(encoding="utf-8") == HEADER + (
        'a.jpg,300,200,"do""g, né",1.0,2.0,3.5,4.0,0.9\n'
        "a.jpg,300,200,cat,0.3333333333333333,0.0,2.0,3.0,0.25\n"
        "b.jpg,300,200,,,,,,\n"
    )


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ROW = st.tuples(*[FLOATS] * 4, st.sampled_from([1, 2]), FLOATS)
FILENAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(FILENAMES, st.lists(ROW, max_size=3), max_size=3))
def test_what_is_read_is_what_was_written(tmp_path_factory: pytest.TempPathFactory, images: dict[str, list]) -> None:  # type: ignore[type-arg]
    path = tmp_path_factory.getbasetemp() / "round.csv"
    given_ = [image(name, *rows) for name, rows in sorted(images.items())]
    detections.write(path, given_[::-1], NAMES)
    read = detections.read(path, LABEL_MAP)
    assert [(one.filename, one.width, one.height) for one in read] == [(one.filename, 300, 200) for one in given_]
    for one, other in zip(read, given_, strict=True):
        for field in ("boxes", "classes", "scores"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
            assert getattr(one, field).dtype == getattr(other, field).dtype


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "not found"),
        ("a,b\n1,2\n", "not a table of detections: 'filename'"),
        (HEADER + "a.jpg,300,200,cat,1,2,x,4,0.9\n", "could not convert string to float: 'x'"),
        (HEADER + "a.jpg,300,200,cat,1,2\n", "not a table of detections: "),
        (HEADER + "a.jpg,300,200,cow,1,2,3,4,0.9\n", 'class cow, but the label map has cat, do"g, né'),
        (b"\xff\xfe", "not a table of detections: "),
    ],
)
def test_no_such_table(tmp_path: Path, content: str | bytes | None, reason: str) -> None:
    path = tmp_path / "d.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        detections.read(path, LABEL_MAP)
    line = caught.value.line()
    assert line.startswith(f"{path}: ") and reason in line and line.endswith("; run: dvc repro evaluate")
