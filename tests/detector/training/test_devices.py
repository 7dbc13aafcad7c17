"""What a training runs on."""

from pathlib import Path

import pytest

from detector.base.errors import UserError
from detector.training import accelerators, tpu_node


def test_a_batch_is_shared_equally() -> None:
    accelerators.check_batch(6, 2, "2 x gpu")
    message = r"params\.yaml: train\.batch_size: 5 cannot be shared equally by 2 x gpu; run: make train BATCH=6$"
    with pytest.raises(UserError, match=message):
        accelerators.check_batch(5, 2, "2 x gpu")


def test_the_cpu_always_exists() -> None:
    from detector.training import devices

    assert devices.describe(devices.strategy("cpu")) == "1 x cpu"


@pytest.mark.parametrize(
    ("variables", "attached", "variable"),
    [
        ({}, "", ""),
        ({"TPU_NAME": "local", "COLAB_TPU_ADDR": ""}, "", ""),
        ({"COLAB_TPU_ADDR": "10.0.0.2:8470"}, "", "COLAB_TPU_ADDR"),
        ({"TPU_NAME": "my-node"}, "", "TPU_NAME"),
        ({"KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS": "grpc://10.0.0.2:8470"}, "", "KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS"),
        ({"TPU_NAME": "my-vm"}, "accel0", ""),
        ({"TPU_NAME": "my-vm"}, "vfio/0", ""),
    ],
)
def test_a_tpu_node_is_known_by_its_variables(
    variables: dict[str, str], attached: str, variable: str, tmp_path: Path
) -> None:
    if attached:
        (tmp_path / attached).parent.mkdir(exist_ok=True)
        (tmp_path / attached).touch()
    assert tpu_node.variable(variables, tmp_path) == variable


@pytest.mark.skipif(tpu_node.variable({"TPU_NAME": "x"}) == "", reason="a TPU is attached")
def test_a_tpu_node_is_refused_and_the_cpu_beside_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    from detector.training import devices

    monkeypatch.setenv("TPU_NAME", "my-node")
    for accelerator in ("auto", "tpu"):
        with pytest.raises(UserError, match=r"^TPU_NAME: this is a TPU node, which reads gs:// only; .* v5e-1 TPU"):
            devices.on_this_host(accelerator)
    assert devices.on_this_host("cpu") == "cpu"
