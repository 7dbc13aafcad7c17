"""The files of a small run, as the stages leave them in a project, for what shows them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

HOSTILE = "<script>alert('é')</script>\"><img src=http://evil.example/x>"
METRICS = {
    "AP": 0.6451,
    "AP50": 0.94,
    "AP_interval": {"low": 0.6002, "high": 0.69},
    "AP75": 0.742,
    "AP_large": 0.67,
    "AR100": 0.73,
    "images": 104,
    "groundtruth_boxes": 111,
    "per_class": {"cat": {"AP": 0.661, "AP50": 0.951, "AR100": 0.74}, HOSTILE: {"AP": 0.6294}},
    "loss": {
        "localization_loss": 0.13,
        "classification_loss": 0.206,
        "regularization_loss": 0.771,
        "total_loss": 1.107,
    },
}


def write(path: str | Path, content: object) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def picture(path: str | Path, size: tuple[int, int] = (60, 40), noise: int = 0) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if noise:
        pixels = np.random.default_rng(noise).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, quality=95)
    else:
        Image.new("RGB", size, (200, 30, 30)).save(path)


def train_results() -> None:
    write("model/train/train.json", {"model": "m", "steps": 1500, "best_step": 1000, "best": {"AP": 0.4, "AP50": 0.7}})
    for name, values in {
        "loss/total_loss": [2, 1, 0.5],
        "val/AP": [0.2, 0.4, 0.3],
        "val/AP50": [0.5, 0.7, 0.9],
    }.items():
        rows = "".join(f"{500 * k}\t{value}\n" for k, value in enumerate(values, start=1))
        write(f"results/train/plots/metrics/{name}.tsv", f"step\t{name.split('/')[1]}\n{rows}")


def evaluate_results() -> None:
    write("results/evaluate/metrics.json", METRICS)
    write("results/evaluate/precision_recall.csv", "class,recall,precision,score\ncat,0,1,0.9\ncat,0.5,0.8,0.4\n")


COLUMNS = "filename,width,height,class,xmin,ymin,xmax,ymax"
LABELLED = ["a.jpg,60,40,cat,0,0,20,20,0", "a.jpg,60,40,dog,40,20,60,40,0", "b.jpg,60,40,cat,30,0,50,20,0"]
DETECTED = [  # right; wrong class; nothing there; missed in b.jpg; right below the threshold
    *("a.jpg,60,40,cat,0,0,20,20,0.9", "a.jpg,60,40,cat,40,20,60,40,0.8", "c.jpg,60,40,dog,0,0,9,9,0.7"),
    *("b.jpg,60,40,cat,30,0,50,20,0.3", "d.jpg,60,40,,,,,,"),
]


def detections(
    labelled: list[str] = LABELLED, detected: list[str] = DETECTED, names: Sequence[str] = ("cat", "dog")
) -> None:
    """What evaluate has detected in four photos of dataset/pets, at a threshold of 0.5."""
    rows = [*labelled, "c.jpg,60,40,,,,,,", "d.jpg,60,40,,,,,,"]
    write("dataset/data/test.csv", "\n".join([f"{COLUMNS},is_crowd", *rows]) + "\n")
    write("results/evaluate/detections.csv", "\n".join([f"{COLUMNS},score", *detected]) + "\n")
    items = [f"item {{ id: {k} name: {json.dumps(name)} }}\n" for k, name in enumerate(names, start=1)]
    write("results/evaluate/label_map.pbtxt", "".join(items))
    settings = Path("params.yaml").read_text(encoding="utf-8").replace("dir: dataset/sample", "dir: dataset/pets")
    write("params.yaml", settings)
    for name in "abcd":
        picture(f"dataset/pets/test/{name}.jpg")
