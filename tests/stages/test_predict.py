"""Prediction through its public door, with a real ONNX model that finds red and white rectangles by computation."""

import csv
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from detector.annotations import voc
from detector.base.errors import UserError
from detector.data import labels, tables
from detector.pictures import images
from detector.prediction import photos, predictions
from detector.prediction.photos import Photo
from tests.support.boxes import image
from tests.support.stage import REPOSITORY, child

RED, WHITE = (255, 0, 0), (255, 255, 255)
RESULTS = ["detections.csv", "detections.json", "images.json", "index.html"]
HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax,score\n"


def picture(size: tuple[int, int] = (80, 40), *rectangles: tuple[tuple[int, int, int, int], Any]) -> Image.Image:
    """A black picture with filled rectangles (xmin, ymin, xmax, ymax)."""
    image = Image.new("RGB", size)
    for box, colour in rectangles:
        image.paste(colour, box)
    return image


def save(path: str | Path, image: Image.Image, **options: Any) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return Path(path)


def table(folder: str | Path = "predictions") -> list[list[str]]:
    with (Path(folder) / "detections.csv").open(newline="") as file:
        return list(csv.reader(file))[1:]


def tree(folder: str | Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def test_every_file_has_the_same_detections(run: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    save("photos/one.png", picture((80, 40), ((10, 5, 30, 25), RED)))
    save("photos/two.png", picture((100, 60), ((0, 0, 20, 60), RED), ((50, 30, 100, 40), WHITE)))
    save("photos/none.png", picture((64, 64)))
    (Path("photos") / "one.xml").write_text("<annotation/>")
    run("photos")
    assert Path("predictions/detections.csv").read_text() == HEADER + (
        "none.png,64,64,,,,,,\n"
        "one.png,80,40,red,10.0,5.0,30.0,25.0,1.0\n"
        "two.png,100,60,red,0.0,0.0,20.0,60.0,1.0\n"
        "two.png,100,60,white,50.0,30.0,100.0,40.0,1.0\n"
    )
    assert json.loads(Path("predictions/detections.json").read_text()) == [
        {"image_id": 2, "category_id": 1, "bbox": [10, 5, 20, 20], "score": 1},
        {"image_id": 3, "category_id": 1, "bbox": [0, 0, 20, 60], "score": 1},
        {"image_id": 3, "category_id": 2, "bbox": [50, 30, 50, 10], "score": 1},
    ]
    dataset = json.loads(Path("predictions/images.json").read_text())
    assert dataset["images"][0] == {"id": 1, "file_name": "none.png", "width": 64, "height": 64}
    assert dataset["categories"] == [{"id": 1, "name": "red"}, {"id": 2, "name": "white"}]
    assert sorted(tree("predictions/pictures")) == ["none.png.jpg", "one.png.jpg", "two.png.jpg"]
    out = capsys.readouterr().out
    assert out.startswith("3 images, 3 detections (red 2, white 1), ") and out.endswith(" -> predictions/index.html\n")


def test_pycocotools_reads_the_results(run: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    from pycocotools.coco import COCO

    save("photos/a.png", picture((80, 40)))
    save("photos/b.png", picture((80, 40), ((10, 5, 30, 25), RED)))
    run("photos")
    dataset = COCO("predictions/images.json")
    results = dataset.loadRes("predictions/detections.json")
    [annotation] = results.loadAnns(results.getAnnIds(imgIds=[2]))
    assert annotation["bbox"] == [10, 5, 20, 20] and annotation["area"] == 400
    assert results.getAnnIds(imgIds=[1]) == [] and results.loadCats([1])[0]["name"] == "red"


def test_the_picture_shows_the_box(run: Callable[..., None]) -> None:
    save("photos/one.png", picture((1000, 600), ((300, 250, 800, 550), RED)))
    run("photos/one.png")
    drawn = np.asarray(Image.open("predictions/pictures/one.png.jpg").convert("RGB")).astype(int)
    assert drawn.shape == (600, 1000, 3)
    outline = drawn[400, 302]  # class 1 is drawn in orange, #E69F00, 5 pixels wide
    assert abs(outline - [0xE6, 0x9F, 0x00]).max() < 30 and abs(drawn[400, 550] - RED).max() < 10


def test_only_scores_from_the_threshold_up(run: Callable[..., None]) -> None:
    half = picture((80, 40), ((0, 0, 20, 20), RED))
    half.paste((0, 0, 0), (5, 5, 15, 15))  # 300 of 400 pixels are red
    save("photos/half.png", half)
    for threshold, expected in ((0.74, [["red", "0.75"]]), (0.75, [["red", "0.75"]]), (0.76, [["", ""]])):
        before, predict_, after = (REPOSITORY / "params.yaml").read_text().partition("\npredict:")
        after = after.replace("score_threshold: auto", f"score_threshold: {threshold}")
        Path("params.yaml").write_text(before + predict_ + after)
        run("photos")
        assert [[row[3], row[8]] for row in table()] == expected


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "L", "LA", "1", "I;16"])
def test_every_mode(run: Callable[..., None], mode: str) -> None:
    coloured = mode in ("RGB", "RGBA", "P", "CMYK")
    image = picture((80, 40), ((10, 5, 30, 25), RED if coloured else WHITE))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    save("photos/x.tif", image)
    run("photos")
    assert table() == [["x.tif", "80", "40", "red" if coloured else "white", "10.0", "5.0", "30.0", "25.0", "1.0"]]


def test_exif_orientation_turns_picture_and_boxes_alike(run: Callable[..., None]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned 90 degrees clockwise: what is at the left comes to the top
    save("photos/turned.png", picture((80, 40), ((0, 0, 20, 40), RED)), exif=exif)
    run("photos")
    assert table() == [["turned.png", "40", "80", "red", "0.0", "0.0", "40.0", "20.0", "1.0"]]
    assert Image.open("predictions/pictures/turned.png.jpg").size == (40, 80)


def test_huge_photos_go_in_as_they_are(run: Callable[..., None]) -> None:
    """To the last pixel, though they are read in strips: the checkpoint, in training and evaluation, sees no less."""
    save("photos/1.png", picture((1999, 301), ((1001, 7, 1004, 200), RED)))
    save("photos/2.png", picture((3001, 1501), ((301, 601, 2401, 1501), RED)))
    save("photos/3.png", picture((4000, 2), ((0, 0, 2000, 2), RED)))
    run("photos")
    assert [row[:8] for row in table()] == [
        ["1.png", "1999", "301", "red", "1001.0", "7.0", "1004.0", "200.0"],
        ["2.png", "3001", "1501", "red", "301.0", "601.0", "2401.0", "1501.0"],
        ["3.png", "4000", "2", "red", "0.0", "0.0", "2000.0", "2.0"],
    ]
    assert Image.open("predictions/pictures/2.png.jpg").size == (3001, 1501)


def test_unreadable_photos_are_all_reported_and_the_others_done(project: Path) -> None:
    save("photos/good.png", picture((80, 40), ((10, 5, 30, 25), RED)))
    Path("photos/empty.jpg").touch()
    Path("photos/text.jpg").write_text("not an image")
    result = child("-m", "stages.predict", "photos", "no/such/*.jpg")
    errors = result.stderr.splitlines()
    assert result.returncode == 2 and len(errors) == 3 and all(line.startswith("error: ") for line in errors)
    assert [any(name in line for line in errors) for name in ("no/such/*.jpg", "empty.jpg", "text.jpg")] == [True] * 3
    assert "3 in all; predictions has the others" in errors[-1]
    assert [row[0] for row in table()] == ["good.png"] and result.stdout.startswith("1 image, 1 detection (")


def test_same_names_in_different_folders(run: Callable[..., None]) -> None:
    save("in/a/x.png", picture((80, 40), ((0, 0, 10, 10), RED)))
    save("in/b/x.png", picture((80, 40), ((0, 0, 20, 20), RED)))
    save("in/b/x.png.jpg", picture((80, 40)), quality=95)
    run("in/a", "in/b/*", "in/b/x.png")
    assert [row[:7:6] for row in table()] == [["a/x.png", "10.0"], ["b/x.png", "20.0"], ["b/x.png.jpg", ""]]
    assert sorted(tree("predictions/pictures")) == ["a/x.png.jpg", "b/x.png.jpg", "b/x.png.jpg.jpg"]


def test_home_and_brackets_in_names(run: Callable[..., None], project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project / "home"))
    save("home/trip [1].PNG", picture())
    save("home/.hidden.png", picture())
    run("~/trip [1].PNG", "--output", "one")
    run("~", "--output", "two")
    run("~/*.PNG", "--output", "three")
    assert [row[0] for folder in ("one", "two", "three") for row in table(folder)] == ["trip [1].PNG"] * 3
    with pytest.raises(UserError, match="~nobody-here/x: not found; give a folder, a file, or a glob in quotes"):
        run("~nobody-here/x")


def test_a_file_of_the_user_in_the_output_folder_is_never_touched(run: Callable[..., None]) -> None:
    save("photos/x.png", picture())
    mine = Path("predictions/detections.csv")
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(UserError, match=r"predictions: holds detections.csv, not written by predict; give another"):
        run("photos")
    assert tree("predictions") == {"detections.csv": b"mine"}


def test_an_earlier_result_is_replaced_and_other_files_stay(run: Callable[..., None]) -> None:
    save("photos/x.png", picture())
    run("photos", "--output", "out")
    Path("out/notes.txt").write_text("mine")
    Path("photos/x.png").rename("photos/y.png")
    run("photos", "--output", "out")
    assert sorted(tree("out/pictures")) == ["y.png.jpg"] and Path("out/notes.txt").read_text() == "mine"
    Path("out/pictures/x.png.jpg").write_text("mine")  # no longer known as predict's own
    Path("photos/y.png").rename("photos/x.png")
    with pytest.raises(UserError, match=r"out: holds pictures/x\.png\.jpg, not written by predict"):
        run("photos", "--output", "out")


def test_pictures_that_are_no_longer_produced_go_and_their_empty_folders_too(run: Callable[..., None]) -> None:
    for name in ("a/x.png", "a/y.png", "b/z.png"):
        save(f"photos/{name}", picture())
    run("photos")
    assert sorted(tree("predictions/pictures")) == ["a/x.png.jpg", "a/y.png.jpg", "b/z.png.jpg"]
    Path("predictions/pictures/b/notes.txt").write_text("mine")
    Path("photos/a/x.png").write_text("broken now")
    shutil.rmtree("photos/b")
    save("photos/c.png", picture())
    with pytest.raises(UserError, match=r"x\.png: .*predictions has the others"):
        run("photos")
    assert sorted(tree("predictions/pictures")) == ["a/y.png.jpg", "b/notes.txt", "c.png.jpg"]
    shutil.rmtree("photos/a")
    run("photos")
    assert sorted(path.name for path in Path("predictions/pictures").iterdir()) == ["b", "c.png.jpg"]
    assert Path("predictions/.passo-files").read_text().splitlines() == [
        *("detections.csv", "detections.json", "images.json", "index.html"),
        *("pictures/c.png.jpg", "thumbnails/c.png.jpg"),
    ]


def test_a_list_from_elsewhere_removes_nothing_outside_of_its_folder(run: Callable[..., None], project: Path) -> None:
    save("photos/x.png", picture())
    for name in ("mine.txt", "elsewhere/mine.txt", "predictions/gone.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("1")
    Path("predictions/link").symlink_to("../elsewhere")
    lines = ["../mine.txt", str(project / "mine.txt"), "link/mine.txt", "gone.txt", "."]
    Path("predictions/.passo-files").write_text("\n".join(lines))
    run("photos")
    assert Path("mine.txt").exists() and Path("elsewhere/mine.txt").exists()
    assert not Path("predictions/gone.txt").exists()


def test_two_photos_with_names_of_250_bytes(run: Callable[..., None]) -> None:
    names = [f"{'é' * 122}{number}.jpg" for number in (10, 11)] + [f"{'x' * 246}.png"]
    assert [len(name.encode()) for name in names] == [250] * 3
    for name in names:
        save(f"photos/{name}", picture((80, 40), ((10, 5, 30, 25), RED)))
    run("photos")
    assert [row[0] for row in table()] == sorted(names)
    assert sorted(tree("predictions/pictures")) == sorted([*names[:2], f"{names[2]}.jpg"])


def test_a_picture_name_that_would_be_too_long_is_cut() -> None:
    long = [f"a/{'é' * 125}{number}.png" for number in (1, 2)]  # 255 bytes, and 259 with .jpg
    result = photos.picture_names([Photo(Path(name), name) for name in long])
    first, second = result.values()
    assert first != second and first.startswith(f"a/{'é' * 120}") and first.endswith(".jpg")
    assert all(len(name.removeprefix("a/").encode()) <= 255 for name in (first, second))


def test_pictures_are_never_written_over_the_photos(run: Callable[..., None]) -> None:
    save("out/pictures/x.jpg", picture())
    before = tree("out")
    for source in ("out/pictures", "out/pictures/x.jpg", "."):
        with pytest.raises(UserError, match=r"out: holds photos to predict on, such as .*x\.jpg; give another"):
            run(source, "--output", "out")
    assert tree("out") == before


def test_its_own_pictures_are_not_photos(
    run: Callable[..., None], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save("x.png", picture())
    run(".")
    run(str(project))
    assert [row[0] for row in table()] == ["x.png"] and sorted(tree("predictions/pictures")) == ["x.png.jpg"]
    with pytest.raises(UserError, match="only predict's own pictures there"):
        run("predictions")
    Path(".passo-files").write_bytes(b"\xff\0\n../x.png\n")  # of somebody else
    capsys.readouterr()
    for number, where in enumerate((".", "**/*")):
        run(where, "--output", f"other{number}")
        assert [row[0] for row in table(f"other{number}")] == ["x.png"]
        said = f"passed over: {2 + 2 * number} files that make predict wrote"
        assert capsys.readouterr().out.splitlines()[0] == said
    Path("x.png").unlink()
    with pytest.raises(UserError, match="only predict's own pictures there"):
        run("predictions/pictures", "--output", "third")


def test_nothing_found_and_no_model(run: Callable[..., None]) -> None:
    Path("photos").mkdir()
    with pytest.raises(UserError, match=r"photos: no images or videos there; .*\.jpg.*\.mp4.*nothing was written"):
        run("photos")
    with pytest.raises(UserError, match=r"photos/\*\.jpg: no images or videos there; "):
        run("photos/*.jpg")
    for name in ("no/*.jpg", "holiday [2019]", "photos/a[1].jpg"):
        with pytest.raises(
            UserError, match=re.escape(f"{name}: not found; give a folder, a file, or a glob in quotes")
        ):
            run(name)
    save("photos/x.png", picture())
    Path("model/export").unlink()
    with pytest.raises(UserError, match=r"model/export/model.onnx: no model yet; run: make train"):
        run("photos")
    assert not Path("predictions").exists()


def test_a_damaged_model_is_a_line(run: Callable[..., None], model: Path) -> None:
    save("photos/x.png", picture())
    Path("model/export").unlink()
    shutil.copytree(model, "model/export")
    Path("model/export/model.onnx").write_bytes(b"\xff\x00damaged")
    with pytest.raises(UserError, match=r"model/export/model.onnx: does not load: .*run: dvc repro --force export"):
        run("photos")


def test_where_no_photo_can_be_read_there_are_no_others(run: Callable[..., None]) -> None:
    Path("photos").mkdir()
    Path("photos/x.jpg").write_text("not an image")
    with pytest.raises(UserError, match=r"or leave it out: predictions has no others$"):
        run("photos")
    assert not Path("predictions/pictures").exists()


def test_the_stage_takes_the_test_split_and_replaces_its_folder_whole(
    run: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    save("dataset/sample/test/one.jpg", picture((80, 40), ((8, 8, 32, 24), WHITE)), quality=95)
    Path("dataset/sample/test/one.xml").write_text("<annotation/>")
    save("results/predict/pictures/stale.jpg", picture())
    run()
    first = tree("results/predict")
    assert sorted(first) == [*RESULTS, "pictures/one.jpg", "thumbnails/one.jpg"]
    assert [row[:4] for row in table("results/predict")] == [["one.jpg", "80", "40", "white"]]
    run()
    assert tree("results/predict") == first
    Path("dataset/sample/test/two.jpg").write_text("broken")
    capsys.readouterr()
    run()
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("left out: 1 photo: dataset/sample/test/two.jpg: is not an image that can be read; ")
    assert tree("results/predict") == first
    Path("dataset/sample/test/one.jpg").write_text("broken")
    with pytest.raises(UserError, match=r"two\.jpg: is not an image.*nothing was written"):
        run()
    assert tree("results/predict") == first and not list(Path("results").glob(".*"))


def test_help_needs_no_tensorflow(project: Path) -> None:
    code = "import sys; from stages import predict; predict.parser(); sys.exit('tensorflow' in sys.modules)"
    assert child("-c", code).returncode == 0


def test_no_detections_at_all_is_an_empty_list(tmp_path: Path) -> None:
    predictions.write(tmp_path, lambda: [image("x.png", size=(8, 6))], {1: "red"})
    assert (tmp_path / "detections.json").read_text() == "[]\n"
    assert (tmp_path / "detections.csv").read_text() == HEADER + "x.png,8,6,,,,,,\n"


@given(st.lists(st.from_regex(r"[ab]/[xX](\.png|\.jpg|\.JPG|\.jpeg){0,3}", fullmatch=True), unique=True))
def test_picture_names_never_meet(names: list[str]) -> None:
    result = photos.picture_names([Photo(Path(name), name) for name in names])
    lower = [name.lower() for name in result.values()]
    assert list(result) == names and len(set(lower)) == len(lower)
    assert all(name.endswith((".jpg", ".jpeg")) for name in lower)


def test_a_name_that_is_not_text_is_reported(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    for name in (b"good.png", b"bad\xff.png", b"two\nlines.png", b"<img src=x>.png", b"=HYPERLINK(a).png"):
        Path(os.fsdecode(folder + b"/" + name)).touch()
    readable, problems = photos.find([tmp_path])
    assert [photo.name for photo in readable] == ["good.png"]
    assert sorted(problem.line() for problem in problems) == [
        r"'<img src=x>.png': its name is not allowed: it holds <; rename it",
        r"'=HYPERLINK(a).png': its name is not allowed: it is a formula to a spreadsheet; rename it",
        r"'bad\udcff.png': its name is not allowed: it is not UTF-8; rename it",
        r"'two\nlines.png': its name is not allowed: it holds the invisible character U+000A; rename it",
    ]


def numbered(count: int) -> list[str]:
    """Photos with a red square, each at another place; returns their names."""
    names = [f"{number:02}.png" for number in range(count)]
    for number, name in enumerate(names):
        save(f"photos/{name}", picture((80, 40), ((number, 5, number + 20, 25), RED)))
    return names


def ended(done: "subprocess.CompletedProcess[str]", code: int) -> list[str]:
    assert done.returncode == code and "Traceback" not in done.stderr, done.stderr
    return done.stderr.splitlines()


SIGNALLING = """
import os, signal, sys
from detector.pictures import draw
from stages import predict
from detector.base import errors
drawn, after, number = [], int(sys.argv.pop(1)), int(sys.argv.pop(1))
real = draw.draw_on
def draw_on(*arguments):
    drawn.append(1)
    if len(drawn) == after:
        os.kill(os.getpid(), number)
    return real(*arguments)
draw.draw_on = draw_on
errors.run(predict.main)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_was_stopped_or_killed_resumes_to_the_same_bytes(
    run: Callable[..., None], capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    """The signal comes while the fourth picture is being drawn, and other threads are about to draw the next ones."""
    names = numbered(20)
    run("photos", "--output", "whole")
    done = child("-c", SIGNALLING, "4", str(int(number)), "photos", "--output", "parts")
    if number == signal.SIGKILL:
        ended(done, -number)
        assert not Path("parts/detections.csv").exists()
    else:
        (line,) = ended(done, 128 + number)
        stopped = re.fullmatch(r"stopped: (\d+) of 20 photos are done; to resume, run it again", line)
        assert stopped and 4 <= int(stopped[1]) < 20
        assert [row[0] for row in table("parts")] == names[: int(stopped[1])]
        dataset = json.loads(Path("parts/images.json").read_text())
        assert [image["file_name"] for image in dataset["images"]] == names[: int(stopped[1])]
    times = {path.name: path.stat().st_mtime_ns for path in Path("parts/pictures").iterdir()}
    capsys.readouterr()
    run("photos", "--output", "parts")
    resumed = re.match(r"resumes: (\d+) of 20 photos are done\n", capsys.readouterr().out)
    assert resumed
    assert number == signal.SIGKILL or resumed[1] == stopped[1]
    assert tree("parts") == tree("whole")
    kept = [f"{name}.jpg" for name in names[: int(resumed[1])]]
    assert kept and {name: Path(f"parts/pictures/{name}").stat().st_mtime_ns for name in kept} == {
        name: times[name] for name in kept
    }


def test_a_journal_counts_for_the_same_files_model_and_threshold_alone(
    run: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    numbered(20)
    stop = ("-c", SIGNALLING, "4", str(int(signal.SIGTERM)), "photos")
    (line,) = ended(child(*stop), 143)
    done = int(line.split()[1])
    save("photos/00.png", picture((80, 40), ((50, 5, 70, 25), RED)))  # another picture by now
    Path("predictions/pictures/01.png.jpg").unlink()
    with Path("predictions/.passo-journal").open("ab") as file:
        file.write(b'{"name": "19.png", "fi')  # cut off
    run("photos")
    assert capsys.readouterr().out.splitlines()[0] == f"resumes: {done - 2} of 20 photos are done"
    assert [row[4] for row in table()] == ["50.0", *(f"{k}.0" for k in range(1, 20))]
    assert not Path("predictions/.passo-journal").exists()
    ended(child(*stop), 143)
    run("photos", "--threshold", "0.25")
    assert "resumes" not in capsys.readouterr().out


def test_what_is_said_of_a_file_is_said_after_a_stop_too(
    run: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    numbered(20)
    frames = [picture((80, 40), ((left, 5, left + 20, 25), RED)) for left in (10, 40)]
    frames[0].save("photos/00.gif", save_all=True, append_images=frames[1:])
    ended(child("-c", SIGNALLING, "4", str(int(signal.SIGTERM)), "photos"), 143)
    run("photos")
    resumed, said, *_ = capsys.readouterr().out.splitlines()
    assert resumed.startswith("resumes: ") and said == "several frames, of which the first was used: 1 file (00.gif)"


def test_a_photo_that_was_replaced_while_it_was_looked_at_is_looked_at_again(run: Callable[..., None]) -> None:
    numbered(20)
    save("new.png", picture((80, 40), ((50, 5, 70, 25), RED)))
    replacing = 'drawn.append(1)\n    len(drawn) == 1 and os.replace("new.png", "photos/00.png")'
    script = SIGNALLING.replace("drawn.append(1)", replacing)
    ended(child("-c", script, "4", str(int(signal.SIGTERM)), "photos"), 143)
    run("photos")
    assert [row[4] for row in table()] == ["50.0", *(f"{k}.0" for k in range(1, 20))]


@pytest.mark.parametrize("content", [b"", b"[]\n", b"\xff\n", b"{}\n{}\n", b'{"format": 1}\n[1]\n'])
def test_a_journal_that_is_not_ours_is_begun_again(run: Callable[..., None], content: bytes) -> None:
    numbered(1)
    Path("predictions").mkdir()
    Path("predictions/.passo-journal").write_bytes(content)
    Path("predictions/.passo-files").write_text(".passo-journal\n")
    run("photos")
    assert len(table()) == 1


def test_two_runs_do_not_write_to_one_folder(run: Callable[..., None]) -> None:
    numbered(1)
    Path("predictions").mkdir()
    Path("predictions/.passo-files").write_text(".passo-journal\n")
    with Path("predictions/.passo-journal").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="predictions: another prediction is writing there; wait for its end"):
            run("photos")


def test_where_no_photo_can_be_read_the_last_results_stay(run: Callable[..., None]) -> None:
    numbered(2)
    run("photos")
    before = tree("predictions")
    for name in ("00.png", "01.png"):
        Path(f"photos/{name}").write_text("not an image")
    with pytest.raises(UserError, match="predictions has no others"):
        run("photos")
    assert tree("predictions") == before


def test_files_that_cannot_be_read_are_named_and_the_others_done(project: Path) -> None:
    numbered(1)
    os.mkfifo("photos/pipe.jpg")
    Path("photos/itself.jpg").symlink_to("itself.jpg")
    Path("photos/dead.jpg").symlink_to("nowhere.jpg")
    Path("photos/null.jpg").symlink_to("/dev/null")
    Path("photos/loop").symlink_to(".")
    Path("photos/folder.jpg").mkdir()
    save("elsewhere/other.png", picture())
    Path("photos/link").symlink_to("../elsewhere")
    for name in ("raw.CR2", "notes.txt"):
        Path("photos", name).write_text("x")
    done = child("-m", "stages.predict", "photos")
    lines = ended(done, 2)
    assert [line.partition("photos/")[2].partition(":")[0] for line in lines] == [
        *("dead.jpg", "itself.jpg", "null.jpg", "pipe.jpg")
    ]
    assert [row[0] for row in table()] == ["00.png", "link/other.png"]
    first = "passed over: 1 file of a format that is not read (photos/raw.CR2)"
    assert done.stdout.splitlines()[0] == first


def test_videos_are_passed_over_where_photos_alone_are_taken(tmp_path: Path) -> None:
    for name in ("a.png", "b.MP4", "c.CR2", "d.txt"):
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / ".passo-files")  # nobody waits for what it would say
    (tmp_path / "code.ts").write_text("export const x = 1\n")
    assert [Path(name).name for name in photos.passed_over([tmp_path])] == ["b.MP4", "c.CR2"]
    both = (*images.SUFFIXES, *images.VIDEOS)
    assert [Path(name).name for name in photos.passed_over([tmp_path], both)] == ["c.CR2"]
    assert [photo.name for photo in photos.find([tmp_path])[0]] == ["a.png"]
    assert [photo.name for photo in photos.find([tmp_path], suffixes=both)[0]] == ["a.png", "b.MP4"]


def test_a_threshold_for_one_run(run: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    half = picture((80, 40), ((0, 0, 20, 20), RED))
    half.paste((0, 0, 0), (0, 0, 10, 19))
    half.paste((0, 0, 0), (10, 0, 19, 10))
    save("photos/half.png", half)
    run("photos")
    assert [row[3] for row in table()] == [""]
    assert capsys.readouterr().out.splitlines()[-1] == "nothing has a score of 0.5: the highest is 0.300"
    run("photos", "--threshold", "0.3")
    assert [row[3] for row in table()] == ["red"]
    for wrong in ("x", "2", "-0.1", "nan"):
        with pytest.raises(UserError, match=f"THRESHOLD: {wrong} is not a score; give a number from 0 to 1"):
            run("photos", f"--threshold={wrong}")


def test_detections_as_voc_xml(run: Callable[..., None]) -> None:
    save("photos/a/one.png", picture((80, 40), ((10, 5, 30, 25), RED)))
    save("photos/a/one.jpg", picture((80, 40)), quality=95)
    run("photos", "--xml")
    assert sorted(tree("predictions/annotations")) == ["one.xml", "one.xml.xml"]
    (found, problems), (empty, _) = (
        voc.parse(Path(f"predictions/annotations/{name}").read_bytes(), ["red"]) for name in ("one.xml.xml", "one.xml")
    )
    assert found and empty and not problems and not empty.objects
    assert (found.filename, found.size) == ("one.png", (80, 40))
    assert [(one.name, one.box) for one in found.objects] == [("red", (10, 5, 30, 25))]
    run("photos")
    assert not Path("predictions/annotations").exists()


def test_detections_as_yolo_txt(run: Callable[..., None]) -> None:
    save("photos/a/one.png", picture((80, 40), ((10, 5, 30, 25), RED), ((50, 10, 79, 30), WHITE)))
    save("photos/a/one.jpg", picture((80, 40)), quality=95)
    run("photos", "--yolo")
    written = {name: content.decode() for name, content in tree("predictions/labels").items()}
    assert written == {
        "one.txt": "",
        "one.txt.txt": "0 0.250000 0.375000 0.250000 0.500000 1.0000\n1 0.806250 0.500000 0.362500 0.500000 1.0000\n",
    }
    assert Path("predictions/data.yaml").read_text() == 'names:\n  0: "red"\n  1: "white"\n'
    run("photos")
    assert not Path("predictions/labels").exists() and not Path("predictions/data.yaml").exists()


def test_of_boxes_that_overlap_the_best_alone_is_shown_if_it_is_asked_for(run: Callable[..., None]) -> None:
    """A red square with a white one in the middle, which has the higher score: IoU 256 / 400 = 0.64."""
    save("photos/x.png", picture((80, 40), ((10, 5, 30, 25), RED), ((12, 7, 28, 23), WHITE)))
    text = Path("params.yaml").read_text()
    for value, shown in ((1, ["white"]), (0.65, ["white", "red"]), (0.63, ["white"])):
        Path("params.yaml").write_text(text.replace("agnostic_nms: 1 ", f"agnostic_nms: {value} "))
        run("photos", "--threshold", "0.3" if value < 1 else "0.5")
        assert [row[3] for row in table()] == shown


def test_a_photo_with_as_many_detections_as_the_model_gives_is_counted(
    run: Callable[..., None], model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save("photos/one.png", picture((80, 40), ((10, 5, 30, 25), RED)))
    save("photos/two.png", picture((80, 40), ((10, 5, 30, 25), RED), ((50, 10, 70, 30), WHITE)))
    Path("model/export").unlink()
    shutil.copytree(model, "model/export")
    for most, said in ((2, True), (3, False)):
        Path("model/export/model.json").write_text(json.dumps({"max_detections": most}))
        run("photos")
        out = capsys.readouterr().out
        assert (f"1 photo with {most} detections, this model's limit; to raise it: max_total_detections" in out) == said


def test_a_name_that_the_font_lacks_is_said_once(
    run: Callable[..., None], model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbered(2)
    Path("model/export").unlink()
    shutil.copytree(model, "model/export")
    labels.write(Path("model/export/label_map.pbtxt"), ["猫", "cão"])
    run("photos")
    line = "shown as ids in the pictures, whose font lacks their letters: 1 猫\n"
    assert capsys.readouterr().out.count(line) == 1
    assert "猫" in Path("predictions/detections.csv").read_text(encoding="utf-8")


def test_the_page_has_all_photos(run: Callable[..., None]) -> None:
    save("photos/one.png", picture((1000, 500), ((100, 50, 300, 250), RED)))
    run("photos")
    page = Path("predictions/index.html").read_text(encoding="utf-8")
    assert '["one.png","one.png.jpg",1000,500,1,100.0,50.0,200.0,200.0,1.0]' in page
    assert '<a href="pictures/one.png.jpg">one.png</a>: <bdi>red</bdi> 1.00' in page
    with Image.open("predictions/thumbnails/one.png.jpg") as small:
        assert small.size == (334, 167)


def test_a_name_that_is_a_formula_to_a_spreadsheet_is_text_in_the_csv(run: Callable[..., None]) -> None:
    save("photos/-1.png", picture((80, 40), ((10, 5, 30, 25), RED)))
    save("photos/=1+1.png", picture())
    run("photos")
    assert [row[0] for row in table()] == ["'-1.png", "'=1+1.png"]
    rows = tables.read_csv("predictions/detections.csv", {"red": 1, "white": 2}, scores=True)
    assert [one.filename for one in rows] == ["-1.png", "=1+1.png"]
    dataset = json.loads(Path("predictions/images.json").read_text())
    assert [image["file_name"] for image in dataset["images"]] == ["-1.png", "=1+1.png"]


def test_a_run_that_was_killed_is_not_resumed_with_other_photos_of_the_same_names(run: Callable[..., None]) -> None:
    """Frames that were extracted have the same names, sizes and times."""
    for folder, left in (("a", 10), ("b", 40)):
        for number in range(20):
            os.utime(save(f"{folder}/{number:02}.bmp", picture((80, 40), ((left, 5, left + 20, 25), RED))), (1, 1))
    run("b", "--output", "whole")
    ended(child("-c", SIGNALLING, "4", str(int(signal.SIGTERM)), "a", "--output", "parts"), 143)
    run("b", "--output", "parts")
    assert tree("parts") == tree("whole")


def test_a_picture_that_another_run_has_replaced_is_drawn_again(run: Callable[..., None]) -> None:
    for number in range(20):
        save(f"a/{number:02}.png", picture((80, 40), ((10, 5, 30, 25), RED)))
        save(f"b/{number:02}.png", picture((80, 40), ((40, 5, 60, 25), WHITE)))
    run("a", "--output", "whole")
    for folder in "ab":
        ended(child("-c", SIGNALLING, "2", str(int(signal.SIGTERM)), folder, "--output", "parts"), 143)
    run("a", "--output", "parts")
    assert tree("parts") == tree("whole")


def test_a_photo_with_a_longer_side_than_a_jpeg_has(run: Callable[..., None]) -> None:
    save("photos/long.png", picture((70_000, 20), ((7_000, 0, 35_000, 20), RED)))
    run("photos")
    (row,) = table()
    assert row[:3] == ["long.png", "70000", "20"]
    assert Image.open("predictions/pictures/long.png.jpg").size == (35_000, 10)


BLIND = """
<ir_version: 9, opset_import: ["" : 18]>
blind (uint8[N, H, W, 3] input_tensor) => (
    float[1, 1, 4] detection_boxes, float[1, 1] detection_scores, float[1, 1] detection_classes, float[1] num_detections
) {
    detection_boxes = Constant <value = float[1, 1, 4] {0.1, 0.1, 0.5, 0.5}> ()
    detection_scores = Constant <value = float[1, 1] {1}> ()
    detection_classes = Constant <value = float[1, 1] {1}> ()
    num_detections = Constant <value = float[1] {1}> ()
}
"""


def test_two_photos_of_24_megapixels_at_once_take_little_memory(project: Path) -> None:
    """Each is 96 MB, and 72 for the model; it was twice that, with a copy of what was decoded and a copy to draw on.

    The model looks at nothing: the one that computes its boxes would make floats of all pixels.
    """
    Path("model/export").unlink()  # a link to that one
    Path("model/export").mkdir()
    labels.write("model/export/label_map.pbtxt", ["red"])
    onnx.save(onnx.parser.parse_model(BLIND), "model/export/model.onnx")
    save("photos/0.jpg", picture((6000, 4000), ((600, 600, 3000, 3000), RED)))
    shutil.copy("photos/0.jpg", "photos/1.jpg")
    code = """
import re
from detector.base import errors
from stages import predict
errors.run(predict.main)
print(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
"""
    done = child("-c", code, "photos")
    assert ended(done, 0) == []
    assert len(table()) == 2 and int(done.stdout.splitlines()[-1]) * 1024 < 500e6


def test_a_file_and_a_folder_of_one_name(run: Callable[..., None]) -> None:
    save("photos/x.png", picture())
    save("photos/x.png.jpg/y.png", picture())
    run("photos", "--xml")
    assert [row[0] for row in table()] == ["x.png", "x.png.jpg/y.png"]
