"""`make dataset` from records: images byte for byte, and XML whose boxes give the same fractions."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from detector.base.errors import UserError
from detector.data import records as tfrecords
from detector.pictures import images
from tests.support import faults, stage
from tests.support import web as web_server
from tests.support.importing import bring, refused, unpacked
from tools.importing import tree as trees
from tools.importing.formats import records


@pytest.fixture
def root(tmp_path, monkeypatch):
    return web_server.project(tmp_path, monkeypatch)


def made(root, photos):
    """The records of a dataset, by the stages themselves; {name: bytes}."""
    shutil.copytree(photos, root / "dataset/pets")
    faults.workspace(root)
    for name in ("xml2csv", "csv2record"):
        done = stage.run(name, root)
        assert done.returncode == 0, done.stderr
    return {path.name: path.read_bytes() for path in sorted((root / "dataset/data").glob("*.record"))}


def test_records_are_restored_to_the_byte(root, tmp_path):
    """Boxes with odd fractions, an image without objects, PNG and JPEG: all as in the records that they came from."""
    photos = faults.dataset(tmp_path / "photos", train=20)
    faults.pair(photos / "train", "none.jpg", objects=[])
    odd = [("dog", (1 / 3, 0.1, 48.7, 36.999)), ("cat", (0, 0, 49, 37))]
    faults.image(photos / "train/ä b.png", size=(49, 37)).with_suffix(".xml").write_text(
        faults.voc("ä b.png", odd, (49, 37))
    )
    before = made(tmp_path / "first", photos)
    assert sorted(before) == ["test.record", "train.record", "val.record"] and all(before.values())
    source = tmp_path / "records"
    shutil.copytree(tmp_path / "first/dataset/data", source)
    shutil.copy(photos / "label_map.pbtxt", source)
    notes = unpacked(root, source, tmp_path / "second")
    assert notes == ["unpacked 25 images from test.record, train.record, val.record"]
    joined = tmp_path / "second/train"  # as layouts.find has it: validation goes into train
    for path in (tmp_path / "second/valid").iterdir():
        path.rename(joined / path.name)
    assert made(root, tmp_path / "second") == before
    images = {name: content for name, content in faults.tree(photos).items() if not name.endswith("xml")}
    assert {
        name: content for name, content in faults.tree(tmp_path / "second").items() if not name.endswith("xml")
    } == images
    assert "<xmin>8</xmin>" in (joined / "a0.xml").read_text()  # as a person wrote it
    assert "<xmax>40.5</xmax>" in (joined / "a0.xml").read_text()


def jpeg(shade=100, size=(40, 30), kind="JPEG", **options):
    content = io.BytesIO()
    Image.new("RGB", size, (shade, 0, 0)).save(content, kind, **options)
    return content.getvalue()


def write(path, *examples):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for example in examples:
            tfrecords.write_frame(file, tfrecords.encode(example))


def example(content, box=(0.1, 0.2, 0.5, 0.6), text=b"cat", label=1, **more):
    corners = dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    features = {"image/encoded": [content]}
    features |= {f"image/object/bbox/{corner}": [float(value)] for corner, value in corners.items()}
    features |= {"image/object/class/text": [text]} if text else {}
    features |= {"image/object/class/label": [label]} if label else {}
    return features | more


def test_records_of_another_maker(root, tmp_path):
    """Shards, names that are missing, equal or hostile, another format than the name says, classes by number alone."""
    source = tmp_path / "records"
    names = [b"", b"a.jpg", b"/data/x/a.JPG", b"../../evil.png", b"C:\\photos\\b.jpeg", b"a.png"]
    examples = [example(jpeg(number), text=b"", **{"image/filename": [name]}) for number, name in enumerate(names)]
    examples += [example(jpeg(50, kind="PNG"), label=0), {"image/encoded": [jpeg(60, kind="BMP")]}]
    examples[0]["image/object/view"] = [b"left"]
    write(source / "train.tfrecord-00000-of-00002", *examples[:4])
    write(source / "train.tfrecord-00001-of-00002", *examples[4:])
    write(source / "test.tfrecord", example(jpeg(200)))
    (source / "label_map.pbtxt").write_text("item { id: 1 name: 'cat' }\nitem { id: 2 name: 'dog' }\n")
    notes = unpacked(root, source, root / "dataset/pets")
    assert notes[0].startswith("unpacked 9 images from ") and notes[1:] == ["left out: image/object/view"]
    assert sorted(path.name for path in (root / "dataset/pets/train").iterdir() if path.suffix != ".xml") == [
        *("a.jpg", "a_.JPG", "a__.jpg", "b.jpeg", "evil.jpg"),
        *("train_000001.jpg", "train_000003.png", "train_000004.bmp"),
    ]
    faults.workspace(root)
    done = stage.run("xml2csv", root)
    assert done.returncode == 0, done.stderr
    done = stage.run("csv2record", root)
    assert done.returncode == 0, done.stderr


def test_exif_does_not_turn_an_image_without_its_boxes(tmp_path):
    """TensorFlow sees the pixels as they are stored, and so must everybody else."""
    for number, (size, order) in enumerate([((40, 40), "<"), ((40, 30), ">"), ((40, 30), "<")]):
        exif = Image.Exif()
        exif.endian = order
        exif[0x0112] = 6 if number == 2 else 3  # the third one shows by its size that it is turned: it stays as it is
        content = jpeg(size=size, exif=exif)
        assert images.check("a", content).turned
        write(tmp_path / f"{number}/train.record", example(content))
        folder, _ = records.unpack(records.find(trees.walk(tmp_path / str(number))), tmp_path / f"out{number}")
        written = (folder / "train/train_000001.jpg").read_bytes()
        assert images.check("a", written).turned == (number == 2)
        assert sum(a != b for a, b in zip(content, written, strict=True)) == (number != 2)
        assert "<width>40</width>" in (folder / "train/train_000001.xml").read_text()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"image/height": [3]}, "record 2: has no image/encoded"),
        (example(b"no image"), "record 2: is not an image that can be read"),
        (example(jpeg()[:400]), "record 2: does not decode to its end"),
        (example(jpeg(), label=7), "record 2: class 7 is not in label_map.pbtxt"),
        (example(jpeg(), text=b"dog"), "record 2: its classes are dog, but label_map.pbtxt says cat"),
        (example(jpeg()) | {"image/object/bbox/xmin": []}, "xmin, ymin, xmax, ymax and class have 0, 1, 1, 1, 1 val"),
    ],
)
def test_wrong_records(root, tmp_path, bad, reason):
    write(tmp_path / "records/train.record", example(jpeg(1)), bad)
    (tmp_path / "records/label_map.pbtxt").write_text("item { id: 1 name: 'cat' }\nitem { id: 2 name: 'dog' }\n")
    refused(bring(root, tmp_path / "records"), reason)
    assert not list(root.glob("dataset/*"))


def test_a_class_that_xml_cannot_hold(tmp_path):
    write(tmp_path / "photos/train.record", example(jpeg(), text=b"cat\0", label=None))
    with pytest.raises(UserError, match=r"record 1: class 'cat\\x00' holds a control character"):
        records.unpack(records.find(trees.walk(tmp_path / "photos")), tmp_path / "out")


def test_a_record_that_is_cut_off(root, tmp_path):
    write(tmp_path / "records/train.record", example(jpeg(1)), example(jpeg(2)))
    content = (tmp_path / "records/train.record").read_bytes()
    (tmp_path / "records/train.record").write_bytes(content[:-10])
    refused(bring(root, tmp_path / "records"), "train.record: record 2: cut off or damaged; fetch that record again")


def test_images_go_before_records(tmp_path):
    """A dataset as the recipe keeps it, records in data/ beside train/ and test/, is one of images."""
    photos = faults.dataset(tmp_path / "photos")
    write(photos / "data/train.record", example(jpeg(1)))
    assert records.find(trees.walk(photos)) == {}
    write(photos / "train/train.record", example(jpeg(1)))
    assert records.find(trees.walk(photos / "train")) == {}  # beside XML
    assert list(records.find(trees.walk(photos / "data"))) == [photos / "data/train.record"]


def test_the_shortest_decimal_that_gives_the_fraction_again():
    assert [records.pixels(np.float32(value / 500), 500) for value in (0, 1, 123, 40.5, 0.001)] == [
        *("0", "1", "123", "40.5", "0.001")
    ]
    generator = np.random.default_rng(1)
    for side, fraction in zip(generator.integers(1, 8000, 2000), generator.random(2000, np.float32), strict=True):
        assert np.float32(float(records.pixels(fraction, int(side))) / int(side)) == fraction


def test_names_folders_and_splits(tmp_path):
    """Roboflow's folders and label maps, the API's shards; records without a split, and what only sounds like one."""
    for name in (
        "train/Pets.tfrecord",
        "valid/Pets.tfrecord",
        "c/pet_faces_test.record-00000-of-00010",
        "d/pets.record",
    ):
        write(tmp_path / "in" / name, example(jpeg()))
    (tmp_path / "in/records.md").write_text("hello")
    for folder in ("train", "valid"):
        (tmp_path / "in" / folder / "Pets_label_map.pbtxt").write_text("item { id: 1 name: 'cat' }")
    sources = records.find(trees.walk(tmp_path / "in"))
    assert {path.name: split for path, split in sources.items()} == {
        "Pets.tfrecord": "valid",
        "pet_faces_test.record-00000-of-00010": "test",
        "pets.record": "",
    }
    folder, notes = records.unpack(sources, tmp_path / "out")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert [name for name in names if not name.endswith(".xml")] == [
        "label_map.pbtxt",
        "photo_000001.jpg",
        "test/test_000001.jpg",
        "train/train_000001.jpg",
        "valid/valid_000001.jpg",
    ]
    assert notes[0].startswith("unpacked 4 images from ")
    (tmp_path / "in/valid/Pets_label_map.pbtxt").write_text("item { id: 1 name: 'dog' }")
    with pytest.raises(UserError, match=r"several label maps: Pets_label_map\.pbtxt, Pets_label_map\.pbtxt; keep one"):
        records.unpack(sources, tmp_path / "again")


def test_crowds_and_cut_off_objects(tmp_path):
    flags = {"image/object/is_crowd": [1], "image/object/truncated": [1], "image/object/view": [b"left"]}
    write(tmp_path / "train.record", example(jpeg()) | flags)
    folder, notes = records.unpack(records.find(trees.walk(tmp_path)), tmp_path / "out")
    xml = (folder / "train/train_000001.xml").read_text()
    assert "<truncated>1</truncated>" in xml and "<difficult>1</difficult>" in xml
    assert notes[1] == "left out: image/object/view"
    write(tmp_path / "train.record", example(jpeg()) | {"image/object/difficult": [0, 1]})
    with pytest.raises(UserError, match="record 1: difficult has 2 values for 1 objects"):
        records.unpack({tmp_path / "train.record": "train"}, tmp_path / "again")
