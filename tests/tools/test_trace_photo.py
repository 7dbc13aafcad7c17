"""`make trace`: one photo's way from its source to its detections, in lines."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from detector.base import paths
from tests.support import faults, stage, tiny
from tests.support.importing import bring
from tools import trace_photo

DVC = Path(sys.executable).with_name("dvc")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A dataset that was imported, with its CSVs and records, and detections in one of its test photos."""
    root = tmp_path / "project"
    root.mkdir()
    subprocess.run([DVC, "init", "--no-scm", "--quiet"], cwd=root, check=True)
    source = faults.dataset(tmp_path / "photos")
    assert bring(root, source).returncode == 0
    tiny.params(root, **{"dataset.dir": "dataset/pets"})
    for name in ("xml2csv", "csv2record"):
        assert stage.run(name, root).returncode == 0
    for folder in (paths.EVALUATE, paths.PREDICT):
        (root / folder).mkdir(parents=True)
        (root / folder / "detections.csv").write_text(
            "filename,width,height,class,xmin,ymin,xmax,ymax,score\nb0.jpg,64,48,dog,8,6,40,30,0.91\nb1.jpg,64,48,,,,,,\n"
        )
    return root


def trace(root: Path, image: str) -> list[str]:
    done = stage.call(trace_photo.main, root, image)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_test_photo_from_source_to_detection(project: Path) -> None:
    digest = hashlib.sha256((project / "dataset/pets/test/b0.jpg").read_bytes()).hexdigest()
    lines = trace(project, "b0.jpg")
    assert [line.split()[0] for line in lines] == [
        *("source", "import", "dataset", "label", "csv", "record", "evaluate", "predict")
    ]
    assert lines[0] == "source    test/b0.jpg, label test/b0.xml"
    assert lines[2] == f"dataset   dataset/pets/test/b0.jpg: as imported, sha256 {digest}"
    assert lines[4] == "csv       dataset/data/test.csv: line 2, 64x48: dog [8, 6, 40.5, 30]"
    assert lines[5] == f"record    dataset/data/test.record: record 1, at byte 0: 1 box, image sha256 {digest}"
    assert lines[6] == "evaluate  results/evaluate/detections.csv: line 2: dog 0.91 [8, 6, 40, 30]"
    assert trace(project, "test/b1")[-1] == "predict   results/predict/detections.csv: line 3: none"


def test_results_of_another_commit_are_called_so(project: Path) -> None:
    (project / "dvc.lock").write_text(
        f"schema: '2.0'\nstages:\n  evaluate:\n    outs:\n    - path: {paths.EVALUATE}\n      md5: {'0' * 32}.dir\n"
    )
    done = stage.call(trace_photo.main, project, "b0.jpg")
    assert done.stderr.startswith("note: results/evaluate: not what dvc.lock names, so of another run; ")


def test_what_was_changed_and_what_is_missing(project: Path) -> None:
    photo = project / "dataset/pets/train/a0.jpg"
    photo.write_bytes(photo.read_bytes() + b"\0")
    for path in (*map(paths.csv, paths.SPLITS), paths.EVALUATE / "detections.csv", paths.PREDICT / "detections.csv"):
        (project / path).unlink()
    lines = trace(project, "a0")
    assert ": changed since it was imported, sha256 " in lines[2]
    missing = "csv       dataset/data/train.csv, dataset/data/val.csv is missing; run: dvc repro xml2csv"
    assert lines[4:] == [missing, "predict   results/predict/detections.csv is missing; run: make train"]


def test_a_photo_that_was_left_out_says_why(project: Path) -> None:
    (project / "dataset/pets/train/a0.xml").write_text("<annotation>")
    assert stage.run("xml2csv", project).returncode == 0
    lines = trace(project, "a0.jpg")
    assert any(line.startswith("rule      skipped: broken XML: ") for line in lines)
    assert "csv       in no CSV" in lines


@pytest.mark.parametrize("image", ["zebra.jpg", "", "/", "0.jpg", "a0.jpg/b0.jpg"])
def test_no_such_photo(project: Path, image: str) -> None:
    done = stage.call(trace_photo.main, project, "--", image)
    assert done.returncode == 2
    assert "no photo of dataset/pets" in done.stderr
    assert done.stderr.count("\n") == 1


def test_one_name_in_two_splits(project: Path) -> None:
    for suffix in ("jpg", "xml"):
        (project / f"dataset/pets/train/b0.{suffix}").write_bytes(
            (project / f"dataset/pets/test/b0.{suffix}").read_bytes()
        )
    done = stage.call(trace_photo.main, project, "b0.jpg")
    assert (done.returncode, done.stderr) == (
        2,
        "error: b0.jpg: means 2 photos: test/b0.jpg, train/b0.jpg; give more of the path\n",
    )
