"""The curves as pictures: whatever the classes are called."""

from pathlib import Path

import numpy as np
import pytest

from detector.evaluation import plots


@pytest.mark.parametrize("name", ["$x", r"$\frac{$", "$$", "_hidden", r"\alpha", "{}", "%s"])
def test_the_name_of_a_class_is_no_formula(name: str, tmp_path: Path) -> None:
    """Matplotlib takes what is between two dollars for TeX, and fails where it is none: after the training."""
    plots.confusion_matrix(tmp_path / "matrix.png", np.eye(2, dtype=np.int64), [name, "background"], "title")
    assert (tmp_path / "matrix.png").read_bytes().startswith(b"\x89PNG")
