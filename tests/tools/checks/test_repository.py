"""What a kill has hidden; the rest of these checks is in test_doctor.py, through the command."""

import contextlib
from pathlib import Path

from detector.base import files
from tools.checks import repository


def test_a_dataset_that_a_kill_has_hidden(tmp_path: Path) -> None:
    """Between the two renames of `make dataset ADD=1`."""
    files.write_text(tmp_path / "dataset" / f"{files.TEMPORARY}abc" / files.OLD / "pets/train/a.xml", "mine")
    (tmp_path / "dataset/pets.dvc").touch()
    with contextlib.chdir(tmp_path):
        (line,) = repository.hidden()
        assert "dataset/pets: missing, since a kill came while it was replaced" in str(line)
        Path("dataset/pets").mkdir()
        assert [*repository.hidden()] == []
