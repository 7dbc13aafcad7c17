"""`make push-records`: the records and label map of one dataset, verified, to a bucket on loopback."""

import copy
import shutil

import pytest

from detector.data import labels
from tests.support import faults
from tests.support.importing import refused, unpacked
from tests.support.project import Project
from tests.support.stage import call
from tools import push_records


@pytest.fixture
def bucket(gcs, monkeypatch):
    gcs.create("data")
    for name, value in gcs.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PASSO_BACKOFF_SECONDS", "0.01")
    return gcs


def push(root, name="data"):
    return call(push_records.main, root, f"--bucket={name}")


@pytest.fixture(scope="module")
def once_recorded(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("recorded") / "project", {})
    for name in ("pets", "birds"):
        faults.dataset(project.root / "dataset" / name)
    labels.write(project.root / "dataset/birds/label_map.pbtxt", faults.LABELS[::-1])
    faults.workspace(project.root)
    project.repro("csv2record")
    return project


@pytest.fixture
def recorded(tmp_path, once_recorded):
    """A project whose csv2record has run for dataset/pets, by DVC; dataset/birds has another label map."""
    project = copy.copy(once_recorded)
    project.root = shutil.copytree(once_recorded.root, tmp_path / "recorded", symlinks=True)  # .venv is a link
    return project


def test_push_records(tmp_path, bucket, recorded):
    before = {path.name: path.read_bytes() for path in recorded.root.glob("dataset/data/*.record")}
    before["label_map.pbtxt"] = (recorded.root / "dataset/pets/label_map.pbtxt").read_bytes()
    bucket.fault(path="upload", status=503, times=2)
    done = push(recorded.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert bucket.read("data") == {f"records/{name}": content for name, content in before.items()}
    size = len(before["train.record"])
    assert f"gs://data/records/train.record: uploaded, {size:,} bytes\n" in done.stdout
    assert push(recorded.root).stdout.count(": exists already, ") == 4
    bucket.put("data", "records/train.record", b"another's")
    done = push(recorded.root, "gs://data/")
    assert (done.stdout.count(": exists already, "), done.stdout.count(": replaced, ")) == (3, 1)
    assert bucket.read("data")["records/train.record"] == before["train.record"]
    notes = unpacked(tmp_path, "gs://data/records/", tmp_path / "again")  # make dataset takes what was pushed
    assert notes == ["unpacked 9 images from test.record, train.record, val.record"]


def test_records_are_never_pushed_with_another_label_map(bucket, recorded):
    lock, label_map = recorded.root / "dvc.lock", recorded.root / "dataset/birds/label_map.pbtxt"
    remake = "; run: dvc repro csv2record"
    faults.workspace(recorded.root, "dataset/birds")
    reason = "dataset/data: was made from dataset/pets, and dataset.dir is dataset/birds"
    refused(push(recorded.root), reason + remake)
    recorded.repro("csv2record")
    before, known = label_map.read_text(), lock.read_text()
    label_map.write_text(before + "# changed\n")
    refused(push(recorded.root), f"{label_map.relative_to(recorded.root)}: has changed since csv2record ran{remake}")
    label_map.write_text(before)
    for content in ("schema: '2.0'\n", "stages: [", "mine\n", "stages: {csv2record: {params: 1}}\n"):
        lock.write_text(content)
        refused(push(recorded.root), f"dvc.lock: does not say what dataset/data was made from{remake}")
    assert bucket.read("data") == {}
    lock.write_text(known)
    assert push(recorded.root).stdout.count(": uploaded, ") == 4
    assert bucket.read("data")["records/label_map.pbtxt"] == before.encode()


def test_what_is_refused(bucket, recorded):
    refused(push(recorded.root, ""), "BUCKET: '' is not a bucket's name")
    refused(push(recorded.root, "My Bucket"), "BUCKET: 'My Bucket' is not a bucket's name")
    refused(push(recorded.root, "none"), "gs://none/records/train.record: not found: 404")
    bucket.deny("data", "storage.objects.create")
    refused(push(recorded.root), "gs://data/records/train.record: access denied: 403")
    (recorded.root / "dataset/data/val.record").unlink()
    refused(push(recorded.root), "dataset/data/val.record: not found; run: dvc repro csv2record")
    assert bucket.read("data") == {}
