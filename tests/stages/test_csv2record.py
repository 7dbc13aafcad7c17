"""csv2record through its public door, read back by TensorFlow's own parser and decoder."""

import io
from functools import partial

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from detector.base import paths
from detector.data import records, tables
from detector.pictures import images
from tests.support import boxes, faults

LABEL_MAP = {"cat": 1, "dog": 2}
KEYS = {
    *("image/height", "image/width", "image/filename", "image/source_id", "image/key/sha256", "image/encoded"),
    *("image/format", "image/object/bbox/xmin", "image/object/bbox/xmax", "image/object/bbox/ymin"),
    *("image/object/bbox/ymax", "image/object/class/text", "image/object/class/label"),
}


@pytest.fixture
def root(tmp_path):
    return faults.workspace(tmp_path)


@pytest.fixture
def pets(root):
    return faults.dataset(root / "dataset/pets", train=12)


def convert(root):
    """Both stages, XML to records."""
    done = faults.run(root, "stages.xml2csv")
    assert done.returncode == 0, done.stderr
    return faults.run(root, "stages.csv2record")


def examples(root, split):
    """{file name: example} in the order of the record."""
    return {e["image/filename"][0].decode(): e for e in records.read(root / paths.record(split))}


def test_one_example_an_image(root, pets):
    faults.pair(
        pets / "test", "b9.jpg", size=(256, 512), objects=[("cat", (64, 64, 128, 512)), ("dog", (0, 0, 256, 8))]
    )
    faults.image(pets / "test/b9.jpg", size=(256, 512))
    faults.pair(pets / "test", "none.jpg", objects=[])
    done = convert(root)
    assert (done.returncode, done.stderr) == (0, "")
    train, val = (len(tables.read_csv(root / paths.csv(split), LABEL_MAP)) for split in ("train", "val"))
    assert train + val == 12
    counts = f"train {train} of {train}, val {val} of {val}, test 5 of 5"
    assert done.stdout == f"images written to the records: {counts}\n"
    converted = examples(root, "test")
    assert list(converted) == ["b0.jpg", "b1.jpg", "b2.jpg", "b9.jpg", "none.jpg"]
    example = converted["b9.jpg"]
    assert set(example) == KEYS
    content = (pets / "test/b9.jpg").read_bytes()
    assert example["image/encoded"] == [content]  # byte for byte
    assert (example["image/width"], example["image/height"]) == ([256], [512])
    assert (example["image/format"], example["image/source_id"]) == ([b"jpeg"], [b"b9.jpg"])
    # Rows are sorted by class and box: the cat first. 64/256 = 0.25, 64/512 = 0.125, 8/512 = 1/64.
    assert example["image/object/bbox/xmin"] == [0.25, 0.0]
    assert example["image/object/bbox/xmax"] == [0.5, 1.0]
    assert example["image/object/bbox/ymin"] == [0.125, 0.0]
    assert example["image/object/bbox/ymax"] == [1.0, 0.015625]
    assert example["image/object/class/text"] == [b"cat", b"dog"]
    assert example["image/object/class/label"] == [1, 2]
    assert converted["none.jpg"]["image/object/class/label"] == []
    assert converted["none.jpg"]["image/object/bbox/xmin"] == []


def test_crowds_are_marked_where_there_are_any(root, pets):
    faults.pair(
        pets / "test", "b9.jpg", size=(256, 512), objects=[("cat", (64, 64, 128, 512)), ("dog", (0, 0, 256, 8))]
    )
    faults.image(pets / "test/b9.jpg", size=(256, 512))
    convert(root)
    before = list(records.read_frames(root / paths.record("test")))
    path = root / paths.csv("test")
    images = tables.read_csv(path, LABEL_MAP)
    images[3] = boxes.with_crowds(images[3], 1)
    tables.write_csv(path, images, {1: "cat", 2: "dog"})
    assert faults.run(root, "stages.csv2record").returncode == 0
    after = list(records.read_frames(root / paths.record("test")))
    assert after[:3] == before[:3]  # the others keep their bytes
    example = examples(root, "test")["b9.jpg"]
    assert set(example) == KEYS | {"image/object/is_crowd"}
    assert example["image/object/is_crowd"] == [0, 1]
    assert records.encode({key: example[key] for key in KEYS}) == before[3]


def test_ids_come_from_the_label_map_alone(root, pets):
    (pets / "label_map.pbtxt").write_text("item { id: 2 name: 'cat' } item { id: 1 name: 'dog' }")
    convert(root)
    assert {tuple(e["image/object/class/label"]) for e in examples(root, "train").values()} == {(2,)}
    assert {tuple(e["image/object/class/label"]) for e in examples(root, "test").values()} == {(1,)}


def test_train_is_mixed_by_name_and_the_bytes_are_the_same_twice(root, pets):
    convert(root)
    first = faults.tree(root / "dataset/data")
    names = list(examples(root, "train"))
    assert names != sorted(names)
    assert list(examples(root, "val")) == sorted(examples(root, "val"))
    assert faults.run(root, "stages.csv2record").returncode == 0
    assert faults.tree(root / "dataset/data") == first


pillow_heif.register_heif_opener()  # so that Pillow writes HEIC too
EXIF = Image.Exif()
EXIF[0x0112] = 6  # to be turned by 90 degrees

KINDS = {  # name: (mode, options, format in the record)
    "rgb.jpg": ("RGB", {}, b"jpeg"),
    "grey.jpg": ("L", {}, b"jpeg"),
    "progressive.jpg": ("RGB", {"progressive": True}, b"jpeg"),
    "cmyk.jpg": ("CMYK", {"quality": 95}, b"jpeg"),
    "turned.jpg": ("RGB", {"exif": EXIF, "quality": 95}, b"jpeg"),
    "rgb.png": ("RGB", {}, b"png"),
    "grey.png": ("L", {}, b"png"),
    "bit.png": ("1", {}, b"png"),
    "alpha.png": ("RGBA", {}, b"png"),
    "palette.png": ("P", {}, b"png"),
    "deep.png": ("I;16", {}, b"png"),
    "turned.png": ("RGB", {"exif": EXIF}, b"png"),
    "a.bmp": ("RGB", {}, b"png"),
    "a.tif": ("RGB", {}, b"png"),
    "a.webp": ("RGB", {"lossless": True}, b"png"),
    "a.gif": ("P", {}, b"png"),
    "a.avif": ("RGB", {}, b"jpeg"),
    "a.heic": ("RGB", {"quality": 100}, b"jpeg"),
    "turned.heic": ("RGB", {"exif": EXIF.tobytes(), "quality": 100}, b"jpeg"),
}
COPIED = {"rgb.jpg", "grey.jpg", "progressive.jpg", "rgb.png", "grey.png"}


def smooth(mode):
    """A 64x48 picture without sharp edges, which JPEG keeps well."""
    rows, columns = np.mgrid[0:48, 0:64]
    if mode == "I;16":
        return Image.fromarray((columns * 1000).astype(np.uint16))
    rgb = np.stack([columns * 4, rows * 5, 255 - columns * 3], axis=-1).astype(np.uint8)
    image = Image.fromarray(rgb)
    if mode == "RGBA":
        image.putalpha(Image.fromarray((columns * 4).astype(np.uint8)))
        return image
    return image.convert(mode)


def test_every_kind_of_image_is_read_by_tensorflow_as_it_is_seen(root, pets):
    tf = pytest.importorskip("tensorflow")
    exact_jpeg = partial(tf.io.decode_jpeg, dct_method="INTEGER_ACCURATE")  # Pillow's; the default rounds by up to 3
    for number, (name, (mode, options, _)) in enumerate(KINDS.items()):
        path = pets / "test" / f"{number}{name}"
        smooth(mode).save(path, **options)
        path.with_suffix(".xml").write_text(faults.voc(path.name, size=images.check(path).size))
    done = convert(root)
    assert (done.returncode, done.stderr) == (0, "")
    converted = examples(root, "test")
    for number, (name, (_, _, kind)) in enumerate(KINDS.items()):
        path = pets / "test" / f"{number}{name}"
        example = converted[path.name]
        assert example["image/format"] == [kind], name
        assert (example["image/encoded"][0] == path.read_bytes()) == (name in COPIED), name
        decode = tf.io.decode_png if kind == b"png" else exact_jpeg
        decoded = decode(example["image/encoded"][0], channels=3).numpy()
        seen = np.asarray(images.open_upright(path))
        assert decoded.shape == seen.shape == (example["image/height"][0], example["image/width"][0], 3)
        limit = 8 if kind == b"jpeg" and name not in COPIED else 0  # encoding a JPEG again costs a little
        assert np.abs(decoded.astype(int) - seen).max() <= limit, name


def test_boxes_on_the_stored_pixels(root, pets):
    """A turned picture whose <size> is that of the stored pixels: the record holds those, as the boxes do."""
    path = faults.image(pets / "test/stored.jpg", exif=EXIF)
    path.with_suffix(".xml").write_text(faults.voc("stored.jpg", size=faults.SIZE))
    assert convert(root).returncode == 0
    example = examples(root, "test")["stored.jpg"]
    assert example["image/encoded"] == [path.read_bytes()]
    assert (example["image/width"], example["image/height"]) == ([64], [48])


def test_stored_pixels_that_must_be_encoded_again(root, pets):
    path = pets / "test/stored.png"
    smooth("RGBA").save(path, exif=EXIF)
    path.with_suffix(".xml").write_text(faults.voc("stored.png", size=faults.SIZE))
    assert convert(root).returncode == 0
    picture = Image.open(io.BytesIO(examples(root, "test")["stored.png"]["image/encoded"][0]))
    assert (picture.mode, picture.size) == ("RGB", (64, 48))
    assert picture.getexif().get(0x0112, 1) == 1


def test_tensorflow_reads_the_record(root, pets):
    tf = pytest.importorskip("tensorflow")
    convert(root)
    path = root / paths.record("test")
    (first, *_) = [tf.train.Example.FromString(frame.numpy()) for frame in tf.data.TFRecordDataset(str(path))]
    feature = first.features.feature
    assert set(feature) == KEYS
    assert list(feature["image/object/bbox/xmin"].float_list.value) == [0.125]  # 8/64
    assert list(feature["image/object/bbox/ymax"].float_list.value) == [0.625]  # 30/48
    assert list(feature["image/object/class/text"].bytes_list.value) == [b"dog"]


def test_images_that_changed_after_xml2csv_are_reported_together(root, pets):
    assert convert(root).returncode == 0
    before = faults.tree(root / "dataset/data")
    (pets / "test/b0.jpg").unlink()
    faults.image(pets / "test/b1.jpg", size=(10, 20))
    (pets / "train/a0.jpg").write_bytes(b"no image")
    done = faults.run(root, "stages.csv2record")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("error: dataset/pets/train/a0.jpg: is not an image that can be read")
    assert lines[1].startswith("error: dataset/pets/test/b0.jpg: image not found")
    assert lines[2] == "error: dataset/pets/test/b1.jpg: is 10x20, the CSV says 64x48; run: dvc repro xml2csv"
    assert lines[3].startswith("error: dataset/pets: 3 errors, no record was written")
    assert faults.tree(root / "dataset/data") == before  # the old records are whole; nothing half-written is left


def test_a_box_that_someone_changed_in_the_csv(root, pets):
    convert(root)
    path = root / paths.csv("test")
    path.write_text(path.read_text().replace("40.5", "400.5", 1))
    done = faults.run(root, "stages.csv2record")
    assert done.returncode == 2
    assert done.stderr.startswith("error: dataset/pets/test/b0.jpg: in the CSV: box [8.0, 6.0, 400.5, 30.0] is empty, ")


def test_missing_csv_and_unknown_class(root, pets):
    done = faults.run(root, "stages.csv2record")
    assert (done.returncode, done.stderr) == (
        2,
        "error: dataset/data/train.csv: not found; run: dvc repro xml2csv\n",
    )
    convert(root)
    (pets / "label_map.pbtxt").write_text("item { id: 1 name: 'cat' }")
    assert "unknown class 'dog'" in faults.run(root, "stages.csv2record").stderr


def test_an_empty_validation_split_is_an_empty_record(root, pets):
    faults.workspace(root, val_fraction=0)
    assert "train 12 of 12, val 0 of 0, test 3 of 3" in convert(root).stdout
    assert (root / paths.record("val")).read_bytes() == b""


def test_no_tensorflow(root, pets):
    convert(root)
    (root / "script.py").write_text(
        "import sys, stages.csv2record as x; x.main(); sys.exit('tensorflow' in sys.modules)"
    )
    assert faults.run(root, "script").returncode == 0
