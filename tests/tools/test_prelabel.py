"""`make prelabel`: the folder that it makes, what it leaves alone, and that it resumes."""

import csv
import os
import re
import signal
from pathlib import Path

import pytest

from detector.annotations import voc
from detector.prediction import detector, photos
from detector.prediction.selection import Selection
from tests.support import faults, finder, stage
from tests.support.finder import photo
from tests.support.importing import refused
from tools import prelabel

THRESHOLD = 0.4
BOX, OTHER = (10, 10, 40, 50), (50, 20, 90, 60)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a model that finds red and white rectangles."""
    faults.workspace(tmp_path)
    finder.save(tmp_path / "model/export")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return stage.call(prelabel.main, Path(), f"--threshold={THRESHOLD}", *arguments)


def order(output="prelabelled"):
    """The rows of order.csv."""
    with Path(output, "order.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def boxes(path):
    annotation, problems = voc.parse(Path(path).read_bytes(), ["red", "white"])
    assert [one.kind for one in problems] == [voc.UNCHECKED]
    return annotation.filename, [(one.name, one.box) for one in annotation.objects]


def listed(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def test_the_least_sure_photo_is_the_first(project):
    photo(project / "photos/sure.png", (*BOX, 1.0, 1))
    photo(project / "photos/unsure.png", (*BOX, 0.45, 1), (*OTHER, 0.9, 2))
    photo(project / "photos/empty.png")
    photo(project / "photos/deep/sure.png", (*BOX, 0.6, 2))
    done = run("photos")
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [
            "prelabelled: 4 photos, 4 boxes (red 2, white 2), scores from 0.4 up",
            "next: correct them, say with: labelImg prelabelled prelabelled/classes.txt prelabelled",
            "then: make dataset SRC=prelabelled NAME=pets",
        ],
    )
    rows = order()
    assert [(row["rank"], row["filename"], row["source"], row["boxes"], row["scores"]) for row in rows] == [
        ("1", "0001_unsure.png", "photos/unsure.png", "2", "red 0.47, white 0.90"),
        ("2", "0002_sure.png", "photos/deep/sure.png", "1", "white 0.60"),
        ("3", "0003_empty.png", "photos/empty.png", "0", ""),
        ("4", "0004_sure.png", "photos/sure.png", "1", "red 1.00"),
    ]
    names = [row["filename"] for row in rows]
    xml = [f"{Path(name).stem}.xml" for name in names]
    assert listed("prelabelled") == sorted([*names, *xml, "order.csv", "classes.txt"])
    assert boxes("prelabelled/0001_unsure.xml") == ("0001_unsure.png", [("red", BOX), ("white", OTHER)])
    assert boxes("prelabelled/0003_empty.xml") == ("0003_empty.png", [])
    for row in rows:
        assert Path("prelabelled", row["filename"]).samefile(row["source"])  # no room on the disk
    assert Path("prelabelled/classes.txt").read_text() == "red\nwhite\n"
    assert listed(project) == ["model", "params.yaml", "photos", "prelabelled"]


def test_labelimg_reads_whole_pixels(project):
    """Its older versions end at `int('10.5')`."""
    photo(project / "photos/a.png", (*BOX, 0.9, 1))
    run("photos")
    assert "<xmin>10</xmin>" in Path("prelabelled/0001_a.xml").read_text()


def test_photos_that_have_a_label_are_left_out(project):
    for name in ("beside.png", "named.png", "dataset.png", "new.png"):
        photo(project / "photos" / name, (*BOX, 0.5, 1))
    mine = Path("photos/beside.xml")
    mine.write_text("mine")
    Path("photos/named.png.xml").write_text("mine")
    faults.dataset(project / "dataset/pets", train=2, test=1)
    pets = project / "dataset/pets/train"
    (pets / "other_name.png").write_bytes(Path("photos/dataset.png").read_bytes())
    assert len(prelabel.unlabelled(photos.find(["photos"])[0], Path("dataset/pets"))[0]) == 2  # it has no XML there
    (pets / "other_name.xml").write_text(faults.voc("other_name.png"))
    (pets / "a0.png").symlink_to("nowhere")
    waiting, left_out = prelabel.unlabelled(photos.find(["photos"])[0], Path("dataset/pets"))
    assert [one.name for one in waiting] == ["new.png"]
    assert left_out == ["2 photos with an XML", "1 photo that dataset/pets has, with labels"]
    done = run("photos")
    assert [line for line in done.stdout.splitlines() if "left out" in line] == [
        "  left out: 2 photos with an XML",
        "  left out: 1 photo that dataset/pets has, with labels",
    ]
    assert done.stdout.endswith("then: make dataset SRC=prelabelled NAME=pets ADD=1\n")
    assert [row["source"] for row in order()] == ["photos/new.png"]
    assert mine.read_text() == "mine"
    done = run("--output=second", "photos/beside.png")
    assert (done.returncode, done.stdout) == (0, "nothing to label: 1 photo with an XML\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["photos"], "prelabelled: exists; import what is checked there and move it away, or give another folder: OUT"),
        (["--output=second", "nowhere"], "nowhere: not found; give a folder, a file, or a glob in quotes"),
        (["--output=second", "photos"], "model/export/model.onnx: no model yet; run: make train"),
        (["--threshold=2", "photos"], "THRESHOLD: 2 is not a score; give a number from 0 to 1"),
    ],
)
def test_what_cannot_be_done_is_one_line(project, arguments, reason):
    photo(project / "photos/a.png")
    (project / "prelabelled").mkdir()
    (project / "model/export").rename(project / "model/old")
    refused(stage.call(prelabel.main, project, *arguments), reason)
    assert listed(project) == ["model", "params.yaml", "photos", "prelabelled"]


def test_a_photo_that_cannot_be_read_is_named_and_the_others_are_done(project):
    photo(project / "photos/a.png", (*BOX, 0.5, 1))
    Path("photos/b.png").write_text("<html>")
    done = run("photos")
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        2,
        "prelabelled: 1 photo, 1 box (red 1, white 0), scores from 0.4 up",
    )
    assert done.stderr.startswith("error: photos/b.png: is not an image that can be read")
    assert listed("prelabelled") == ["0001_a.png", "0001_a.xml", "classes.txt", "order.csv"]
    refused(run("--output=none", "photos/b.png"), "photos/b.png: is not an image that can be read")
    lines = run("--output=none", "photos/b.png", "nowhere").stderr.splitlines()
    assert [line.partition(": ")[2].partition(":")[0] for line in lines] == ["nowhere", "photos/b.png"]
    assert listed(project) == ["model", "params.yaml", "photos", "prelabelled"]


class Stopping(detector.Detector):
    """Ctrl-C comes while it looks at the second photo."""

    def detect(self, image, filename):
        if filename == "01.png":
            os.kill(os.getpid(), signal.SIGINT)
        return super().detect(image, filename)


def test_a_run_that_was_stopped_resumes(project, capsys):
    for number in range(20):
        photo(project / f"photos/{number:02}.png", (*BOX, number / 20, 1))
    assert run("--output=whole", "photos").returncode == 0
    stopping = Stopping(**vars(detector.load()))
    with pytest.raises(SystemExit) as end:
        prelabel.prelabel(stopping, photos.find(["photos"])[0], Path("prelabelled"), Selection(THRESHOLD, 0.8))
    assert end.value.code == 128 + signal.SIGINT
    words = capsys.readouterr().err.splitlines()[-1]
    count = re.fullmatch(r"stopped: (\d+) of 20 photos are done; to resume, run it again", words)[1]
    assert 2 <= int(count) < 20 and not Path("prelabelled").exists()
    assert run("photos").stdout.startswith(f"resumes: {count} of 20 photos are done\n")
    trees = [faults.tree(Path(name)) for name in ("whole", "prelabelled")]
    assert {name: content.replace(b">whole<", b">prelabelled<") for name, content in trees[0].items()} == trees[1]


def test_a_long_name_is_cut(project):
    photo(project / f"photos/{'é' * 120}.png", (*BOX, 0.5, 1))
    run("photos")
    (row,) = order()
    assert len(row["filename"].encode()) <= 255 and row["filename"].endswith("é.png")
    assert Path("prelabelled", f"{Path(row['filename']).stem}.xml").exists()
