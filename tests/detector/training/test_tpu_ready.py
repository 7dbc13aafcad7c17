"""What can be shown of a TPU without one: the step compiles under XLA, its shapes are static, and bfloat16 trains."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector.base import paths
from detector.model import checkpoints, od_api
from detector.model.tensorflow_env import tf
from detector.training import batches
from detector.training.train_step import TrainStep
from tests.support import tiny

pytestmark = pytest.mark.long
STEPS = 4
MODELS = ("ssd_mobilenet_v2_320x320", "ssd_mobilenet_v2_fpnlite_320x320")
# Adam's first steps as long as the gradient is: otherwise rounding decides where they go.
OVERRIDE = """model {{ ssd {{
    freeze_batchnorm: {frozen} image_resizer {{ fixed_shape_resizer {{ height: {size} width: {size} }} }}
}} }}
train_config {{ optimizer {{ adam_optimizer {{ epsilon: 1e-3 }} }} }}"""
SIZE = 96
# oneDNN's bfloat16 convolution leaves the gradient of filter taps that lie outside of a map of 1 x 1 unset, on the CPU.
# FPNLite has such maps for inputs of up to 128 pixels only.
BFLOAT16_SIZE = 160


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project before train_tpu; the tests run in it."""
    root = tiny.prepared(tmp_path_factory.mktemp("project"))
    with contextlib.chdir(root):
        yield root


class Training:
    """The first steps of a training: `losses` and `updates` (of the weights) of each, the `graph` of one, the `model`.

    Given another training, each step starts from the state (weights, statistics and moments) that the other one had
    before it: one step can be compared, whereas over several every rounding grows.
    """

    def __init__(
        self,
        name: str,
        size: int,
        *,
        other: "Training | None" = None,
        jit_compile: bool = False,
        bfloat16: bool = False,
        frozen: bool = False,
    ) -> None:
        config = tiny.config(
            name,
            label_map=Path("dataset/tiny/label_map.pbtxt"),
            steps=STEPS,
            batch_size=2,
            learning_rate=1e-4,
            fine_tune_checkpoint_type="classification",
            bfloat16=bfloat16,
            config_override=OVERRIDE.format(size=size, frozen=str(frozen).lower()),
        )
        tf.keras.utils.set_random_seed(1)
        strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
        with strategy.scope():
            self.model = od_api.build_model(config, bfloat16=bfloat16)
            checkpoints.restore(self.model, Path("model/pretrained/ckpt-1"), "classification")
        step = TrainStep(self.model, config, strategy, jit_compile=jit_compile)
        data: Any = iter(
            strategy.distribute_datasets_from_function(
                lambda context: batches.dataset(
                    config, self.model, paths.record("train"), context, batch_size=2, seed=1, first_step=0
                )
            )
        )
        optimizers = (step.everything().optimizer, step.everything().backbone_optimizer)
        state = [*self.model.variables, *(variable for built in optimizers for variable in built.variables())]
        self.states, self.losses, self.updates = [], [], []
        for number in range(STEPS):
            for variable, value in zip(state, other.states[number] if other else (), strict=bool(other)):
                variable.assign(value)
            self.states.append([variable.numpy() for variable in state])
            before = self.weights()
            self.losses.append(step(data, float(number))[0])
            self.updates.append(self.weights() - before)
        self.graph = step.graph(data)

    def weights(self) -> np.ndarray:
        return np.concatenate([variable.numpy().ravel() for variable in self.model.trainable_variables])


@pytest.fixture(scope="module", params=[MODELS[0], pytest.param(MODELS[1], marks=pytest.mark.slow)])
def plain(request: pytest.FixtureRequest, project: Path) -> tuple[str, Training]:
    return request.param, Training(request.param, SIZE)


def assert_close(found: Training, expected: Training, *, loss: float, update: float) -> None:
    """The losses (within a part `loss` of them) show the forward pass, the cosine of the updates shows the way back."""
    for number, losses in enumerate(expected.losses):
        for name, value in losses.items():
            np.testing.assert_allclose(found.losses[number][name], value, rtol=loss, err_msg=f"{name}, {number}")
    for ours, theirs in zip(found.updates, expected.updates, strict=True):
        assert ours @ theirs > update * np.linalg.norm(ours) * np.linalg.norm(theirs) > 0


def test_every_shape_is_static(plain: tuple[str, Training]) -> None:
    outputs = [output for operation in plain[1].graph.get_operations() for output in operation.outputs]
    values = [output for output in outputs if output.dtype not in (tf.resource, tf.variant, tf.string)]
    assert len(values) > 3000  # the step itself, not a call of it
    dynamic = {(value.op.type, value.value_index) for value in values if not value.shape.is_fully_defined()}
    # Room that a GPU's kernel may want between a layer's two passes, and its gradient: nothing computes with it.
    assert dynamic == {("FusedBatchNormV3", 5), ("ZerosLike", 0)}


def test_the_step_compiles_under_xla_to_the_same_losses(plain: tuple[str, Training]) -> None:
    """XLA refuses whatever only the host can do.

    The statistics of two images enlarge every rounding. Measured, at most: 8e-4 of a loss, and a cosine of 0.974.
    """
    name, uncompiled = plain
    assert_close(Training(name, SIZE, other=uncompiled, jit_compile=True), uncompiled, loss=0.01, update=0.9)


def require_bfloat16() -> None:
    """Skip where ONEDNN_MAX_CPU_ISA hides from oneDNN what TensorFlow still sees; elsewhere one has a kernel for it."""
    image, kernel = tf.ones((1, 8, 8, 3), tf.bfloat16), tf.ones((3, 3, 3, 4), tf.bfloat16)
    try:
        tf.nn.conv2d(image, kernel, strides=1, padding="SAME")
    except tf.errors.AbortedError:
        if os.environ.get("ONEDNN_MAX_CPU_ISA"):
            pytest.skip(f"ONEDNN_MAX_CPU_ISA={os.environ['ONEDNN_MAX_CPU_ISA']}: oneDNN has no bfloat16 convolution")
        raise


def test_bfloat16_computes_in_it_and_keeps_float32_weights(project: Path) -> None:
    require_bfloat16()
    name = "ssd_mobilenet_v2_fpnlite_320x320"
    # The statistics of two images would enlarge every rounding; what is compared here keeps those that it came with.
    expected = Training(name, BFLOAT16_SIZE, frozen=True)
    found = Training(name, BFLOAT16_SIZE, other=expected, bfloat16=True, frozen=True)
    convolutions = [
        operation.outputs[0].dtype
        for operation in found.graph.get_operations()
        if operation.type.startswith(("Conv2D", "DepthwiseConv2d"))
    ]
    assert set(convolutions) == {tf.bfloat16}
    assert len(convolutions) > 200
    assert {variable.dtype for variable in found.model.variables} == {tf.float32}
    assert all(np.isfinite(variable.numpy()).all() for variable in found.model.variables)
    assert_close(found, expected, loss=0.01, update=0.99)  # measured, at most: 1.4e-3, and a cosine of 0.9992
