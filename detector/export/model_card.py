"""What an exported model says of itself, beside it: model.json for programs, README.md for people.

README.md is a model card as Hugging Face reads it: its front matter has a `model-index` with the metrics.
"""

import io
import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from detector.annotations import left_out
from detector.base import files, paths
from detector.data import tables
from detector.data.params import DatasetParams
from detector.export.params import FORMATS, ExportParams

CARD = "README.md"
CODE = ("detector", "stages", "dvc.yaml", "params.yaml")  # what a commit has to say of how a model was made
LICENCE = "Apache-2.0"
METRICS = ("AP", "AP50")
SHOWN = {  # in the card, of params.yaml
    "train": ("batch_size", "learning_rate", "fine_tune_checkpoint_type", "frozen_blocks", "seed"),
    "dataset": ("val_fraction", "unlabelled", "unusable"),
}
GOOGLES = ("open_images", "package", "https://storage.googleapis.com/")  # start.source: weights of this licence

_ANY = "uint8 (N, H, W, 3), RGB, 0 to 255: N photos of one size, whatever it is"
_FLOAT = "float32 (1, {side}, {side}, 3), RGB, pixel / 127.5 - 1: one photo, resized without half-pixel centres"
INPUTS = {
    "saved_model": f"{_ANY}; and files, by the signature encoded_image_string_tensor",
    "tflite": _FLOAT,
    "tflite_float16": _FLOAT,
    "tflite_int8": "uint8 (1, {side}, {side}, 3), RGB, 0 to 255: one photo, resized without half-pixel centres",
    "tflite_saved_model": "none: it is what tf.lite.TFLiteConverter reads",
    "onnx": _ANY,
    "onnx_int8": _ANY,
}


def record(dataset: DatasetParams, settings: ExportParams, config: Any, label_map: Mapping[str, int]) -> dict[str, Any]:
    """What is known of the model that was trained and evaluated here.

    Args:
        dataset: which, and how it was read.
        settings: with the formats that are exported.
        config: the TrainEvalPipelineConfig.
        label_map: class name -> id.
    """
    training = _json(paths.TRAIN / "train.json")
    of_training = training.pop("params", None)
    side = config.model.ssd.image_resizer.fixed_shape_resizer.height
    inputs = {**INPUTS, "tflite_int8": INPUTS["tflite_int8"] if settings.int8_input == "uint8" else _FLOAT}
    return {
        "task": "object-detection",
        "dataset": Path(dataset.dir).name,
        "model": training.get("model"),
        "classes": {str(number): name for name, number in label_map.items()},
        "score_threshold": training.get("score_threshold"),
        "max_detections": config.model.ssd.post_processing.batch_non_max_suppression.max_total_detections,
        "metrics": _json(paths.EVALUATE / "metrics.json"),
        "data": {split: _counts(split, label_map) for split in paths.SPLITS} | {"left_out": left_out.of_report()},
        "params": {"dataset": _portable(asdict(dataset)), "train": of_training, "export": asdict(settings)},
        "training": training,
        "formats": {
            name: {"file": FORMATS[name][0], "input": inputs[name].format(side=side)} for name in settings.formats
        },
        "licences": {"code": LICENCE, "initial_weights": _licence(training), "photos": None, "model": None},
        "commit": commit(),
    }


def _portable(section: Mapping[str, Any]) -> dict[str, Any]:
    """A section of params.yaml without the paths of one machine."""
    return {key: value for key, value in section.items() if not str(value).startswith(("/", "~"))}


def _json(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    return dict(found)


def _counts(split: str, label_map: Mapping[str, int]) -> dict[str, object]:
    """Of a split: photos, objects, objects of each class; the digest of its TFRecord, which holds photos and boxes."""
    images = tables.read_csv(paths.csv(split), label_map)
    ids = [number for image in images for number in image.classes.tolist()]
    per_class = {name: ids.count(number) for name, number in label_map.items()}
    digest = files.sha256(paths.record(split))
    return {"photos": len(images), "objects": len(ids), "per_class": per_class, "record_sha256": digest}


def _licence(training: Mapping[str, Any]) -> str | None:
    """Of the weights that the training started from; None where they are not known, or of another model of the user."""
    source = str(training.get("start", {}).get("source", ""))
    return LICENCE if source.startswith(GOOGLES) else None


def commit() -> str | None:
    """The commit whose code runs, with `+` where files of it were changed since; None outside git."""
    command = ["git", "--no-optional-locks"]
    try:
        head = subprocess.run([*command, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run(
            [*command, "status", "--porcelain", "--untracked-files=no", "--", *CODE],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changed.stdout else "")


def write(folder: Path, what: Mapping[str, Any]) -> None:
    """Write model.json and README.md into `folder`. what: a `record`."""
    files.write_text(folder / paths.MODEL_RECORD, json.dumps(what, indent=2, ensure_ascii=False) + "\n")
    files.write_text(folder / CARD, card(what))


def card(what: Mapping[str, Any]) -> str:
    """The model card of a `record`, in Markdown."""
    metrics, data, training = what["metrics"], what["data"], what["training"]
    threshold = what["score_threshold"]
    shown = f"from {threshold:g} up: the best F1 on the validation photos" if threshold else "0.5 up; none was measured"
    left_out = sum(sum(kinds.values()) for kinds in data["left_out"].values())
    source = training.get("start", {}).get("source", "unknown")
    return f"""---
{_front_matter(what)}---

# Detector of {_listed(what["classes"].values())}

{_plain(str(what["model"]))}, trained with Passo on the dataset {_plain(what["dataset"])}.

## How good it is

On {metrics["images"]} test photos that it was not trained on, with {metrics["groundtruth_boxes"]} objects:

| | value | 95 % interval |
| --- | --- | --- |
{_row(metrics, "AP")}
{_row(metrics, "AP50")}

{_per_class(what)}

The interval says what other test photos of the same kind might give. Detections count with a score {shown}.

## How to run it

| file | input |
| --- | --- |
{_rows([f"`{one['file']}`", one["input"]] for one in what["formats"].values())}

Boxes are [ymin, xmin, ymax, xmax], as parts of the photo's height and width. `label_map.pbtxt` and `model.json` name
the classes; TFLite counts them from 0, the others from 1.

## Data and training

| split | photos | objects | sha256 of its TFRecord |
| --- | --- | --- | --- |
{_rows([split, data[split]["photos"], data[split]["objects"], data[split]["record_sha256"]] for split in paths.SPLITS)}

Photos and boxes that could not be used and were left out: {left_out}. {training.get("steps")} steps, the best model at
step {training.get("best_step")}. Initial weights: {_plain(str(source))}. Commit: {what["commit"] or "unknown"}.

{_params(what["params"])}

## Limits

- It was measured on photos like those of its dataset. Other cameras, places, light and sizes of objects may give less.
- It finds these classes only, and knows nothing of other things. It was not checked for bias.
- Small objects: it sees the photo at the size that is in the table.

## Licence

Code: {what["licences"]["code"]}. Initial weights: {what["licences"]["initial_weights"] or "see where they came from"}.
The photos are whose they are: whether and how the model may be passed on depends on them, too. Say so here.
"""


def _front_matter(what: Mapping[str, Any]) -> str:
    name, metrics = f"passo-{what['dataset']}", what["metrics"]
    results = {
        "task": {"type": what["task"]},
        "dataset": {"name": what["dataset"], "type": what["dataset"], "split": "test"},
        "metrics": [
            {"type": one.lower(), "name": f"COCO {one}", "value": metrics[one]} for one in METRICS if one in metrics
        ],
    }
    head = {
        "license": "other",
        "license_name": "see-below",
        "library_name": "tf-keras",
        "pipeline_tag": what["task"],
        "tags": ["object-detection", "ssd", "mobilenetv2", "tflite", "onnx"],
        "model-index": [{"name": name, "results": [results]}],
    }
    text = io.StringIO()
    writer = YAML(pure=True)
    writer.default_flow_style = False
    writer.dump(head, text)
    return text.getvalue()


def _row(metrics: Mapping[str, Any], name: str) -> str:
    ends = metrics.get(f"{name}_interval")
    interval = f"{ends['low']:.3f} to {ends['high']:.3f}" if ends else "-"
    return f"| {name} | {_number(metrics, name)} | {interval} |"


def _per_class(what: Mapping[str, Any]) -> str:
    measured, objects = what["metrics"].get("per_class", {}), what["data"]["test"]["per_class"]
    rows = [
        [_plain(name), objects[name], *(_number(measured.get(name, {}), metric) for metric in METRICS)]
        for name in what["classes"].values()
    ]
    return f"| class | test objects | AP | AP50 |\n| --- | --- | --- | --- |\n{_rows(rows)}"


def _params(sections: Mapping[str, Any]) -> str:
    """A line of those that say most, as far as they are known."""
    chosen = [(section, key) for section, keys in SHOWN.items() for key in keys if key in (sections[section] or {})]
    shown = ", ".join(f"`{section}.{key}` {_plain(str(sections[section][key]))}" for section, key in chosen)
    return f"Params: {shown}; all are in `model.json`."


def _rows(rows: Iterable[Iterable[object]]) -> str:
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def _number(numbers: Mapping[str, Any], name: str) -> str:
    return f"{numbers[name]:.3f}" if name in numbers else "-"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(_plain, names))


def _plain(name: str) -> str:
    """A name of others' as plain text in Markdown."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>&~:])", r"\\\1", name)
