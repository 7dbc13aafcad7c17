"""`make dataset`: each layout, a hostile or damaged zip, and that nobody's files are touched."""

import os
import shutil
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import pytest

from detector.base import files
from detector.base.errors import UserError
from detector.data import labels
from detector.storage import zip_archive
from tests.support import disk, dvc_project, faults, importing
from tests.support.importing import planned, refused, targets

DVC = Path(sys.executable).with_name("dvc")


@pytest.fixture
def root(tmp_path):
    """A project of DVC's own, without git."""
    (tmp_path / "project").mkdir()
    subprocess.run([DVC, "init", "--no-scm", "--quiet"], cwd=tmp_path / "project", check=True)
    return tmp_path / "project"


def bring(root, source, name="pets", *more):
    return faults.run(root, "tools.dataset", f"--src={source}", f"--name={name}", *more)


def zipped(folder, path, prefix=""):
    with zipfile.ZipFile(path, "w") as file:
        for member in sorted(folder.rglob("*")):
            if member.is_file():
                file.write(member, f"{prefix}{member.relative_to(folder)}")
    return path


def test_train_and_test_in_a_nested_zip(root, tmp_path):
    """As ../shared/asirra/dataset.zip is packed: dataset/train, dataset/test, dataset/data/*.pbtxt."""
    source = faults.dataset(tmp_path / "source")
    (source / "data").mkdir()
    (source / "label_map.pbtxt").rename(source / "data/object-detection.pbtxt")
    faults.pair(source / "test", "none.jpg", objects=[])
    done = bring(root, zipped(source, tmp_path / "a.zip", "dataset/"))
    assert done.stderr == ""
    assert done.stdout == (
        "dataset/pets: imported\n"
        "  splits found: train/, test/\n"
        "  label map copied from data/object-detection.pbtxt: cat 1, dog 2\n"
        "  train: 6 images, 6 boxes (cat 6), 0 images without objects\n"
        "  test: 4 images, 3 boxes (dog 3), 1 image without objects\n"
        "  too few training photos to learn from: dog 0, cat 6; take 50 or more of each class\n"
        "  no test photo shows cat, so this is not measured; "
        "move some photos with their XML from dataset/pets/train to dataset/pets/test\n"
        "  few test photos, and how far off their AP50 may be (95 %): dog 3 (+-0.37); "
        "20 photos give +-0.20, 100 +-0.10\n"
        "next: make train DATASET=pets\n"
    )
    pets = root / "dataset/pets"
    assert faults.tree(pets / "train") == faults.tree(source / "train")
    assert faults.tree(pets / "test") == faults.tree(source / "test")
    receipts = (pets / "receipts.csv").read_text().splitlines()
    assert receipts[0] == "target,label_target,source,label,sha256,label_sha256,split,why"
    photo, label = (files.sha256(pets / f"test/b0.{suffix}") for suffix in ("jpg", "xml"))
    assert receipts[1] == (
        f"test/b0.jpg,test/b0.xml,dataset/test/b0.jpg,dataset/test/b0.xml,{photo},{label},test,dataset/test"
    )
    assert len(receipts) == 11
    assert labels.read(pets / "label_map.pbtxt") == {"cat": 1, "dog": 2}
    assert sorted(path.name for path in (root / "dataset").iterdir()) == ["pets", "pets.dvc"]
    status = subprocess.run([DVC, "status", "--quiet"], cwd=root, check=False)
    assert status.returncode == 0  # tracked, and in the cache
    faults.workspace(root)
    assert faults.run(root, "stages.xml2csv").returncode == 0


PIPELINE = """stages:
  count:
    cmd: ls dataset/pets/train > count
    deps: [dataset/pets/train]
    params: [number]
    outs: [count]
"""


@pytest.mark.parametrize("option", ["--temp", pytest.param("--queue", marks=pytest.mark.long)])
def test_an_experiment_elsewhere_has_what_was_just_imported(tmp_path, option):
    """It is made of what git knows, and DVC's words for what it does not know help nobody."""
    project = dvc_project.started(tmp_path / "project", PIPELINE)
    project.commit()
    source = faults.dataset(tmp_path / "source")
    project.must(sys.executable, "-m", "tools.dataset", f"--src={source}", "--name=pets")
    assert project.must("git", "status", "--porcelain").splitlines() == [
        "A  dataset/.gitignore",
        "A  dataset/pets.dvc",
    ]
    project.must("dvc", "exp", "run", option, "-n", "there", "-S", "number=2")
    if option == "--queue":
        project.must("dvc", "exp", "run", "--run-all")
    assert "there" in project.must("dvc", "exp", "list")


def test_a_second_import_changes_nothing_and_other_content_is_refused(root, tmp_path):
    source = faults.dataset(tmp_path / "source")
    assert bring(root, source).returncode == 0
    before = faults.tree(root / "dataset")
    again = bring(root, source)
    assert again.returncode == 0
    assert again.stdout.startswith("dataset/pets: exists already, with the same content\n")
    faults.pair(source / "train", "new.jpg")
    refused(bring(root, source), "dataset/pets: exists, with other content; choose another NAME")
    assert faults.tree(root / "dataset") == before


def meanwhile(monkeypatch, happens):
    """Something that happens while the photos are being copied."""
    copyfile = shutil.copyfile

    def copy(source, target):
        if not seen:
            seen.append(target)
            happens()
        return copyfile(source, target)

    seen = []
    monkeypatch.setattr(shutil, "copyfile", copy)


def test_a_folder_that_appears_meanwhile_stays(root, tmp_path, monkeypatch):
    source = faults.dataset(tmp_path / "source")
    meanwhile(monkeypatch, lambda: files.write_text(root / "dataset/pets/thesis.txt", "mine"))
    refused(importing.bring(root, source), "dataset/pets: appeared while its content was being written, and is left")
    assert faults.tree(root / "dataset") == {"pets/thesis.txt": b"mine"}


def test_of_two_imports_under_one_name_one_fails(root, tmp_path, monkeypatch):
    first, second = faults.dataset(tmp_path / "first"), faults.dataset(tmp_path / "second", train=7)
    done = []
    meanwhile(monkeypatch, lambda: done.append(bring(root, second)))
    refused(importing.bring(root, first), "dataset/pets: appeared while its content was being written, and is left")
    assert done[0].returncode == 0
    assert faults.tree(root / "dataset/pets/train") == faults.tree(second / "train")
    assert importing.bring(root, second).stdout.startswith("dataset/pets: exists already, with the same content\n")


def test_a_cache_on_a_full_disk(root, tmp_path):
    """`dvc add` ends with 0 there, and a later checkout would remove the only copy."""
    source = faults.dataset(tmp_path / "source")
    with disk.small(tmp_path / "cache", "64k") as cache:
        subprocess.run([DVC, "cache", "dir", "--local", cache], cwd=root, check=True)
        done = bring(root, source)
        assert (done.returncode, done.stdout) == (1, "")
        fault = f"dataset/pets: not in DVC's cache, {cache}: No space left on device; make room there, and run the comm"
        assert done.stderr.startswith(f"error: {fault}") and done.stderr.count("\n") == 1
        assert faults.tree(root / "dataset/pets/train") == faults.tree(source / "train")
        disk.enlarge(cache, "8m")
        assert bring(root, source).returncode == 0
        shutil.rmtree(root / "dataset/pets")
        subprocess.run([DVC, "checkout", "--quiet"], cwd=root, check=True)
    assert faults.tree(root / "dataset/pets/train") == faults.tree(source / "train")


def test_a_full_disk_is_one_line_and_leaves_nothing(root, tmp_path):
    source = faults.dataset(tmp_path / "source")
    with disk.small(root / "dataset", "64k") as small:
        done = bring(root, source)
        refused(done, "dataset/pets: No space left on device; make room, and run the command again")
        assert list(small.iterdir()) == []
        disk.enlarge(small, "8m")
        assert bring(root, source).returncode == 0


def test_a_project_that_can_only_be_read_is_one_line(root, tmp_path):
    source = faults.dataset(tmp_path / "source")
    (root / "dataset").mkdir()
    with disk.read_only(root / ".dvc"):
        done = bring(root, source)
        refused(done, "dvc add dataset/pets: ")
        assert "Read-only file system" in done.stderr
    with disk.read_only(root):
        refused(bring(root, source, "other"), "dataset/")


def test_an_empty_list_of_locks_is_no_reason_to_refuse(root, tmp_path):
    """A kill, or a full disk, leaves it so."""
    (root / ".dvc/tmp").mkdir(exist_ok=True)
    (root / ".dvc/tmp/rwlock").touch()
    assert subprocess.run([DVC, "status", "--quiet"], cwd=root, check=False, capture_output=True).returncode in (0, 255)
    assert bring(root, faults.dataset(tmp_path / "source")).returncode == 0


def test_a_dataset_that_dvc_tracks_but_this_machine_does_not_have(root, tmp_path):
    source = faults.dataset(tmp_path / "source")
    bring(root, source)
    shutil.rmtree(root / "dataset/pets")
    refused(bring(root, source), "dataset/pets: tracked by DVC, but not here; run: make pull")


def test_the_source_is_only_read(root, tmp_path):
    source = faults.dataset(tmp_path / "source")
    (source / "label_map.pbtxt").unlink()
    before = faults.tree(source)
    done = bring(root, source)
    assert "label map made from the labels: cat 1, dog 2" in done.stdout
    assert faults.tree(source) == before
    for path in (root / "dataset/pets").rglob("*.jpg"):
        assert path.stat().st_ino != (source / path.parent.name / path.name).stat().st_ino  # no hard link


def test_validation_goes_into_train(tmp_path):
    source = faults.dataset(tmp_path / "source", train=2, test=1)
    faults.pair(source / "valid", "c.jpg")
    made = planned(tmp_path, source)
    assert targets(made, ".jpg") == ["test/b0.jpg", "train/a0.jpg", "train/a1.jpg", "train/c.jpg"]
    assert "valid/ goes into train/, from which make train takes its own validation split" in made.notes
    faults.pair(source / "valid", "a0.jpg")
    assert targets(planned(tmp_path, source), ".jpg")[1:] == [
        *("train/a1.jpg", "train/c.jpg", "train/train_a0.jpg", "train/valid_a0.jpg"),
    ]


def test_one_flat_folder(root, tmp_path):
    source = tmp_path / "photos"
    for number in range(20):
        faults.pair(source, f"a{number}.jpg")
    (source / "notes.txt").write_text("mine")
    (source / ".hidden.jpg").write_bytes(b"")
    done = bring(root, source, "pets", "--test-fraction=0.25")
    assert "found no test split: 25% for test/, by a hash of the file name" in done.stdout
    pets = root / "dataset/pets"
    test = {path.name for path in (pets / "test").iterdir()}
    stems = {path.stem for path in (pets / "test").iterdir()}
    assert test == {f"{stem}{suffix}" for stem in stems for suffix in (".jpg", ".xml")}  # a pair goes together
    assert 1 <= len(stems) <= 10
    assert len(list(pets.rglob("*.*"))) == 42


def test_a_photo_that_does_not_decode_is_named_where_copies_are_looked_for(root, tmp_path):
    source = tmp_path / "photos"
    for number in range(4):
        faults.pair(source, f"a{number}.jpg")
    whole = (source / "a2.jpg").read_bytes()
    (source / "a2.jpg").write_bytes(whole[: len(whole) // 2])
    done = bring(root, source)
    assert "1 image that cannot be read (a2.jpg): make train will report it" in done.stdout


def test_what_xml2csv_will_report_is_copied_too(root, tmp_path):
    source = faults.dataset(tmp_path / "source")
    faults.missing_image(source, "a0")
    faults.image_without_xml(source, "a1")
    faults.broken_xml(source, "a2")
    done = bring(root, source)
    assert "1 image without a label (train/a1.jpg): make train will report it" in done.stdout
    assert "1 label without an image (train/a0.xml): make train will report it" in done.stdout
    assert "1 label that cannot be read (train/a2.xml): make train will report it" in done.stdout
    assert faults.tree(root / "dataset/pets/train") == faults.tree(source / "train")


def test_an_object_without_a_name_gives_no_class(root, tmp_path):
    source = faults.dataset(tmp_path / "source")
    (source / "label_map.pbtxt").unlink()
    faults.pair(source / "train", "n.jpg", objects=[("", faults.BOX)])
    done = bring(root, source)
    assert "label map made from the labels: cat 1, dog 2\n" in done.stdout
    assert "train: 7 images, 6 boxes (cat 6), 1 image without objects\n" in done.stdout
    faults.workspace(root)
    assert "train/n.xml: object 1: <name> is missing" in faults.run(root, "stages.xml2csv").stdout


def test_no_class_may_have_the_name_of_the_background(root, tmp_path):
    source = faults.dataset(tmp_path / "source")
    (source / "label_map.pbtxt").unlink()
    faults.pair(source / "train", "n.jpg", objects=[("background", faults.BOX)])
    refused(
        bring(root, source),
        "source: background is not allowed as a class name: it means that no object was found; rename it in the labels",
    )


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("weird.xml", Path.mkdir, "is a folder"),
        ("weird.jpg", Path.mkdir, "is a folder"),
        ("weird.jpg", os.mkfifo, "is not a file"),
        ("weird.jpg", lambda path: path.symlink_to("nowhere"), "is a broken link"),
        ("weird.jpg", lambda path: path.symlink_to("weird.jpg"), "is a broken link"),
        ("more", lambda path: path.symlink_to(".."), "is a link to a folder that is there already"),
    ],
)
def test_what_is_no_file_is_left_out_by_name(tmp_path, name, make, reason):
    source = faults.dataset(tmp_path / "source")
    before = targets(planned(tmp_path, source))
    make(source / "train" / name)
    made = planned(tmp_path, source)
    assert targets(made) == before
    assert f"left out (1): file that {reason} (train/{name})" in made.notes


def test_a_link_to_a_file_is_that_file(tmp_path):
    """As DVC and git-annex keep data."""
    source = faults.dataset(tmp_path / "source")
    for name in ("a0.jpg", "a0.xml"):
        (source / "train" / name).rename(tmp_path / name)
        (source / "train" / name).symlink_to(tmp_path / name)
    assert "train/a0.jpg" in targets(planned(tmp_path, source))


def test_a_file_name_that_is_not_text_is_given_one(root, tmp_path):
    source = faults.dataset(tmp_path / "source")
    for suffix in ("jpg", "xml"):
        bad = Path(os.fsdecode(os.fsencode(source / "train") + b"/c\xe3o\n." + suffix.encode()))
        shutil.copy(source / f"train/a0.{suffix}", bad)
    done = bring(root, source)
    assert "renamed: 1 file" in done.stdout
    assert (root / "dataset/pets/train/cão_.jpg").exists()
    assert (root / "dataset/pets/train/cão_.xml").exists()


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("<img src=x onerror=alert(1)>", "_img src=x onerror=alert(1)_"),
        ("a\x1b[2J", "a_[2J"),
        ("a\u202egpj", "a_gpj"),
        ("=HYPERLINK(a)", "_HYPERLINK(a)"),
        ("@SUM(1)|cmd", "_SUM(1)|cmd"),
    ],
)
def test_a_name_that_html_a_terminal_or_a_spreadsheet_would_obey_is_changed(root, tmp_path, name, new):
    source = faults.dataset(tmp_path / "source")
    for suffix in ("jpg", "xml"):
        (source / f"train/a0.{suffix}").rename(source / f"train/{name}.{suffix}")
    done = bring(root, source)
    assert "renamed: 1 file" in done.stdout and all(line.isprintable() for line in done.stdout.splitlines())
    assert (root / f"dataset/pets/train/{new}.jpg").exists()
    receipts = (root / "dataset/pets/receipts.csv").read_text()
    assert "\x1b" not in receipts and "\u202e" not in receipts


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that not even root can read from start")
@pytest.mark.parametrize("name", ["train/a0.xml", "train/a0.jpg", "label_map.pbtxt"])
def test_an_unreadable_file(root, tmp_path, name):
    source = faults.dataset(tmp_path / "source")
    (source / name).unlink()
    (source / name).symlink_to("/proc/self/mem")
    refused(bring(root, source), f"{name}: cannot be read or copied: Input/output error; fix that and run")
    assert not list(root.glob("dataset/*"))


def test_home_is_known(root, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    faults.dataset(tmp_path / "source")
    assert bring(root, "~/source").returncode == 0
    refused(bring(root, "~nobody-here/source", "other"), "~nobody-here/source: not found")


def test_label_map_faults(root, tmp_path):
    source = faults.dataset(tmp_path / "source")
    labels.write(source / "label_map.pbtxt", ["cat"])
    refused(bring(root, source), "label_map.pbtxt: dog of the labels is missing")
    faults.bad_label_map(source)
    refused(bring(root, source), "label_map.pbtxt: line 1, column 1: cat where item { ... } is expected")
    (source / "label_map.pbtxt").unlink()
    labels.write(source / "a.pbtxt", ["cat", "dog"])
    labels.write(source / "b.pbtxt", ["dog", "cat"])
    refused(bring(root, source), "a.pbtxt, b.pbtxt: several label maps")
    assert not (root / "dataset/pets").exists()


@pytest.mark.parametrize("name", ["sample", "data"])
def test_names_of_the_project(root, tmp_path, name):
    refused(bring(root, tmp_path, name), f"NAME: {name} is reserved for the project")


@pytest.mark.parametrize("name", ["../pets", "a/b", ".pets", "-pets", "pets; rm", "a" * 65, "pets.dvc", "ü"])
def test_bad_names(name):
    from tools.cloud import dvc_add

    with pytest.raises(UserError, match=r"NAME: .* is not allowed"):
        dvc_add.folder(Path("dataset"), name, (), "pets")


def test_bad_sources(root, tmp_path):
    refused(bring(root, tmp_path / "none"), "none: not found")
    refused(bring(root, ""), "SRC: is empty")
    refused(bring(root, tmp_path, ""), "NAME: is empty")
    (tmp_path / "empty").mkdir()
    refused(bring(root, tmp_path / "empty"), "holds no photo and no label; give photos with")
    faults.pair(tmp_path / "one", "a.jpg")
    refused(bring(root, tmp_path / "one"), "1 labelled photo; a dataset needs at least one for train and one for test")
    (tmp_path / "a.zip").write_bytes(b"no zip")
    refused(bring(root, tmp_path / "a.zip"), "cannot be unpacked: File is not a zip file")
    assert not list((root / "dataset").iterdir())


def unpack(tmp_path, members, **options):
    """Unpack a zip of {name or ZipInfo: content}."""
    path = tmp_path / "a.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", **options) as file:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, content in members:
            file.writestr(name, content)
    (tmp_path / "inside/out").mkdir(parents=True, exist_ok=True)
    zip_archive.unpack(path, tmp_path / "inside/out")


@pytest.mark.parametrize("name", ["../a.jpg", "x/../../a.jpg", "/a.jpg", "..\\a.jpg", "C:/a.jpg", "C:\\a.jpg"])
def test_a_zip_does_not_reach_out(tmp_path, name):
    with pytest.raises(UserError, match="would be written outside of the folder; nothing was unpacked"):
        unpack(tmp_path, [("fine.jpg", b"1"), (name, b"2")])
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.zip"]


@pytest.mark.parametrize("name", [".", "", "./."])
def test_a_zip_with_a_member_without_a_name(tmp_path, name):
    with pytest.raises(UserError, match=f"'{name}': is not a file name; nothing was unpacked"):
        unpack(tmp_path, [("fine.jpg", b"1"), (zipfile.ZipInfo(name), b"2")])


def test_a_zip_with_a_link(tmp_path):
    link = zipfile.ZipInfo("train")
    link.external_attr = 0o120777 << 16
    with pytest.raises(UserError, match="'train': is a link"):
        unpack(tmp_path, [(link, "/etc")])


def test_a_zip_with_one_name_twice(tmp_path):
    with pytest.raises(UserError, match=r"'a\.jpg': exists twice"):
        unpack(tmp_path, [("a.jpg", b"1"), ("a.jpg", b"2")])


def test_a_zip_with_a_file_in_a_file(tmp_path):
    with pytest.raises(UserError, match=r"cannot be unpacked: .*Not a directory|cannot be unpacked: .*File exists"):
        unpack(tmp_path, [("a.jpg", b"1"), ("a.jpg/b.jpg", b"2")])


def test_a_zip_bomb(tmp_path):
    """300 MB of zeros in 300 kB is refused from the archive's directory alone."""
    path = tmp_path / "a.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        file.open("a.jpg", "w") as member,
    ):
        for _ in range(300):
            member.write(bytes(10**6))
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="bytes that unpack to 300,000,000: a zip bomb; nothing was unpacked"):
        zip_archive.unpack(path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def patched(tmp_path, change):
    """A zip of one stored file, its bytes changed by a function."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.jpg", b"content" * 10)
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)
    (tmp_path / "out").mkdir()
    return path


def test_an_encrypted_zip(tmp_path):
    def encrypt(content):
        content[content.index(b"PK\1\2") + 8] |= 1  # the flag in the archive's directory

    with pytest.raises(UserError, match=r"'a\.jpg': is encrypted"):
        zip_archive.unpack(patched(tmp_path, encrypt), tmp_path / "out")


def test_a_damaged_zip(tmp_path):
    def damage(content):
        content[content.index(b"content")] ^= 1

    with pytest.raises(UserError, match=r"cannot be unpacked: Bad CRC-32 for file 'a\.jpg'"):
        zip_archive.unpack(patched(tmp_path, damage), tmp_path / "out")


def test_a_zip_that_lies_about_its_size(tmp_path):
    def lie(content):
        at = content.index(b"PK\1\2") + 24
        content[at : at + 4] = (7).to_bytes(4, "little")

    with pytest.raises(UserError, match="cannot be unpacked: "):
        zip_archive.unpack(patched(tmp_path, lie), tmp_path / "out")


def test_without_a_dvc_project_the_data_is_copied_and_the_error_says_so(tmp_path):
    (tmp_path / "project").mkdir()
    done = bring(tmp_path / "project", faults.dataset(tmp_path / "source"))
    refused(done, "dvc add dataset/pets: ")
    assert "the data is copied; fix that and run the command again" in done.stderr
    assert len(list((tmp_path / "project/dataset/pets").rglob("*.*"))) == 20


def test_real_photos(root):
    """DESIGN.md: 995 photos, 891 of them in train; 1,058 boxes counted by hand with grep -c '<object>'."""
    source = faults.ROOT.parent / "shared/asirra/dataset.zip"
    if not source.exists():
        pytest.skip("../shared/asirra/dataset.zip is not here")
    done = bring(root, source, "asirra")
    assert done.stderr == ""
    assert "  train: 891 images, 947 boxes (cat 489, dog 458), 0 images without objects\n" in done.stdout
    assert "  test: 104 images, 111 boxes (cat 44, dog 67), 0 images without objects\n" in done.stdout
    assert "label map copied from data/object-detection.pbtxt: cat 1, dog 2" in done.stdout
    assert len(list((root / "dataset/asirra/train").glob("*.jpg"))) == 891
    assert len(list((root / "dataset/asirra/test").glob("*.xml"))) == 104
