"""`dvc exp run` through tools.experiment: DVC's own command, without its warnings of what it is about to make."""

from pathlib import Path

from tests.support import dvc_project
from tests.support.stage import child
from tools.experiment import EXPECTED

PIPELINE = """\
stages:
  unused:
    cmd: touch unused
    outs: [unused]
  first:
    cmd: mkdir out && cp params.yaml out/a
    params: [number]
    outs: [out]
  last:
    cmd: cp out/a last
    deps: [out]
    outs: [last]
"""


def test_an_experiment_makes_what_its_targets_need_without_a_page_of_warnings(tmp_path: Path) -> None:
    project = dvc_project.started(tmp_path / "project", PIPELINE)
    project.commit()
    done = child("-m", "tools.experiment", "-S", "number=2", "last", cwd=project.root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("> dvc exp run -S number=2 last\n")
    assert "Running stage 'first'" in done.stdout and "Running stage 'last'" in done.stdout
    assert "unused" not in done.stdout and not (project.root / "unused").exists()
    assert (project.root / "last").read_text() == "number: 2\n"
    assert EXPECTED not in done.stdout + done.stderr
    assert "Ran experiment" in done.stdout


def test_dvcs_other_warnings_and_its_exit_code_stay(tmp_path: Path) -> None:
    project = dvc_project.started(tmp_path / "project", PIPELINE)
    project.commit()
    done = child("-m", "tools.experiment", "nothing", cwd=project.root)
    assert done.returncode == 255
    assert "ERROR: " in done.stderr and "nothing" in done.stderr


def test_dvc_still_says_it_in_those_words(tmp_path: Path) -> None:
    """Or the filter would be in vain."""
    project = dvc_project.started(tmp_path / "project", PIPELINE)
    project.commit()
    assert EXPECTED in project.run("dvc", "exp", "run", "-S", "number=2", "last").stderr
