"""The work directory of trainings on a bucket, as another machine sees it: event files, from a real HTTP server."""

from pathlib import Path

import pytest

from detector.base.errors import UserError
from tests.support.gcs_server import Server
from tools.trainings import bucket

URL = "gs://bkt/work"
EVENTS = "work/0123456789abcdef/logs/now/train/events.out.tfevents.1"


@pytest.fixture(autouse=True)
def server(gcs: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    for name, value in gcs.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PASSO_GCS_SECONDS", "2")
    monkeypatch.chdir(tmp_path)
    gcs.create("bkt")
    return gcs


def test_an_address_is_a_bucket_or_a_folder_in_one() -> None:
    assert bucket.address("my-pets") == bucket.address("gs://My-Pets/") == "gs://my-pets/work"
    assert bucket.address("gs://my-pets/a/work/") == "gs://my-pets/a/work"
    with pytest.raises(UserError, match="is not a bucket's name"):
        bucket.address("gs:///work")


def test_event_files_follow_what_is_new(server: Server, tmp_path: Path) -> None:
    seen: dict[str, int] = {}
    assert not bucket.copy_events(URL, tmp_path / "logs", seen)
    server.put("bkt", EVENTS, b"one")
    copy = tmp_path / "logs/now/train/events.out.tfevents.1"
    assert bucket.copy_events(URL, tmp_path / "logs", seen)
    inode = copy.stat().st_ino
    server.put("bkt", EVENTS, b"one, two")
    assert bucket.copy_events(URL, tmp_path / "logs", seen)
    assert (copy.read_bytes(), copy.stat().st_ino) == (b"one, two", inode)  # TensorBoard has it open
    downloads = media(server)
    assert bucket.copy_events(URL, tmp_path / "logs", seen)
    assert media(server) == downloads
    server.put("bkt", EVENTS, b"one")  # a training was resumed
    assert bucket.copy_events(URL, tmp_path / "logs", seen)
    assert copy.read_bytes() == b"one"


def media(server: Server) -> int:
    """How many times a content was asked for."""
    return sum("alt=media" in path for _, path, *_ in server.log)


def test_only_event_files_are_copied_and_nowhere_else(server: Server, tmp_path: Path) -> None:
    for name in (
        *("logs/../train/events.out.tfevents.1", "logs/now/train/../../../events.out.tfevents.1"),
        *("logs/now/train/notes.txt", "logs/now/other/events.out.tfevents.1", "logs/.now/train/events.out.tfevents.1"),
    ):
        server.put("bkt", f"work/0123456789abcdef/{name}", b"x")
    assert not bucket.copy_events(URL, tmp_path / "logs", {})
    assert list(tmp_path.iterdir()) == []
