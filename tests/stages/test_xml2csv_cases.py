"""xml2csv on the situations of ../shared/cases that have train/ and test/: what its README calls right."""

import csv
import shutil

import pytest

from detector.data import labels, tables
from tests.support import cases, faults, stage

REPORT = "dataset/data/annotation_report.csv"
CLASSES = ["bird", "cat", "cão", "dog"]


class Done:
    """A run of xml2csv: its images by file name, and the lines of its report as (file, problem, action)."""

    def __init__(self, root, source, **policy):
        shutil.copytree(source, root / "dataset/pets")
        labels.write(root / "dataset/pets/label_map.pbtxt", CLASSES)
        faults.workspace(root, **policy)
        self.run = stage.run("xml2csv", root)
        assert "Traceback" not in self.run.stderr
        with (root / REPORT).open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["filename"] != "label_map.pbtxt"]
        self.lines = [(row["filename"], row["problem"].split(": ")[0].split("; ")[0], row["action"]) for row in rows]
        self.images = {}
        if self.run.returncode == 0:
            by_name = {name: number for number, name in enumerate(CLASSES, start=1)}
            tables_of = [tables.read_csv(root / f"dataset/data/{split}.csv", by_name) for split in SPLITS]
            self.images = {image.filename: image for images in tables_of for image in images}

    def of(self, kind):
        return [name for name, problem, _ in self.lines if problem == kind]

    def names(self, filename):
        return [CLASSES[number - 1] for number in self.images[filename].classes]


SPLITS = ("train", "val", "test")


@pytest.fixture
def done(tmp_path):
    return lambda number, folder="in", **policy: Done(tmp_path, cases.built(number) / folder, **policy)


@pytest.mark.parametrize(("folder", "scale"), [("half", 0.5), ("double", 2.0)])
def test_resized_photos(done, folder, scale):
    """The object is at (20, 20) of the photo that was labelled, 0.3 of it wide."""
    result = done("02", folder)
    assert (result.run.returncode, len(result.images)) == (0, 12)
    assert len(result.of("labelled at another scale")) == 12
    for image in result.images.values():
        xmin, ymin, xmax, _ = image.boxes[0]
        assert (xmin, ymin) == pytest.approx((20 * scale, 20 * scale), rel=0.01)
        assert xmax - xmin == pytest.approx(0.3 * image.width, rel=0.01)


@pytest.mark.parametrize(
    ("folder", "kind", "count"),
    [
        ("in", "another <filename>", 30),
        ("placeholder", "another <filename>", 12),
        ("without", "<filename> is missing", 12),
    ],
)
def test_renamed_photos(done, folder, kind, count):
    result = done("05", folder)
    assert (result.run.returncode, len(result.images), len(result.of(kind))) == (0, count, count)
    assert f"repaired: {count} files: {kind}: " in result.run.stdout


def test_photos_without_xml(done):
    result = done("12")
    without = ["pet12.jpg", "pet2.jpg", "pet5.jpg", "pet9.jpg"]
    assert (result.run.returncode, sorted(result.of("has no label"))) == (0, without)
    assert len(result.images) == 12
    assert "left out: 4 photos (has no label 4); " in result.run.stdout


def test_photos_without_xml_as_without_objects(done):
    """pet9.txt holds an object in YOLO's format: that photo is not one without."""
    result = done("12", unlabelled="background")
    assert [name for name in result.images if not len(result.images[name].boxes)] == [
        "pet12.jpg",
        "pet5.jpg",
        "pet2.jpg",
    ]
    assert result.of("labelled in another format") == ["pet9.jpg"]


def test_a_test_split_without_labels(done):
    result = done("12", "unlabelled_test")
    assert result.run.returncode == 2
    assert "dataset/pets/test: no photo is left of 4: has no label 4; label them" in result.run.stderr


def test_boxes_on_the_pixels_as_stored(done):
    """EXIF 6 is trained as stored; half a turn (3) cannot tell, follows, and is turned with its boxes."""
    result = done("13")
    assert (result.run.returncode, len(result.images)) == (0, 12)
    assert sorted(result.of("turned by EXIF")) == sorted(f"IMG_{n}.xml" for n in range(1, 12, 2))
    for name, image in result.images.items():
        turned = int(name[4:-4]) % 2
        box = (
            (image.width - 110, image.height - 90, image.width - 10, image.height - 10) if turned else (10, 10, 110, 90)
        )
        assert tuple(image.boxes[0]) == box


def test_photos_of_one_stem(done):
    """pet5.xml says pet5.jpg, pet6.xml pet6.jpg: the others are photos without a label."""
    result = done("14")
    assert (result.run.returncode, len(result.images)) == (0, 12)
    assert result.of("has no label") == ["pet5.png", "pet6.JPEG"]


def test_boxes_a_few_pixels_outside(done):
    result = done("15")
    assert (result.run.returncode, len(result.images)) == (0, 12)
    assert [line[1:] for line in result.lines] == [("outside", "repaired")] * 3
    large = result.images["pet4.jpg"]
    assert tuple(large.boxes[0]) == (1000, 1000, 4000, 2500)


@pytest.mark.parametrize("folder", ["aux", "double"])
def test_other_xml_and_double_suffixes(done, folder):
    result = done("22", folder)
    assert (result.run.returncode, len(result.images), result.lines) == (0, 12, [])


def test_documents_as_writers_make_them(done):
    """A document type, GB 2312 and a blank line are fine; Latin-1 that says UTF-8, and a bare &, are broken XML."""
    result = done("22", "doctype")
    assert (result.run.returncode, len(result.images)) == (0, 10)
    assert result.of("broken XML") == ["tile_5.xml", "tile_8.xml"]
    assert result.of("its XML cannot be used") == ["tile_5.jpg", "tile_8.jpg"]
    assert result.names("tile_6.jpg") == ["cat"]


def test_objects_of_all_kinds(done):
    result = done("23")
    assert (result.run.returncode, len(result.images)) == (0, 13)
    kinds = [
        *[("pet10.jpg", "none of its boxes can be used", "skipped"), ("pet10.xml", "not a number", "skipped")],
        *[
            ("pet5.xml", "polygon", "repaired"),
            ("pet6.xml", "turned", "repaired"),
            ("pet8.xml", "inverted", "repaired"),
        ],
    ]
    assert sorted(set(result.lines)) == kinds
    assert tuple(result.images["pet5.jpg"].boxes[0]) == (20, 20, 90, 80)
    hull = (64.084, 58.065, 135.916, 121.935)  # 60 cos 0.5 + 40 sin 0.5 = 71.83, 60 sin 0.5 + 40 cos 0.5 = 63.87
    assert tuple(result.images["pet6.jpg"].boxes[0]) == pytest.approx(hull, abs=1e-3)


@pytest.mark.parametrize(("folder", "kind"), [("in", "inverted"), ("polygons", "polygon")])
def test_classes_of_boxes_that_are_not_upright(done, folder, kind):
    result = done("26", folder)
    assert result.run.returncode == 0
    assert {problem for _, problem, _ in result.lines} == {kind}
    assert all(len(image.boxes) for image in result.images.values())
    assert sum("bird" in result.names(name) for name in result.images) == (3 if folder == "in" else 0)


def test_a_rectangle_that_cvat_turned(tmp_path):
    """Odd frames hold a flat box, turned by a quarter: as high as it was wide, cut off at the edge."""
    source = cases.built("03") / "in"
    for photo in (source / "JPEGImages").iterdir():
        split = "test" if photo.stem.endswith(("00", "01")) else "train"
        (tmp_path / "in" / split).mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, tmp_path / "in" / split)
        shutil.copy(source / f"Annotations/{photo.stem}.xml", tmp_path / "in" / split)
    result = Done(tmp_path, tmp_path / "in")
    assert (result.run.returncode, len(result.images)) == (0, 12)
    assert len(result.of("turned")) == 6
    for name, image in result.images.items():
        xmin, ymin, xmax, ymax = image.boxes[0]
        flat, long = 0.1 * image.height, 0.8 * image.width
        turned = int(name[6:-4]) % 2
        assert (xmax - xmin, ymax - ymin) == pytest.approx(
            (flat, min(long, image.height)) if turned else (long, flat), rel=1e-4
        )
