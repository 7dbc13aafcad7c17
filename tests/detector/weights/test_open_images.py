"""`pretrained.source: open_images`: the detector answers as the file it came in, and trains on.

The file is the one that the user keeps, or comes from the network; test_published.py has stand-ins for that.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest

from detector.base.errors import UserError
from detector.weights import open_images, published, recipe
from detector.weights.recipe import OPEN_IMAGES_MODEL
from tests.support import stage, tiny

CHECKPOINT = Path("model/pretrained/ckpt-1")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with records of a few pictures, and the detector."""
    try:
        published.file()
    except UserError as refused:
        pytest.skip(str(refused))
    changes = {"pretrained.source": "open_images", "train.fine_tune_checkpoint_type": "detection"}
    return tiny.prepared(tmp_path_factory.mktemp("open_images"), **changes)


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


def test_it_answers_as_the_published_file(root: Path) -> None:
    from detector.model.tensorflow_env import tf

    image = pictures(root)[:1]
    interpreter = tf.lite.Interpreter(str(published.kept()))
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
        np.testing.assert_allclose(ours, theirs, atol=0.5)  # of -80 to 10; channels that hardly vary enlarge roundings
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


@pytest.mark.long
def test_its_backbone_fits_every_model(root: Path, tmp_path: Path) -> None:
    from detector.model import checkpoints
    from detector.model.checkpoints import VARIABLE
    from detector.model.tensorflow_env import tf
    from detector.weights import imagenet

    shutil.copytree(root / "dataset", tmp_path / "dataset")
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


def test_the_same_bytes_twice(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "dataset", tmp_path / "dataset")
    done = run(tmp_path, fine_tune_checkpoint_type="detection")
    assert done.stdout == "pretrained: Open Images V4, a detection checkpoint\n", done.stderr
    for name in ("ckpt-1.index", "ckpt-1.data-00000-of-00001"):
        assert (tmp_path / CHECKPOINT).with_name(name).read_bytes() == (root / CHECKPOINT).with_name(name).read_bytes()


@pytest.mark.long
def test_auto_takes_it_and_for_another_model_its_backbone_alone(root: Path, tmp_path: Path) -> None:
    from detector.model import checkpoints

    shutil.copytree(root / "dataset", tmp_path / "dataset")
    for model, name, kind in (
        (OPEN_IMAGES_MODEL, "Open Images V4, a detection checkpoint", "detection"),
        ("ssd_mobilenet_v2_fpnlite_320x320", "the backbone of Open Images V4, 260 of 260", "classification"),
    ):
        tiny.params(
            tmp_path,
            **{"pretrained.source": "auto", "train.fine_tune_checkpoint_type": "detection", "train.model": model},
        )
        done = stage.run("pretrained", tmp_path)
        assert done.stdout.startswith(f"pretrained: {name}"), done.stderr
        assert checkpoints.kind(tmp_path / CHECKPOINT) == kind
        assert recipe.read(tmp_path / CHECKPOINT.parent) == recipe.Weights("open_images", "auto")


def test_no_image_to_measure_by(tmp_path: Path) -> None:
    (tmp_path / "dataset/data").mkdir(parents=True)
    for content, words in ((None, "not found; run: dvc repro csv2record"), (b"", "holds no image; write it again")):
        if content is not None:
            (tmp_path / "dataset/data/train.record").write_bytes(content)
        done = run(tmp_path, fine_tune_checkpoint_type="detection")
        assert done.returncode == 2 and done.stderr.startswith(f"error: dataset/data/train.record: {words}")
