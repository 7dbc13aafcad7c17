"""Where the artefacts of the stages are, relative to the project's root; a test holds dvc.yaml to the same paths."""

from pathlib import Path

SAMPLE = Path("dataset/sample")  # the embedded dataset: train/ test/ label_map.pbtxt
DATA = Path("dataset/data")  # {train,val,test}.csv, annotation_report.csv, {train,val,test}.record
PRETRAINED = Path("model/pretrained")  # the checkpoint that training starts from
TRAIN = Path("model/train")  # the trained detector: best and last checkpoint, pipeline.config, label map
EXPORT = Path("model/export")  # a file or folder per format, label_map.pbtxt
TRAIN_RESULTS = Path("results/train")  # DVCLive: metrics.json, plots/metrics/**.tsv
EVALUATE = Path("results/evaluate")  # metrics.json, headline.json, curves, confusion matrix, pictures
PARITY = Path("results/parity")  # metrics.json, images.csv: the exported formats beside the checkpoint
PREDICT = Path("results/predict")  # detections.json, detections.csv, pictures/
REPORT = Path("results/report.html")

SPLITS = ("train", "val", "test")
LABEL_MAP = "label_map.pbtxt"
MODEL_RECORD = "model.json"  # in EXPORT


def csv(split: str) -> Path:
    """The CSV of a split (`train`, `val` or `test`)."""
    return DATA / f"{split}.csv"


def record(split: str) -> Path:
    """The TFRecord of a split (`train`, `val` or `test`)."""
    return DATA / f"{split}.record"


def images(dataset_dir: str | Path, split: str) -> Path:
    """The folder that holds a split's images; the validation split is a part of `train`."""
    return Path(dataset_dir) / ("test" if split == "test" else "train")
