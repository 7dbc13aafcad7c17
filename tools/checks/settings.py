"""All of params.yaml, with what a run is going to change in it.

A stage would refuse a wrong value, too, but only when its turn comes: the last two stages do so after the training.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from detector.base import params
from detector.base.errors import UserError
from detector.data.params import DatasetParams
from detector.evaluation.params import EvaluateParams
from detector.export.params import ExportParams, ParityParams
from detector.prediction.params import PredictParams
from detector.scene.params import SampleParams
from detector.training.params import TrainParams
from detector.weights.params import PretrainedParams
from tools import overrides
from tools.checks.lines import Line, mistake

SECTIONS: Mapping[str, type] = {
    "sample": SampleParams,
    "dataset": DatasetParams,
    "pretrained": PretrainedParams,
    "train": TrainParams,
    "evaluate": EvaluateParams,
    "export": ExportParams,
    "parity": ParityParams,
    "predict": PredictParams,
}


def read(changes: Sequence[str]) -> tuple[dict[str, Any], list[Line]]:
    """The sections of params.yaml that have no fault, each as its dataclass, and a line for each fault of the others.

    Args:
        changes: `section.key=value` as of `dvc exp run -S`.
    """
    try:
        document = params.read()
    except UserError as refused:
        return {}, [_line(refused)]
    for section, key, value in overrides.parsed(changes) if changes else ():
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


def _line(fault: UserError) -> Line:
    if fault.reason.startswith("unknown"):
        return mistake(fault, f": correct or remove it, or restore the file: git checkout {params.PARAMS_FILE}")
    return mistake(fault, f", in {params.PARAMS_FILE} or by: dvc exp run -S {fault.item}=..." if fault.item else "")
