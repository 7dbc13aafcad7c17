"""What evaluate writes, from made-up detections on made-up photos; its mistakes through the public door."""

import dataclasses
import functools
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from detector.base import errors, paths
from detector.data import labels, tables
from detector.data.tables import ImageBoxes
from detector.evaluation import metrics, results
from detector.evaluation.results import Evaluation
from stages import evaluate
from tests.support import boxes
from tests.support.stage import REPOSITORY, child

CAT, DOG = 1, 2
LEFT, RIGHT = (10, 10, 110, 110), (150, 10, 250, 110)
SIZE = (300, 200)
LOSSES = {"total_loss": 0.6000004, "localization_loss": 0.1, "regularization_loss": 0.3, "classification_loss": 0.2}


image = functools.partial(boxes.image, size=SIZE)
TRUTH = [image("a.png", (*LEFT, CAT), (*RIGHT, CAT)), image("b.jpg", (*LEFT, CAT)), image("c.jpg")]
DETECTED = [
    image("a.png", (*LEFT, CAT, 0.9), (*RIGHT, DOG, 0.8)),
    image("b.jpg", (*LEFT, CAT, 0.7), (*RIGHT, CAT, 0.4)),  # the second is under the threshold
    image("c.jpg", (*LEFT, DOG, 0.6), (*RIGHT, DOG, 0.6)),
]


def evaluation(
    truth: Sequence[ImageBoxes] = TRUTH,
    detected: Sequence[ImageBoxes] = DETECTED,
    *names: str,
    score_threshold: float = 0.5,
) -> Evaluation:
    by_id = dict(enumerate(names or ("cat", "dog"), start=1))
    return Evaluation(truth, detected, LOSSES, by_id, score_threshold, iou_threshold=0.5)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose test split is `TRUTH`, with a label map beside the model, as far as evaluate's checks look."""
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(REPOSITORY / "params.yaml", tmp_path / "params.yaml")
    photos = tmp_path / "dataset/sample/test"
    photos.mkdir(parents=True)
    for k, name in enumerate(("a.png", "b.jpg", "c.jpg")):
        Image.new("RGB", SIZE, (90 + 40 * k, 120, 140)).save(photos / name)
    for folder in (tmp_path / "dataset/sample", paths.TRAIN):
        labels.write(folder / paths.LABEL_MAP, ["cat", "dog"])
    return tmp_path


def written(result: Evaluation, pictures: int = 3) -> Path:
    evaluate.write(result, Path("dataset/sample/test"), pictures)
    return paths.EVALUATE


def test_metrics_json(project: Path) -> None:
    numbers = json.loads((written(evaluation()) / "metrics.json").read_text())
    # Three cats, two found at 0.9 and 0.7 before any false cat: precision 1 up to recall 2/3, so at 67 of 101 recalls
    assert numbers["AP"] == numbers["AP50"] == round(67 / 101, 6)
    assert numbers["per_class"] == {"cat": {"AP": round(67 / 101, 6), "AP50": round(67 / 101, 6), "AR100": 0.666667}}
    assert numbers["loss"] == {
        "localization_loss": 0.1,
        "classification_loss": 0.2,
        "regularization_loss": 0.3,
        "total_loss": 0.6,
    }
    assert (numbers["images"], numbers["groundtruth_boxes"], numbers["detected_boxes"]) == (3, 3, 5)
    assert [key for key in numbers if not key.startswith(("AP", "AR"))] == [
        *("per_class", "loss", "images", "groundtruth_boxes", "detected_boxes")
    ]
    assert list(numbers["loss"]) == list(results.LOSSES)
    assert "AP_small" not in numbers  # nothing small was drawn: absent, not -1
    # b.jpg alone: all is found; a.png alone: one of two, 51 of 101 recalls. Either is a draw in 27, above 2.5 %
    assert numbers["AP_interval"] == numbers["AP50_interval"] == {"low": round(51 / 101, 6), "high": 1}


def test_the_headline_is_what_tells_runs_apart(project: Path) -> None:
    """A column each in `dvc exp show`; all other numbers would be as many more."""
    third, half = round(67 / 101, 6), round(51 / 101, 6)
    headline = json.loads((written(evaluation()) / "headline.json").read_text())
    assert list(headline.items()) == [("AP", third), ("AP_low", half), ("AP_high", 1), ("AP50", third)]
    alone = json.loads((written(evaluation(TRUTH[:1], DETECTED[:1])) / "headline.json").read_text())
    assert alone == {"AP": half, "AP50": half}


def test_a_photos_picture_has_the_same_name_in_each_run() -> None:
    """Whatever its rank, and whichever others are drawn; no two on one disk, be it macOS's or Windows's."""
    names = ["cat.7.jpg", "a.png", "A.jpg", "é<b>.jpg", ".x.jpg", f"{'n' * 90}1.jpg", f"{'n' * 90}2.jpg"]
    pictures = results.picture_names(names)
    assert results.picture_names(names[::-1]) == pictures
    assert [pictures[name] for name in ("cat.7.jpg", "é<b>.jpg", ".x.jpg")] == ["cat.7.jpg", "é_b_.jpg", "_x.jpg"]
    assert [pictures[name][:2] for name in ("a.png", "A.jpg")] == ["a_", "A_"]
    assert len({name.casefold() for name in pictures.values()}) == len(names)
    assert max(map(len, pictures.values())) == 60 + 9 + 4


def test_crowds_are_counted_by_themselves(project: Path) -> None:
    """The second cat of a.png, which was taken for a dog, and is no more an error than the dog that lies in it."""
    truth = [boxes.with_crowds(TRUTH[0], 1), *TRUTH[1:]]
    folder = written(evaluation(truth))
    numbers = json.loads((folder / "metrics.json").read_text())
    counts = ("images", "groundtruth_boxes", "crowd_boxes", "detected_boxes")
    assert {key: numbers[key] for key in counts} == dict(zip(counts, (3, 2, 1, 4), strict=True))
    assert [key for key in numbers if key in counts] == list(counts)
    assert numbers["AP"] == 1
    assert (folder / "confusion.csv").read_text().split() == [
        *("actual,predicted", "background,dog", "background,dog", "cat,cat", "cat,cat")
    ]
    worst = json.loads((folder / "pictures.json").read_text())
    assert [(one["filename"], one["false"]) for one in worst] == [("c.jpg", 2), ("b.jpg", 0), ("a.png", 0)]


def test_detections_csv_is_what_was_evaluation(project: Path) -> None:
    folder = written(evaluation(TRUTH[::-1], DETECTED[::-1]))
    label_map = labels.read(folder / paths.LABEL_MAP)
    assert label_map == {"cat": CAT, "dog": DOG}
    read = tables.read_csv(folder / results.DETECTIONS, label_map, scores=True)
    assert metrics.coco(TRUTH, read, {CAT: "cat", DOG: "dog"}) == metrics.coco(
        TRUTH, DETECTED, {CAT: "cat", DOG: "dog"}
    )
    assert [one.scores.tolist() for one in read] == [
        [0.9, 0.8],
        [0.7, 0.4],
        [0.6, 0.6],
    ]  # the one under the threshold, too


def test_precision_recall_csv(project: Path) -> None:
    folder = written(evaluation())
    table = pd.read_csv(folder / "precision_recall.csv")
    assert list(table.columns) == ["class", "recall", "precision", "score"]
    assert set(table["class"]) == {"cat"}  # dog never occurs
    assert table["recall"].tolist() == [k / 100 for k in range(101)]
    assert table["precision"].tolist() == [1] * 67 + [0] * 34
    assert table["score"].tolist() == [0.9] * 34 + [0.7] * 33 + [0] * 34  # recall 1/3 and 2/3


def test_confusion_csv(project: Path) -> None:
    table = pd.read_csv(written(evaluation()) / "confusion.csv")
    pairs = list(zip(table["actual"], table["predicted"], strict=True))
    assert pairs == [*[("background", "dog")] * 2, *[("cat", "cat")] * 2, ("cat", "dog")]


def test_pictures_are_the_worst_first(project: Path) -> None:
    folder = written(evaluation())
    assert json.loads((folder / "pictures.json").read_text()) == [
        {"rank": 1, "file": "c.jpg", "filename": "c.jpg", "missed": 0, "false": 2, "wrong_class": 0},
        {"rank": 2, "file": "a.jpg", "filename": "a.png", "missed": 0, "false": 0, "wrong_class": 1},
        {"rank": 3, "file": "b.jpg", "filename": "b.jpg", "missed": 0, "false": 0, "wrong_class": 0},
    ]
    assert sorted(path.name for path in (folder / "pictures").iterdir()) == ["a.jpg", "b.jpg", "c.jpg"]
    with Image.open(folder / "pictures/c.jpg") as picture:  # two detections in its left half, the right one is bare
        half = (picture.width - 4) // 2
        ink = [np.ptp(picture.crop(box).convert("L")) for box in ((0, 60, half, 300), (half + 12, 60, 2 * half, 300))]
    assert ink[0] > 100 > 10 > ink[1]


@pytest.mark.parametrize(("asked", "drawn"), [(0, 0), (1, 1), (99, 3)])
def test_number_of_pictures(project: Path, asked: int, drawn: int) -> None:
    folder = written(evaluation(), asked)
    assert len(list(folder.glob("pictures/*"))) == len(json.loads((folder / "pictures.json").read_text())) == drawn


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_bytes_twice_and_nothing_is_left_of_the_last_run(project: Path) -> None:
    first = digests(written(evaluation(), 3))
    assert digests(written(evaluation(TRUTH[::-1], DETECTED[::-1]), 3)) == first  # the order of images does not matter
    assert set(first) == {
        *("metrics.json", "headline.json", "detections.csv", "label_map.pbtxt", "pictures.json"),
        *("precision_recall.csv", "confusion.csv", "precision_recall.png", "confusion_matrix.png"),
        *(f"pictures/{name}" for name in ("a.jpg", "b.jpg", "c.jpg")),
    }
    assert set(first) - set(digests(written(evaluation(), 1))) == {"pictures/a.jpg", "pictures/b.jpg"}
    assert [path.name for path in paths.EVALUATE.parent.iterdir()] == ["evaluate"]


def test_no_detections_at_all(project: Path) -> None:
    folder = written(evaluation(TRUTH, [image(one.filename) for one in TRUTH]))
    numbers = json.loads((folder / "metrics.json").read_text())
    assert (numbers["AP"], numbers["AR100"], numbers["detected_boxes"]) == (0, 0, 0)
    assert pd.read_csv(folder / "precision_recall.csv")["precision"].tolist() == [0] * 101
    assert pd.read_csv(folder / "confusion.csv")["predicted"].tolist() == ["background"] * 3


def test_single_class_with_accents(project: Path) -> None:
    perfect = evaluation([TRUTH[1]], [TRUTH[1]], "maçã")
    folder = written(perfect)
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["per_class"]["maçã"]["AP50"] == 1
    assert (folder / "confusion.csv").read_text(encoding="utf-8") == "actual,predicted\nmaçã,maçã\n"


def test_the_summary_shows_which_class_never_occurs() -> None:
    assert results.summary(evaluation()).splitlines() == [
        "         AP    AP50    AP75   AR100",
        "all   0.663   0.663   0.663   0.667",
        "cat   0.663   0.663           0.667",
        "dog  no object",
        "95 % intervals: AP 0.505 to 1.000, AP50 0.505 to 1.000",
    ]


def test_a_single_test_image_has_no_interval(project: Path) -> None:
    alone = evaluation(TRUTH[:1], DETECTED[:1])
    numbers = json.loads((written(alone, 0) / "metrics.json").read_text())
    assert numbers["AP"] == round(51 / 101, 6) and not {key for key in numbers if "interval" in key}
    assert "intervals" not in results.summary(alone)


def test_where_images_have_more_objects_than_coco_counts_the_summary_says_so() -> None:
    """A detector that finds each of 201 objects: 51 of COCO's 101 recalls are met."""
    rows = [(2 * k, 0, 2 * k + 1, 9, 1, 1) for k in range(201)]
    crowded, small = image("a.jpg", *rows, size=(500, 9)), image("b.jpg", (0, 0, 9, 9, 1, 1))
    perfect = Evaluation([crowded, small], [crowded, small], LOSSES, {1: "cat"}, 0.5, 0.5)
    assert perfect.numbers["AP"] == pytest.approx(51 / 101)
    line = results.summary(perfect).splitlines()[-1]
    assert line.startswith("AP counts 100 detections of an image, as COCO does, and cannot reach 1 here: ")
    assert line.endswith(": 1 image with more objects, up to 201")
    assert "cannot" not in results.summary(evaluation())


def test_a_class_named_all_does_not_hide_the_total() -> None:
    named = dataclasses.replace(evaluation(), names={1: "all", 2: "dog"})
    assert [line.split()[0] for line in results.summary(named).splitlines()[1:-1]] == ["all", "all", "dog"]


def test_picture_of_a_photo_that_was_annotated_as_stored(project: Path) -> None:
    """EXIF says "turn", the CSV has the size of the stored pixels: the boxes fit those, so they are drawn on those."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.new("RGB", SIZE, (90, 120, 140))
    stored.save("dataset/sample/test/b.jpg", exif=exif)
    folder = written(evaluation([TRUTH[1]], [DETECTED[1]]))
    with Image.open(folder / "pictures/b.jpg") as picture:
        assert picture.width == 2 * 480 + 4  # two lying halves, 300x200 scaled to 480x320
    upright = ImageBoxes("b.jpg", SIZE[1], SIZE[0], TRUTH[1].boxes, TRUTH[1].classes, TRUTH[1].scores)
    with Image.open(written(evaluation([upright], [upright])) / "pictures/b.jpg") as picture:
        assert picture.width == 2 * 320 + 4


def test_photo_of_another_size_is_refused_and_the_last_results_stay(project: Path) -> None:
    before = digests(written(evaluation()))
    Image.new("RGB", (30, 20)).save("dataset/sample/test/b.jpg")
    with pytest.raises(errors.UserError, match=r"b\.jpg: is 30x20, the CSV says 300x200; run: dvc repro xml2csv"):
        written(evaluation())
    assert digests(paths.EVALUATE) == before


def assert_refused(project: Path, line: str) -> None:
    done = child("-m", "stages.evaluate", cwd=project)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {line}\n")
    assert not paths.EVALUATE.exists()


def test_no_object_in_the_test_split(project: Path) -> None:
    tables.write_csv(paths.csv("test"), [image("a.png"), image("b.jpg")], {})
    assert_refused(
        project,
        "dataset/data/test.csv: no objects in the test split (2 images); put annotated images into the dataset's test/",
    )


def test_no_object_but_crowds_in_the_test_split(project: Path) -> None:
    tables.write_csv(paths.csv("test"), [boxes.with_crowds(TRUTH[1], 0)], {CAT: "cat"})
    assert_refused(
        project,
        "dataset/data/test.csv: no objects in the test split (1 image); put annotated images into the dataset's test/",
    )


def test_no_model(project: Path) -> None:
    shutil.rmtree(paths.TRAIN)
    assert_refused(project, "model/train: holds no trained model; run: make train (or: make pull)")


def test_model_of_another_label_map(project: Path) -> None:
    labels.write(paths.TRAIN / paths.LABEL_MAP, ["dog", "cat"])
    reason = "the model was trained with another label map than dataset/sample/label_map.pbtxt"
    assert_refused(project, f"model/train/label_map.pbtxt: {reason}; run: dvc repro")


def test_no_csv(project: Path) -> None:
    assert_refused(project, "dataset/data/test.csv: not found; run: dvc repro xml2csv")


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("score_threshold", "1.5", "a number from 0 to 1, or auto"),
        ("iou_threshold", "0", "a number from 0.05 to 1"),
        ("pictures", "-1", "a whole number from 0 up"),
    ],
)
def test_bad_params(project: Path, key: str, value: str, allowed: str) -> None:
    section = {"score_threshold": "0.5", "iou_threshold": "0.5", "pictures": "3"} | {key: value}
    lines = "".join(f"  {name}: {number}\n" for name, number in section.items())
    Path("params.yaml").write_text("evaluate:\n" + lines)
    assert_refused(project, f"params.yaml: evaluate.{key}: {value} is not allowed; give {allowed}")


def test_mistakes_are_reported_without_waiting_for_tensorflow() -> None:
    code = "import sys, stages.evaluate; print([m for m in ('tensorflow', 'matplotlib') if m in sys.modules])"
    assert child("-c", code).stdout == "[]\n"
