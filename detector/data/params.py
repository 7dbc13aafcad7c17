"""Which dataset the stages read: the section `dataset` of params.yaml."""

from dataclasses import dataclass

from detector.base import params


@dataclass(frozen=True)
class DatasetParams:
    """dir: has train/, test/ and label_map.pbtxt. val_fraction: the share of train that is set aside for validation."""

    dir: str = params.text("the folder of a dataset, say dataset/sample")
    val_fraction: float = params.number(0, 0.9)
