"""Sixty kinds of broken input in one dataset: every photo is in the records, or left out by name, and nothing hangs.

As people have them: tools that write another dialect, half-finished labels, files that are no files. What is right for
each kind is beside it: how many boxes its photo has in the CSV, or None where the photo is left out.
"""

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from detector.base import paths
from detector.data import records
from tests.support import stage, tiny

SIZE = (160, 120)
BOX = "<bndbox><xmin>20</xmin><ymin>30</ymin><xmax>90</xmax><ymax>100</ymax></bndbox>"
SOUND = 70  # photos without a fault beside them, so that most of the dataset is sound

Kind = tuple[Callable[[Path, str], None], int | None]  # makes the photo and its label; boxes left, or None: left out


def photo(path: Path, size: tuple[int, int] = SIZE, **options: object) -> None:
    """Another picture for every name, so that none is a copy of another."""
    seed = sum(path.stem.encode()) * 7919 + len(path.stem)
    image = Image.effect_noise(size, 60 + seed % 40).convert("RGB")
    tint = Image.new("RGB", size, (seed % 256, seed // 3 % 256, seed // 7 % 256))
    Image.blend(image, tint, 0.5).save(path, **options)


def voc(stem: str, objects: str, size: tuple[int, int] | None = SIZE, filename: str | None = None) -> str:
    shape = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>" if size else ""
    name = f"{stem}.jpg" if filename is None else filename
    return f"<annotation><filename>{name}</filename>{shape}{objects}</annotation>"


def an_object(box: str = BOX, name: str = "cat", more: str = "") -> str:
    return f"<object><name>{name}</name>{more}{box}</object>"


def corners(xmin: object, ymin: object, xmax: object, ymax: object) -> str:
    return f"<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox>"


def labelled(objects: str, **options: object) -> Callable[[Path, str], None]:
    """A sound photo, and an XML with these objects."""

    def make(folder: Path, stem: str) -> None:
        photo(folder / f"{stem}.jpg")
        (folder / f"{stem}.xml").write_text(voc(stem, objects, **options), encoding="utf-8")

    return make


def text(content: str | bytes) -> Callable[[Path, str], None]:
    """A sound photo, and these bytes for its XML."""

    def make(folder: Path, stem: str) -> None:
        photo(folder / f"{stem}.jpg")
        data = content if isinstance(content, bytes) else content.encode()
        (folder / f"{stem}.xml").write_bytes(data)

    return make


def pictured(make_image: Callable[[Path], object], suffix: str = ".jpg") -> Callable[[Path, str], None]:
    """A sound XML, and a picture that is made by hand."""

    def make(folder: Path, stem: str) -> None:
        make_image(folder / f"{stem}{suffix}")
        (folder / f"{stem}.xml").write_text(voc(stem, an_object(), filename=f"{stem}{suffix}"), encoding="utf-8")

    return make


def cut(path: Path) -> None:
    photo(path)
    path.write_bytes(path.read_bytes()[:900])


def noise_of(length: int) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(bytes(i * 37 % 251 for i in range(length)))


def elements(*texts: str) -> str:
    return "<annotation>" + "".join(texts) + "</annotation>"


def prefixed(xml: str) -> str:
    """Every tag in the namespace v."""
    return re.sub(r"<(/?)(\w)", r"<\1v:\2", xml)


V = 'xmlns:v="urn:voc"'
SIZE_TAGS = "<size><width>160</width><height>120</height></size>"

KINDS: dict[str, Kind] = {
    # The XML as a file.
    "empty_xml": (text(""), None),
    "blank_xml": (text("  \n\n "), None),
    "binary_xml": (text(bytes(range(256)) * 4), None),
    "cut_xml": (text("<annotation><object><name>cat</name><bndbox><xmin>1"), None),
    "ampersand": (text(voc("ampersand", an_object(name="cat") + "<note>Tom & Jerry</note>")), None),
    "json_for_xml": (text('{"annotation": {"object": []}}'), None),
    "html_for_xml": (text("<!DOCTYPE html><html><body>404 Not Found</body></html>"), None),
    "entities": (text('<!DOCTYPE a [<!ENTITY b "cat">]>' + voc("entities", an_object(name="&b;"))), None),
    "billion_laughs": (
        text('<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;&b;">]>' + voc("billion_laughs", an_object(name="&c;"))),
        None,
    ),
    "harmless_doctype": (text('<!DOCTYPE annotation SYSTEM "a.dtd">' + voc("harmless_doctype", an_object())), 1),
    "bom": (text(b"\xef\xbb\xbf" + voc("bom", an_object()).encode()), 1),
    "utf16": (text(voc("utf16", an_object()).encode("utf-16")), 1),
    "blank_line_first": (text('\n <?xml version="1.0"?>' + voc("blank_line_first", an_object())), 1),
    "wrong_encoding": (
        text(b'<?xml version="1.0" encoding="utf-8"?>' + voc("x", an_object(name="c\xe3o")).encode("latin-1")),
        None,
    ),
    "other_root": (text("<annotations><image/></annotations>"), None),
    # The XML's structure.
    "namespaced": (text(prefixed(f"<annotation {V}>{SIZE_TAGS}{an_object()}</annotation>")), 1),
    "default_namespace": (text(f'<annotation xmlns="urn:voc">{SIZE_TAGS}{an_object()}</annotation>'), 1),
    "namespaced_object": (
        text(f"<annotation {V}>{SIZE_TAGS}<v:object><name>cat</name>{BOX}</v:object></annotation>"),
        1,
    ),
    "nested_objects": (
        text(elements(SIZE_TAGS, "<objects>", an_object(), an_object(corners(1, 1, 30, 40), "dog"), "</objects>")),
        2,
    ),
    "object_in_object": (
        text(elements(SIZE_TAGS, f"<object><name>cat</name>{BOX}<object><name>dog</name>{BOX}</object></object>")),
        1,
    ),
    "parts": (labelled(an_object(more=f"<part><name>head</name>{corners(21, 31, 40, 50)}</part>")), 1),
    "upper_case_tags": (labelled(an_object(BOX.replace("xmin", "Xmin").replace("ymax", "YMAX"))), 1),
    "no_name": (labelled(f"<object>{BOX}</object>"), None),
    "one_without_name": (labelled(an_object() + f"<object>{corners(1, 1, 30, 40)}</object>"), 1),
    "no_objects": (labelled(""), 0),
    "attributes_for_tags": (
        text('<annotation><object name="cat" xmin="1" ymin="2" xmax="30" ymax="40"/></annotation>'),
        None,
    ),
    # Boxes.
    "no_box": (labelled(an_object("")), None),
    "half_a_box": (labelled(an_object("<bndbox><xmin>1</xmin><ymax>9</ymax></bndbox>")), None),
    "swapped": (labelled(an_object(corners(90, 100, 20, 30))), 1),
    "no_extent": (labelled(an_object(corners(20, 30, 20, 30))), 0),
    "one_without_extent": (labelled(an_object() + an_object(corners(20, 30, 20, 90))), 1),
    "fractions": (labelled(an_object(corners(0.125, 0.25, 0.5, 0.75))), None),
    "two_alike": (labelled(an_object() + an_object()), 1),
    "words": (labelled(an_object(corners("left", 30, 90, 100))), None),
    "decimal_comma": (labelled(an_object(corners("20,5", 30, 90, 100))), None),
    "nan": (labelled(an_object(corners("nan", 30, 90, 100))), None),
    "infinite": (labelled(an_object(corners(20, 30, "1e999", 100))), None),
    "underscore": (labelled(an_object(corners("2_0", 30, 90, 100))), None),
    "a_little_over": (labelled(an_object(corners(-2, 30, 163, 100))), 1),
    "far_over": (labelled(an_object(corners(20, 30, 600, 100))), None),
    "outside": (labelled(an_object(corners(500, 500, 600, 600))), None),
    "one_outside": (labelled(an_object() + an_object(corners(500, 500, 600, 600), "dog")), 1),
    "polygon": (
        labelled(an_object("<polygon><x1>20</x1><y1>20</y1><x2>90</x2><y2>25</y2><x3>50</x3><y3>80</y3></polygon>")),
        1,
    ),
    "points": (
        labelled(
            an_object(
                "<polygon><pt><x>20</x><y>20</y></pt><pt><x>90</x><y>25</y></pt><pt><x>50</x><y>80</y></pt></polygon>"
            )
        ),
        1,
    ),
    "turned": (
        labelled(an_object("<robndbox><cx>80</cx><cy>60</cy><w>40</w><h>20</h><angle>0.5</angle></robndbox>")),
        1,
    ),
    "cvat_rotation": (
        labelled(
            an_object(
                corners(60, 50, 100, 70),
                more="<attributes><attribute><name>rotation</name><value>90.0</value></attribute></attributes>",
            )
        ),
        1,
    ),
    "difficult": (labelled(an_object(more="<difficult>1</difficult>")), 1),
    "control_character_in_class": (text(voc("x", an_object(name="cat&#10;dog"))), None),
    # <size> and <filename>.
    "no_size": (labelled(an_object(), size=None), 1),
    "size_zero": (labelled(an_object(), size=(0, 0)), 1),
    "size_doubled": (labelled(an_object(corners(40, 60, 180, 200)), size=(320, 240)), 1),
    "stale_filename": (labelled(an_object(), filename="IMG_4711.JPG"), 1),
    "placeholder_filename": (labelled(an_object(), filename="%s"), 1),
    "filename_with_path": (labelled(an_object(), filename="C:\\Users\\ana\\filename_with_path.jpg"), 1),
    # Photos.
    "empty_photo": (pictured(lambda path: path.write_bytes(b"")), None),
    "noise_photo": (pictured(noise_of(5000)), None),
    "cut_photo": (pictured(cut), None),
    "text_photo": (pictured(lambda path: path.write_text("<html>404</html>")), None),
    "lfs_pointer": (
        pictured(lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")),
        None,
    ),
    "svg_photo": (pictured(lambda path: path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>"), ".png"), None),
    "fifo_photo": (pictured(os.mkfifo), None),
    "folder_photo": (pictured(lambda path: path.mkdir()), None),
    "broken_link": (pictured(lambda path: path.symlink_to("nowhere")), None),
    "link_to_itself": (pictured(lambda path: path.symlink_to(path.name)), None),
    "fake_heic": (
        pictured(lambda path: path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + b"\0" * 64), ".HEIC"),
        None,
    ),
    "png_for_jpg": (pictured(lambda path: photo(path, format="PNG")), 1),
    "palette": (pictured(lambda path: Image.new("P", SIZE, 3).save(path), ".png"), 1),
    "without_xml": (lambda folder, stem: photo(folder / f"{stem}.jpg"), None),
    "fifo_xml": (lambda folder, stem: (photo(folder / f"{stem}.jpg"), os.mkfifo(folder / f"{stem}.xml"))[0], None),
    "folder_xml": (lambda folder, stem: (photo(folder / f"{stem}.jpg"), (folder / f"{stem}.xml").mkdir())[0], None),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with one photo of each kind, put there by hand, and the stages' files made of it."""
    root = tmp_path_factory.mktemp("broken")
    tiny.params(root, **{"dataset.dir": "dataset/pets"})
    for split, count in (("train", SOUND), ("test", 8)):
        folder = root / "dataset/pets" / split
        folder.mkdir(parents=True)
        for number in range(count):
            labelled(an_object(name="dog" if number % 2 else "cat"))(folder, f"sound_{split}_{number}")
    for stem, (make, _) in KINDS.items():
        make(root / "dataset/pets/train", stem)
    (root / "dataset/pets" / paths.LABEL_MAP).write_text('item { id: 1 name: "cat" }\nitem { id: 2 name: "dog" }\n')
    return root


@pytest.fixture(scope="module")
def before(project: Path) -> dict[str, bytes]:
    return content(project / "dataset/pets")


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def boxes(project: Path, before: dict[str, bytes]) -> dict[str, int]:
    """{stem: boxes in the CSVs}, after xml2csv and csv2record."""
    for name in ("xml2csv", "csv2record"):
        done = stage.run(name, project)
        assert done.returncode == 0, done.stderr
    assert content(project / "dataset/pets") == before  # nothing that is the user's has changed
    found: Counter[str] = Counter()
    for split in paths.SPLITS:
        for row in csv.DictReader(io.StringIO((project / paths.csv(split)).read_text())):
            found[Path(row["filename"]).stem] += bool(row["class"])
    return dict(found)


def report(project: Path) -> Iterator[dict[str, str]]:
    yield from csv.DictReader(io.StringIO((project / paths.DATA / "annotation_report.csv").read_text()))


@pytest.mark.parametrize("stem", KINDS)
def test_a_photo_has_its_boxes_or_is_left_out_by_name(stem: str, boxes: dict[str, int], project: Path) -> None:
    expected = KINDS[stem][1]
    assert boxes.get(stem) == expected
    if expected is None:
        assert [
            row
            for row in report(project)
            if Path(row["filename"].strip("'")).stem == stem and row["action"] == "skipped"
        ]


def test_every_photo_is_in_the_records_or_left_out_by_name(boxes: dict[str, int], project: Path) -> None:
    written = Counter(
        Path(example["image/filename"][0].decode()).stem
        for split in paths.SPLITS
        for example in records.read(project / paths.record(split))
    )
    left_out = {stem for stem, (_, expected) in KINDS.items() if expected is None}
    assert set(written.values()) == {1}
    assert set(written) == set(boxes)
    assert len(written) == SOUND + 8 + len(KINDS) - len(left_out)


def test_a_difficult_object_is_a_crowd_in_table_and_record(boxes: dict[str, int], project: Path) -> None:
    rows = [
        row
        for split in ("train", "val")
        for row in csv.DictReader(io.StringIO((project / paths.csv(split)).read_text()))
    ]
    assert {Path(row["filename"]).stem for row in rows if row["is_crowd"] == "1"} == {"difficult"}
    crowds = {
        example["image/filename"][0].decode(): example["image/object/is_crowd"]
        for split in ("train", "val")
        for example in records.read(project / paths.record(split))
        if "image/object/is_crowd" in example
    }
    assert crowds == {"difficult.jpg": [1]}


def test_difficult_objects_are_counted(boxes: dict[str, int], project: Path) -> None:
    assert "; 1 difficult, neither learned nor measured)" in stage.run("xml2csv", project).stdout
