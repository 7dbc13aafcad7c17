"""All of params.yaml, with what a run is going to change in it.

A stage would refuse a wrong value, too, but only when its turn comes: the last two stages do so after the training.
"""

from collections.abc import Mapping, Sequence
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
    except UserError as refused:
        return {}, [_line(refused)]
    for override in overrides:
        section, key, value = _parts(override)
        values = document.get(section)
        document[section] = {**values, key: value} if isinstance(values, dict) else {key: value}
    sections: dict[str, Any] = {}
    lines: list[Line] = []
    for section, cls in SECTIONS.items():
        if faults := list(params.faults(document, section, cls)):
            lines += map(_line, faults)
        else:
            sections[section] = params.checked(document, section, cls)
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


def _line(fault: UserError) -> Line:
    if fault.reason.startswith("unknown"):
        return mistake(fault, f": correct or remove it, or restore the file: git checkout {params.PARAMS_FILE}")
    return mistake(fault, f", in {params.PARAMS_FILE} or by: dvc exp run -S {fault.item}=..." if fault.item else "")
