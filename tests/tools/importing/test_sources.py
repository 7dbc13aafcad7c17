"""`make dataset SRC=` from the web, a bucket, Kaggle and Drive."""

import contextlib
import gzip
import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from pathlib import Path

import pytest

from detector.storage import download
from tests.support import faults, kaggle_server
from tests.support import web as web_server
from tests.support.importing import bring, refused
from tools import dataset

DVC = Path(sys.executable).with_name("dvc")


@pytest.fixture
def root(tmp_path, monkeypatch):
    return web_server.project(tmp_path, monkeypatch)


@pytest.fixture
def bucket(gcs, monkeypatch):
    gcs.create("data")
    for name, value in gcs.environment().items():
        monkeypatch.setenv(name, value)
    return gcs


@pytest.fixture
def photos(tmp_path):
    return faults.dataset(tmp_path / "photos")


def opened(root, source, sha256=""):
    """What `make dataset` sees of a source: {path: bytes}, and its notes; nothing of it is left afterwards."""
    with contextlib.chdir(root):
        with dataset.opened(str(source), sha256) as (tree, notes, _):
            found = faults.tree(tree.root)
        assert [path for path in Path().rglob("*") if path.is_file()] == []
    return found, notes


def zipped(folder):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for member in sorted(folder.rglob("*")):
            file.write(member, member.relative_to(folder.parent))
    return content.getvalue()


def tarred(folder, mode="w:gz"):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as file:
        file.add(folder, folder.name)
    return content.getvalue()


def test_a_zip_from_the_web_that_breaks_off(root, web, photos):
    """All the way, with DVC."""
    subprocess.run([DVC, "init", "--no-scm", "--quiet"], cwd=root, check=True)
    content = zipped(photos)
    digest = hashlib.sha256(content).hexdigest()
    web.files["/photos.zip"] = content
    web.play("/photos.zip", cut=1000)
    done = bring(root, f"{web.https}/photos.zip")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        f"dataset/pets: imported\n  its sha256 is {digest}; SHA256=... refuses any other\n"
        "  splits found: train/, test/\n"
    )
    assert web.log == [("/photos.zip", "", 200), ("/photos.zip", "bytes=1000-", 206)]
    copied = faults.tree(root / "dataset/pets")
    assert copied.pop("receipts.csv").startswith(b"target,label_target,source,")
    assert copied == faults.tree(photos)
    assert sorted(path.name for path in (root / "dataset").iterdir()) == ["pets", "pets.dvc"]
    assert list((root / download.DOWNLOADS).glob("*")) == []


def test_a_zip_without_tls_needs_its_digest(root, web, photos):
    web.files["/a.zip"] = content = zipped(photos)
    found, notes = opened(root, f"{web.url}/a.zip", hashlib.sha256(content).hexdigest())
    assert (found, notes) == (below(photos), [])
    refused(bring(root, f"{web.url}/a.zip"), "anybody on the way could change it; give https://, or SHA256=")


@pytest.mark.parametrize(("name", "mode"), [("a.tar.gz", "w:gz"), ("a.tgz", "w:gz"), ("a.tar", "w")])
def test_a_tar_from_the_web_and_from_here(root, tmp_path, web, photos, name, mode):
    content = tarred(photos, mode)
    web.files[f"/{name}"] = content
    (tmp_path / name).write_bytes(content)
    for source in (f"{web.https}/{name}?download=1", tmp_path / name):
        assert opened(root, source, hashlib.sha256(content).hexdigest()) == (below(photos), [])


def test_checksums(root, tmp_path, photos):
    (tmp_path / "a.zip").write_bytes(zipped(photos))
    digest = hashlib.sha256(zipped(photos)).hexdigest()
    refused(bring(root, tmp_path / "a.zip", "0" * 64), f"its sha256 is {digest}, not {'0' * 64}; check SRC and SHA256")
    refused(bring(root, tmp_path / "a.zip", "abc"), "SHA256: 'abc' is not a sha256")
    refused(bring(root, photos, digest), f"SHA256: only for archives, and {photos} is not one; leave it out")


def below(photos):
    """The content of an archive that holds a folder."""
    return {f"{photos.name}/{name}": content for name, content in faults.tree(photos).items()}


# Must show 6: one line, nothing written outside, nothing left behind.


def zip_of(name, content=b"x", mode=0o100644):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("fine/a.jpg", b"1")
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        file.writestr(info, content)
    return packed.getvalue()


def tar_of(name, kind=tarfile.REGTYPE):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as file:
        file.addfile(tarfile.TarInfo("fine/a.jpg"))
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        file.addfile(info)
    return packed.getvalue()


def bomb(declared):
    """A zip of 10 MB with 10 GB of zeros, which are one deflated block over and over; it says how many they are."""
    packer = zlib.compressobj(9, wbits=-15)
    zeros = (packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)) * (10 * 1024) + packer.flush()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("a.jpg", zeros)
    content = packed.getvalue()
    for signature, method, size in ((b"PK\3\4", 8, 22), (b"PK\1\2", 10, 24)):  # stored -> deflated
        at = content.rindex(signature)
        changed = bytearray(content)
        changed[at + method] = 8
        changed[at + size : at + size + 4] = declared.to_bytes(4, "little")
        content = bytes(changed)
    return content


OUTSIDE = "would be written outside of the folder"
EVIL = {
    "slip.zip": (lambda: zip_of("../../evil.jpg"), OUTSIDE),
    "slip.tgz": (lambda: tar_of("../../evil.jpg"), OUTSIDE),
    "absolute.zip": (lambda: zip_of("/tmp/evil.jpg"), OUTSIDE),
    "absolute.tgz": (lambda: tar_of("/tmp/evil.jpg"), OUTSIDE),
    "drive.zip": (lambda: zip_of("C:\\evil.jpg"), OUTSIDE),
    "link.zip": (lambda: zip_of("train", b"/etc", 0o120777), "'train': is a link"),
    "device.zip": (lambda: zip_of("train", b"", 0o020666), "'train': is a device"),
    "link.tgz": (lambda: tar_of("train", tarfile.SYMTYPE), "train leaves the archive: it is a link"),
    "hard.tgz": (lambda: tar_of("train", tarfile.LNKTYPE), "train leaves the archive: it is a link"),
    "case.zip": (lambda: zip_of("Fine/A.jpg"), "'Fine/A.jpg': differs from 'fine/a.jpg' in upper and lower case"),
    "long.zip": (lambda: zip_of("n" * 256), "has a name that is too long"),
    "bomb.zip": (lambda: bomb(2**32 - 2), "bytes that unpack to 4,294,967,294: a zip bomb; nothing was unpacked"),
    "liar.zip": (lambda: bomb(1000), "cannot be unpacked: "),
    "cut.zip": (lambda: zip_of("a.jpg", bytes(1000))[:800], "cannot be unpacked: File is not a zip file"),
    "cut.tgz": (lambda: tar_of("a.jpg")[:60], "cannot be unpacked: Compressed file ended before"),
    "nothing.zip": (lambda: b"", "cannot be unpacked: File is not a zip file"),
}


@pytest.mark.parametrize("name", EVIL)
def test_an_evil_archive_leaves_nothing_behind(root, tmp_path, web, name):
    web.files[f"/{name}"] = EVIL[name][0]()
    before = faults.tree(tmp_path)
    done = bring(root, f"{web.https}/{name}")
    refused(done, EVIL[name][1])
    assert done.stderr.startswith(f"error: {web.https}/{name}: ")
    assert faults.tree(tmp_path) == before
    assert not list(root.glob("dataset/*")) and not Path("/tmp/evil.jpg").exists()


def test_addresses_that_lead_nowhere_leave_nothing_behind(root, tmp_path, web, photos):
    web.files["/a.zip"] = zipped(photos)
    web.play("/loop.zip", status=302, headers={"Location": "/loop.zip"}, times=99)
    before = faults.tree(tmp_path)
    refused(bring(root, f"{web.https}/a.zip", "0" * 64), f"not {'0' * 64}")
    refused(bring(root, f"{web.https}/none.zip"), "the server answers 404 Not Found")
    refused(bring(root, f"{web.https}/loop.zip"), "Exceeded 10 redirects")
    refused(bring(root, "ftp://localhost/a.zip"), "ftp:// is not supported; give SRC=<folder, zip or tar, https://...")
    assert faults.tree(tmp_path) == before


SIGNED = "X-Goog-Signature=hidden"
MISTYPED = [
    f"https:/localhost/a.zip?{SIGNED}",
    f"https//localhost/a.zip?{SIGNED}",
    f"htps://localhost/a.zip?{SIGNED}",
    f"https://localhost:9/a.zip?{SIGNED}",
    f"https://localhost:9/a.zip&{SIGNED}",
    f"https://localhost:9/a zip?{SIGNED}",
    f"https://localhost:9/a.zip {SIGNED}",
    f"https://localhost:9/a.zip#{SIGNED}",
    f"http://localhost:9/a.zip?{SIGNED}",
    f"https://localhost:9/a.zip？{SIGNED}",
    f"https://localhost:9/a.zip%26{SIGNED}",
    f"https://localhost:9/a.zip,{SIGNED}",
    f"gs://data/a.zip?{SIGNED}",
    f"kaggle:owner/name?{SIGNED}",
    "https:/me:hidden@localhost/a.zip",
    "https://me:hidden@localhost:9/a.zip",
    "https://me:hid/hidden@localhost:9/a.zip",
    "https://me:hidden%40localhost:9/a.zip",
    "https://me%3Ahidden%40localhost:9/a.zip",
    "https://me:hid@hidden@localhost:9/a.zip",
    "https://[me:hidden@localhost/a.zip",
    "https://hidden@localhost:9/a.zip",
    "https:me:hidden@localhost/a.zip",
    "me:hidden@localhost/a.zip",
    "//me:hidden@localhost/a.zip",
    "s3://me:hidden@data/a.zip",
    "ht tps://me:hidden@localhost/a.zip",
    f"https:/localhost/{'a' * 300}.zip?{SIGNED}",
]


@pytest.mark.parametrize("source", MISTYPED)
def test_no_secret_of_a_mistyped_address_is_shown(root, bucket, source):
    done = bring(root, source)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert "hidden" not in done.stdout + done.stderr


def test_what_is_no_secret_is_shown(root):
    for path in ("photos@home.zip", "what?.zip", "a&b/c d.zip"):
        refused(bring(root, path), f"error: {path}: not found; ")


def test_errors_about_files_in_an_archive_name_it(root, web, photos):
    (photos / "label_map.pbtxt").write_text("item { id: 1 }")
    web.files["/a.zip"] = zipped(photos)
    refused(
        bring(root, f"{web.https}/a.zip"), f"error: {web.https}/a.zip#photos/label_map.pbtxt: line 1: id 1: has no name"
    )


def test_ctrl_c_while_it_unpacks(root, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for number in range(30_000):
            file.writestr(f"train/{number}.jpg", b"x")
    before = faults.tree(tmp_path)
    child = subprocess.Popen(
        [sys.executable, "-m", "tools.dataset", f"--src={tmp_path / 'a.zip'}", "--name=pets"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(faults.ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(root.glob("dataset/.import.*/archive/train/10*.jpg")):
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    assert (child.wait(60), child.stderr.read()) == (130, "interrupted\n")
    assert faults.tree(tmp_path) == before
    assert list((root / "dataset").iterdir()) == []


# Google Drive.


def test_drive_that_is_not_mounted(root):
    if Path("/content/drive").exists():
        pytest.skip("there is a Google Drive here")
    done = bring(root, "/content/drive/MyDrive/photos.zip")
    refused(done, "Google Drive is not mounted; mount Drive first, in a cell: from google.colab import drive")


# gs://


def fill(bucket, folder, prefix="pets/"):
    for name, content in faults.tree(folder).items():
        bucket.put("data", f"{prefix}{name}", content)


def test_an_archive_in_a_bucket(root, bucket, photos):
    bucket.put("data", "zips/photos.zip", zipped(photos))
    bucket.put("data", "zips/photos.zip.old", b"another")
    digest = hashlib.sha256(zipped(photos)).hexdigest()
    assert opened(root, "gs://data/zips/photos.zip", digest) == (below(photos), [])


@pytest.mark.parametrize("source", ["gs://data/pets", "gs://data/pets/"])
def test_a_folder_in_a_bucket(root, bucket, photos, source):
    fill(bucket, photos)
    fill(bucket, photos, "pets2/")
    for name in ("pets/", "pets/train/", "pets/.DS_Store", "pets/__MACOSX/train/._a0.jpg"):
        bucket.put("data", name, b"")
    assert opened(root, source) == (faults.tree(photos), [])


def test_a_bucket_that_breaks_off_is_resumed_file_by_file(root, bucket, photos, monkeypatch):
    fill(bucket, photos)
    monkeypatch.setenv("PASSO_GCS_SECONDS", "1")
    bucket.fault(path=r"o/pets%2Ftest%2Fb2\.jpg.*alt=media", status=503, times=999)
    refused(bring(root, "gs://data/pets/"), "gs://data/pets/: no answer: ")
    damaged = next((root / download.DOWNLOADS).rglob("a0.jpg"))
    damaged.write_bytes(b"damaged")
    damaged.with_name("stray.jpg").write_bytes(b"of an object that is gone")
    bucket.clear_faults()
    bucket.log.clear()
    assert opened(root, "gs://data/pets/") == (faults.tree(photos), [])
    asked = [re.search(r"o/pets%2F(\S+)\?.*alt=media", path) for _, path, *_ in bucket.log]
    assert sorted(found[1] for found in asked if found) == ["test%2Fb2.jpg", "train%2Fa0.jpg"]


def heavy(photos):
    """An archive that comes in many pieces."""
    (photos / "more.bin").write_bytes(os.urandom(3 * 2**20))
    return zipped(photos)


def broken_off(root, bucket, content, kept):
    """An archive's download that the bucket breaks off after `kept` bytes; where they lie."""
    bucket.put("data", "photos.zip", content)
    bucket.fault(path=r"photos\.zip.*alt=media", cut=kept)
    bucket.fault(path=r"photos\.zip.*alt=media", status=503, times=999)
    refused(bring(root, "gs://data/photos.zip"), "gs://data/photos.zip: no answer: ")
    bucket.clear_faults()
    bucket.ranges.clear()
    [part] = [path for path in (root / download.DOWNLOADS).rglob("*") if path.is_file()]
    assert part.read_bytes() == content[:kept]
    return part


def test_an_archive_in_a_bucket_is_resumed_where_it_broke_off(root, bucket, photos, monkeypatch):
    monkeypatch.setenv("PASSO_GCS_SECONDS", "1")
    content = heavy(photos)
    broken_off(root, bucket, content, 2 * 2**20)
    bucket.fault(path=r"photos\.zip.*alt=media", cut=2**20)
    assert opened(root, "gs://data/photos.zip") == (below(photos), [])
    assert bucket.ranges == [f"bytes={2 * 2**20}-", f"bytes={3 * 2**20}-"]


def test_what_is_not_the_archive_s_beginning_is_not_resumed(root, bucket, photos, monkeypatch):
    monkeypatch.setenv("PASSO_GCS_SECONDS", "1")
    content = heavy(photos)
    broken_off(root, bucket, content, 2 * 2**20).write_bytes(b"damaged")
    assert opened(root, "gs://data/photos.zip") == (below(photos), [])
    assert bucket.ranges == ["bytes=7-", ""]
    broken_off(root, bucket, content, 2 * 2**20)
    content = heavy(photos)
    bucket.put("data", "photos.zip", content)
    assert opened(root, "gs://data/photos.zip", hashlib.sha256(content).hexdigest()) == (below(photos), [])
    assert bucket.ranges == [""]


def test_an_archive_in_a_bucket_that_is_never_what_its_checksum_says(root, bucket, photos):
    bucket.put("data", "photos.zip", zipped(photos))
    bucket.store.bucket("data").live["photos.zip"].metadata["crc32c"] = "AAAAAA=="
    refused(
        bring(root, "gs://data/photos.zip"),
        "gs://data/photos.zip: photos.zip came damaged, twice; run the command again",
    )
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_an_object_that_is_stored_packed(root, bucket, photos):
    """As gcloud storage cp --gzip-local leaves it: the checksum is that of what is stored."""
    bucket.put("data", "photos.zip", gzip.compress(zipped(photos)), contentEncoding="gzip")
    assert opened(root, "gs://data/photos.zip") == (below(photos), [])


def test_a_small_object_that_unpacks_to_gigabytes(root, bucket, photos):
    """google-cloud-storage would unpack it on its way to the disk, without a limit."""
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join([*(packer.compress(bytes(2**20)) for _ in range(300)), packer.flush()])
    assert len(packed) < 2**19
    bucket.put("data", "photos.zip", packed, contentEncoding="gzip")
    refused(bring(root, "gs://data/photos.zip"), "bytes that unpack to 269,484,032: a zip bomb; nothing was unpacked")
    assert sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) < 2**20
    bucket.put("data", "photos.zip", packed[:1000], contentEncoding="gzip")
    refused(bring(root, "gs://data/photos.zip"), "gs://data/photos.zip cannot be unpacked: Compressed file ended")


def test_ctrl_c_while_an_archive_comes_from_a_bucket(root, bucket):
    """It does not wait for the end of it, and what has come stays."""
    bucket.put("data", "photos.zip", bytes(2**27))
    child = subprocess.Popen(
        [sys.executable, "-m", "tools.dataset", "--src=gs://data/photos.zip", "--name=pets"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(faults.ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (found := [path for path in root.glob(".work/downloads/*/.*") if path.stat().st_size]):
        assert child.poll() is None
        time.sleep(0.001)
    child.send_signal(signal.SIGINT)
    assert (child.wait(60), child.stderr.read()) == (130, "interrupted\n")
    assert 0 < found[0].stat().st_size < 2**27


def test_faults_on_the_way_from_a_bucket(root, bucket, photos):
    fill(bucket, photos)
    bucket.fault(path="alt=media", status=503, times=2)
    bucket.fault(path="alt=media", reset=True, times=2)
    bucket.fault(path=r"a3\.jpg.*alt=media", cut=100)
    assert opened(root, "gs://data/pets/") == (faults.tree(photos), [])


def test_buckets_that_are_refused(root, bucket, photos, monkeypatch):
    refused(bring(root, "gs://data/none/"), "gs://data/none/: nothing there")
    refused(bring(root, "gs://other/pets/"), "gs://other/pets/: not found: 404")
    refused(bring(root, "gs://data"), "gs://data: names no object in a bucket; give gs://bucket/dataset.zip or gs://")
    bucket.put("data", "evil/../../a.jpg", b"x")
    refused(bring(root, "gs://data/evil/"), "'evil/../../a.jpg': would be written outside of the folder; nothing was")
    bucket.put("data", "twice/a.jpg", b"x")
    bucket.put("data", "twice/A.jpg", b"x")
    refused(bring(root, "gs://data/twice/"), "'twice/a.jpg': differs from 'A.jpg' in upper and lower case alone")
    bucket.deny("data", "storage.objects.list")
    refused(bring(root, "gs://data/evil/"), "gs://data/evil/: access denied: 403")
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(root))
    refused(bring(root, "gs://data/evil/"), "no credentials on this machine; run: gcloud auth")
    assert not list(root.glob("dataset/*")) and not list((root / ".work").rglob("*.jpg"))


# kaggle:


@pytest.fixture
def kaggle(photos):
    pytest.importorskip("kagglehub")
    with kaggle_server.serve() as server:
        server.datasets["owner/pets", 2] = zipped(photos)
        yield server


SHOW = """
from detector.base import errors
from tools import dataset
def main():
    with dataset.opened(SOURCE, "") as (tree, notes, _):
        print(*sorted(path.relative_to(tree.root) for path in tree.root.rglob("*.*")), *notes, sep="\\n")
errors.run(main)
"""


def from_kaggle(root, kaggle, source, before="", **environment):
    """In a child, for kagglehub reads its settings when it is imported. before: Python that runs first."""
    return subprocess.run(
        [sys.executable, "-c", before + SHOW.replace("SOURCE", repr(source))],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(faults.ROOT), *sys.path))}
        | kaggle.environment(root.parent / "home")
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def shown(photos):
    return "".join(f"{name}\n" for name in sorted(below(photos)))


def test_a_dataset_of_kaggle(root, kaggle, photos):
    kaggle.datasets["owner/pets", 1] = b"the version before"
    done = from_kaggle(root, kaggle, "kaggle:owner/pets")
    assert (done.returncode, done.stdout, done.stderr) == (0, shown(photos), "")
    assert kaggle.log == [("GetDataset", ""), ("DownloadDataset", ""), ("GET", "")]
    assert [path for path in root.rglob("*") if path.is_file()] == []  # its cache is not in the project
    kaggle.cut = 1000
    refused(from_kaggle(root, kaggle, "kaggle:owner/pets/versions/1"), "cannot be downloaded: ")


def test_a_long_download_from_kaggle_is_seen_in_a_log(root, kaggle, photos):
    often = "from detector.base import bars\nbars.SECONDS_BETWEEN_LINES = 0.01\n"  # of 10 seconds
    done = from_kaggle(root, kaggle, "kaggle:owner/pets", often)
    assert done.stdout == shown(photos)
    assert {line[:-1] for line in done.stderr.splitlines()} == {"downloading kaggle:owner/pets: 00:0"}


def test_a_download_from_kaggle_that_breaks_off(root, kaggle, photos):
    (photos / "more.bin").write_bytes(os.urandom(3 * 2**20))
    kaggle.datasets["owner/pets", 3] = zipped(photos)
    kaggle.cut = 5 * 2**19
    refused(from_kaggle(root, kaggle, "kaggle:owner/pets"), "cannot be downloaded: ")
    assert from_kaggle(root, kaggle, "kaggle:owner/pets").stdout == shown(photos)
    assert kaggle.log[-1] == ("GET", f"bytes={2 * 2**20}-")  # it writes a MiB at a time


def test_kaggle_says_no(root, kaggle, photos):
    refused(from_kaggle(root, kaggle, "kaggle:owner/none"), "kaggle:owner/none: Kaggle has no such dataset (404)")
    kaggle.private.add("owner/pets")
    done = from_kaggle(root, kaggle, "kaggle:owner/pets", KAGGLE_API_TOKEN="wrong")
    refused(done, "Kaggle denies access (403); get a token at kaggle.com/settings (Create New Token), and")
    assert from_kaggle(root, kaggle, "kaggle:owner/pets", KAGGLE_API_TOKEN=kaggle.token).stdout == shown(photos)
    gone = from_kaggle(root, kaggle, "kaggle:owner/other", http_proxy="http://127.0.0.1:9")
    refused(gone, "kaggle:owner/other: cannot be downloaded: ")
    assert "://" not in gone.stderr


def test_kaggle_s_signed_addresses_are_not_shown(root, kaggle):
    kaggle.status = 503
    done = from_kaggle(root, kaggle, "kaggle:owner/pets")
    refused(done, "kaggle:owner/pets: cannot be downloaded: 503 Server Error")
    assert "Signature" not in done.stderr and "://" not in done.stderr


def test_kaggle_s_archive_that_finds_no_room(root, kaggle):
    archive = root.parent / "home/.cache/kagglehub/datasets/owner/pets/2.archive"
    archive.parent.mkdir(parents=True)
    archive.symlink_to("/dev/full")
    refused(from_kaggle(root, kaggle, "kaggle:owner/pets"), "the disk is full; make room; then run the command again")


def test_kaggle_without_kagglehub(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    refused(bring(root, "kaggle:owner/pets"), "kaggle:owner/pets: needs the package kagglehub; run: make install")
    for handle in ("pets", "a/b/c", "a/b/versions/x", "../b", "a/b/versions/0"):
        refused(bring(root, f"kaggle:{handle}"), f"kaggle:{handle}: is not a Kaggle dataset; give kaggle:owner/name")


def test_a_file_of_a_dataset_is_not_the_dataset(root, tmp_path):
    """As data.yaml, which other trainers are given."""
    (tmp_path / "data.yaml").write_text("train: images/train\n")
    words = f"is a file of a dataset, not a dataset; give the folder that holds the photos, too: SRC={tmp_path}"
    refused(bring(root, tmp_path / "data.yaml"), words)
