"""params.yaml as a whole, with what a run is going to change in it.

Each stage declares its section itself, and tools import no stages: the classes here repeat theirs, and a test holds
them equal. A stage would refuse a wrong value, too, but only when its turn comes: after the training, for the last two.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from detector import params, pipeline_config
from detector.dataset import DatasetParams
from detector.errors import UserError
from tools.checks.lines import Line, error


@dataclass(frozen=True)
class Sample:
    """As stages/sample.py has it."""

    seed: int = params.number(0, 2**32 - 1)
    train_images: int = params.number(1, 100_000)
    test_images: int = params.number(1, 100_000)


@dataclass(frozen=True)
class Pretrained:
    """As stages/pretrained.py has it."""

    source: str = params.text("package, open_images, last, an https:// or gs:// address, or a path")
    sha256: str = params.text("the archive's sha256", empty=True)


@dataclass(frozen=True)
class Train:
    """As stages/train_tpu.py has it."""

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


@dataclass(frozen=True)
class Evaluate:
    """As stages/evaluate.py has it."""

    score_threshold: float = params.number(0, 1)
    iou_threshold: float = params.number(0.05, 1)
    pictures: int = params.number(0)


@dataclass(frozen=True)
class Predict:
    """As stages/predict.py has it."""

    score_threshold: float = params.number(0, 1)


SECTIONS: dict[str, type] = {
    "sample": Sample,
    "dataset": DatasetParams,
    "pretrained": Pretrained,
    "train": Train,
    "evaluate": Evaluate,
    "predict": Predict,
}


@dataclass(frozen=True)
class Settings:
    """The sections of params.yaml; one with a fault in it is None."""

    sample: Sample | None = None
    dataset: DatasetParams | None = None
    pretrained: Pretrained | None = None
    train: Train | None = None
    evaluate: Evaluate | None = None
    predict: Predict | None = None


def read(overrides: Sequence[str]) -> tuple[Settings, list[Line]]:
    """params.yaml with `section.key=value` as `dvc exp run -S` would have it, and a line for every fault in it."""
    try:
        document = params.read()
        params.checked(document, "train", dataclasses.make_dataclass("Nothing", []), partial=True)
    except UserError as refused:
        return Settings(), [_line(refused)]
    for override in overrides:
        section, key, value = _parts(override)
        document[section] = {**(document.get(section) or {}), key: value}
    sections: dict[str, Any] = {}
    lines: list[Line] = []
    for section, cls in SECTIONS.items():
        try:
            sections[section] = params.checked(document, section, cls)
        except UserError as refused:
            lines += list(_each(section, cls, document.get(section))) or [_line(refused)]
    return Settings(**sections), list(dict.fromkeys(lines))


def _parts(override: str) -> tuple[str, str, Any]:
    name, is_given, text = override.partition("=")
    section, _, key = name.partition(".")
    if not (section and key and is_given):
        raise UserError("-S", f"{override!r} is not understood", "give section.key=value, say train.steps=1000")
    try:
        return section, key, YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return section, key, text


def _each(section: str, cls: type, values: object) -> Iterator[Line]:
    """The faults of a section key by key, for loading it ends with the first."""
    if not isinstance(values, dict):
        return
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in dict.fromkeys([*fields, *values]):
        alone = {section: {key: values[key]} if key in values else {}}
        try:
            params.checked(alone, section, _only(fields[key]) if key in fields else cls)
        except UserError as refused:
            yield _line(refused)


def _only(field: dataclasses.Field[Any]) -> type:
    one = (field.name, field.type, dataclasses.field(metadata=field.metadata))
    return dataclasses.make_dataclass("Only", [one], frozen=True)


def _line(refused: UserError) -> Line:
    mending = f", say in {params.PARAMS_FILE}, or: dvc exp run -S {refused.item}=..." if refused.item else ""
    if refused.reason.startswith("unknown"):
        mending = f": take it out, or: git checkout {params.PARAMS_FILE}"
    return error(
        ": ".join(part for part in (refused.where, refused.item, refused.reason) if part), refused.remedy + mending
    )
