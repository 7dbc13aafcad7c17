"""What a model says of a crowd is out of its loss; without crowds the loss is the API's own."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest

from tests.support import tiny

OBJECT, CROWD = [0.1, 0.05, 0.5, 0.45], [0.45, 0.5, 0.95, 0.95]  # ymin, xmin, ymax, xmax
SPECK = [0.51, 0.51, 0.53, 0.53]  # smaller than any anchor
PADDING = [0.0, 0.0, 0.0, 0.0]


@pytest.fixture(scope="module", params=["ssd_mobilenet_v2_320x320", "ssd_mobilenet_v2_fpnlite_320x320"])
def model(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield tiny.built(request.param)


def shares(model: Any, box: list[float]) -> np.ndarray:
    """(A,) how much of what the image shows of each anchor lies in the box."""
    anchors = model.anchors.get().numpy().clip(0, 1)
    sides = (np.minimum(anchors[:, 2:], box[2:]) - np.maximum(anchors[:, :2], box[:2])).clip(0)
    return np.asarray(sides.prod(axis=1) / (anchors[:, 2:] - anchors[:, :2]).prod(axis=1))


def measured(model: Any, boxes: list[list[float]], weights: list[float]) -> tuple[dict[str, float], np.ndarray]:
    """The losses, the API's own as `Loss/...`, and (A,) whether ours depend on what is said of an anchor."""
    from detector.model import od_api
    from detector.model.tensorflow_env import tf

    fields = od_api.InputDataFields
    size = tf.constant([[tiny.SIDE, tiny.SIDE, 3]])
    image = np.random.default_rng(1).uniform(-1, 1, (1, tiny.SIDE, tiny.SIDE, 3)).astype(np.float32)
    labels = {
        fields.groundtruth_boxes: tf.constant([boxes], tf.float32),
        fields.groundtruth_classes: tf.one_hot([[0, 1, 0][: len(boxes)]], 2),
        fields.groundtruth_weights: tf.constant([weights], tf.float32),
    }
    od_api.set_training(model, False)
    said = dict(model.predict(tf.constant(image), size))
    names = ("class_predictions_with_background", "box_encodings")

    @tf.function  # as in training
    def traced(said: Any, labels: Any) -> Any:
        with mock.patch.object(model, "predict", lambda *_: said):
            losses, _ = od_api.losses(model, {fields.image: image, fields.true_image_shape: size}, labels)
        loss = losses["classification_loss"] + losses["localization_loss"]
        losses |= model.loss(said, size)  # the API's own, of the groundtruth that it was given above
        return losses, tf.gradients(loss, [said[name] for name in names])

    losses, slopes = traced(said, labels)
    steep = [np.abs(slope.numpy()).reshape(slope.shape[1], -1).max(axis=1) > 0 for slope in slopes]
    return {name: float(value) for name, value in losses.items()}, steep[0] | steep[1]


def test_the_loss_does_not_depend_on_what_is_said_of_a_crowd(model: Any) -> None:
    _, as_object = measured(model, [OBJECT, CROWD], [1, 1])
    losses, as_crowd = measured(model, [OBJECT, CROWD], [1, 0])
    inside = shares(model, CROWD) >= 0.5
    assert inside.sum() > 20
    assert as_object.all()
    assert not as_crowd[inside].any()
    outside = shares(model, CROWD) < 0.2
    assert outside.sum() > 100 and as_crowd[outside].all()
    # where the crowd was never labelled, its anchors are background
    unlabelled, background = measured(model, [OBJECT, PADDING], [1, 0])
    assert background.all()
    assert losses["localization_loss"] == pytest.approx(unlabelled["localization_loss"], rel=1e-6)
    assert losses["classification_loss"] < unlabelled["classification_loss"]


def test_an_object_in_a_crowd_is_learned(model: Any) -> None:
    inner = [0.5, 0.55, 0.9, 0.9]
    _, dependent = measured(model, [inner, [0.0, 0.0, 1.0, 1.0]], [1, 0])
    assert dependent.any()
    assert shares(model, inner)[dependent].max() > 0.5


def test_the_best_anchor_of_a_small_crowd_is_no_background(model: Any) -> None:
    assert shares(model, SPECK).max() < 0.5
    _, dependent = measured(model, [OBJECT, SPECK], [1, 0])
    assert 1 <= np.count_nonzero(~dependent) <= 4  # some anchors fit equally well
    assert (shares(model, SPECK)[~dependent] > 0).all()


def test_an_image_with_a_crowd_alone(model: Any) -> None:
    losses, dependent = measured(model, [CROWD], [0])
    assert losses["localization_loss"] == 0
    assert np.isfinite(losses["classification_loss"])
    assert not dependent[shares(model, CROWD) >= 0.5].any() and dependent.any()


def test_without_crowds_the_loss_is_the_apis(model: Any) -> None:
    """With padding, to the last bit; with a crowd it is not."""
    for weight, is_equal in ((1, True), (0, False)):
        losses, _ = measured(model, [OBJECT, CROWD, PADDING], [1, weight, 0])
        assert losses["localization_loss"] == losses["Loss/localization_loss"]
        assert (losses["classification_loss"] == losses["Loss/classification_loss"]) == is_equal
