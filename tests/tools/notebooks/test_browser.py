"""What a notebook shows: the photos of phones, and the report in a frame of its own."""

import base64
import html
import io
import re
import time
from pathlib import Path
from typing import Any

import pytest
from IPython import display
from PIL import Image

from tests.support.stage import REPOSITORY
from tools.notebooks import browser


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is displayed, in order."""
    found: list[Any] = []
    monkeypatch.setattr(display, "display", found.append)
    return found


def test_photos_are_shown_whatever_their_names_end_in(
    tmp_path: Path, shown: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for number, name in enumerate(("a.jpg", "b.JPG", "c.jpeg", "d.JPEG", "e.HEIC.jpg", "f.png", "notes.txt")):
        Image.new("RGB", (8 + number, 4)).save(tmp_path / name, "JPEG")
    (tmp_path / "inside").mkdir()
    Image.new("RGB", (30, 4)).save(tmp_path / "inside" / "IMG_0001.JPG")
    browser.show(str(tmp_path), most=20)
    sizes = [Image.open(io.BytesIO(picture.data)).width for picture in shown]
    assert sizes == [8, 9, 10, 11, 12, 30]
    assert capsys.readouterr().out == ""
    shown.clear()
    browser.show(str(tmp_path))
    assert len(shown) == 4
    assert capsys.readouterr().out == f"4 of 6; the others are in {tmp_path}\n"


def test_a_photo_of_a_phone_is_made_smaller(tmp_path: Path, shown: list[Any]) -> None:
    """A notebook holds what its cells show."""
    Image.new("RGB", (4000, 3000), "white").save(tmp_path / "IMG_0001.JPG")
    browser.show(str(tmp_path), width=500)
    (picture,) = shown
    assert Image.open(io.BytesIO(picture.data)).size == (1600, 1200)
    assert (picture.format, picture.width) == ("jpeg", 500)
    assert base64.b64decode(picture._repr_mimebundle_()[0]["image/jpeg"]) == picture.data


def test_the_report_is_in_a_frame_that_holds_all_of_it(
    tmp_path: Path, shown: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = '<!DOCTYPE html><head></head><a href="#a">"one" & \'two\'</a><script>1 < 2</script>'
    Path("results").mkdir()
    Path("results/report.html").write_text(page)
    browser.report()
    (source,) = re.findall(r'<iframe srcdoc="([^"]*)"', shown[0].data)
    assert html.unescape(source) == page.replace("<head>", '<head><base href="about:srcdoc">')
    Path("results/report.pt-BR.html").write_text("olá")
    browser.report("pt-BR")
    browser.report("en")
    assert ["olá" in each.data for each in shown] == [False, True, False]


@pytest.mark.parametrize("program", ["exit 1", "echo $* > given; exec sleep 60"])
def test_a_tensorboard_that_does_not_answer_is_no_end(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The training is below."""
    monkeypatch.syspath_prepend(REPOSITORY / "tests/support/colab")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(browser, "TENSORBOARD_SECONDS", 0.1)
    monkeypatch.setattr(browser, "_SERVERS", [])
    Path(".venv/bin").mkdir(parents=True)
    Path(".venv/bin/tensorboard").write_text(f"#!/bin/sh\n{program}\n")
    Path(".venv/bin/tensorboard").chmod(0o755)
    browser.tensorboard()
    end = time.monotonic() + 10
    while "sleep" in program and not (Path("given").exists() and Path("given").read_text()):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert "sleep" not in program or "--samples_per_plugin=images=1000" in Path("given").read_text()
    browser._SERVERS[0][0].kill()
    browser._SERVERS[0][0].wait()
    assert capsys.readouterr().out.startswith("TensorBoard does not answer; training does without it; ")
