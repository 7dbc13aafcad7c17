"""What an export says of itself: the numbers of its training, evaluation and data, counted by hand."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig
from ruamel.yaml import YAML

from detector.data.params import DatasetParams
from detector.export import model_card
from detector.export.params import ExportParams

HEAD = "filename,width,height,class,xmin,ymin,xmax,ymax,is_crowd\n"
CSVS = {
    "train": "a.jpg,9,9,cat,1,1,5,5,0\na.jpg,9,9,big | dog,1,1,5,5,0\nb.jpg,9,9,,,,,,\n",
    "val": "c.jpg,9,9,cat,1,1,5,5,0\n",
    "test": "d.jpg,9,9,cat,1,1,5,5,0\ne.jpg,9,9,cat,1,1,5,5,0\n",
}
REPORT = "split,filename,object,problem,action\ntrain,x.jpg,,broken XML: no tag; fix it,skipped\n"
TRAINING = {
    "model": "ssd_mobilenet_v2_320x320",
    "steps": 300,
    "best_step": 200,
    "score_threshold": 0.65,
    "start": {"source": "open_images"},
}
METRICS = {
    "AP": 0.8125,
    "AP50": 0.9375,
    "images": 2,
    "groundtruth_boxes": 2,
    "AP_interval": {"low": 0.75, "high": 0.875},
    "per_class": {"cat": {"AP": 0.8125, "AP50": 0.9375}},
}
CONFIG = """model { ssd {
  image_resizer { fixed_shape_resizer { height: 300 width: 300 } }
  post_processing { batch_non_max_suppression { max_total_detections: 200 } }
} }"""
LABEL_MAP = {"cat": 1, "big | dog": 2}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project where a model was trained and evaluated."""
    monkeypatch.chdir(tmp_path)
    for folder in ("dataset/data", "model/train", "results/evaluate", "export"):
        Path(folder).mkdir(parents=True)
    for split, rows in CSVS.items():
        Path(f"dataset/data/{split}.csv").write_text(HEAD + rows)
        Path(f"dataset/data/{split}.record").write_bytes(split.encode())
    Path("dataset/data/annotation_report.csv").write_text(REPORT)
    Path("model/train/train.json").write_text(json.dumps(TRAINING))
    Path("results/evaluate/metrics.json").write_text(json.dumps(METRICS))
    return tmp_path


def written(
    training: dict[str, Any] | None = None, dataset_dir: str = "dataset/pets"
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """model.json; the front matter and the text of README.md."""
    if training is not None:
        Path("model/train/train.json").write_text(json.dumps(training))
    config = text_format.Parse(CONFIG, TrainEvalPipelineConfig())
    dataset = DatasetParams(dataset_dir, 0.1, "skip", "error", 0.5, 0.05)
    record = model_card.record(dataset, ExportParams(("tflite", "onnx"), "uint8"), config, LABEL_MAP)
    model_card.write(Path("export"), record)
    _, front, text = Path("export/README.md").read_text().split("---\n", 2)
    return json.loads(Path("export/model.json").read_text()), YAML(typ="safe").load(front), text


def test_the_record_has_the_training_the_metrics_and_the_data(root: Path) -> None:
    record, _, _ = written()
    assert (record["classes"], record["score_threshold"]) == ({"1": "cat", "2": "big | dog"}, 0.65)
    assert (record["training"], record["metrics"], record["max_detections"]) == (TRAINING, METRICS, 200)
    assert record["data"]["train"] == {
        "photos": 2,
        "objects": 2,
        "per_class": {"cat": 1, "big | dog": 1},
        "record_sha256": hashlib.sha256(b"train").hexdigest(),
    }
    assert record["data"]["left_out"] == {"photos": {"broken XML": 1}, "boxes": {}}
    assert {name: one["file"] for name, one in record["formats"].items()} == {
        "tflite": "model.tflite",
        "onnx": "model.onnx",
    }
    assert record["formats"]["tflite"]["input"].startswith("float32 (1, 300, 300, 3), RGB, pixel / 127.5 - 1")
    assert record["licences"]["initial_weights"] == "Apache-2.0"


def test_the_params_are_those_of_the_run_and_name_no_machine(root: Path) -> None:
    record, _, text = written({**TRAINING, "params": {"batch_size": 16, "learning_rate": "auto"}}, "/home/me/pets")
    assert record["params"] == {
        "dataset": {
            "val_fraction": 0.1,
            "unlabelled": "skip",
            "unusable": "error",
            "max_skipped": 0.5,
            "clip_tolerance": 0.05,
        },
        "train": {"batch_size": 16, "learning_rate": "auto"},
        "export": {"formats": ["tflite", "onnx"], "int8_input": "uint8"},
    }
    assert (record["dataset"], record["training"]) == ("pets", TRAINING)
    assert "Params: `train.batch_size` 16, `train.learning_rate` auto, `dataset.val_fraction` 0\\.1, " in text
    assert written()[0]["params"]["dataset"]["dir"] == "dataset/pets"


def test_the_card_is_one_that_hugging_face_reads(root: Path) -> None:
    _, front, text = written()
    (model,) = front["model-index"]
    (result,) = model["results"]
    assert (front["pipeline_tag"], model["name"]) == ("object-detection", "passo-pets")
    assert result["dataset"] == {"name": "pets", "type": "pets", "split": "test"}
    assert {one["type"]: one["value"] for one in result["metrics"]} == {"ap": 0.8125, "ap50": 0.9375}
    assert "| AP | 0.812 | 0.750 to 0.875 |" in text
    assert "| AP50 | 0.938 | - |" in text
    assert "| cat | 2 | 0.812 | 0.938 |" in text
    assert "| `model.onnx` | uint8 (N, H, W, 3), RGB, 0 to 255" in text


def test_a_class_name_is_text_there_and_no_markdown(root: Path) -> None:
    _, _, text = written()
    assert r"| big \| dog | 0 | - | - |" in text


def test_without_what_is_not_known(root: Path) -> None:
    record, _, text = written({"steps": 5, "start": {"source": "my/weights"}})
    assert record["licences"]["initial_weights"] is None
    assert record["score_threshold"] is None
    assert record["commit"] is None  # no git here
    assert "Commit: unknown" in text


def test_the_commit_and_whether_its_code_was_changed(root: Path) -> None:
    Path("params.yaml").write_text("train:\n")
    identity = [word for key in ("name", "email") for word in ("-c", f"user.{key}=passo@example.com")]
    for command in (["init", "-q"], ["add", "params.yaml"], [*identity, "commit", "-qm", "start"]):
        subprocess.run(["git", *command], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert model_card.commit() == head
    Path("params.yaml").write_text("train: {}\n")
    assert model_card.commit() == f"{head}+"
