"""A dataset of a few small pictures with VOC XML: a bright or a dark square on a ground of greys, one per image.

And a configuration and a detector for tests that are about something else.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from detector.annotations.voc_writer import LabelledBox, voc_xml
from detector.model import pipeline_config
from tests.support.stage import REPOSITORY, run

WIDTH, HEIGHT = 96, 64
SIDE = 96  # of the input of what is `built`
# Weights that need no network, with what suits them.
OFFLINE = {
    "pretrained.source": "package",
    "train.fine_tune_checkpoint_type": "classification",
    "train.frozen_blocks": "0",
    "train.backbone_learning_rate": "1",
}


def picture(folder: Path, number: int) -> None:
    """`imageNN.jpg` and its XML; even numbers hold a bright square (`cat`), odd ones a dark one (`dog`)."""
    name = f"image{number:02}.jpg"
    left, top = 8 + 5 * (number % 7), 4 + 3 * (number % 5)
    box = (left, top, left + 32, top + 32)
    image = ground(number)
    ImageDraw.Draw(image).rectangle(box, fill=(240, 230, 60) if number % 2 == 0 else (20, 30, 90))
    image.save(folder / name, quality=92)
    labelled = LabelledBox("dog" if number % 2 else "cat", box)
    xml = voc_xml(name, (WIDTH, HEIGHT), [labelled], folder=folder.name)
    (folder / name).with_suffix(".xml").write_bytes(xml)


def ground(number: int) -> Image.Image:
    """Patches of grey, others for each number: on one plain ground all pictures would be taken for copies of one."""
    greys = np.random.default_rng(number).integers(80, 160, (4, 6), dtype=np.uint8)
    return Image.fromarray(greys).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST).convert("RGB")


def dataset(root: Path, train: int = 12, test: int = 4) -> Path:
    """`root`/dataset/tiny with its label map; returns it."""
    folder = root / "dataset" / "tiny"
    for split, numbers in (("train", range(train)), ("test", range(50, 50 + test))):
        (folder / split).mkdir(parents=True)
        for number in numbers:
            picture(folder / split, number)
    (folder / "label_map.pbtxt").write_text("item { id: 1 name: 'cat' }\nitem { id: 2 name: 'dog' }\n")
    return folder


def params(root: Path, **changes: str) -> None:
    """The repository's params.yaml in `root`, for the tiny dataset, OFFLINE, with the given `section.key` values."""
    file = root / "params.yaml"
    shutil.copyfile(REPOSITORY / "params.yaml", file)
    wanted = {"dataset.dir": "dataset/tiny", "dataset.val_fraction": "0.2", **OFFLINE, **changes}
    lines, section = [], ""
    for line in file.read_text().splitlines():
        if line and not line.startswith((" ", "#")):
            section = line.partition(":")[0]
        key = f"{section}.{line.partition(':')[0].strip()}"
        lines.append(f"  {key.partition('.')[2]}: {wanted.pop(key)}" if key in wanted else line)
    assert not wanted, f"no such keys: {wanted}"
    file.write_text("\n".join(lines) + "\n")


def prepared(root: Path, **changes: str) -> Path:
    """`root`, a project with the tiny dataset and all that comes before train_tpu; `changes` as of `params`."""
    dataset(root)
    params(root, **changes)
    for name in ("xml2csv", "csv2record", "pretrained"):
        done = run(name, root)
        assert done.returncode == 0, done.stderr
    return root


def config(model: str = "ssd_mobilenet_v2_320x320", **changes: Any) -> Any:
    """A pipeline configuration, for two classes; `changes` of `PipelineParams` and `DatasetFacts`."""
    facts: dict[str, Any] = {"label_map": Path("label_map.pbtxt"), "num_classes": 2, "max_number_of_boxes": 1}
    train: dict[str, Any] = {"steps": 1, "batch_size": 1, "learning_rate": 1.0, "fine_tune_checkpoint_type": "none"}
    train |= {"frozen_blocks": 0, "config_override": "", "bfloat16": False}
    facts |= {name: changes.pop(name) for name in facts if name in changes}
    return pipeline_config.build(
        pipeline_config.PipelineParams(model=model, **{**train, **changes}), pipeline_config.DatasetFacts(**facts)
    )


def small_config(model: str = "ssd_mobilenet_v2_320x320") -> Any:
    """`config`, for an input of SIDE x SIDE pixels."""
    size = f"fixed_shape_resizer {{ height: {SIDE} width: {SIDE} }}"
    return config(model, config_override=f"model {{ ssd {{ image_resizer {{ {size} }} }} }}")


def built(model: str) -> Any:
    """A DetectionModel with random weights, for an input of SIDE x SIDE pixels, which is built faster."""
    from detector.model import od_api

    return od_api.build_model(small_config(model))
