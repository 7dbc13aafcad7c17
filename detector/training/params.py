"""How the detector is trained: the section `train` of params.yaml."""

from dataclasses import dataclass

from detector.base import params
from detector.model.pipeline_config import PipelineParams


@dataclass(frozen=True)
class TrainParams(PipelineParams):
    """params.yaml explains each key. 0 means never, or no limit."""

    backbone_learning_rate: float = params.number(0, 1)
    eval_every: int = params.whole(1, 10_000_000)
    patience: int = params.whole(0, 10_000_000)
    max_minutes: float = params.number(0, 1_000_000)
    seed: int = params.whole(0, 2**31 - 1)
    deterministic: bool = params.flag()
    accelerator: str = params.one_of("auto", "tpu", "gpu", "cpu")
    checkpoint_every: int = params.whole(0, 10_000_000)
    checkpoint_minutes: float = params.number(0, 1_000_000)
    keep: int = params.whole(1, 1000)
    work_dir: str = params.text("a folder, or gs://bucket/folder")
