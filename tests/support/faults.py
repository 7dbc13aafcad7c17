"""Builds small VOC datasets, sound or with a fault of each kind, for the tests of the stages and of the import."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from detector.data import labels
from tests.support.stage import child

ROOT = Path(__file__).resolve().parents[2]
LABELS = ("cat", "dog")
SIZE = (64, 48)  # width, height
BOX = (8, 6, 40.5, 30)  # xmin, ymin, xmax, ymax


def voc(filename, objects=(("cat", BOX),), size=SIZE, root="annotation"):
    """The text of a VOC XML; `size` None leaves <size> out."""
    parts = [f"<{root}>", f"<filename>{filename}</filename>"]
    if size:
        parts.append(f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>")
    for name, box in objects:
        parts.append(f"<object><name>{name}</name><bndbox>{voc_box(box)}</bndbox></object>")
    return "\n".join([*parts, f"</{root}>"])


def voc_box(box):
    """The four corners of a <bndbox>."""
    return "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))


def image(path, size=SIZE, **options):
    """A noisy picture that differs from name to name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(list(path.name.encode())).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def pair(folder, name, **annotation):
    """An image and its XML."""
    path = image(folder / name)
    path.with_suffix(".xml").write_text(voc(name, **annotation), encoding="utf-8")
    return path


def dataset(folder, train=6, test=3):
    """A sound dataset: train/a0.jpg .. with a cat, test/b0.jpg .. with a dog, label_map.pbtxt."""
    for number in range(train):
        pair(folder / "train", f"a{number}.jpg")
    for number in range(test):
        pair(folder / "test", f"b{number}.jpg", objects=[("dog", BOX)])
    labels.write(folder / "label_map.pbtxt", LABELS)
    return folder


def workspace(root, directory="dataset/pets", val_fraction=0.2, **policy):
    """The project's params.yaml in `root`, pointed at `directory`; further keys of its section `dataset`."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    for key, value in {"dir": directory, "val_fraction": val_fraction, **policy}.items():
        text, changes = re.subn(rf"(?m)^  {key}: .*", f"  {key}: {value}", text)
        assert changes == 1, key
    (root / "params.yaml").write_text(text, encoding="utf-8")
    return root


def run(root, module, *arguments):
    """`python -m module` in `root`, as DVC runs it."""
    return child("-m", module, *map(str, arguments), cwd=root, DVC_NO_ANALYTICS="1")


def tree(folder):
    """{path: bytes} of every file below a folder: to show that nothing was changed."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _change(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


# What each fault does to a dataset, for one image of train; and the problem that must be reported:
# (split, file, object, beginning of the problem).
def missing_image(folder, stem="a0"):
    (folder / f"train/{stem}.jpg").unlink()
    return "train", f"{stem}.xml", "", "its image is missing"


def undecodable_image(folder, stem="a0"):
    content = (folder / f"train/{stem}.jpg").read_bytes()
    (folder / f"train/{stem}.jpg").write_bytes(content[: len(content) // 2])
    return "train", f"{stem}.jpg", "", "does not decode to its end"


def no_image_at_all(folder, stem="a0"):
    (folder / f"train/{stem}.jpg").write_text("<html>404</html>", encoding="utf-8")
    return "train", f"{stem}.jpg", "", "is not an image that can be read"


def empty_file(folder, stem="a0"):
    (folder / f"train/{stem}.jpg").write_bytes(b"")
    return "train", f"{stem}.jpg", "", "is an empty file"


def image_without_xml(folder, stem="a0"):
    (folder / f"train/{stem}.xml").unlink()
    return "train", f"{stem}.jpg", "", "has no label"


def broken_xml(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", "</object>", "")
    return "train", f"{stem}.xml", "", "broken XML: "


def empty_xml(folder, stem="a0"):
    (folder / f"train/{stem}.xml").write_bytes(b"")
    return "train", f"{stem}.xml", "", "broken XML: "


def other_root(folder, stem="a0"):
    (folder / f"train/{stem}.xml").write_text(voc(f"{stem}.jpg", root="data"), encoding="utf-8")
    return "train", f"{stem}.xml", "", "not PASCAL VOC: its root is <data>, not <annotation>"


def hostile_xml(folder, stem="a0"):
    doctype = '<!DOCTYPE a [<!ENTITY file SYSTEM "file:///etc/hostname">]>\n<annotation>&file;'
    _change(folder / f"train/{stem}.xml", "<annotation>", doctype)
    return "train", f"{stem}.xml", "", "holds entities"


def billion_laughs(folder, stem="a0"):
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    doctype = f'<!DOCTYPE a [<!ENTITY l0 "ha">{entities}]>\n<annotation>&l11;'
    _change(folder / f"train/{stem}.xml", "<annotation>", doctype)
    return "train", f"{stem}.xml", "", "broken XML: Maximum entity amplification"


def name_missing(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", "<name>cat</name>", "")
    return "train", f"{stem}.xml", "object 1", "<name> is missing"


def box_missing(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", "bndbox>", "pixels>")
    _change(folder / f"train/{stem}.xml", "</bndbox>", "</pixels>")
    return "train", f"{stem}.xml", "object 1 (cat)", "<bndbox> is missing"


def corner_missing(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", "<xmax>40.5</xmax>", "")
    return "train", f"{stem}.xml", "object 1 (cat)", "corner missing: <xmax>"


def unknown_class(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", "cat", "lynx")
    return "train", f"{stem}.xml", "object 1 (lynx)", "unknown class lynx; the label map has cat, dog"


def outside(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", "<xmax>40.5", "<xmax>67.5")
    return (
        "train",
        f"{stem}.xml",
        "object 1 (cat)",
        "outside: box [8, 6, 67.5, 30] is 3.5 px over the edge",
    )


def line(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", "<ymax>30", "<ymax>6")
    return "train", f"{stem}.xml", "object 1 (cat)", "a line: ymin and ymax are both 6"


def fractions(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", voc_box(BOX), voc_box((0.1, 0.2, 0.5, 1)))
    return "train", f"{stem}.xml", "object 1 (cat)", "not in pixels: [0.1, 0.2, 0.5, 1] look like shares of the photo"


def not_a_number(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", "<xmin>8", "<xmin>12,5")
    return "train", f"{stem}.xml", "object 1 (cat)", "not a number: xmin '12,5'"


def nan(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", "<xmin>8", "<xmin>nan")
    return "train", f"{stem}.xml", "object 1 (cat)", "not a number: xmin 'nan'"


def infinite(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", "<xmax>40.5", "<xmax>inf")
    return "train", f"{stem}.xml", "object 1 (cat)", "not a number: xmax 'inf'"


def annotation_of_another_photo(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", f"{stem}.jpg", "b1.JPG")
    return "train", f"{stem}.xml", "", f"<filename> is b1.JPG, the image beside it is {stem}.jpg"


def size_unrelated(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", "<width>64", "<width>640")
    return "train", f"{stem}.xml", "", "<size> is 640x48, the image is 64x48: its boxes were drawn on another image"


def size_transposed(folder, stem="a0"):
    (folder / f"train/{stem}.xml").write_text(voc(f"{stem}.jpg", size=(48, 64)), encoding="utf-8")
    return "train", f"{stem}.xml", "", "<size> is 48x64, the image is 64x48: its boxes were drawn on the image turned"


def two_photos_of_one_stem(folder, stem="a0"):
    image(folder / f"train/{stem}.png")
    _change(folder / f"train/{stem}.xml", f"{stem}.jpg", "x.jpg")
    return "train", f"{stem}.jpg", "", f"several photos of one stem: {stem}.jpg, {stem}.png"


def two_xml_files(folder, stem="a0"):
    shutil.copyfile(folder / f"train/{stem}.xml", folder / f"train/{stem}.jpg.xml")
    return "train", f"{stem}.jpg", "", f"several XML files: {stem}.jpg.xml, {stem}.xml"


def fifo(folder, stem="a0"):
    (folder / f"train/{stem}.jpg").unlink()
    os.mkfifo(folder / f"train/{stem}.jpg")
    return "train", f"{stem}.jpg", "", "is not a file"


def fifo_as_xml(folder, stem="a0"):
    (folder / f"train/{stem}.xml").unlink()
    os.mkfifo(folder / f"train/{stem}.xml")
    return "train", f"{stem}.xml", "", "is not a file"


def folder_as_image(folder, stem="a0"):
    (folder / f"train/{stem}.jpg").unlink()
    (folder / f"train/{stem}.jpg").mkdir()
    return "train", f"{stem}.jpg", "", "is not a file"


def broken_link(folder, stem="a0"):
    (folder / f"train/{stem}.jpg").unlink()
    (folder / f"train/{stem}.jpg").symlink_to("nowhere.jpg")
    return "train", f"{stem}.jpg", "", "is a broken link"


def same_picture_in_test(folder, stem="a0"):
    shutil.copyfile(folder / f"train/{stem}.jpg", folder / "test/b0.jpg")
    return "train", f"{stem}.jpg", "", "is a test photo, too: dataset/pets/test/b0.jpg is the same picture"


def control_character_in_name(folder, stem="a0"):
    for suffix in (".jpg", ".xml"):
        (folder / f"train/{stem}{suffix}").rename(folder / f"train/{stem}\n{suffix}")
    return "train", f"{stem}\\n.jpg", "", "its name is not allowed: it holds the invisible character U+000A"


def empty_split(folder):
    for path in (folder / "test").iterdir():
        path.unlink()
    return "test", "test", "", "empty split: no images here"


def missing_split(folder):
    shutil.rmtree(folder / "test")
    return "test", "test", "", "empty split: no images here"


def no_label_map(folder):
    (folder / "label_map.pbtxt").unlink()
    return "", "label_map.pbtxt", "", "not found"


def bad_label_map(folder):
    (folder / "label_map.pbtxt").write_text("cat\ndog\n", encoding="utf-8")
    return "", "label_map.pbtxt", "line 1, column 1", "cat where item { ... } is expected"


def label_map_with_an_id_twice(folder):
    (folder / "label_map.pbtxt").write_text("item { id: 1 name: 'cat' } item { id: 1 name: 'dog' }", encoding="utf-8")
    return "", "label_map.pbtxt", "line 1: dog", "the id is 1, as that of line 1"


REFUSED = (unknown_class, annotation_of_another_photo, size_unrelated, size_transposed)
UNREADABLE = (
    undecodable_image,
    no_image_at_all,
    empty_file,
    fifo,
    folder_as_image,
    broken_link,
    control_character_in_name,
)
UNUSABLE_XML = (broken_xml, empty_xml, other_root, hostile_xml, billion_laughs, fifo_as_xml)
UNUSABLE_BOX = (name_missing, box_missing, corner_missing, outside, line, fractions, not_a_number, nan, infinite)
DOUBTFUL = (two_photos_of_one_stem, two_xml_files)
LEFT_OUT = (
    *UNREADABLE,
    *UNUSABLE_XML,
    *UNUSABLE_BOX,
    *DOUBTFUL,
    image_without_xml,
    missing_image,
    same_picture_in_test,
)
WHOLE_DATASET = (empty_split, missing_split, no_label_map, bad_label_map, label_map_with_an_id_twice)


def size_missing(folder, stem="a0"):
    (folder / f"train/{stem}.xml").write_text(voc(f"{stem}.jpg", size=None), encoding="utf-8")
    return "train", f"{stem}.xml", "", "<size> is missing or makes no sense; taken from the image: 64x48"


def scaled(folder, stem="a0"):
    (folder / f"train/{stem}.xml").write_text(voc(f"{stem}.jpg", size=(128, 96)), encoding="utf-8")
    return "train", f"{stem}.xml", "", "labelled at another scale: <size> is 128x96, the image 64x48; boxes scaled"


def size_a_pixel_off(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", "<width>64", "<width>65")
    return "train", f"{stem}.xml", "", "<size> is a pixel off: <size> is 65x48, the image 64x48; taken from the image"


def size_zero(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", "<width>64", "<width>0")
    return "train", f"{stem}.xml", "", "<size> is missing or makes no sense; taken from the image: 64x48"


def one_pixel_outside(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", "<xmax>40.5", "<xmax>65")
    return (
        "train",
        f"{stem}.xml",
        "object 1 (cat)",
        "outside: box [8, 6, 65, 30] is 1 px over the edge of the 64x48 image",
    )


def other_suffix(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", f"{stem}.jpg", f"{stem.upper()}.PNG")
    return "train", f"{stem}.xml", "", f"another <filename>: {stem.upper()}.PNG; taken as {stem}.jpg"


def no_suffix(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", f"{stem}.jpg", stem)
    return "train", f"{stem}.xml", "", f"another <filename>: {stem}; taken as {stem}.jpg"


def filename_missing(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", f"<filename>{stem}.jpg</filename>", "")
    return "train", f"{stem}.xml", "", f"<filename> is missing; taken as {stem}.jpg"


def placeholder(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", f"{stem}.jpg", "%s")
    return "train", f"{stem}.xml", "", f"another <filename>: %s; taken as {stem}.jpg"


def inverted(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", "<xmin>8", "<xmin>60")
    return "train", f"{stem}.xml", "object 1 (cat)", "inverted: xmin 60 is not left of xmax 40.5; swapped"


def namespaced(folder, stem="a0"):
    _change(folder / f"train/{stem}.xml", "<annotation>", '<annotation xmlns="http://x">')
    return "train", f"{stem}.xml", "", "in a namespace: http://x; read without it"


REPAIRS = (
    *(size_missing, scaled, size_zero, size_a_pixel_off, one_pixel_outside, other_suffix, no_suffix),
    *(filename_missing, placeholder, inverted, namespaced),
)


def all_together(folder, faults):
    """A dataset with each of some faults of one image, each on its own; returns what must be reported."""
    dataset(folder, train=len(faults))
    return [fault(folder, f"a{number}") for number, fault in enumerate(faults)]
