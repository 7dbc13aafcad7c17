"""`make dataset ADD=1`: what is new comes in, and nobody's split, name or byte changes."""

import contextlib
import csv
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from detector.annotations import splitting
from detector.annotations.voc import PRELABEL
from detector.base import files
from detector.data import labels
from tests.support import faults, stage, tiny
from tests.support.importing import refused
from tools import dataset
from tools.importing import adding, plan


@pytest.fixture
def root(tmp_path):
    """A folder with dataset/pets: 6 cats in train, 3 dogs in test."""
    root = tmp_path / "project"
    faults.dataset(root / "dataset/pets")
    return root


@pytest.fixture
def tracked(root):
    """The same as a project of DVC's own, without git."""
    subprocess.run([DVC, "init", "--no-scm", "--quiet"], cwd=root, check=True)
    return root


DVC = Path(sys.executable).with_name("dvc")


def bring(root, source, *more):
    return stage.call(dataset.main, root, f"--src={source}", "--name=pets", "--add", *more)


def write(root, source, share=0.1, *, relabel=False):
    """The same without `dvc add`, which takes most of the time: the dataset afterwards, and the notes."""
    with contextlib.chdir(root), dataset.opened(str(source), "") as (tree, _, temporary):
        pets = Path("dataset/pets")
        addition = adding.make(tree, share, temporary / "whole", adding.read(pets), relabel=relabel)
        dataset.add(addition, pets, dataset.state(pets.resolve()))
    return faults.tree(root / "dataset/pets"), addition.plan.notes


def make(root, source):
    """A first import, without DVC."""
    shutil.rmtree(root / "dataset/pets")
    with contextlib.chdir(root), dataset.opened(str(source), "") as (tree, _, temporary):
        dataset.copy(plan.make(tree, 0.1, temporary / "whole"), Path("dataset/pets"))


def photos(folder, *names, **annotation):
    for name in names:
        faults.pair(folder, name, **annotation)
    return folder


def test_new_photos_come_in_and_nothing_else_changes(tracked, tmp_path):
    root = tracked
    before = faults.tree(root / "dataset/pets")
    source = photos(tmp_path / "more", *(f"c{number}.jpg" for number in range(20)))
    done = bring(root, source)
    assert (done.returncode, done.stderr) == (0, "")
    test = sorted(name for name in (f"c{number}" for number in range(20)) if splitting.fraction(name, "test") < 0.1)
    assert done.stdout.splitlines() == [
        "dataset/pets: 20 photos added",
        "  found no test split: 10% for test/, by a hash of the file name",
        f"  train: {20 - len(test)} images, {20 - len(test)} boxes (cat {20 - len(test)}), 0 images without objects",
        f"  test: {len(test)} images, {len(test)} boxes (cat {len(test)}), 0 images without objects",
        "next: make train DATASET=pets",
    ]
    after = faults.tree(root / "dataset/pets")
    assert {name: content for name, content in after.items() if name in before} == before
    new = {Path(name).stem: name.partition("/")[0] for name in after.keys() - before.keys() if name.endswith(".jpg")}
    assert new == {f"c{number}": "test" if f"c{number}" in test else "train" for number in range(20)}
    with (root / "dataset/pets/receipts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["target"] for row in rows} == {name for name in after.keys() - before.keys() if name.endswith(".jpg")}
    status = subprocess.run([DVC, "status", "-q"], cwd=root, check=False)
    assert status.returncode == 0

    again = bring(root, source)
    assert again.stdout.splitlines()[:2] == [
        "dataset/pets: nothing to add",
        "  left out (20): photos that the dataset has already (the top folder: 20)",
    ]
    assert faults.tree(root / "dataset/pets") == after


def test_the_receipts_go_on(root, tmp_path):
    make(root, faults.dataset(tmp_path / "first"))
    first = (root / "dataset/pets/receipts.csv").read_text()
    write(root, photos(tmp_path / "more", "new.jpg"))
    text = (root / "dataset/pets/receipts.csv").read_text()
    assert text.startswith(first)
    assert text[len(first) :].split(",")[:4] == ["train/new.jpg", "train/new.xml", "new.jpg", "new.xml"]
    assert text.endswith("train,hash of the file name\n")


def test_splits_of_the_source_are_taken_and_names_that_are_taken_changed(root, tmp_path):
    """A folder called train alone leaves the test split as it is."""
    source = photos(tmp_path / "more" / "train", *(f"d{number}.jpg" for number in range(20)))
    Image.new("RGB", faults.SIZE, "red").save(source / "b1.jpg")
    (source / "b1.xml").write_text(faults.voc("b1.jpg"))
    after, notes = write(root, tmp_path / "more")
    assert len([name for name in after if name.startswith("train/d")]) == 40
    assert {"train/b1_2.jpg", "train/b1_2.xml", "test/b1.jpg"} <= after.keys()
    assert any(note.startswith("renamed: 1 file") for note in notes)


def test_a_copy_of_a_photo_of_the_dataset_is_left_out(root, tmp_path):
    """So none of a test photo gets into train, and no photo of train changes sides with its copy."""
    source = photos(tmp_path / "more", "new.jpg")
    for number, name in enumerate(("test/b0.jpg", "train/a0.jpg")):
        picture = tiny.ground(number)
        picture.save(root / "dataset/pets" / name)
        picture.resize((128, 96)).save(source / f"0{Path(name).name}", quality=60)
        label = faults.voc(f"0{Path(name).name}", [("cat", [2 * value for value in faults.BOX])], (128, 96))
        (source / f"0{Path(name).stem}.xml").write_text(label)
    before = faults.tree(root / "dataset/pets")
    after, notes = write(root, source)
    assert after.keys() - before.keys() == {"train/new.jpg", "train/new.xml", "receipts.csv"}
    assert any(note.startswith("left out (2): copies of photos that the dataset has already") for note in notes)


def test_copies_among_the_new_ones_are_in_one_split(root, tmp_path):
    names = [f"e{number}.jpg" for number in range(30)]
    source = photos(tmp_path / "more", *names)
    for name in names:
        shutil.copy(source / name, source / f"z_{name}")
        (source / f"z_{Path(name).stem}.xml").write_text(faults.voc(f"z_{name}"))
    after, _ = write(root, source, share=0.3)
    splits = {Path(name).stem: name.partition("/")[0] for name in after if name.endswith(".jpg")}
    assert all(splits[Path(name).stem] == splits[f"z_{Path(name).stem}"] for name in names)
    assert {splits[Path(name).stem] for name in names} == {"train", "test"}


def test_another_label_of_a_photo_that_is_there_is_the_users_decision(tracked, tmp_path):
    root = tracked
    source = photos(tmp_path / "more", "new.jpg")
    for name in ("a0", "a1"):
        shutil.copy(root / f"dataset/pets/train/{name}.jpg", source / f"0001_{name}.jpg")
        (source / f"0001_{name}.xml").write_text(faults.voc(f"0001_{name}.jpg"))  # the same box
    before = faults.tree(root / "dataset/pets")
    assert write(root, source)[0].keys() - before.keys() == {"train/new.jpg", "train/new.xml", "receipts.csv"}

    (source / "0001_a0.xml").write_text(faults.voc("0001_a0.jpg", objects=[("dog", (1, 2, 30, 40))]))
    before = faults.tree(root / "dataset/pets")
    refused(
        bring(root, source),
        "more: 1 photo that it has already, with other labels: dataset/pets/train/a0.xml (0001_a0.xml); "
        "RELABEL=1 takes these labels; else leave those photos out",
    )
    assert faults.tree(root / "dataset/pets") == before
    done = bring(root, source, "--relabel")
    assert done.stdout.startswith("dataset/pets: 0 photos added, 1 label changed\n")
    assert "  labels replaced of 1 photo: train/a0.xml\n" in done.stdout
    after = faults.tree(root / "dataset/pets")
    assert {name for name in after if after[name] != before[name]} == {"train/a0.xml"}
    assert after["train/a0.xml"] == (source / "0001_a0.xml").read_bytes()


def test_one_photo_with_two_labels_is_the_users_decision(root, tmp_path):
    source = tmp_path / "more"
    source.mkdir()
    for name, box in (("x", (1, 2, 30, 40)), ("y", (1, 2, 30, 41))):
        shutil.copy(root / "dataset/pets/train/a0.jpg", source / f"{name}.jpg")
        (source / f"{name}.xml").write_text(faults.voc(f"{name}.jpg", objects=[("dog", box)]))
    refused(
        bring(root, source, "--relabel"),
        "more: x.jpg and y.jpg are one photo (dataset/pets/train/a0.jpg) with two labels; leave one of them out",
    )


def test_a_label_for_a_photo_without_one_replaces_nothing(root, tmp_path):
    first = faults.dataset(tmp_path / "first")
    faults.image_without_xml(first, "a0")
    make(root, first)
    source = photos(tmp_path / "more", "a0.jpg")
    after, notes = write(root, source)
    assert after["train/a0.xml"] == (source / "a0.xml").read_bytes()
    assert "labels for 1 photo that had none: train/a0.xml" in notes
    with (root / "dataset/pets/receipts.csv").open(newline="") as file:
        (row,) = [row for row in csv.DictReader(file) if row["target"] == "train/a0.jpg"]
    assert (row["label_target"], row["label"]) == ("train/a0.xml", "a0.xml")
    assert row["label_sha256"] == files.sha256(source / "a0.xml")


def test_a_class_that_the_label_map_has_not_is_refused_and_then_added_by_hand(root, tmp_path):
    source = photos(tmp_path / "more", "l.jpg", objects=[("lynx", faults.BOX)])
    before = faults.tree(root / "dataset/pets")
    refused(
        bring(root, source),
        "more: lynx in l.xml: not in dataset/pets/label_map.pbtxt, which has cat, dog; "
        "rename it in the labels; or, for a new class, add it there with the id 3",
    )
    assert faults.tree(root / "dataset/pets") == before
    labels.write(root / "dataset/pets/label_map.pbtxt", ["cat", "dog", "lynx"])
    assert "train/l.jpg" in write(root, source, share=0.99)[0]  # the only one of its class stays in train


def test_what_nobody_has_checked_stays_outside(root, tmp_path):
    source = photos(tmp_path / "prelabelled", "0001_x.jpg", "0002_y.jpg", "0003_z.jpg")
    for name, attribute in (("0001_x", ""), ("0002_y", ' verified="yes"')):
        text = (source / f"{name}.xml").read_text()
        marked = f"<annotation{attribute}><source><database>{PRELABEL}</database></source>"
        (source / f"{name}.xml").write_text(text.replace("<annotation>", marked))
    (source / "order.csv").write_text("rank,filename\n1,0001_x.jpg\n2,0002_y.jpg\n3,0003_z.jpg\n")
    (source / "classes.txt").write_text("cat\ndog\n")
    before = faults.tree(root / "dataset/pets")
    after, notes = write(root, source)
    new = {Path(name).stem for name in after.keys() - before.keys()} - {"receipts"}
    assert new == {"0002_y", "0003_z"}
    assert [note for note in notes if note.startswith("left out")] == [
        "left out (1): photos whose boxes nobody has checked since make prelabel drew them; "
        "in LabelImg, Space says they are right (0001_x.jpg)"
    ]
    for name in ("0002_y", "0003_z"):
        (source / f"{name}.jpg").unlink()
        (source / f"{name}.xml").unlink()
    refused(bring(root, source), "prelabelled: nobody has checked the labels that make prelabel wrote for 1 photo")


def test_labels_without_a_photo_do_not_come_in(root, tmp_path):
    """One might claim a photo of the dataset by its <filename>."""
    source = photos(tmp_path / "more", "new.jpg")
    (source / "a0.xml").write_text(faults.voc("a0.jpg"))
    before = faults.tree(root / "dataset/pets")
    assert write(root, source)[0].keys() - before.keys() == {"train/new.jpg", "train/new.xml", "receipts.csv"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--name=none", "--add"], "dataset/none: not found; leave out ADD=1, to make a new dataset"),
        (["--name=pets", "--relabel"], "RELABEL: is for photos that are added; give ADD=1, too"),
        (
            ["--name=pets"],
            "dataset/pets: exists, with other content; choose another NAME, move it away, or add the new",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_line(root, tmp_path, arguments, reason):
    source = faults.dataset(tmp_path / "more", train=2, test=1)
    before = faults.tree(root / "dataset")
    refused(stage.call(dataset.main, root, f"--src={source}", *arguments), reason)
    assert faults.tree(root / "dataset") == before


def test_files_of_the_users_own_and_links_are_still_there(root, tmp_path):
    pets = root / "dataset/pets"
    (pets / "notes").mkdir()
    (pets / "notes/thesis.txt").write_text("mine")
    (pets / "train/a1.jpg").rename(tmp_path / "a1.jpg")
    (pets / "train/a1.jpg").symlink_to(tmp_path / "a1.jpg")
    after, _ = write(root, photos(tmp_path / "more", "new.jpg"))
    assert after["notes/thesis.txt"] == b"mine" and "train/new.jpg" in after
    assert (pets / "train/a1.jpg").readlink() == tmp_path / "a1.jpg"


def test_a_dataset_on_a_larger_disk_stays_there(root, tmp_path):
    (tmp_path / "disk").mkdir()
    (root / "dataset/pets").rename(tmp_path / "disk/pets")
    (root / "dataset/pets").symlink_to(tmp_path / "disk/pets")
    assert "train/new.jpg" in write(root, photos(tmp_path / "more", "new.jpg"))[0]
    assert (root / "dataset/pets").readlink() == tmp_path / "disk/pets"
    assert (tmp_path / "disk/pets/train/new.jpg").is_file()


def test_a_kill_in_the_middle_leaves_the_old_dataset(root, tmp_path):
    before = faults.tree(root / "dataset/pets")
    source = photos(tmp_path / "more", *(f"c{number}.jpg" for number in range(5)))
    code = (
        "import os, shutil, signal, sys; from tools import dataset\n"
        "shutil.copyfile = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"sys.argv = ['', '--src={source}', '--name=pets', '--add']; dataset.main()"
    )
    assert stage.child("-c", code, cwd=root).returncode == -signal.SIGKILL
    assert faults.tree(root / "dataset/pets") == before
    assert len(write(root, source)[0]) == len(before) + 11


def test_what_is_written_meanwhile_is_not_lost(root, tmp_path, monkeypatch):
    source = photos(tmp_path / "more", "new.jpg")
    copyfile, pets = shutil.copyfile, root / "dataset/pets"

    def copy(one, other):
        (pets / "train/a0.xml.new").write_text("corrected")
        (pets / "train/a0.xml.new").replace(pets / "train/a0.xml")
        return copyfile(one, other)

    monkeypatch.setattr(shutil, "copyfile", copy)
    refused(
        bring(root, source), "dataset/pets: was changed while photos were added, and is left as it is; run it again"
    )
    assert (pets / "train/a0.xml").read_text() == "corrected"
    assert not (pets / "train/new.jpg").exists()


def test_a_kill_between_the_two_renames_is_said_with_the_way_back(root, tmp_path):
    old = root / "dataset" / f"{files.TEMPORARY}abc" / files.OLD
    old.mkdir(parents=True)
    (root / "dataset/pets").rename(old / "pets")
    done = bring(root, photos(tmp_path / "more", "new.jpg"))
    refused(
        done, "dataset/pets: missing, since a kill came while it was replaced; the last one is dataset/.passo-tmp.abc/"
    )
    subprocess.run(done.stderr.partition("run: ")[2], shell=True, cwd=root, check=True)  # noqa: S602
    assert "train/new.jpg" in write(root, tmp_path / "more")[0]


def test_a_label_without_a_photo_keeps_its_name_and_content(root, tmp_path):
    """The new photo gets another name. A link there, as of DVC's cache, is not written through either."""
    elsewhere = tmp_path / "elsewhere.xml"
    elsewhere.write_text("mine")
    (root / "dataset/pets/train/c1.xml").write_text("mine, too")
    (root / "dataset/pets/train/c2.xml").symlink_to(elsewhere)
    before = faults.tree(root / "dataset/pets")
    after, _ = write(root, photos(tmp_path / "more/train", "c1.jpg", "c2.jpg").parent)
    assert before.items() <= after.items()
    assert elsewhere.read_text() == "mine"
    assert {"train/c1_2.jpg", "train/c1_2.xml", "train/c2_2.jpg", "train/c2_2.xml"} <= after.keys()


def test_a_split_that_is_a_link_to_a_folder_is_refused(root, tmp_path):
    """What is behind it would be changed in place."""
    train = root / "dataset/pets/train"
    shutil.move(train, tmp_path / "far")
    train.symlink_to(tmp_path / "far")
    done = bring(root, photos(tmp_path / "more", "c1.jpg"))
    assert done.returncode == 2
    assert "dataset/pets/train: is a link to a folder; move that folder here" in done.stderr


def test_the_label_of_another_photo_is_not_taken_for_that_of_one_without(root, tmp_path):
    """a.jpg has none: a.xml is that of a.png."""
    train = root / "dataset/pets/train"
    faults.image(train / "a.png")
    faults.image(train / "a.jpg")
    shutil.copy(next(train.glob("*.xml")), train / "a.xml")
    text = (train / "a.xml").read_text()
    name = text.partition("<filename>")[2].partition("</filename>")[0]
    (train / "a.xml").write_text(text.replace(name, "a.png"))
    before = (train / "a.xml").read_bytes()
    source = photos(tmp_path / "more", "a.jpg")
    shutil.copy(train / "a.jpg", source / "a.jpg")
    after, _ = write(root, source)
    assert after["train/a.xml"] == before
    assert "train/a.jpg.xml" in after
