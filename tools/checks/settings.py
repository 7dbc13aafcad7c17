"""All of params.yaml, with what a run is going to change in it.

A stage would refuse a wrong value, too, but only when its turn comes: the last two stages do so after the training.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
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
from tools.checks.lines import Line, mistake

SECTIONS: Mapping[str, type] = {
    "sample": SampleParams,
    "dataset": DatasetParams,
    "pretrained": PretrainedParams,
    "train": TrainParams,
    "evaluate": EvaluateParams,
    "predict": PredictParams,
}


def read(overrides: Sequence[str]) -> tuple[dict[str, Any], list[Line]]:
    """The sections of params.yaml that have no fault, each as its dataclass, and a line for each fault of the others.

    Args:
        overrides: `section.key=value` as of `dvc exp run -S`.
    """
    try:
        document = params.read()
        params.checked(document, "train", dataclasses.make_dataclass("Nothing", []), partial=True)
    except UserError as refused:
        return {}, [_line(refused)]
    for override in overrides:
        section, key, value = _parts(override)
        document[section] = {**(document.get(section) or {}), key: value}
    sections: dict[str, Any] = {}
    lines: list[Line] = []
    for section, cls in SECTIONS.items():
        try:
            sections[section] = params.checked(document, section, cls)
        except UserError as refused:
            lines += list(_faults(section, cls, document.get(section))) or [_line(refused)]
    return sections, list(dict.fromkeys(lines))


def _parts(override: str) -> tuple[str, str, Any]:
    name, has_value, text = override.partition("=")
    section, _, key = name.partition(".")
    if not (section and key and has_value):
        raise UserError("-S", f"{override!r} is not understood", "give section.key=value, say train.steps=1000")
    try:
        return section, key, YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return section, key, text


def _faults(section: str, cls: type, values: object) -> Iterator[Line]:
    """Every fault of a section: it is checked key by key, because a check ends with the first one."""
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
    copy = dataclasses.field(metadata=field.metadata)
    return dataclasses.make_dataclass("Only", [(field.name, field.type, copy)], frozen=True)


def _line(refused: UserError) -> Line:
    if refused.reason.startswith("unknown"):
        return mistake(refused, f": take it out, or: git checkout {params.PARAMS_FILE}")
    where = f", say in {params.PARAMS_FILE}, or: dvc exp run -S {refused.item}=..." if refused.item else ""
    return mistake(refused, where)
