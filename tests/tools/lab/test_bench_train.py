"""tools.lab.bench_train: what it counts. (`make bench-train` itself takes twenty minutes.)"""

import contextlib
from pathlib import Path

import pytest

from detector.base.errors import UserError
from tests.support import tiny
from tools.lab import bench_train


def test_multiply_adds_by_hand() -> None:
    """A 3 x 3 convolution and a depthwise one over an image of 4 x 4, a matrix product; forward, and the gradients."""
    from detector.model.tensorflow_env import tf

    @tf.function
    def step(image: tf.Tensor, kernel: tf.Tensor, depthwise: tf.Tensor, matrix: tf.Tensor) -> list[tf.Tensor]:
        found = tf.nn.conv2d(image, kernel, strides=1, padding="SAME")
        found = tf.nn.depthwise_conv2d(found, depthwise, strides=[1, 2, 2, 1], padding="SAME")
        found = tf.matmul(tf.reshape(found, (2, 10)), matrix)
        return list(tf.gradients(found, [image, kernel, depthwise, matrix]))

    shapes = ((1, 4, 4, 2), (3, 3, 2, 5), (3, 3, 5, 1), (10, 7))
    graph = step.get_concrete_function(*(tf.TensorSpec(shape) for shape in shapes)).graph
    convolution = 4 * 4 * (3 * 3 * 2 * 5)
    depthwise = 2 * 2 * (3 * 3 * 5)
    product = 2 * 10 * 7
    assert bench_train.multiply_adds(graph) == 3 * (convolution + depthwise + product)


def test_without_records_it_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.params(tmp_path)
    monkeypatch.setattr("sys.argv", ["bench_train"])
    with contextlib.chdir(tmp_path), pytest.raises(UserError) as caught:
        bench_train.main()
    assert caught.value.line() == "dataset/data/train.record: not found; run: dvc repro csv2record"
