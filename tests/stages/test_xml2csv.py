"""xml2csv through its public door: `python -m stages.xml2csv` in a folder with params.yaml and a dataset."""

import csv
import os
import shutil

import pytest
from PIL import Image

from detector.annotations import splitting
from detector.data import labels, tables
from tests.support import faults, seconds

REPORT = "dataset/data/annotation_report.csv"
HEADER = "split,filename,object,problem,action\n"


def run(root):
    return faults.run(root, "stages.xml2csv")


@pytest.fixture
def root(tmp_path):
    return faults.workspace(tmp_path)


@pytest.fixture
def pets(root):
    return faults.dataset(root / "dataset/pets")


def report(root):
    with (root / REPORT).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def matches(row, expected):
    split, name, item, problem = expected
    return (row["split"], row["filename"], row["object"]) == (split, name, item) and row["problem"].startswith(problem)


def test_a_sound_dataset(root, pets):
    before = faults.tree(pets)
    done = run(root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert (root / REPORT).read_text() == HEADER
    assert (root / "dataset/data/test.csv").read_text() == (
        "filename,width,height,class,xmin,ymin,xmax,ymax,is_crowd\n"
        "b0.jpg,64,48,dog,8.0,6.0,40.5,30.0,0\n"
        "b1.jpg,64,48,dog,8.0,6.0,40.5,30.0,0\n"
        "b2.jpg,64,48,dog,8.0,6.0,40.5,30.0,0\n"
    )
    rows = {split: tables.read_csv(root / f"dataset/data/{split}.csv", {"cat": 1}) for split in ("train", "val")}
    names = [image.filename for split in rows.values() for image in split]
    assert sorted(names) == [f"a{number}.jpg" for number in range(6)]
    assert all(rows.values())
    counts = ", ".join(f"{split} {len(images)} (boxes: cat {len(images)})" for split, images in rows.items())
    assert done.stdout == f"9 images: {counts}, test 3 (boxes: dog 3); 0 repaired\n"
    assert faults.tree(pets) == before


def test_the_same_bytes_twice(root, pets):
    run(root)
    first = faults.tree(root / "dataset/data")
    for path in (root / "dataset/data").iterdir():
        path.unlink()
    run(root)
    assert faults.tree(root / "dataset/data") == first
    assert sorted(first) == ["annotation_report.csv", "test.csv", "train.csv", "val.csv"]


@pytest.mark.parametrize("fault", faults.WHOLE_DATASET)
def test_each_fault_of_a_dataset(root, pets, fault):
    expected = fault(pets)
    before = faults.tree(pets)
    done = run(root)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    (row,) = report(root)
    assert matches(row, expected), row
    assert row["action"] == "error"
    assert done.stderr.startswith("error: dataset/pets/")
    assert not list((root / "dataset/data").glob("*.csv"))[1:]
    assert faults.tree(pets) == before


def test_all_faults_are_reported_together(root):
    """Every fault that an image can have, each on its own image, in one run; the sound images are not listed."""
    pets = root / "dataset/pets"
    expected = faults.all_together(pets)
    before = faults.tree(pets)
    done = run(root)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert faults.tree(pets) == before
    rows = report(root)
    for line in expected:
        assert [row for row in rows if matches(row, line) and row["action"] == "error"], line
    listed = {row["filename"] for row in rows}
    blamed = {name for _, name, _, _ in expected}
    extra = {repr(f"a{len(expected) - 1}\n.xml")}  # renamed with its image
    assert listed == blamed | extra
    assert [row["split"] for row in rows] == sorted(row["split"] for row in rows)
    errors = [row for row in rows if row["action"] == "error"]
    lines = done.stderr.splitlines()
    assert len(lines) == 22
    assert lines[20] == f"and {len(errors) - 20} more: see {REPORT}"
    assert lines[21].startswith(f"error: dataset/pets: {len(errors)} errors in {len(listed)} files; fix them")
    assert not (root / "dataset/data/train.csv").exists()


@pytest.mark.parametrize("fault", faults.ONE_IMAGE)
def test_each_fault_of_an_image(monkeypatch, capsys, root, pets, fault):
    """In this process, which is quicker."""
    from detector.base.errors import UserError
    from stages import xml2csv

    expected = fault(pets)
    monkeypatch.chdir(root)
    with pytest.raises(UserError):
        xml2csv.main()
    assert any(matches(row, expected) for row in report(root)), report(root)
    name = expected[1]
    assert f"error: dataset/pets/{expected[0]}/{name}: " in capsys.readouterr().err


def test_repairs_are_listed(root):
    pets = faults.dataset(root / "dataset/pets", train=len(faults.REPAIRS))
    expected = [repair(pets, f"a{number}") for number, repair in enumerate(faults.REPAIRS)]
    done = run(root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"; {len(expected)} repaired, 0 warnings: see {REPORT}\n")
    rows = report(root)
    assert all(matches(row, line) for row, line in zip(rows, expected, strict=True)), rows
    assert {row["action"] for row in rows} == {"repaired"}
    content = "".join((root / f"dataset/data/{split}.csv").read_text() for split in ("train", "val"))
    assert content.count(",64,48,") == len(expected)  # <size> from the image
    assert "a3.jpg,64,48,cat,8.0,6.0,64.0,30.0\n" in content  # clipped


def test_an_image_without_objects_is_kept(root, pets):
    faults.pair(pets / "test", "none.jpg", objects=[])
    done = run(root)
    assert "test 4 (boxes: dog 3)" in done.stdout
    assert "none.jpg,64,48,,,,,\n" in (root / "dataset/data/test.csv").read_text()
    assert len(tables.read_csv(root / "dataset/data/test.csv", {"dog": 1})) == 4


def test_suffixes_in_capitals_and_other_files(root, pets):
    faults.image(pets / "test/c.PNG")
    (pets / "test/c.XML").write_text(faults.voc("c.PNG"))
    (pets / "test/._c.jpg").write_bytes(b"a Mac's shadow")
    (pets / "test/notes.txt").write_text("mine")
    done = run(root)
    assert (done.returncode, done.stderr) == (0, "")
    assert "c.PNG,64,48,cat" in (root / "dataset/data/test.csv").read_text()


def test_a_folder_before_the_file_name_means_nothing(root, pets):
    for number, path in enumerate(("C:\\pets\\b0.jpg", "/home/x/b1.jpg")):
        (pets / f"test/b{number}.xml").write_text(faults.voc(path))
    assert run(root).returncode == 0
    assert (root / REPORT).read_text() == HEADER


def turned(path, orientation=6):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return faults.image(path, exif=exif)


def test_exif(root, pets):
    """A turned picture is taken as seen (48x64), unless <size> says that the boxes are those of the stored pixels."""
    turned(pets / "test/seen.jpg").with_suffix(".xml").write_text(faults.voc("seen.jpg", size=(48, 64)))
    turned(pets / "test/stored.jpg").with_suffix(".xml").write_text(faults.voc("stored.jpg", size=(64, 48)))
    turned(pets / "test/unsaid.jpg").with_suffix(".xml").write_text(faults.voc("unsaid.jpg", size=None))
    assert run(root).returncode == 0
    content = (root / "dataset/data/test.csv").read_text()
    assert "seen.jpg,48,64,cat" in content
    assert "stored.jpg,64,48,cat" in content
    assert "unsaid.jpg,48,64,cat" in content
    assert [(row["filename"], row["action"]) for row in report(root)] == [("unsaid.xml", "repaired")]


def test_no_validation_split(root, pets):
    faults.workspace(root, val_fraction=0)
    assert "train 6 (boxes: cat 6), val 0 (no boxes)" in run(root).stdout
    assert (root / "dataset/data/val.csv").read_text() == "filename,width,height,class,xmin,ymin,xmax,ymax,is_crowd\n"


def test_bad_params(root, pets):
    faults.workspace(root, val_fraction=1.5)
    done = run(root)
    assert done.returncode == 2
    assert done.stderr == "error: params.yaml: dataset.val_fraction: 1.5 is not allowed; give a number from 0 to 0.9\n"


def test_hashing_chooses_by_name_alone():
    names = [f"{number}.jpg" for number in range(1000)]
    chosen = splitting.choose(names, 0.2)
    assert 160 < len(chosen) < 240
    assert splitting.choose(reversed(names), 0.2) == chosen
    assert splitting.choose(names[:500], 0.2) == {name for name in chosen if name in names[:500]}
    assert len(chosen & splitting.choose(names, 0.2, "test")) < 80  # independent: about 0.2 * 0.2 * 1000


def test_hashing_never_leaves_a_side_empty():
    for share in (1e-9, 0.5, 0.9, 1.0):
        for count in range(2, 8):
            assert 1 <= len(splitting.choose(map(str, range(count)), share)) < count
    assert splitting.choose(["a"], 0.9) == set()
    assert splitting.choose([], 0.5) == set()
    assert splitting.choose("abc", 0) == set()


def test_hashing_is_the_same_everywhere():
    """sha256('cat.0.jpg') begins with 79 1b: 0x791b / 0x10000 = 0.4731."""
    assert splitting.fraction("cat.0.jpg") == pytest.approx(0x791B / 0x10000, abs=1e-4)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_unreadable_files(root, pets):
    (pets / "train/a0.xml").chmod(0)
    (pets / "train/a1.jpg").chmod(0)
    assert run(root).returncode == 2
    assert [row["problem"].split(";")[0] for row in report(root)] == ["cannot be read: Permission denied"] * 2


def test_start_up_without_tensorflow(root, pets):
    script = "import sys, stages.xml2csv as x; x.main(); sys.exit('tensorflow' in sys.modules)"
    (root / "script.py").write_text(script)
    before = seconds.of_children()
    done = faults.run(root, "script")
    assert (done.returncode, done.stderr) == (0, "")
    assert seconds.of_children() - before < 5


def test_real_photos(root):
    """995 photos import without a problem; DESIGN.md counts 891 in train and 104 in test."""
    archive = faults.ROOT.parent / "shared/asirra/dataset.zip"
    if not archive.exists():
        pytest.skip("../shared/asirra/dataset.zip is not here")
    shutil.unpack_archive(archive, root)
    (root / "dataset").rename(root / "pets")
    shutil.copyfile(root / "pets/data/object-detection.pbtxt", root / "pets/label_map.pbtxt")
    assert labels.read(root / "pets/label_map.pbtxt") == {"cat": 1, "dog": 2}
    faults.workspace(root, directory="pets", val_fraction=0.1)
    done = run(root)
    assert (done.returncode, done.stderr) == (0, "")
    assert (root / REPORT).read_text() == HEADER
    images = {split: tables.read_csv(root / f"dataset/data/{split}.csv", {"cat": 1, "dog": 2}) for split in SPLITS}
    assert len(images["train"]) + len(images["val"]) == 891
    assert len(images["test"]) == 104
    assert sum(len(image.classes) for split in images.values() for image in split) == 1058


SPLITS = ("train", "val", "test")
