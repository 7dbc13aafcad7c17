"""Copy the last model to a folder that DVC tracks, and have the next training start from it.

    make continue [NAME=cats]
    python -m tools.continue_training [--name=cats]

    model/train -> model/start/<name>/{ckpt-1.*,checkpoint,label_map.pbtxt,pipeline.config}, model/start/<name>.dvc
                   params.yaml: pretrained.source, pretrained.start, train.fine_tune_checkpoint_type

The best checkpoint is copied. Without a name it gets one from its content: the same model has the same name. A folder
that exists is never written to. `full` is set where the dataset has the classes of the model, else `detection`.
"""

import argparse
import filecmp
import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from detector.base import errors, files, params, paths
from detector.base.errors import UserError
from detector.base.params import PARAMS_FILE
from detector.data import labels
from detector.data.params import DatasetParams
from detector.model import pipeline_config
from detector.training.params import TrainParams
from detector.weights import recipe
from detector.weights.params import NO_START, STARTS, PretrainedParams
from tools.cloud import dvc_add, lineage

BEST = paths.TRAIN / "best"
OTHERS = (paths.TRAIN / paths.LABEL_MAP, paths.TRAIN / "pipeline.config")
FILES = (*OTHERS, paths.TRAIN / "train.json", BEST / "ckpt-1.index")
TYPE = "fine_tune_checkpoint_type"
MOST_COLUMNS = 4096  # or ruamel.yaml would break a long line


def main() -> None:
    arguments = parse_arguments()
    params.load("pretrained", PretrainedParams)
    train, dataset = params.load("train", TrainParams), params.load("dataset", DatasetParams)
    model = find_model()
    lineage.warn(lineage.stale(paths.TRAIN))
    check_model(train.model)
    classes, old_classes = (list(labels.read(folder / paths.LABEL_MAP)) for folder in (Path(dataset.dir), paths.TRAIN))
    target = dvc_add.folder(STARTS, arguments.name or name_of(model), (NO_START.name,), "cats")
    is_new = copy(model, target)
    dvc_add.track(target)
    kind = "full" if classes == old_classes else "detection"
    start = target.as_posix()
    changes = change_params({"pretrained": {"source": start, "start": start, "sha256": ""}, "train": {TYPE: kind}})
    errors.say(f"{start}: {'a copy of the last model' if is_new else 'exists, with the same model'}")
    errors.say(*(f"  {PARAMS_FILE}: {line}" for line in changes))
    if kind == "full":
        errors.say("full: training starts with every weight of it")
    else:
        old, new = ", ".join(old_classes), ", ".join(classes)
        errors.say(f"detection: it was trained for {old}; {new} are learnt from scratch")
    errors.say("next: make train STEPS=...")
    errors.say(f"to go back, in {PARAMS_FILE}: source: {recipe.AUTO}, start: {NO_START}, {TYPE}: detection")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.continue_training", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--name", default="", help=f"of the copy: it goes to {STARTS}/<name>")
    return parser.parse_args()


def find_model() -> dict[str, Path]:
    """The files of the last model to copy, by their names in the copy."""
    if not all(path.is_file() for path in FILES):
        remedy = "run: make train (or, where there was one: dvc checkout train_tpu, in a new clone make pull)"
        raise UserError(str(paths.TRAIN), "no model to start from", remedy)
    return {path.name: path for path in (*BEST.iterdir(), *OTHERS)}


def check_model(name: str) -> None:
    """Refuse a model whose weights do not fit `train.model`; they fit every input size of the same template."""
    trained = json.loads((paths.TRAIN / "train.json").read_text(encoding="utf-8"))["model"]
    template, _ = pipeline_config.TEMPLATES.get(trained, ("", 0))
    if template != pipeline_config.TEMPLATES[name][0]:
        raise UserError(PARAMS_FILE, f"{name}, but the last model is a {trained}", "set it to that", "train.model")


def name_of(model: Mapping[str, Path]) -> str:
    """A name that only this content has."""
    digests = "".join(f"{name} {files.sha256(path)}\n" for name, path in sorted(model.items()))
    return f"model-{hashlib.sha256(digests.encode()).hexdigest()[:8]}"


def copy(model: Mapping[str, Path], target: Path) -> bool:
    """Copy the files to a new folder; False where it exists with this content."""
    if target.exists():
        names = {path.name for path in target.iterdir()}
        if names == model.keys() and all(filecmp.cmp(model[name], target / name, shallow=False) for name in names):
            return False
        remedy = "choose another NAME; to start from that one, set pretrained.source and pretrained.start to it"
        raise UserError(str(target), "exists, with other content", remedy)
    with files.whole_folder(target, is_new=True) as folder:
        for name, path in model.items():
            shutil.copyfile(path, folder / name)
    return True


def change_params(values: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Set section -> key -> value in params.yaml, comments stay; returns a line for each value that was another."""
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, MOST_COLUMNS
    document: Any = yaml.load(Path(PARAMS_FILE).read_text(encoding="utf-8"))
    changes = []
    for section, keys in values.items():
        for key, value in keys.items():
            if (old := document[section][key]) != value:
                changes.append(f"{section}.{key}: {old} -> {value or repr(value)}")
                document[section][key] = value
    text = io.StringIO()
    yaml.dump(document, text)
    files.write_text(PARAMS_FILE, text.getvalue())
    return changes


if __name__ == "__main__":
    errors.run(main)
