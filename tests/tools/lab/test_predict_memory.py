"""tools.lab.predict_memory on a few photos."""

import re
import shutil
from pathlib import Path

from detector.base import paths
from tests.support import finder, stage
from tests.support.stage import REPOSITORY


def test_the_command(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    finder.save(tmp_path / paths.EXPORT)
    for number in range(2):
        finder.photo(tmp_path / f"in/{number}.png", (8, 8, 32, 24, 1.0, 1))
    before = {*tmp_path.rglob("*"), tmp_path / ".work"}
    done = stage.child("-m", "tools.lab.predict_memory", "in", "--photos=50", "--after=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, last, seconds = done.stdout.splitlines()
    assert re.fullmatch(r"\d+ MB after \d+ photos?", first) and int(first.split()[0]) > 5, done.stdout
    assert re.fullmatch(r"\d+ MB after \d+ photos?", last) and re.fullmatch(r"\d+ s in all", seconds)
    assert set(tmp_path.rglob("*")) == before
    refused = stage.child("-m", "tools.lab.predict_memory", "model", cwd=tmp_path)
    assert refused.stderr.startswith("error: model: no photos there; ")
