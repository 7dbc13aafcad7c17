"""Which photos of a record an int8 model is calibrated with."""

import io
from pathlib import Path

import numpy as np
import pytest

from detector.base.errors import UserError
from detector.data import records
from detector.export import calibration
from tests.support import tiny


def record(path: Path, photos: int) -> Path:
    with path.open("wb") as file:
        for number in range(photos):
            content = io.BytesIO()
            tiny.ground(number).save(content, "PNG")
            example = {"image/filename": [b"%d.png" % number], "image/encoded": [content.getvalue()]}
            records.write_frame(file, records.encode(example))
    return path


def test_they_are_a_hundred_at_most_evenly_spread(tmp_path: Path) -> None:
    photos = list(calibration.photos(record(tmp_path / "a.record", 201)))
    assert len(photos) == 67  # every third
    for number, photo in zip(range(0, 201, 3), photos, strict=True):
        np.testing.assert_array_equal(photo, np.asarray(tiny.ground(number)))
    assert len(list(calibration.photos(record(tmp_path / "b.record", 100)))) == 100


def test_an_empty_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.record: holds no photos, which int8 is calibrated with; run: "):
        next(calibration.photos(record(tmp_path / "a.record", 0)))
