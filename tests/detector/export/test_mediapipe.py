"""The TFLite exports under what people run them with: the real MediaPipe, and LiteRT, each in its own environment.

`make test-slow` alone: the committed training, and two environments from the registry, 0.8 GB together.
"""

import functools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detector.base import paths
from detector.data import labels
from detector.data.boxes import iou
from detector.export import runtimes, tflite, tflite_metadata
from tests.support.project import Project
from tests.support.runtimes.environment import Environment
from tests.test_readme import blocks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

CARD = tflite_metadata.Card("Animals", "Finds cats and dogs.", "Apache-2.0", 0.45)
SHOWN, NEARLY = 0.5, 0.4  # scores: what one shows, the other has at least nearly so
OVERLAP = 0.7  # of the same object's boxes
MISSED = {"tflite": 0, "tflite_float16": 0, "tflite_int8": 0.03}  # the share of objects that may be
Row = list  # [class, score, xmin, ymin, xmax, ymax]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the trained detector of the sample, and its exports."""
    from detector.export import calibration, saved_model
    from detector.model import inference

    project = Project(tmp_path_factory.mktemp("trained") / "passo", {})
    project.repro("train_tpu")
    config, model = inference.load(project.root / paths.TRAIN)
    label_map, folder = project.root / paths.TRAIN / paths.LABEL_MAP, project.root / paths.EXPORT
    folder.mkdir(parents=True)
    (folder / paths.LABEL_MAP).write_bytes(label_map.read_bytes())
    saved_model.save(model, label_map, folder / "saved_model")
    photos = functools.partial(calibration.photos, project.root / paths.record("train"))
    tflite.export(model, config, label_map, folder, tflite.FILES, photos=photos, int8_input="uint8", card=CARD)
    return project.root


@pytest.fixture(scope="module")
def photos(root: Path) -> list[Path]:
    return sorted((root / paths.SAMPLE / "test").glob("*.jpg"))


@pytest.fixture(scope="module")
def expected(root: Path, photos: list[Path]) -> list[list[Row]]:
    """What the SavedModel finds in each photo."""
    names = labels.by_id(labels.read(root / paths.EXPORT / paths.LABEL_MAP))
    detect = runtimes.load("saved_model", root / paths.EXPORT)
    found = [detect(Image.open(photo).convert("RGB"), photo.name) for photo in photos]
    return [
        [
            [names[number], score, *box]
            for number, score, box in zip(one.classes.tolist(), one.scores.tolist(), one.boxes.tolist(), strict=True)
        ]
        for one in found
    ]


@pytest.fixture(scope="module")
def mediapipe(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment("mediapipe", tmp_path_factory.mktemp("mediapipe"))


@pytest.fixture(scope="module")
def litert(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment("litert", tmp_path_factory.mktemp("litert"))


def assert_same_objects(found: list[list[Row]], expected: list[list[Row]], missed: float) -> None:
    """What each of the two shows, the other has, too, with nearly the score."""
    assert len(found) == len(expected) == 100
    assert sum(shown(rows, SHOWN) != [] for rows in expected) > 80
    for one, other in ((found, expected), (expected, found)):
        pairs = list(zip(one, other, strict=True))
        objects = sum(len(shown(rows, SHOWN)) for rows, _ in pairs)
        missing = sum(not has(others, row) for rows, others in pairs for row in shown(rows, SHOWN))
        assert missing <= missed * objects, f"{missing} of {objects}"


def shown(rows: list[Row], least: float) -> list[Row]:
    return [row for row in rows if row[1] >= least]


def has(rows: list[Row], row: Row) -> bool:
    same = [other[2:] for other in shown(rows, NEARLY) if other[0] == row[0]]
    return bool(same) and iou(np.array([row[2:]]), np.array(same)).max() >= OVERLAP


@pytest.mark.parametrize("name", tflite.FILES)
def test_mediapipe_finds_the_same_objects(
    root: Path, photos: list[Path], expected: list[list[Row]], mediapipe: Environment, name: str
) -> None:
    file = root / paths.EXPORT / tflite.FILES[name]
    assert_same_objects(mediapipe.read("detect_mediapipe", file, str(NEARLY), *photos), expected, MISSED[name])


@pytest.mark.parametrize("name", tflite.FILES)
def test_litert_finds_the_same_objects(
    root: Path, photos: list[Path], expected: list[list[Row]], litert: Environment, name: str
) -> None:
    file = root / paths.EXPORT / tflite.FILES[name]
    assert_same_objects(litert.read("detect_litert", file, str(NEARLY), *photos), expected, MISSED[name])


@pytest.mark.parametrize("name", tflite.FILES)
def test_mediapipes_own_code_reads_the_metadata(root: Path, mediapipe: Environment, name: str) -> None:
    """Its code is made from the published schema, of which we write a part by hand."""
    written = mediapipe.read("read_metadata", root / paths.EXPORT / tflite.FILES[name])
    assert (written["name"], written["description"], written["license"]) == (CARD.name, CARD.description, CARD.licence)
    assert written["minParserVersion"] == "1.0.0"
    (graph,) = written["subgraphMetadata"]
    (image,) = graph["inputTensorMetadata"]
    assert image["processUnits"] == [{"optionsType": 1, "options": {"mean": [127.5], "std": [127.5]}}]
    assert image["content"] == {"contentPropertiesType": 2, "contentProperties": {"colorSpace": 1}}
    assert image["stats"] == ({"max": [255], "min": [0]} if name == "tflite_int8" else {"max": [1], "min": [-1]})
    location, category, score, number = graph["outputTensorMetadata"]
    assert [each["name"] for each in (location, category, score, number)] == list(tflite_metadata.OUTPUTS)
    assert location["content"]["contentProperties"] == {"index": [1, 0, 3, 2], "type": 1, "coordinateType": 0}
    assert [(file["name"], file["type"]) for file in category["associatedFiles"]] == [("labels.txt", 3)]
    assert score["processUnits"][0]["options"]["globalScoreThreshold"] == pytest.approx(CARD.score_threshold)


def test_the_examples_of_the_docs_find_what_the_saved_model_finds(
    root: Path, expected: list[list[Row]], litert: Environment, mediapipe: Environment
) -> None:
    """In the photo that they name."""
    wanted = sorted(row[0] for row in shown(expected[0], SHOWN))
    assert wanted
    ours, tasks = (block for block in blocks("docs/exports.md", "python") if "import tensorflow" not in block)
    for file in tflite.FILES.values():
        printed = litert.run("-c", ours.replace("model_int8.tflite", file), cwd=root)
        assert sorted(line.split()[0] for line in printed.splitlines()) == wanted, file
        printed = mediapipe.run("-c", tasks.replace("model_int8.tflite", file), cwd=root)
        assert sorted(line.split()[0] for line in printed.splitlines()) == wanted, file
