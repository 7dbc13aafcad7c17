"""Copies of photos: found whatever was done to them, and nothing else; on made-up pictures and on real ones."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detector.annotations import duplicates
from detector.annotations.duplicates import LOOKS_SAME, MOVED, SAME_BYTES, SAME_SCENE, SAME_SOURCE, Copy
from detector.annotations.voc import Annotation, VocObject
from detector.pictures import images
from tests.support.stage import REPOSITORY
from tools.lab import copies

SHARED = REPOSITORY.parent / "shared"
ROBOFLOW = "{}_jpg.rf.0123456789abcdef0123456789abcd{:02}.jpg"


def picture(seed: int, size: tuple[int, int] = (200, 150)) -> Image.Image:
    """Blobs of all sizes in random colours: no two seeds look alike."""
    draw = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for cells, share in ((4, 0.5), (12, 0.3), (40, 0.2)):
        small = Image.fromarray(draw.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += share * np.asarray(small.resize(size, Image.Resampling.BICUBIC))
    return Image.fromarray(total.astype(np.uint8))


def prints(*pictures: Image.Image) -> dict[str, duplicates.Fingerprint]:
    thumbnails = [np.asarray(one.convert("L").resize((images.THUMBNAIL, images.THUMBNAIL))) for one in pictures]
    return {f"{n:04}": duplicates.fingerprint("", str(n), thumbnail) for n, thumbnail in enumerate(thumbnails)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos")
    for seed in range(40):
        picture(seed).save(path / f"{seed:02}.bmp")
    return path


@pytest.fixture(scope="module")
def originals(folder: Path) -> dict[str, duplicates.Fingerprint]:
    return {path.name: duplicates.read(path, path.name)[1] for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("change", copies.CHANGES)
def test_planted_copies_are_found_and_nothing_else(folder, originals, change):
    chosen = {name: folder / name for name in sorted(originals)[::2]}
    added = {f"copy of {name}": copies.read("", copies.changed(change, path)) for name, path in chosen.items()}
    found = duplicates.find({**originals, **added})
    assert {(copy.first, copy.second) for copy in found} == {(name, f"copy of {name}") for name in chosen}
    assert {copy.reason for copy in found} == {LOOKS_SAME}


def test_different_pictures_are_not_copies(originals):
    assert duplicates.find(originals) == []
    assert duplicates.groups([]) == []


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_to_compare(count):
    assert duplicates.find(prints(*[picture(1)] * count)) == []


def test_equal_files_are_copies_whatever_they_show():
    blank = np.zeros((images.THUMBNAIL, images.THUMBNAIL), np.uint8)
    same = duplicates.fingerprint("a.jpg", "same", blank)
    found = duplicates.find({"c.jpg": same, "a.jpg": same, "b (1).jpg": same})
    assert found == [Copy("a.jpg", "b (1).jpg", SAME_BYTES), Copy("a.jpg", "c.jpg", SAME_BYTES)]
    assert duplicates.groups(found) == [["a.jpg", "b (1).jpg", "c.jpg"]]


def test_blank_and_grainy_pictures_look_like_nothing():
    draw = np.random.default_rng(1)
    grain = [Image.fromarray(draw.normal(128, 3, (64, 64)).astype(np.uint8)) for _ in range(20)]
    blank = [Image.new("L", (64, 64), value) for value in range(0, 200, 10)]
    assert duplicates.find(prints(*grain, *blank)) == []


def test_an_animal_that_moved_before_a_camera_that_stands_still():
    scene, animal = picture(1), picture(2, (30, 24))
    here, there = scene.copy(), scene.copy()
    here.paste(animal, (20, 30))
    there.paste(animal, (140, 100))
    assert duplicates.find(prints(here, there)) == []
    assert len(duplicates.find(prints(here, here.resize((100, 75))))) == 1


def test_an_animal_too_small_to_see_that_moved():
    """Its labels tell the two photos apart, and only those."""
    scene, animal = picture(1), picture(2, (10, 8))
    here, there = scene.copy(), scene.copy()
    here.paste(animal, (20, 30))
    there.paste(animal, (140, 100))
    seen = prints(here, there, here.resize((100, 75)))
    assert len(duplicates.find(seen)) == 2
    boxes = {"0000": (20, 30, 30, 38), "0001": (140, 100, 150, 108), "0002": (20, 30, 30, 38)}
    objects = {name: (VocObject("object 1", "cat", box),) for name, box in boxes.items()}
    labelled = {name: one.labelled(Annotation("", (200, 150), objects[name])) for name, one in seen.items()}
    found = duplicates.find(labelled)
    assert [copy for copy in found if copy.reason == LOOKS_SAME] == [Copy("0000", "0002", LOOKS_SAME)]
    (moved,) = (copy for copy in found if copy.reason == MOVED)
    assert "0001" in (moved.first, moved.second)
    assert duplicates.first_of(found) == {"0000": "0000", "0002": "0000"}


def test_one_thing_on_a_plain_ground_that_lies_elsewhere():
    """But a crop of such a photo is a copy."""
    here, there = Image.new("RGB", (200, 150), "white"), Image.new("RGB", (200, 150), "white")
    here.paste(picture(1, (60, 45)), (50, 50))
    there.paste(picture(1, (60, 45)), (64, 58))
    assert duplicates.find(prints(here, there)) == []
    assert len(duplicates.find(prints(here, here.crop((15, 10, 200, 150))))) == 1


def test_many_that_look_the_same_are_a_still_camera():
    draw = np.random.default_rng(1)
    scene = np.asarray(picture(1)).astype(float)
    frames = [
        Image.fromarray((scene + draw.normal(0, 2, scene.shape)).clip(0, 255).astype(np.uint8)) for _ in range(22)
    ]
    found = duplicates.find(prints(*frames[:20]))
    assert {copy.reason for copy in found} == {LOOKS_SAME}
    found = duplicates.find(prints(*frames))
    assert {copy.reason for copy in found} == {SAME_SCENE}
    assert [len(group) for group in duplicates.groups(found)] == [22]
    assert duplicates.first_of(found) == {}


def test_names_of_a_roboflow_export():
    """Of three made from one photo two look the same; the third is joined by its name alone."""
    table = prints(picture(1), picture(1).resize((100, 75)), picture(2), picture(3))
    names = [ROBOFLOW.format("IMG_1", 0), ROBOFLOW.format("IMG_1", 1), ROBOFLOW.format("img_1", 2), "IMG_1.jpg"]
    sources = [duplicates.fingerprint(name, "", blank()).source for name in names]
    assert sources == ["img_1_jpg", "img_1_jpg", "img_1_jpg", ""]
    named = {
        name: replace(one, source=source) for name, source, one in zip(names, sources, table.values(), strict=True)
    }
    found = duplicates.find(named)
    assert found == [Copy(names[0], names[1], LOOKS_SAME), Copy(names[0], names[2], SAME_SOURCE)]
    assert duplicates.first_of(found) == dict.fromkeys(names[:3], names[0])


def blank() -> images.Thumbnail:
    return np.zeros((images.THUMBNAIL, images.THUMBNAIL), np.uint8)


@pytest.mark.parametrize(
    "name", ["a.rf.jpg", ".rf.0123456789abcdef.jpg", "a.rf.short.jpg", "a (1).jpg", "a - Copy.jpg"]
)
def test_other_names_say_nothing(name):
    assert duplicates.fingerprint(name, "", blank()).source == ""


def test_photos_of_two_splits():
    one = prints(picture(1))["0000"]
    found = duplicates.find({("train", "a.jpg"): one, ("test", "b.jpg"): one})
    assert found == [Copy(("test", "b.jpg"), ("train", "a.jpg"), SAME_BYTES)]


def unpacked(archive: Path, folder: Path) -> dict[str, Path]:
    if not archive.exists():
        pytest.skip(f"../shared/{archive.relative_to(SHARED)} is not here")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder, [name for name in packed.namelist() if name.endswith(".jpg")])
    return {path.name: path for path in sorted(folder.rglob("*.jpg"))}


# What a look at the pairs shows, too: python -m tools.lab.copies FOLDER --sheet copies.png
REAL = {
    "asirra/dataset.zip": ["dog.180.jpg dog.74.jpg"],
    "real/raccoon_dataset.zip": [
        "raccoon-11.jpg raccoon-116.jpg",
        "raccoon-120.jpg raccoon-83.jpg",
        "raccoon-21.jpg raccoon-45.jpg",
        "raccoon-50.jpg raccoon-52.jpg raccoon-74.jpg",
        "raccoon-65.jpg raccoon-98.jpg",
    ],
    "real/BCCD_Dataset.zip": [
        "BloodImage_00037.jpg BloodImage_00038.jpg",
        "BloodImage_00227.jpg BloodImage_00260.jpg",
        "BloodImage_00229.jpg BloodImage_00258.jpg",
        "BloodImage_00230.jpg BloodImage_00257.jpg",
        "BloodImage_00382.jpg BloodImage_00395.jpg",
        "BloodImage_00386.jpg BloodImage_00391.jpg",
    ],
}


@pytest.mark.parametrize("archive", REAL)
def test_real_photos(tmp_path, archive):
    """The copies that real datasets hold; and of planted ones at least 95 of 100 are found."""
    paths = unpacked(SHARED / archive, tmp_path)
    real = {name: duplicates.read(path, name)[1] for name, path in paths.items()}
    assert [" ".join(group) for group in duplicates.groups(duplicates.find(real))] == REAL[archive]
    chosen = dict(list(paths.items())[:: len(paths) // 10])
    added = {}
    for change in copies.CHANGES:
        added |= {f"{name} {change}": copies.read("", copies.changed(change, path)) for name, path in chosen.items()}
    groups = {
        name: n for n, group in enumerate(duplicates.groups(duplicates.find({**real, **added}))) for name in group
    }
    found = sum(
        groups.get(name, -1) == groups.get(f"{name} {change}", -2) for name in chosen for change in copies.CHANGES
    )
    assert found >= 0.95 * len(added)
