"""Which dataset the stages read, and what they do with what is not perfect in it: section `dataset` of params.yaml."""

from dataclasses import dataclass

from detector.base import params


@dataclass(frozen=True)
class DatasetParams:
    """dir: has train/, test/ and label_map.pbtxt. val_fraction: the share of train that is set aside for validation.

    unlabelled: photos without a label file are left out (`skip`), show no object (`background`), or are an `error`.
    unusable: photos, label files and boxes that cannot be used are left out (`skip`), or are an `error`.
    max_skipped: the share of the photos that may be left out before the dataset is refused.
    clip_tolerance: a box over the edge by at most this share of the photo's side is clipped; further, it is unusable.
    """

    dir: str = params.text("the folder of a dataset, say dataset/sample")
    val_fraction: float = params.number(0, 0.9)
    unlabelled: str = params.one_of("skip", "background", "error")
    unusable: str = params.one_of("skip", "error")
    max_skipped: float = params.number(0, 1)
    clip_tolerance: float = params.number(0, 1)
