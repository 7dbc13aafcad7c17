"""How the detector is trained: the section `train` of params.yaml."""

from dataclasses import dataclass

from detector.base import params
from detector.model import pipeline_config


@dataclass(frozen=True)
class TrainParams:
    """params.yaml says of each what it does, and from where on they do not shape the weights."""

    model: str = params.one_of(*pipeline_config.MODELS)
    fine_tune_checkpoint_type: str = params.one_of("classification", "detection", "full", "none")
    steps: int = params.number(1, 10_000_000)
    batch_size: int = params.number(1, 65_536)
    learning_rate: float | str = params.number(1e-8, 10, auto=True)
    backbone_learning_rate: float = params.number(0, 1)
    frozen_blocks: int = params.number(0, pipeline_config.BLOCKS)
    config_override: str = params.text("text of a TrainEvalPipelineConfig", empty=True)
    eval_every: int = params.number(1, 10_000_000)
    patience: int = params.number(0, 10_000_000)
    max_minutes: float = params.number(0, 1_000_000)
    seed: int = params.number(0, 2**31 - 1)
    deterministic: bool = params.flag()
    bfloat16: bool = params.flag()
    accelerator: str = params.one_of("auto", "tpu", "gpu", "cpu")
    checkpoint_every: int = params.number(0, 10_000_000)
    checkpoint_minutes: float = params.number(0, 1_000_000)
    keep: int = params.number(1, 1000)
    work_dir: str = params.text("a folder, or gs://bucket/folder")
