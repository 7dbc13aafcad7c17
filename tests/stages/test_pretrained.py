"""`python -m stages.pretrained`: every source, every tensor matched, every refusal a line."""

import hashlib
import http.server
import io
import json
import shutil
import subprocess
import tarfile
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from detector.data import records
from detector.storage import google
from detector.weights import published
from tests.support import stage

ARCHIVE = stage.REPOSITORY.parent / "shared" / "pretrained" / "mobilenet_v2.tar.gz"
needs_archive = pytest.mark.skipif(not ARCHIVE.exists(), reason="the real archive is not beside the repository")


def run(
    root: Path, kind: str = "classification", model: str = "any", **pretrained: str
) -> subprocess.CompletedProcess[str]:
    keys = {"source": "package", "start": "model/start/none", "sha256": "''", **pretrained}
    lines = "".join(f"  {key}: {value}\n" for key, value in keys.items())
    (root / "params.yaml").write_text(
        f"pretrained:\n{lines}train:\n  fine_tune_checkpoint_type: {kind}\n  model: {model}\n"
    )
    return stage.run("pretrained", root)


def tensors(prefix: Path) -> dict[str, np.ndarray]:
    from detector.model import checkpoints
    from detector.model.tensorflow_env import tf

    reader = tf.train.load_checkpoint(str(prefix))
    return {name: reader.get_tensor(name + checkpoints.VARIABLE) for name in checkpoints.variables(prefix)}


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("package")
    done = run(root)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "pretrained: ImageNet MobileNetV2, 260 of 260 tensors matched\n"
    assert done.stderr == ""
    return root / "model" / "pretrained"


def pack(folder: Path, archive: Path) -> str:
    """Pack a checkpoint's folder as the official archives are; returns the sha256."""
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname="mobilenet_v2")
    return hashlib.sha256(archive.read_bytes()).hexdigest()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real web server on loopback for the files in tmp_path/www; /cut/x promises more bytes than it sends, and
    /chunk/x a chunk that it does not send to its end."""
    root = tmp_path / "www"
    root.mkdir()
    monkeypatch.setenv("PASSO_BACKOFF_SECONDS", "0.01")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(root))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            if not self.path.startswith(("/cut/", "/chunk/")):
                return super().do_GET()
            cut = self.path.startswith("/cut/")
            self.send_response(200)
            self.send_header(*(("Content-Length", "1000") if cut else ("Transfer-Encoding", "chunked")))
            self.end_headers()
            self.wfile.write(b"x" * 10 if cut else b"3e8\r\nxxx")
            return None

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without network and npm, who has kept nothing."""
    monkeypatch.setattr(published, "URL", "https://localhost:9/a.tflite")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))


def came(root: Path) -> dict[str, str]:
    """Which weights are in model/pretrained, by its own account."""
    return dict(json.loads((root / "model/pretrained/source.json").read_text()))


def test_auto_takes_imagenets_weights_where_others_cannot_be_fetched(
    tmp_path: Path, packaged: Path, offline: None
) -> None:
    done = run(tmp_path, source="auto", kind="detection", model="ssd_mobilenet_v2_320x320")
    assert (done.returncode, done.stderr) == (0, "")
    refusal, last = done.stdout.splitlines()
    assert refusal.startswith("Open Images' detector: cannot be fetched: localhost: cannot be reached: ")
    assert refusal.endswith(
        "; until then ImageNet's weights, with train.fine_tune_checkpoint_type classification, train.frozen_blocks 0, "
        "train.backbone_learning_rate 1; to try again: source .venv/bin/activate; "
        "dvc repro --force --single-item pretrained"
    )
    assert last == "pretrained: ImageNet MobileNetV2, 260 of 260 tensors matched"
    assert came(tmp_path) == {"source": "package", "asked": "auto"}
    data = "ckpt-1.data-00000-of-00001"
    assert (tmp_path / "model/pretrained" / data).read_bytes() == (packaged / data).read_bytes()


def test_auto_needs_no_network_where_no_weights_are_used(tmp_path: Path, offline: None) -> None:
    assert run(tmp_path, source="auto", kind="none").stdout.count("\n") == 1


def test_a_source_that_was_named_never_falls_back(tmp_path: Path, packaged: Path, offline: None) -> None:
    (tmp_path / "dataset/data").mkdir(parents=True)
    with (tmp_path / "dataset/data/train.record").open("wb") as file:
        records.write_frame(file, b"never read")
    for kind in ("detection", "classification"):
        done = run(tmp_path, source="open_images", kind=kind, model="ssd_mobilenet_v2_320x320")
        refused(done, tmp_path, "error: Open Images' detector: cannot be fetched: ", "npm, which is not installed")
    assert came(packaged.parents[1]) == {"source": "package", "asked": "package"}


def test_auto_brings_no_detector_of_the_users_classes(tmp_path: Path) -> None:
    refused(
        run(tmp_path, source="auto", kind="full"), tmp_path, "full needs a detector of your classes, and auto is not"
    )


def test_the_packages_weights_see(packaged: Path) -> None:
    found = tensors(packaged / "ckpt-1")
    backbone = {name: value for name, value in found.items() if name.startswith("feature_extractor/")}
    assert len(backbone) == 260
    assert backbone["feature_extractor/layer_with_weights-0/kernel"].shape == (3, 3, 3, 32)
    variances = [value for name, value in backbone.items() if name.endswith("moving_variance")]
    assert all((value > 0).all() for value in variances)
    assert not any(np.allclose(value, 1) for value in variances)  # 1 is what an untrained one would hold


@needs_archive
def test_the_official_archive_holds_the_same_weights(tmp_path: Path, packaged: Path) -> None:
    done = run(tmp_path, source=str(ARCHIVE))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("mobilenet_v2.tar.gz, 260 of 260 tensors matched\n")
    ours, theirs = tensors(packaged / "ckpt-1"), tensors(tmp_path / "model" / "pretrained" / "ckpt-1")
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours if name != "save_counter")


def test_an_archive_from_a_web_server(tmp_path: Path, packaged: Path, server: str) -> None:
    digest = pack(packaged, tmp_path / "www" / "weights.tar.gz")
    done = run(tmp_path, source=f"{server}/weights.tar.gz", sha256=digest)
    assert done.returncode == 0, done.stderr
    assert "260 of 260 tensors matched" in done.stdout
    (tmp_path / "www" / "weights.tar.gz").unlink()
    assert run(tmp_path, source=f"{server}/weights.tar.gz", sha256=digest).returncode == 0  # kept from the first time
    kept = tmp_path / ".work/downloads" / digest
    assert list(kept.parent.iterdir()) == [kept]
    kept.write_bytes(b"damaged")
    done = run(tmp_path, source=f"{server}/weights.tar.gz", sha256=digest)
    assert done.returncode == 2 and "404" in done.stderr  # what was kept is verified


def test_a_checkpoints_prefix_in_a_folder_with_blanks_and_at_home(
    tmp_path: Path, packaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(packaged, tmp_path / "my weights")
    for source in ("my weights/ckpt-1", "~/my weights/ckpt-1", "my weights/ckpt-1.index"):
        done = run(tmp_path, source=f"'{source}'")
        assert done.returncode == 0, done.stderr
        assert "260 of 260 tensors matched" in done.stdout


def test_a_digest_is_of_an_archive_not_of_a_checkpoint(tmp_path: Path, packaged: Path) -> None:
    done = run(tmp_path, source=f"{packaged}/ckpt-1", sha256="a" * 64)
    refused(
        done, tmp_path, f"pretrained.sha256: given, but {packaged}/ckpt-1 is the prefix of a checkpoint, no archive"
    )


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that a real server on loopback shows as gs://weights/, by two calls of the JSON API."""
    root = tmp_path / "bucket"
    root.mkdir()

    def described(name: str) -> dict[str, object]:
        size, crc32c = google.measure(root / name)
        return {"name": name, "bucket": "weights", "size": str(size), "crc32c": crc32c, "generation": "1"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urllib.parse.urlsplit(self.path)
            query = urllib.parse.parse_qs(address.query)
            parts = address.path.split("/b/weights/o")
            if len(parts) != 2:
                return self.answer(404, b'{"error": {"code": 404, "message": "no such bucket"}}')
            name = urllib.parse.unquote(parts[1].lstrip("/"))
            if name:
                return self.answer(200, (root / name).read_bytes())
            prefix = query.get("prefix", [""])[0]
            found = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
            items = [described(name) for name in found if name.startswith(prefix)]
            return self.answer(200, json.dumps({"kind": "storage#objects", "items": items}).encode())

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            for name, value in {
                "Content-Length": len(body),
                "X-Goog-Hash": f"crc32c={google.measure(body)[1]}",
            }.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{listening.server_port}")
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "passo")
        yield root
        listening.shutdown()


def test_a_bucket_with_an_archive_or_a_checkpoint(tmp_path: Path, packaged: Path, bucket: Path) -> None:
    pack(packaged, bucket / "mobilenet_v2.tar.gz")
    shutil.copytree(packaged, bucket / "plain")
    for source in ("gs://weights/mobilenet_v2.tar.gz", "gs://weights/plain/"):
        done = run(tmp_path, source=source)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"pretrained: {source}, 260 of 260 tensors matched\n"
        shutil.rmtree(tmp_path / "model")
    refused(run(tmp_path, source="gs://weights/nothing"), tmp_path, "gs://weights/nothing: nothing there")
    refused(run(tmp_path, source="gs://other/x"), tmp_path, "gs://other/x: not found", "no such bucket")


def test_a_bucket_gives_just_what_its_address_names(tmp_path: Path, packaged: Path, bucket: Path) -> None:
    shutil.copytree(packaged, bucket / "train/best")
    shutil.copytree(packaged, bucket / "train/last")
    for name in ("index", "data-00000-of-00001"):
        (bucket / f"train/best/ckpt-10.{name}").write_bytes(b"another")
    (bucket / "train/best/ckpt-1.index.tmp").write_bytes(b"no part of it")
    done = run(tmp_path, source="gs://weights/train/best/ckpt-1")
    assert done.returncode == 0, done.stderr
    left = sorted(path.name for path in (tmp_path / "model/pretrained").iterdir())
    assert left == ["checkpoint", "ckpt-1.data-00000-of-00001", "ckpt-1.index", "source.json"]
    shutil.rmtree(tmp_path / "model")
    for source in ("gs://weights/train", "gs://weights/train/"):
        found = "found best/ckpt-1, best/ckpt-10, last/ckpt-1; give one of them"
        refused(run(tmp_path, source=source), tmp_path, f"{source}: one archive or checkpoint is needed, {found}")
    for name in ("a.tar.gz", "b.tgz"):
        (bucket / "two").mkdir(exist_ok=True)
        (bucket / "two" / name).write_bytes(b"")
    refused(run(tmp_path, source="gs://weights/two"), tmp_path, "found a.tar.gz, b.tgz; give one of them")
    refused(run(tmp_path, source="gs://weights/tr"), tmp_path, "gs://weights/tr: nothing there")
    for source in ("gs://weights", "gs://weights/", "gs://"):
        refused(run(tmp_path, source=source), tmp_path, f"{source}: names no object in a bucket")


def test_an_archive_among_others(tmp_path: Path, packaged: Path, bucket: Path) -> None:
    pack(packaged, bucket / "w.tar")
    (bucket / "w.tar.gz").write_bytes(b"another")
    done = run(tmp_path, source="gs://weights/w.tar")
    assert done.returncode == 0, done.stderr


def refused(done: subprocess.CompletedProcess[str], root: Path, *words: str) -> None:
    """One line, exit code 2, the words in it, and nothing left in the stage's place."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert not (root / "model" / "pretrained").exists()


def test_downloads_that_are_refused(tmp_path: Path, packaged: Path, server: str) -> None:
    digest = pack(packaged, tmp_path / "www" / "weights.tar.gz")
    wrong = "0" * 64
    address = f"{server}/weights.tar.gz"
    refused(run(tmp_path, source=address), tmp_path, "pretrained.sha256: empty")
    refused(run(tmp_path, source=address, sha256=f"'{wrong}'"), tmp_path, f"its sha256 is {digest}, not {wrong}")
    refused(run(tmp_path, source=f"{server}/none.tar.gz", sha256=digest), tmp_path, "404")
    refused(run(tmp_path, source=f"{server}/cut/x", sha256=digest), tmp_path, "10 of 1000 bytes came")
    refused(run(tmp_path, source="http://127.0.0.1:9/x", sha256=digest), tmp_path, "cannot be downloaded")
    refused(run(tmp_path, source=f"{server}/chunk/x", sha256=digest), tmp_path, "cannot be downloaded: IncompleteRead")
    refused(
        run(tmp_path, source=f"'{server}/a b.tar'", sha256=digest), tmp_path, "URL can't contain control characters"
    )
    refused(run(tmp_path, source=address, sha256="../../x"), tmp_path, "pretrained.sha256: '../../x' is not a sha256")
    assert not list((tmp_path / ".work/downloads").iterdir())


def test_archives_that_are_refused(tmp_path: Path, packaged: Path) -> None:
    refused(run(tmp_path, source="nowhere.tar.gz"), tmp_path, "nowhere.tar.gz: no such archive or checkpoint")
    (tmp_path / "text.tar.gz").write_text("not an archive")
    refused(run(tmp_path, source="text.tar.gz"), tmp_path, "text.tar.gz: cannot be unpacked")
    whole = tmp_path / "whole.tar.gz"
    pack(packaged, whole)
    (tmp_path / "cut.tar.gz").write_bytes(whole.read_bytes()[:100_000])
    refused(run(tmp_path, source="cut.tar.gz"), tmp_path, "cut.tar.gz: cannot be unpacked")
    with tarfile.open(tmp_path / "slip.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("../../escaped.index"), io.BytesIO())
    refused(run(tmp_path, source="slip.tar"), tmp_path, "slip.tar: ../../escaped.index leaves the archive")
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        link = tarfile.TarInfo("ckpt-1.index")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    refused(run(tmp_path, source="link.tar"), tmp_path, "link.tar: ckpt-1.index leaves the archive")
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    refused(run(tmp_path, source="empty.tar"), tmp_path, "one checkpoint is needed, found none")


def test_a_tar_bomb(tmp_path: Path) -> None:
    """300 MB of zeros in 300 kB is refused before it is written."""
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz", compresslevel=1) as tar:
        member = tarfile.TarInfo("ckpt-1.index")
        member.size = 300_000_000
        with Path("/dev/zero").open("rb") as zeros:
            tar.addfile(member, zeros)
    done = run(tmp_path, source="bomb.tar.gz")
    refused(done, tmp_path, "bomb.tar.gz: ", "bytes that unpack to 300,000,000: a zip bomb; nothing was unpacked")


def test_an_archive_that_the_disk_cannot_hold(tmp_path: Path) -> None:
    from detector.base import errors
    from detector.storage import room

    (tmp_path / "a.tar").write_bytes(b"x" * 100)
    room.check_size(tmp_path / "a.tar", 5000, 5000, "a.tar")
    with pytest.raises(errors.UserError, match=r"^a\.tar: unpacks to 5,001 bytes, the disk has 5,000 free; make room$"):
        room.check_size(tmp_path / "a.tar", 5001, 5000, "a.tar")


def test_a_backbone_of_another_network_is_refused_by_its_first_tensor(tmp_path: Path) -> None:
    from detector.model import checkpoints
    from detector.model.tensorflow_env import tf

    layer = tf.train.Checkpoint(kernel=tf.Variable(tf.zeros((3, 3, 3, 16))))
    other = tf.train.Checkpoint(feature_extractor=tf.train.Checkpoint(**{"layer_with_weights-0": layer}))
    checkpoints.write(other, tmp_path / "other")
    done = run(tmp_path, source="other/ckpt-1")
    refused(done, tmp_path, "layer_with_weights-0/kernel is (3, 3, 3, 16), not (3, 3, 3, 32)")


def test_a_start_must_be_the_one_that_dvc_tracks(tmp_path: Path, packaged: Path) -> None:
    shutil.copytree(packaged, tmp_path / "model/start/cats")
    what = (
        "pretrained.start: model/start/none is not model/start/cats (pretrained.source), so DVC would not track that; "
    )
    refused(run(tmp_path, source="model/start/cats"), tmp_path, what, "set both to the same folder")
    done = run(tmp_path, source="model/start/cats", start="model/start/cats")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "pretrained: model/start/cats, 260 of 260 tensors matched\n"


def test_the_last_model_is_not_read(tmp_path: Path, packaged: Path) -> None:
    """It is made from what this stage writes. The old values name the command that copies it."""
    shutil.copytree(packaged, tmp_path / "model/train/best")
    command = "; to start from the last model, run: make continue\n"
    for source in ("last", "model/train/best/ckpt-1"):
        refused(
            run(tmp_path, source=source), tmp_path, f"params.yaml: pretrained.source: {source} changes with", command
        )
    what = "params.yaml: train.fine_tune_checkpoint_type: full needs a detector of your classes, and package is not one"
    refused(run(tmp_path, kind="full"), tmp_path, what, command)


def test_a_folder_with_one_checkpoint(tmp_path: Path, packaged: Path) -> None:
    shutil.copytree(packaged, tmp_path / "mine/weights")
    assert run(tmp_path, source="mine").stdout == "pretrained: mine, 260 of 260 tensors matched\n"
    shutil.rmtree(tmp_path / "model")
    shutil.copytree(packaged, tmp_path / "mine/others")
    found = "mine: one checkpoint is needed, found others/ckpt-1, weights/ckpt-1"
    refused(run(tmp_path, source="mine"), tmp_path, found)
    done = run(tmp_path, source="mine/weights", sha256="a" * 64)
    refused(done, tmp_path, "pretrained.sha256: given, but mine/weights is a folder, no archive")


def test_a_bad_type_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, kind="everything")
    refused(done, tmp_path, "train.fine_tune_checkpoint_type: 'everything' is not allowed", "classification, detection")
