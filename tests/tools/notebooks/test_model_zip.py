"""The zip of a model: what is in it, its name, and that half of one is not taken."""

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import colab
from tools.notebooks import model_zip
from tools.notebooks.terminal import Stopped

ROWS = "filename,width,height,class,xmin,ymin,xmax,ymax,is_crowd\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What a training has made: a model of two files, a report, five test photos, one of them with two boxes."""
    monkeypatch.chdir(tmp_path)
    Path("model/export/saved_model").mkdir(parents=True)
    Path("model/export/model.json").write_text("{}")
    Path("model/export/saved_model/saved_model.pb").write_text("graph")
    Path("results").mkdir()
    Path("results/report.html").write_text("<html>")
    for name in ("params.yaml", "dvc.lock"):
        Path(name).write_text(name)
    write_split([f"{number}.JPG" for number in (0, 0, 1, 2, 3, 4)])
    yield tmp_path


def write_split(rows: list[str], there: str = "pets") -> None:
    """The test split: its table, and its photos in a dataset."""
    Path("dataset/data").mkdir(parents=True, exist_ok=True)
    Path("dataset/data/test.csv").write_text(ROWS + "".join(f"{name},9,9,cat,1,1,2,2,0\n" for name in rows))
    Path("dataset", there, "test").mkdir(parents=True, exist_ok=True)
    for name in rows:
        Path("dataset", there, "test", name).write_text(name)


def test_it_holds_the_model_its_report_and_three_photos() -> None:
    with zipfile.ZipFile(model_zip.pack()) as archive:
        assert archive.namelist() == [
            "dvc.lock",
            "model/model.json",
            "model/saved_model/saved_model.pb",
            "params.yaml",
            "photos/0.JPG",
            "photos/2.JPG",
            "photos/4.JPG",
            "report.html",
        ]
        assert archive.read("model/saved_model/saved_model.pb") == b"graph"
        assert archive.read("photos/2.JPG") == b"2.JPG"


def test_the_same_model_has_the_same_name_and_bytes() -> None:
    first = model_zip.pack()
    digests = [hashlib.sha256(content).hexdigest() for content in (b"{}", b"graph")]
    assert first.name == f"model-{hashlib.sha256(''.join(digests).encode()).hexdigest()[:8]}.zip"
    before = first.read_bytes()
    assert model_zip.pack() == first
    assert first.read_bytes() == before
    Path("model/export/model.json").write_text("{ }")
    assert model_zip.pack() != first


def test_without_a_model_there_is_none() -> None:
    with pytest.raises(Stopped, match=r"^model/export: not found; train first$"):
        Path("model").rename("elsewhere")
        model_zip.pack()
    assert not Path("kept").exists()


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        ([], []),
        (["a.jpg"], ["a.jpg"]),
        (["a.jpg", "a.jpg", "b.jpg"], ["a.jpg", "b.jpg"]),
        (["a.jpg", "b.jpg", "c.jpg", "d.jpg"], ["a.jpg", "b.jpg", "d.jpg"]),
    ],
)
def test_the_photos_are_of_beginning_middle_and_end(rows: list[str], chosen: list[str]) -> None:
    write_split(rows)
    assert [path.name for path in model_zip.test_photos()] == chosen


def test_the_photos_are_of_the_dataset_that_has_all_of_them() -> None:
    write_split(["a.jpg", "b.jpg"], "zoo")
    Path("dataset/birds/test").mkdir(parents=True)
    Path("dataset/birds/test/a.jpg").touch()
    assert [path.as_posix() for path in model_zip.test_photos()] == ["dataset/zoo/test/a.jpg", "dataset/zoo/test/b.jpg"]
    Path("dataset/zoo/test/b.jpg").unlink()
    assert model_zip.test_photos() == []


def test_other_datasets_may_have_photos_of_the_same_names() -> None:
    write_split(["a.jpg"], "zoo")
    write_split(["a.jpg"], "birds")
    assert [path.as_posix() for path in model_zip.test_photos()] == ["dataset/birds/test/a.jpg"]
    Path("dvc.lock").write_text("stages:\n  xml2csv:\n    deps:\n    - path: dataset/zoo/test\n      md5: a\n")
    assert [path.as_posix() for path in model_zip.test_photos()] == ["dataset/zoo/test/a.jpg"]


def test_a_zip_without_photos_is_not_tried_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert model_zip.holds_photos(model_zip.pack())
    Path("dataset/data/test.csv").unlink()
    packed = model_zip.pack()
    colab.try_out([f"MODEL={packed}"], "cpu")
    assert capsys.readouterr().out == "no photos of its dataset are here; your own are next\n"
    packed.write_bytes(b"no zip")
    assert model_zip.holds_photos(packed)


def test_without_a_test_split_there_are_none() -> None:
    Path("dataset/data/test.csv").unlink()
    assert model_zip.test_photos() == []


def test_a_damaged_zip_is_not_copied(tmp_path: Path) -> None:
    packed = model_zip.pack()
    content = packed.read_bytes()
    assert model_zip.copy(packed, tmp_path / "drive").read_bytes() == content
    for damaged in (content[:-30], content.replace(b"graph", b"grasp"), b""):
        packed.write_bytes(damaged)
        with pytest.raises(Stopped, match=r"model-\w{8}\.zip: is damaged, or what was copied is"):
            model_zip.copy(packed, tmp_path / "other")
    assert list((tmp_path / "other").iterdir()) == []
