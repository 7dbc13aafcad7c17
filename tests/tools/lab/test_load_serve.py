"""tools.lab.load_serve: its bad requests, and a short run of it against the server."""

import re
import shutil
from pathlib import Path

import pytest

from tests.support import finder, serving, stage
from tests.support.stage import REPOSITORY
from tools.lab import load_serve


def test_a_bad_request_is_small_to_send_or_refused_by_its_size() -> None:
    bad = load_serve.bad_requests(b"photo")
    assert len(bad) == 12
    small = {kind: sum(len(part) for part in parts if isinstance(part, bytes)) < 500_000 for kind, parts in bad.items()}
    assert {kind for kind, is_small in small.items() if not is_small} == {"30 MB", "30 MB, unannounced"}


@serving.needed
@pytest.mark.long
def test_a_short_run(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    finder.save(tmp_path / "model/export")
    (tmp_path / "dataset/sample/test").mkdir(parents=True)
    for number in range(2):
        finder.photo(tmp_path / f"dataset/sample/test/{number}.png", (10, 10, 40, 40, 1.0, 1))
    options = ["--seconds=2", "--clients=8", "--bad=0.3", "--only=serve"]
    done = stage.child("-m", "tools.lab.load_serve", *options, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("serve: 8 clients, 2 s, 30% bad\n")
    assert re.search(r"\n  photo +200 \d+\n", done.stdout) and "  afterwards        answers within " in done.stdout
    assert not re.search(r" (500|nothing) \d", done.stdout)
