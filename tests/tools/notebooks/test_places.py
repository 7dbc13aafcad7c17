"""Where a training is kept, as the form says; what is there, and what is not. The notebooks' tests do the rest."""

import errno
import json
import os
import zipfile
from pathlib import Path

import pytest

from tests.support.stage import REPOSITORY
from tools import colab
from tools.notebooks import places
from tools.notebooks.terminal import Stopped


@pytest.fixture(autouse=True)
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """google.colab; an empty folder is chosen for the first upload."""
    monkeypatch.syspath_prepend(REPOSITORY / "tests/support/colab")
    (tmp_path / "none").mkdir()
    monkeypatch.setenv("STAND_IN_UPLOADS", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("use_drive", "bucket", "expected"),
    [
        (False, "", places.Nowhere()),
        (False, " ", places.Nowhere()),
        (True, "", places.Drive(places.MY_DRIVE / "passo" / "pets")),
        (False, "gs://My-Pets/", places.Bucket("my-pets")),
        (True, "my-pets", places.Bucket("my-pets")),
    ],
)
def test_a_bucket_comes_before_drive(
    use_drive: bool,
    bucket: str,
    expected: places.Nowhere,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(REPOSITORY)
    found = colab.place("pets", use_drive=use_drive, drive_folder="/content/drive/MyDrive/passo", bucket=bucket)
    assert type(found) is type(expected)
    assert found == expected or type(found) is places.Nowhere
    assert ("mounted" in capsys.readouterr().out) == (use_drive and bool(bucket))  # else it is, when it is needed
    assert found.work_dir == ("gs://my-pets/work" if bucket.strip() else "")


@pytest.mark.parametrize(
    "folder",
    ["", "passo", "MyDrive/passo", "/MyDrive/passo", "/content/drive/MyDrive/../passo", "/content/drive/MyDrive2/a"],
)
def test_a_folder_that_is_not_in_drive_is_refused(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be on the runtime's own disk, and lost with it."""
    monkeypatch.chdir(REPOSITORY)
    with pytest.raises(Stopped) as caught:
        colab.place("pets", use_drive=True, drive_folder=folder, bucket="")
    assert str(caught.value) == f"DRIVE_FOLDER: {folder} is not in your Drive; begin it with /content/drive/MyDrive/"
    assert colab.place("pets", use_drive=True, drive_folder=folder, bucket="my-pets") == places.Bucket("my-pets")


def zipped(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/model.json", content)
    return path


def test_the_newest_model_of_a_drive_is_taken(tmp_path: Path) -> None:
    drive = places.Drive(tmp_path / "pets")
    with pytest.raises(Stopped, match=r"pets: holds no model; TPU_Train\.ipynb puts it there, with the same form$"):
        drive.model("", "cpu")
    for number, name in enumerate(("model-cc.zip", "model-aa.zip", "model-bb.zip")):
        path = zipped(tmp_path / "pets" / name, name)
        os.utime(path, (number, number))
    assert drive.model("", "cpu") == ["MODEL=kept/model-bb.zip"]
    assert Path("kept/model-bb.zip").read_bytes() == (tmp_path / "pets/model-bb.zip").read_bytes()


def test_a_drive_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Stopped, match=r"file/pets: .* is not a folder; .*; run this cell again$"):
        places.Drive(tmp_path / "file" / "pets").prepare("", "cpu")


def test_a_full_drive_says_what_to_do_and_the_model_was_offered_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "pets").mkdir()
    zipped(tmp_path / "pets" / "model-aa.zip", "1")
    monkeypatch.setattr(places.model_zip, "pack", lambda: tmp_path / "pets" / "model-aa.zip")
    monkeypatch.setattr(places.model_zip.shutil, "copyfile", full)
    with pytest.raises(Stopped, match=r"pets: .*; make room in Drive, and empty its bin; run this cell again$"):
        places.Drive(tmp_path / "pets").keep("cpu")
    for language in ("", "pt-BR/"):
        cells = json.loads((REPOSITORY / "notebooks" / language / "TPU_Train.ipynb").read_text())["cells"]
        ids = [cell["id"] for cell in cells]
        assert ids.index("download") < ids.index("keep")


def test_what_would_be_lost_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places.Nowhere().prepare("", "cpu")
    assert "if Colab ends this runtime, the training is lost" in capsys.readouterr().out
    places.Drive(tmp_path / "drive" / "pets").prepare("", "cpu")
    assert "every 2 minutes; the model with its report\nlost with this runtime: the commits" in capsys.readouterr().out


def test_a_training_that_runs_is_seen_in_a_bucket_alone(tmp_path: Path) -> None:
    assert places.Bucket("my-pets").running() == ["MODEL=running", "BUCKET=my-pets"]
    for place in (places.Nowhere(), places.Drive(tmp_path)):
        with pytest.raises(Stopped, match=r"^RUNNING: give the BUCKET in which TPU_Train"):
            place.running()


def test_nothing_chosen_ends_the_notebook() -> None:
    with pytest.raises(
        Stopped, match=r"^nothing was chosen: run this cell again, and choose the model-\.\.\.\.zip that"
    ):
        places.Nowhere().model("", "cpu")
