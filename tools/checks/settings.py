"""params.yaml as a whole, with what a run is going to change in it.

A stage would refuse a wrong value, too, but only when its turn comes: after the training, for the last two.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from detector.base import params
from detector.base.errors import UserError
from detector.data.params import DatasetParams
from detector.evaluation.params import EvaluateParams
from detector.prediction.params import PredictParams
from detector.scene.params import SampleParams
from detector.training.params import TrainParams
from detector.weights.params import PretrainedParams
from tools.checks.lines import Line, error

SECTIONS: dict[str, type] = {
    "sample": SampleParams,
    "dataset": DatasetParams,
    "pretrained": PretrainedParams,
    "train": TrainParams,
    "evaluate": EvaluateParams,
    "predict": PredictParams,
}


@dataclass(frozen=True)
class Settings:
    """The sections of params.yaml; one with a fault in it is None."""

    sample: SampleParams | None = None
    dataset: DatasetParams | None = None
    pretrained: PretrainedParams | None = None
    train: TrainParams | None = None
    evaluate: EvaluateParams | None = None
    predict: PredictParams | None = None


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
