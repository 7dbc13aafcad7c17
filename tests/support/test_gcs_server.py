"""The test server of Cloud Storage is right where others are wrong, for google-cloud-storage and for DVC."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from tests.support.gcs_server import CHUNK, Server

SOON = DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.01).with_timeout(5)
DVC = str(Path(sys.executable).with_name("dvc"))


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def bucket(gcs: Server, monkeypatch: pytest.MonkeyPatch) -> storage.Bucket:
    """A bucket `bkt`, by Google's client."""
    gcs.create("bkt")
    for key, value in gcs.environment().items():
        monkeypatch.setenv(key, value)
    return storage.Client(project="p").bucket("bkt")


@pytest.mark.parametrize("content", [b"", b"\r", b"\n", b"a\r\n", b"\r\n\r\n", b"--", bytes(range(256))])
def test_bytes_come_back_as_they_went(gcs: Server, bucket: storage.Bucket, content: bytes) -> None:
    bucket.blob("plain").upload_from_string(content, checksum="crc32c")
    bucket.blob("chunked", chunk_size=CHUNK).upload_from_file(io.BytesIO(content))
    assert gcs.read("bkt") == {"chunked": content, "plain": content}
    assert bucket.blob("plain").download_as_bytes(checksum="crc32c") == content


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("content", [b"", b"\r", b"\n", b"\r\n", b"x\r", b"a\n--==1==\nb", b"\x00\xff"])
def test_multipart_as_gcsfs_and_as_google_write_it(gcs: Server, newline: str, content: bytes) -> None:
    gcs.create("bkt")
    lines = [
        "--==0==",
        "Content-Type: application/json",
        "",
        '{"name": "m"}',
        "--==0==",
        "Content-Type: text/plain",
        "",
        "",
    ]
    body = newline.join(lines).encode() + content + f"{newline}--==0==--".encode()
    kind = {"Content-Type": 'multipart/related; boundary="==0=="'}
    sent = requests.post(
        f"{gcs.url}/upload/storage/v1/b/bkt/o?uploadType=multipart", data=body, headers=kind, timeout=5
    )
    assert sent.json()["contentType"] == "text/plain"
    assert gcs.read("bkt") == {"m": content}


def test_a_status_query_tells_how_far_an_upload_has_come_and_does_not_end_it(gcs: Server) -> None:
    gcs.create("bkt")
    started = requests.post(f"{gcs.url}/upload/storage/v1/b/bkt/o?uploadType=resumable&name=r", timeout=5)
    content = os.urandom(CHUNK + 3)

    def put(part: bytes, span: str) -> tuple[int, str | None]:
        sent = requests.put(started.headers["Location"], part, headers={"Content-Range": f"bytes {span}"}, timeout=5)
        return sent.status_code, sent.headers.get("Range")

    assert put(b"", f"*/{CHUNK + 3}") == (308, None)
    assert put(content[:CHUNK], f"0-{CHUNK - 1}/{CHUNK + 3}") == (308, f"bytes=0-{CHUNK - 1}")
    assert put(b"", f"*/{CHUNK + 3}") == (308, f"bytes=0-{CHUNK - 1}")
    assert put(content[:7], f"{CHUNK}-{CHUNK + 6}/*")[0] == 400  # no last chunk, and no multiple of 256 KiB
    assert gcs.read("bkt") == {}
    assert put(content[CHUNK:], f"{CHUNK}-{CHUNK + 2}/{CHUNK + 3}") == (200, None)
    assert gcs.read("bkt") == {"r": content}


def test_preconditions(gcs: Server, bucket: storage.Bucket) -> None:
    first = gcs.put("bkt", "name", b"1")
    second = gcs.put("bkt", "name", b"2")
    assert second > first
    blob = bucket.blob("name")
    refused: list[tuple[Any, dict[str, Any]]] = [
        (blob.upload_from_string, {"data": b"x", "if_generation_match": 0}),
        (blob.upload_from_string, {"data": b"x", "if_generation_match": first}),
        (
            bucket.blob("name", chunk_size=CHUNK).upload_from_file,
            {"file_obj": io.BytesIO(b"x"), "if_generation_match": 0},
        ),
        (bucket.blob("new").upload_from_string, {"data": b"x", "if_generation_not_match": 0}),
        (blob.download_as_bytes, {"if_generation_match": first}),
        (blob.delete, {"if_generation_match": first}),
        (blob.patch, {"if_metageneration_match": 9}),
        (bucket.copy_blob, {"blob": blob, "destination_bucket": bucket, "new_name": "name", "if_generation_match": 0}),
    ]
    for call, arguments in refused:
        with pytest.raises(exceptions.PreconditionFailed):
            call(**arguments)
    assert gcs.read("bkt") == {"name": b"2"}
    blob.upload_from_string(b"3", if_generation_match=second)
    bucket.blob("new").upload_from_string(b"new", if_generation_match=0)
    assert gcs.read("bkt") == {"name": b"3", "new": b"new"}


def test_a_wrong_checksum_is_refused(gcs: Server, bucket: storage.Bucket) -> None:
    for digest in ("crc32c", "md5_hash"):
        blob = bucket.blob("name")
        setattr(blob, digest, "AAAAAA==")
        with pytest.raises(exceptions.BadRequest):
            blob.upload_from_string(b"hello", checksum=None)
    assert gcs.read("bkt") == {}


def test_listings_page_and_roll_up(gcs: Server, bucket: storage.Bucket) -> None:
    for name in ("a/1", "a/2", "a/b/3", "a/c/4", "a/c/5", "b"):
        gcs.put("bkt", name, b"")

    def names(**selection: Any) -> list[list[str]]:
        return [[blob.name for blob in page] for page in bucket.list_blobs(**selection).pages]

    assert names(page_size=4) == [["a/1", "a/2", "a/b/3", "a/c/4"], ["a/c/5", "b"]]
    assert names(prefix="a/c") == [["a/c/4", "a/c/5"]]
    assert names(match_glob="a/*") == [["a/1", "a/2"]]
    assert names(match_glob="**/{3,5}") == [["a/b/3", "a/c/5"]]
    assert names(start_offset="a/2", end_offset="a/c/5") == [["a/2", "a/b/3", "a/c/4"]]
    rolled = bucket.list_blobs(prefix="a/", delimiter="/", page_size=1)
    assert [[blob.name for blob in page] for page in rolled.pages] == [["a/1"], ["a/2"], [], []]
    assert rolled.prefixes == {"a/b/", "a/c/"}


def test_versions_and_soft_deleted_objects_can_be_had_back(gcs: Server, bucket: storage.Bucket) -> None:
    lost = gcs.put("bkt", "name", b"1")
    gcs.remove("bkt", "name")
    assert [blob.generation for blob in bucket.list_blobs(soft_deleted=True)] == [lost]
    bucket.restore_blob("name", generation=lost)
    assert gcs.read("bkt") == {"name": b"1"}
    bucket.reload()
    bucket.versioning_enabled = True
    bucket.patch()
    kept = bucket.get_blob("name").generation
    bucket.blob("name").delete()
    assert gcs.read("bkt") == {}
    assert bucket.blob("name", generation=kept).download_as_bytes() == b"1"


@pytest.mark.parametrize(
    "rule", [{"status": 503, "times": 2}, {"status": 429}, {"reset": True}, {"cut": 5}, {"delay": 0.01}, {"lost": True}]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_google_s_client_gets_over_a_fault(gcs: Server, bucket: storage.Bucket, rule: Any, method: str) -> None:
    gcs.fault(method=method, **rule)
    bucket.blob("name").upload_from_string(b"content", retry=SOON)
    assert bucket.blob("name").download_as_bytes(retry=SOON) == b"content"
    hit = [entry for entry in gcs.log if entry[3]]
    assert len(hit) == rule.get("times", 1)
    assert {entry[0] for entry in hit} == {method}


def test_rules_count_choose_and_go(gcs: Server) -> None:
    gcs.create("bkt")
    gcs.put("bkt", "a b", b"0123456789")
    gcs.fault(path="bkt/o/a b", method="GET", status=503, after=1, times=2)
    address = f"{gcs.url}/storage/v1/b/bkt/o/a%20b?alt=media"
    assert [requests.get(address, timeout=5).status_code for _ in range(4)] == [200, 503, 503, 200]
    gcs.fault(cut=4)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="4 bytes read, 6 more expected"):
        requests.get(address, timeout=5)
    gcs.fault(reset=True)
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        requests.get(address, timeout=5)
    gcs.fault(status=500, times=99)
    gcs.clear_faults()
    assert requests.get(address, headers={"Range": "bytes=-3"}, timeout=5).content == b"789"
    assert gcs.log[-1] == ("GET", "/storage/v1/b/bkt/o/a%20b?alt=media", 0, False)


def test_dead_and_back_on_the_same_port(gcs: Server, bucket: storage.Bucket) -> None:
    bucket.blob("name").upload_from_string(b"content")
    address = gcs.url
    gcs.stop()
    with pytest.raises(exceptions.RetryError):
        bucket.blob("name").download_as_bytes(retry=SOON.with_timeout(0.1))
    gcs.start()
    assert gcs.url == address
    assert bucket.blob("name").download_as_bytes() == b"content"


def test_denied_permissions(gcs: Server, bucket: storage.Bucket) -> None:
    gcs.put("bkt", "name", b"old")
    gcs.deny("bkt", "storage.objects.delete")
    wanted = ["storage.objects.create", "storage.objects.delete"]
    assert bucket.test_iam_permissions(wanted) == ["storage.objects.create"]
    for call in (bucket.blob("name").delete, lambda: bucket.blob("name").upload_from_string(b"new")):
        with pytest.raises(exceptions.Forbidden, match=r"storage\.objects\.delete"):
            call()
    bucket.blob("other").upload_from_string(b"new")
    gcs.deny("bkt")
    bucket.blob("name").delete()
    assert gcs.read("bkt") == {"other": b"new"}


def test_policy_is_set_only_by_who_has_read_it(gcs: Server, bucket: storage.Bucket) -> None:
    stale = bucket.get_iam_policy(requested_policy_version=3)
    gcs.policy("bkt")["bindings"].append({"role": "roles/storage.objectViewer", "members": ["user:a@example.com"]})
    stale.bindings.append({"role": "roles/storage.objectViewer", "members": {"user:b@example.com"}})
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.set_iam_policy(stale)
    fresh = bucket.get_iam_policy(requested_policy_version=3)
    assert fresh.bindings[-1]["members"] == {"user:a@example.com"}
    bucket.set_iam_policy(fresh)


def test_https_through_the_proxy(gcs: Server, tmp_path: Path) -> None:
    gcs.create("bkt")
    gcs.put("bkt", "a/b", b"content")
    environment = gcs.tensorflow_environment(tmp_path)
    found = requests.get(
        "https://storage.googleapis.com/bkt/a%2Fb",
        proxies={"https": environment["https_proxy"]},
        verify=environment["CURL_CA_BUNDLE"],
        timeout=5,
    )
    assert (found.status_code, found.content) == (200, b"content")


def test_what_is_not_there_says_so(gcs: Server) -> None:
    with pytest.raises(urllib.error.HTTPError, match="501"):
        urllib.request.urlopen(f"{gcs.url}/storage/v1/b/bkt/acl", timeout=5)  # noqa: S310


def test_dvc_pushes_and_pulls(gcs: Server, tmp_path: Path) -> None:
    gcs.create("bkt")
    environment = {**os.environ, **gcs.environment()}

    def run(command: str) -> None:
        done = subprocess.run(
            command.split(), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"

    contents = [b"", b"\r", b"\r\n", bytes(300 * 1024)]
    (tmp_path / "data").mkdir()
    for number, content in enumerate(contents):
        (tmp_path / "data" / str(number)).write_bytes(content)
    config = "['remote \"store\"']\nurl = gs://bkt/dvc\n[core]\nremote = store\n"
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text(config)
    (tmp_path / ".dvc" / "config.local").write_text(f"['remote \"store\"']\nendpointurl = {gcs.url}\n")
    run("git init -q")
    run(f"{DVC} add -q data")
    run(f"{DVC} push -q")
    stored = {name: md5(content) for name, content in gcs.read("bkt").items() if not name.endswith(".dir")}
    assert {name.removeprefix("dvc/files/md5/").replace("/", "") for name in stored} == set(stored.values())
    assert set(stored.values()) == {md5(content) for content in contents}
    shutil.rmtree(tmp_path / "data")
    shutil.rmtree(tmp_path / ".dvc" / "cache")
    gcs.fault(method="GET", path="alt=media|/download/", cut=1)
    run(f"{DVC} pull -q")
    assert [(tmp_path / "data" / str(number)).read_bytes() for number in range(len(contents))] == contents
